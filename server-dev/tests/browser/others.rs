//! What pages of other sites may take.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use crate::{BUILDS, Browser, start};

/// Answers each request with a page, as long as the test runs; returns its port.
fn show(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let page = page.clone();
            // A browser connects before it has something to ask for.
            thread::spawn(move || answer(stream, &page));
        }
    });
    port
}

fn answer(stream: TcpStream, page: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
    // It may have gone.
    let _ = stream.get_mut().write_all(format!("{head}{page}").as_bytes());
}

#[test]
fn sources_are_no_scripts_of_another_site() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) =
        start(&[("page.html", ""), ("app.js", "window.found = 'run'"), BUILDS]);
    dev.wait("ready");
    let port = show(format!(
        "<!doctype html><link rel=icon href=data:,>\
         <script src={url}app.js onerror=\"window.found = 'refused'\"></script>"
    ));
    // Another origin of this machine, and another site that leads to it.
    for (host, found) in [("localhost", "run"), ("other.test", "refused")] {
        browser.open(&format!("http://{host}:{port}/"));
        browser.until(&format!("window.found === {found:?}"));
    }
}
