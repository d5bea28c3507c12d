//! What a page of a server in development does by itself, in a browser.

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod others;
mod overlay;
mod relay;
mod websockets;

use std::time::Duration;

use common::{Dev, Folder, example, wait_until};
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
         proxy = 'port'\nallow_hosts = ['lan.test']\nsettle = '20ms'\ngrace = '1s'\nignore = ['server-dev.toml', '*.log']\n\
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
        wait_until(|| relay.streams() == n, || "it doesn't listen");
        relay.cut();
    }
    wait_until(|| relay.streams() == 3, || "it doesn't listen again");
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

/// Each of them once held a connection, of which a browser has six for a host.
#[test]
fn eight_tabs_of_another_machine_hold_one_connection() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    // A browser doesn't trust it as it does localhost.
    let url = format!("http://lan.test:{port}/");
    browser.open(&url);
    browser.until_text("h1", "one");
    assert_eq!(browser.value("navigator.locks === undefined"), true);
    let first = browser.tab();
    let tabs: Vec<String> = (0..7).map(|_| browser.open_tab(&url)).collect();
    folder.write("page.html", &page("two"));
    for tab in tabs.iter().chain([&first]) {
        browser.look_at(tab);
        browser.until_text("h1", "two");
    }
    // Whoever leads by now, both ways of going are of one who leads.
    for (n, tab) in tabs[..6].iter().enumerate() {
        browser.look_at(tab);
        browser.close_tab();
        browser.look_at(&first);
        if n % 2 == 0 {
            browser.open(&url);
        }
    }
    folder.write("page.html", &page("three"));
    for tab in [&first, &tabs[6]] {
        browser.look_at(tab);
        browser.until_text("h1", "three");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

/// It once went on to lead, and no tab heard anything.
#[test]
fn a_tab_that_may_not_listen_lets_another_one_listen_for_it() {
    let Some(browser) = Browser::start() else { return };
    let policy = "<meta http-equiv=Content-Security-Policy content=\"connect-src 'none'\">";
    let closed = format!("{policy}{}", page("closed"));
    let files = [("page.html", page("one")), ("closed.html", closed)];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (folder, mut dev, url) = start(&[&files[..], &[BUILDS]].concat());
    dev.wait("ready");
    browser.open(&format!("{url}closed.html"));
    browser.until_text("h1", "closed");
    let first = browser.tab();
    // By then it has tried.
    wait_until(
        || browser.complaints().iter().any(|it| it.contains("connect-src")),
        || "it isn't refused",
    );
    browser.open_tab(&url);
    browser.until_text("h1", "one");
    folder.write("page.html", &page("two"));
    browser.until_text("h1", "two");
    browser.look_at(&first);
    browser.until("sessionStorage.loads === '2'");
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
fn a_page_that_has_ended_its_server_says_so_and_follows_it_as_well() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&format!("{url}exit"));
    browser.until_text("h1", "web has no answer");
    // It is loaded anew for each server that is ready, and ends it as well.
    dev.wait_for("ready", |event| event["generation"] == 3);
}
