// Runs in every page that server-dev has passed on: loads it anew once another one would be answered,
// takes its style sheets anew, and shows what is wrong.
(() => {
  "use strict";
  // A frame goes with the page that it is in.
  const isFramed = () => { try { return window !== top && "__serverDev" in top; } catch { return false; } };
  if ("__serverDev" in window || isFramed()) return;
  window.__serverDev = true;

  const BEAT = 5000;
  const { src, dataset } = document.currentScript;
  const events = new URL("events", src);
  const page = dataset.page;
  let styles = Number(dataset.styles);
  let picture, source, heard, isLeaving = false;

  function take(now) {
    picture = now;
    if (now.styles !== styles) swap(styles = now.styles);
    // Not by a connection that was lost and found, and not before it is answered.
    if (now.ready && now.page !== page) loadAnew(now.page);
    show(now.problem);
  }

  // Once for each version: what a cache answers may be an old page again.
  function loadAnew(version) {
    const mark = version + " " + location.href;
    let isDone = isLeaving;
    try {
      isDone ||= sessionStorage.getItem("__server-dev") === mark;
      sessionStorage.setItem("__server-dev", mark);
    } catch { /* Storage is forbidden here. */ }
    if (isDone) return;
    isLeaving = true;
    location.reload();
  }

  // One tab listens for all of them: a browser has few connections for a host.
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("__server-dev") : { postMessage() {} };
  tabs.onmessage = ({ data }) => data ? take(data) : source && picture && tabs.postMessage(picture);
  const ask = () => tabs.postMessage(null);
  const lead = () => new Promise(listen);
  if (navigator.locks) navigator.locks.request("__server-dev", lead).catch(lead); else lead();
  ask();
  addEventListener("pageshow", (event) => event.persisted && ask());

  function listen() {
    source?.close();
    heard = Date.now();
    source = new EventSource(events);
    source.onmessage = ({ data }) => {
      heard = Date.now();
      const now = JSON.parse(data);
      tabs.postMessage(now);
      take(now);
    };
    source.addEventListener("beat", () => { heard = Date.now(); });
  }
  setInterval(() => {
    const isDead = () => source.readyState === EventSource.CLOSED || Date.now() - heard > 3 * BEAT;
    if (source && isDead()) listen();
  }, 1000);

  function swap() {}

  function show() {}
})();
