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
    let folder = Folder::with(files);
    let text = format!(
        "[services.web]\ncommand = [{:?}]\nbuild = 'sh ./code'\nsockets = ['http::0']\n\
         proxy = 'port'\nsettle = '20ms'\ngrace = '1s'\nignore = ['server-dev.toml']\n\
         rules = [{{ files = '*.css', do = 'css' }}, {{ files = '*.tmpl', do = 'reload' }}]\n",
        example("web")
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
    browser.until_text("h1", "web is not ready");
    folder.write("code", "exit 0");
    browser.until_text("h1", "one");
}
