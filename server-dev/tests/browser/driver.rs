//! A browser without a window, by `WebDriver` (<https://www.w3.org/TR/webdriver2/>).

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::PATIENCE;

/// Nothing of it may reach out, nor find anything of an earlier run.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Other sites are this machine as well.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
];

/// A browser, which is ended when the test is over.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

/// Starts what drives a browser, and returns its port, if it says one.
fn start_driver(home: &Path) -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver");
    driver.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    driver.env("HOME", home).env("TMPDIR", home);
    // In a group of their own it and the browser can be ended at once.
    let mut driver = driver.process_group(0).spawn().unwrap();
    let said = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = said.map_while(Result::ok).find_map(|line| {
        line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
    });
    if port.is_none() {
        // It has ended, or is of no use.
        let _ = driver.kill();
        let _ = driver.wait();
    }
    Some((driver, port?))
}

impl Browser {
    /// Starts one, if there is one to be started.
    pub(crate) fn start() -> Option<Self> {
        if !has_tool("chromium") || !has_tool("chromedriver") {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        // The port that it chooses may be taken by the time that it listens there.
        let (driver, port) =
            (0..5).find_map(|_| start_driver(profile.path())).expect("it says no port");
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };

        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str()]).collect();
        let wanted = json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.command("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Opens a page in the tab that is looked at.
    pub(crate) fn open(&self, url: &str) {
        self.tell("url", &json!({ "url": url }));
    }

    /// Makes another tab, and looks at it; returns what it is called.
    pub(crate) fn open_tab(&self, url: &str) -> String {
        let tab = self.tell("window/new", &json!({ "type": "tab" }));
        let tab = tab["handle"].as_str().unwrap().to_owned();
        self.look_at(&tab);
        self.open(url);
        tab
    }

    /// What the tab that is looked at is called.
    pub(crate) fn tab(&self) -> String {
        let tab = self.command("GET", &format!("{}/window", self.session), &Value::Null);
        tab.as_str().unwrap().to_owned()
    }

    pub(crate) fn look_at(&self, tab: &str) {
        self.tell("window", &json!({ "handle": tab }));
    }

    /// Closes the tab that is looked at.
    pub(crate) fn close_tab(&self) {
        self.command("DELETE", &format!("{}/window", self.session), &Value::Null);
    }

    /// What an expression of the page comes to.
    pub(crate) fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression}");
        self.tell("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression of the page comes to `true`.
    pub(crate) fn until(&self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.value(expression) != true {
            assert!(
                Instant::now() < until,
                "not so: {expression}\n{}\n{:?}",
                self.value("document.documentElement.outerHTML"),
                self.complaints()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the text of an element, by its selector, is this.
    pub(crate) fn until_text(&self, selector: &str, text: &str) {
        self.until(&format!("document.querySelector({selector:?})?.innerText === {text:?}"));
    }

    /// What went wrong in the page so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.tell("se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    fn tell(&self, command: &str, arguments: &Value) -> Value {
        self.command("POST", &format!("{}/{command}", self.session), arguments)
    }

    fn command(&self, method: &str, path: &str, arguments: &Value) -> Value {
        let body = if arguments.is_null() { String::new() } else { arguments.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "{head}");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            head += &line;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path} {arguments}: {body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        // The test has its outcome; and there is nobody left to be told.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
