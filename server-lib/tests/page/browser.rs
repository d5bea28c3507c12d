//! A browser without a window, by `WebDriver` (<https://www.w3.org/TR/webdriver2/>).

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::common::{Client, PATIENCE};

/// Nothing of it may reach out, nor find anything of an earlier run.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// The page in a browser, which is ended when the test is over.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
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

impl Browser {
    /// Opens the page that is at `admin`, if there is a browser to do so.
    pub(crate) async fn open(admin: SocketAddr) -> Option<Self> {
        if !has_tool("chromium") || !has_tool("chromedriver") {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        driver.env("HOME", profile.path()).env("TMPDIR", profile.path());
        // In a group of their own it and the browser can be ended at once.
        let mut driver = driver.process_group(0).spawn().unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            let line = line.unwrap();
            line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("it says no port")));
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };

        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str()]).collect();
        let wanted = json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.command("POST", "/session", &wanted).await;
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser.tell("url", json!({ "url": format!("http://{admin}/") })).await;
        Some(browser)
    }

    /// What an expression of the page comes to.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression}");
        self.tell("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// The text that is to be seen of an element, by its selector.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).innerText")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until an expression of the page comes to `true`.
    pub(crate) async fn until(&self, expression: &str) {
        let waited = timeout(PATIENCE, async {
            while self.value(expression).await != true {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let is_so = waited.await.is_ok();
        assert!(is_so, "not so: {expression}\n{}", self.text("body").await);
    }

    /// Waits until the text that is to be seen of an element has `part` in it.
    pub(crate) async fn until_text(&self, selector: &str, part: &str) {
        let text = format!("document.querySelector({selector:?})?.innerText");
        self.until(&format!("({text} ?? '').includes({part:?})")).await;
    }

    /// Goes to an element as the tab key does, and presses Enter.
    pub(crate) async fn enter(&self, selector: &str) {
        let by = json!({ "using": "css selector", "value": selector });
        let found = self.tell("element", by).await;
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.tell(&format!("element/{element}/value"), json!({ "text": "\u{e007}" })).await;
    }

    /// Has the page as wide as this, and in these colours.
    pub(crate) async fn emulate(&self, width: u32, colours: &str) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": true });
        self.debug("Emulation.setDeviceMetricsOverride", size).await;
        let colours = json!([{ "name": "prefers-color-scheme", "value": colours }]);
        self.debug("Emulation.setEmulatedMedia", json!({ "features": colours })).await;
    }

    /// What went wrong in the page so far.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.tell("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn debug(&self, command: &str, arguments: Value) {
        self.tell("goog/cdp/execute", json!({ "cmd": command, "params": arguments })).await;
    }

    async fn tell(&self, command: &str, arguments: Value) -> Value {
        self.command("POST", &format!("{}/{command}", self.session), &arguments).await
    }

    async fn command(&self, method: &str, path: &str, arguments: &Value) -> Value {
        let mut client = Client::connect(self.address).await;
        client.send(&request(method, path, &arguments.to_string())).await;
        let response = client.response().await;
        assert_eq!(response.status, 200, "{path} {arguments}: {}", response.body);
        let mut answer: Value = serde_json::from_str(&response.body).unwrap();
        answer["value"].take()
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        // The test has its outcome; and there is nobody left to be told.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
