//! What a page shows that is wrong.

use crate::{BUILDS, Browser, page, start, start_of};

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
    for text in [
        "web: the build has failed",
        "still answers",
        "exit status: 7",
        "code:7: <b>no</b> such word",
    ] {
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
    browser.until(&format!(
        "{OVERLAY}?.includes('web: the new server is not readyThe server before it still answers')"
    ));
    browser.until(&format!("{OVERLAY}?.includes('panicked at page.html:1:1\\nnote: here')"));
    folder.write("page.html", &page("two"));
    browser.until_text("h1", "two");
    browser.until(&format!("{OVERLAY} === undefined"));
}

#[test]
fn a_server_that_ends_by_itself_is_shown_and_its_page_comes_back_with_the_next() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    browser.value(&format!(
        "(window.sees = new MutationObserver(() => sessionStorage.saw = {OVERLAY} ?? sessionStorage.saw)\
         .observe(document.documentElement, {{ childList: true }}), fetch('/exit').catch(String), 1)"
    ));
    browser.until("sessionStorage.saw?.includes('exit status: 4')");
    browser.until(&format!("sessionStorage.loads === '2' && {OVERLAY} === undefined"));
}

#[test]
fn it_is_said_whether_anything_runs_behind_what_is_shown() {
    let Some(browser) = Browser::start() else { return };
    let (folder, mut dev, url) = start(&[("page.html", &page("one")), ("code", "exit 7")]);
    dev.wait("build-failed");
    browser.open(&url);
    browser.until(&format!(
        "{OVERLAY}?.includes('web: the build has failedNothing runs: only a change')"
    ));
    // What is shown is the same, and what is behind it is not.
    folder.write("code", "while [ ! -e go ]; do sleep 0.01; done; exit 7");
    browser.until(&format!("{OVERLAY}?.includes('Nothing runs yet: it is being built')"));
    folder.write("go.log", "");
    std::fs::rename(folder.path().join("go.log"), folder.path().join("go")).unwrap();
    browser.until(&format!("{OVERLAY}?.includes('Nothing runs: only a change')"));
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
fn places_in_the_sources_are_listed_where_they_are_known() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start(&[("page.html", &page("one")), BUILDS]);
    dev.wait("ready");
    browser.open(&url);
    browser.until_text("h1", "one");
    // As another tab passes on what it has heard, again until it is not lost on a page that begins to listen.
    let problem = r#"{ kind: "build", reason: "cargo: exit status: 101", text: "all of it", places: [
        { file: "src/main.rs", line: 7, column: 5, message: "cannot find <foo>" },
        { file: "Cargo.toml", message: "no package" }, { message: "of no place" }] }"#;
    browser.until(&format!(
        "new BroadcastChannel('__server-dev').postMessage({{ service: 'web', styles: 0, ready: false, doing: 'nothing', problem: {problem} }}), {OVERLAY}?.includes('src/main.rs:7:5 cannot find <foo>Cargo.toml no packageall of it')"
    ));
}
