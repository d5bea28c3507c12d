// Runs in every page that server-dev has passed on: loads it anew once another one would be answered,
// takes its style sheets anew, and shows what is wrong.
(() => {
  "use strict";
  // A frame goes with the page that it is in.
  const isFramed = () => { try { return window !== top && "__serverDev" in top; } catch { return false; } };
  if ("__serverDev" in window || isFramed()) return;
  window.__serverDev = true;

  // As often as src/proxy/events.rs sends one, in milliseconds.
  const BEAT = 5000;
  const { src, dataset } = document.currentScript;
  const events = new URL("events", src);
  // A framework that goes over the whole document is not to find it.
  document.currentScript.remove();
  const page = dataset.page;
  let styles = Number(dataset.styles);
  let picture, source, heard, isLeaving = false;

  function take(now) {
    picture = now;
    if (now.styles !== styles) swap(styles = now.styles);
    // Not by a connection that was lost and found, and not before it is answered.
    if (now.ready && now.page !== page) loadAnew(now.page);
    show(now);
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
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("__server-dev") : undefined;
  const tell = (what) => tabs?.postMessage(what);
  const ask = () => tell(null);
  // It leads until it is gone, or a policy of its page turns out to forbid it.
  const lead = () => new Promise((leave) => {
    addEventListener("securitypolicyviolation", ({ blockedURI }) => {
      if (blockedURI !== events.href) return;
      hush();
      leave();
    });
    listen();
  });
  // Locks are only for pages that a browser trusts, as those of this machine.
  const election = tabs && !navigator.locks ? elect() : undefined;
  if (tabs) tabs.onmessage = ({ data }) => {
    if (election?.hears(data)) return;
    if (data) take(data);
    else if (source && picture) tell(picture);
  };
  if (election) election.run();
  else if (navigator.locks) navigator.locks.request("__server-dev", lead).catch(lead);
  else lead();
  ask();
  addEventListener("pageshow", (event) => event.persisted && ask());

  // Who leads says so now and then; of two the one with the smaller number goes on.
  function elect() {
    const NO_ANSWER = 200;
    const number = Math.random();
    let leads = false, isOut = false, told, timer;
    const say = () => leads && tell({ leads: number });
    // Not all of them at once, once one is gone.
    function run(delay = NO_ANSWER) {
      told = 0;
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (told || leads || isOut) return;
        leads = true;
        say();
        lead().then(() => { isOut = true; resign(); });
      }, delay);
    }
    function resign() {
      if (!leads) return;
      leads = false;
      told = Date.now();
      hush();
      tell({ leaves: number });
    }
    addEventListener("pagehide", resign);
    addEventListener("pageshow", (event) => event.persisted && run());
    return {
      say,
      run,
      hears(data) {
        if (!data) say();
        else if ("leaves" in data) leads || run(Math.random() * NO_ANSWER);
        else if ("leads" in data) {
          told = Date.now();
          if (!leads) return true;
          if (data.leads > number) say();
          else { leads = false; hush(); }
        }
        return data && ("leaves" in data || "leads" in data);
      },
      // Nobody says anything where the one that leads has crashed, or is frozen.
      look() { if (!leads && told && Date.now() - told > 3 * BEAT) run(Math.random() * NO_ANSWER); },
    };
  }

  function hush() {
    source?.close();
    source = undefined;
  }

  function listen() {
    source?.close();
    heard = Date.now();
    source = new EventSource(events);
    source.onmessage = ({ data }) => {
      heard = Date.now();
      const now = JSON.parse(data);
      election?.say();
      tell(now);
      take(now);
    };
    source.addEventListener("beat", () => {
      heard = Date.now();
      election?.say();
    });
  }
  setInterval(() => {
    if (!source) return election?.look();
    // Where nothing was ever heard, often asking is no help.
    const isClosed = source.readyState === EventSource.CLOSED && picture;
    if (Date.now() - heard > (isClosed ? 1000 : 3 * BEAT)) listen();
  }, 1000);

  // What replaces what, until it is there: another change may come before.
  const replaced = new WeakMap();

  function swap(version) {
    const isReplaced = new Set();
    const links = [...document.querySelectorAll("link[rel~=stylesheet]")];
    for (const link of links) if (replaced.has(link)) isReplaced.add(replaced.get(link));
    for (const link of links) {
      const url = new URL(link.href);
      if (url.origin !== location.origin || isReplaced.has(link)) continue;
      url.search = url.search.replace(/[?&]__server-dev=\d+$/, "");
      url.search += (url.search ? "&" : "?") + "__server-dev=" + version;
      const next = link.cloneNode();
      next.href = url;
      next.onload = () => {
        for (let old = replaced.get(next); old; old = replaced.get(old)) old.remove();
        replaced.delete(next);
      };
      next.onerror = () => next.remove();
      replaced.set(next, link);
      link.after(next);
    }
  }

  const TITLES = {
    build: "the build has failed",
    start: "the new server is not ready",
    crash: "the server has ended",
  };
  // What there is while no server answers.
  const DOING = {
    "not-begun": "Nothing runs yet: its files are being read.",
    nothing: "Nothing runs: only a change starts it.",
    building: "Nothing runs yet: it is being built.",
    starting: "Nothing runs yet: it starts.",
    backoff: "Nothing runs: it is started again in a while.",
  };
  const behind = ({ ready, doing }) => ready ? "The server before it still answers, and this page is of it." : DOING[doing];
  const LOOKS = `
    :host { all: initial; position: fixed; inset: 0; z-index: 2147483647; overflow: auto; background: #000b }
    section { max-width: 60rem; margin: 2rem auto; padding: 1rem 1.5rem; border-top: 4px solid #e5484d;
      font: 1rem/1.5 system-ui, sans-serif; color: #eee; background: #1b1b1f }
    h2 { margin: 0; font-size: 1.25rem; color: #ff8b8e }
    ul { padding: 0; list-style: none }
    li, pre { font: .875rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
    b { color: #8bc4ff }
    button { float: inline-end; font: inherit; color: inherit; background: none; border: 1px solid #888; cursor: pointer }
  `;
  let overlay, shown, state;

  // By nothing that a policy of the page may forbid: no markup, and no style of an attribute.
  function show({ service, problem, ready, doing }) {
    const text = JSON.stringify(problem);
    // It may come and go while the same is wrong, and whoever has closed it is left alone.
    if (text === shown) return problem && (state.textContent = behind({ ready, doing }));
    shown = text;
    overlay?.remove();
    overlay = undefined;
    if (!problem) return;
    overlay = document.createElement("server-dev-overlay");
    const root = overlay.attachShadow({ mode: "open" });
    const looks = new CSSStyleSheet();
    looks.replaceSync(LOOKS);
    root.adoptedStyleSheets = [looks];
    const close = element("button", "Close");
    close.onclick = () => overlay?.remove();
    const section = element("section", close, element("h2", `${service}: ${TITLES[problem.kind]}`),
      state = element("p", behind({ ready, doing })), element("p", problem.reason));
    section.role = "alert";
    const places = problem.places.filter(({ file }) => file).map(({ file, line, column, message }) =>
      element("li", element("b", [file, line, column].filter((part) => part != null).join(":")), " " + message));
    if (places.length) section.append(element("ul", ...places));
    if (problem.text) section.append(element("pre", problem.text));
    root.append(section);
    document.documentElement.append(overlay);
  }

  function element(name, ...children) {
    const made = document.createElement(name);
    made.append(...children);
    return made;
  }
})();
