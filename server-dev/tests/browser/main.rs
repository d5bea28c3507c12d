//! What a page of a server in development does by itself, in a browser.

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod relay;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{Dev, Folder, PATIENCE, example};
use driver::Browser;
use relay::Relay;

/// A page that says `title`, and counts in its tab how often it was loaded.
fn page(title: &str) -> String {
    format!(
        "<!doctype html><html><head><title>{title}</title><link rel=icon href=data:,><link rel=stylesheet href=/style.css>\
         <script>sessionStorage.loads = Number(sessionStorage.loads ?? 0) + 1</script></head>\
         <body><h1>{title}</h1><input id=name></body></html>"
    )
}

/// A file of a service with rules, beside which are `files`.
fn start(files: &[(&str, &str)]) -> (Folder, Dev, String) {
    start_of("web", files)
}

/// The same of another example.
fn start_of(server: &str, files: &[(&str, &str)]) -> (Folder, Dev, String) {
    let folder = Folder::with(files);
    let text = format!(
        "[services.web]\ncommand = [{:?}]\nbuild = 'sh ./code'\nsockets = ['http::0']\n\
         proxy = 'port'\nsettle = '20ms'\ngrace = '1s'\nignore = ['server-dev.toml', '*.log']\n\
         rules = [{{ files = '*.css', do = 'css' }}, {{ files = '*.tmpl', do = 'reload' }}]\n",
        example(server)
    );
    folder.write("server-dev.toml", &text);
    folder.write("style.css", "h1 { color: rgb(1, 1, 1) }");
    let mut dev = folder.dev(&[]);
    let url = format!("http://{}/", dev.address());
    (folder, dev, url)
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

fn wait_until(is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it is never so");
        thread::sleep(Duration::from_millis(20));
    }
}

const BUILDS: (&str, &str) = ("code", "exit 0");

#[test]
fn a_page_is_loaded_anew_once_for_each_version_and_only_once_it_is_ready() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    for (n, title) in (2..).zip(["two", "three"]) {
        folder.write("page.html", &page(title));
        dev.wait_for("ready", |event| event["generation"] == n);
        browser.until_text("h1", title);
        assert_eq!(browser.value("sessionStorage.loads"), n.to_string());
    }
    // A version that is asked for beside, by the rule of a file.
    folder.write("list.tmpl", "new");
    browser.until("sessionStorage.loads === '4'");
    dev.wait("drained");
    assert_eq!(browser.value("sessionStorage.loads"), "4");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_page_that_has_lost_the_connection_is_not_loaded_anew_for_that() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    let relay = Relay::to(address(&url));
    browser.open(&relay.url);
    browser.until_text("h1", "one");
    for n in 1..=2 {
        wait_until(|| relay.streams() == n);
        relay.cut();
    }
    wait_until(|| relay.streams() == 3);
    dev.tells_within(Duration::from_secs(1));
    assert_eq!(browser.value("sessionStorage.loads"), "1");
}

#[test]
fn one_tab_listens_for_all_and_another_one_takes_over() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    let first = browser.tab();
    let tabs: Vec<String> = (0..3).map(|_| browser.open_tab(&url)).collect();
    let streams =
        "performance.getEntriesByType('resource').filter(it => it.name.endsWith('events')).length";
    // An event stream that goes on is in no list; so the server is asked who listens.
    assert_eq!(browser.value(streams), 0);
    folder.write("page.html", &page("two"));
    for tab in tabs.iter().chain([&first]) {
        browser.look_at(tab);
        browser.until_text("h1", "two");
        assert_eq!(browser.value("sessionStorage.loads"), "2");
    }
    browser.look_at(&first);
    browser.close_tab();
    folder.write("page.html", &page("three"));
    for tab in &tabs {
        browser.look_at(tab);
        browser.until_text("h1", "three");
    }
    drop(dev);
}

#[test]
fn a_page_that_waits_is_loaded_once_there_is_a_server() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), ("code", "exit 1")]);
    dev.wait("build-failed");
    browser.open(&url);
    browser.until_text("h1", "web has no answer");
    folder.write("code", "exit 0");
    browser.until_text("h1", "one");
}

/// What an overlay says, or nothing.
const OVERLAY: &str = "document.querySelector('server-dev-overlay')?.shadowRoot.textContent";

#[test]
fn what_is_wrong_is_shown_also_to_a_page_that_comes_later_until_it_is_mended() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    folder.write("code", "printf '\\033[31mcode:7: <b>no</b> such word\\n' >&2; exit 7");
    dev.wait("build-failed");
    for text in ["The build has failed", "exit status: 7", "code:7: <b>no</b> such word"] {
        browser.until(&format!("{OVERLAY}?.includes({text:?})"));
    }
    // Nothing is loaded anew for it, and whoever comes now sees it as well.
    assert_eq!(browser.value("sessionStorage.loads"), "1");
    let first = browser.tab();
    browser.open_tab(&url);
    browser.until_text("h1", "one");
    browser.until(&format!("{OVERLAY}?.includes('code:7')"));
    browser.open(&url);
    browser.until(&format!("{OVERLAY}?.includes('code:7')"));

    folder.write("code", "exit 0");
    dev.wait("ready");
    for loads in ["3", "2"] {
        browser.until(&format!("sessionStorage.loads === {loads:?} && {OVERLAY} === undefined"));
        browser.look_at(&first);
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_crash_is_shown_with_its_last_words() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    folder.write("page.html", "crash panicked at page.html:1:1\nnote: here");
    dev.wait("not-ready");
    browser.until(&format!("{OVERLAY}?.includes('The new server is not ready')"));
    browser.until(&format!("{OVERLAY}?.includes('panicked at page.html:1:1\\nnote: here')"));
    folder.write("page.html", &page("two"));
    browser.until_text("h1", "two");
    browser.until(&format!("{OVERLAY} === undefined"));
}

#[test]
fn style_sheets_are_taken_anew_without_the_page() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    let colour = "getComputedStyle(document.querySelector('h1')).color";
    browser.until(&format!("{colour} === 'rgb(1, 1, 1)'"));
    browser.value("(document.querySelector('#name').value = 'half a sentence')");
    for n in 2..4 {
        folder.write("style.css", &format!("h1 {{ color: rgb({n}, {n}, {n}) }}"));
        browser.until(&format!("{colour} === 'rgb({n}, {n}, {n})'"));
    }
    browser.until("document.querySelectorAll('link[rel=stylesheet]').length === 1");
    assert_eq!(browser.value("document.querySelector('#name').value"), "half a sentence");
    assert_eq!(browser.value("sessionStorage.loads"), "1");
    assert!(dev.tells_within(Duration::from_millis(200)).iter().all(|it| it["event"] == "changed"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_server_that_ends_by_itself_is_shown_and_its_page_comes_back_with_the_next() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    browser.value(&format!(
        "(window.sees = new MutationObserver(() => sessionStorage.saw = {OVERLAY})\
         .observe(document.documentElement, {{ childList: true }}), fetch('/exit').catch(String), 1)"
    ));
    browser.until("sessionStorage.saw?.includes('exit status: 4')");
    browser.until(&format!("sessionStorage.loads === '2' && {OVERLAY} === undefined"));
}

#[test]
fn a_page_of_an_earlier_run_is_loaded_anew_once() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    assert!(dev.end().success());
    folder.write("page.html", &page("two"));
    let file = std::fs::read_to_string(folder.path().join("server-dev.toml")).unwrap();
    let socket = format!("http::{}", address(&url));
    folder.write("server-dev.toml", &file.replace("http::0", &socket));
    let mut dev = folder.dev(&[]);
    dev.wait("ready");
    browser.until_text("h1", "two");
    dev.tells_within(Duration::from_secs(1));
    assert_eq!(browser.value("sessionStorage.loads"), "2");
}

#[test]
fn it_all_works_under_a_strict_policy() {
    let Some(browser) = Browser::start() else { return };
    let policy = "default-src 'none'; script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'; \
                  img-src data:; require-trusted-types-for 'script'";
    let answer = |title: &str| {
        let body = format!("<link rel=icon href=data:,><h1>{title}</h1>");
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Security-Policy: {policy}\r\n\r\n{body}",
            body.len()
        )
    };
    let (folder, mut dev, url) = start_of("canned", &[("answer", &answer("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    folder.write("code", "exit 7");
    browser.until(&format!("{OVERLAY}?.includes('exit status: 7')"));
    let place = "getComputedStyle(document.querySelector('server-dev-overlay')).position";
    assert_eq!(browser.value(place), "fixed");
    folder.write("code", "exit 0");
    folder.write("answer", &answer("two"));
    browser.until_text("h1", "two");
    browser.until(&format!("{OVERLAY} === undefined"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_page_that_has_ended_its_server_says_so_and_follows_it_as_well() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&format!("{url}exit"));
    browser.until_text("h1", "web has no answer");
    // It is loaded anew for each server that is ready, and ends it as well.
    dev.wait_for("ready", |event| event["generation"] == 3);
}

#[test]
fn places_in_the_sources_are_listed_where_they_are_known() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    // As another tab passes on what it has heard.
    let problem = r#"{ kind: "build", reason: "cargo: exit status: 101", text: "all of it", places: [
        { file: "src/main.rs", line: 7, column: 5, message: "cannot find <foo>" },
        { file: "Cargo.toml", message: "no package" }, { message: "of no place" }] }"#;
    // Again and again: what the page's own stream says first, that nothing is wrong, may come later.
    let post = format!(
        "new BroadcastChannel('__server-dev').postMessage({{ styles: 0, ready: false, problem: {problem} }})"
    );
    let is_listed = format!(
        "{OVERLAY}?.includes('src/main.rs:7:5 cannot find <foo>Cargo.toml no packageall of it')"
    );
    browser.until(&format!("({post}, {is_listed})"));
}
