//! Edits of server-dev.toml while its services run.

mod common;

use std::{
    fs,
    net::TcpListener,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Dev, Folder, get, pid, process::runs, tiny};
use serde_json::{Value, json};

const OTHER: &str = "[services.other]\ncommand = 'sleep 600'\nready = { delay = '1ms' }\n";

/// A server of the value that is in a folder.
fn web(folder: &str, rest: &str) -> String {
    let command = tiny();
    format!("[services.web]\ncommand = '{command}'\ndirectory = '{folder}'\n{rest}\n")
}

fn folder() -> Folder {
    Folder::with(&[("one/value.txt", "one"), ("two/value.txt", "two")])
}

fn configure(folder: &Folder, services: &[&str]) {
    folder.write("server-dev.toml", &services.concat());
}

fn ready(dev: &mut Dev, service: &str) -> u32 {
    pid(&dev.wait_for("ready", |event| event["service"] == service))
}

/// The same of one that is by now, or will be: services start beside each other, in any order.
fn ready_by_now(dev: &mut Dev, service: &str) -> u32 {
    let is_it = |event: &&Value| event["event"] == "ready" && event["service"] == service;
    let told = dev.told.iter().find(is_it).map(pid);
    told.unwrap_or_else(|| ready(dev, service))
}

fn address(dev: &mut Dev, service: &str) -> String {
    let event = dev.wait_for("listening", |event| event["service"] == service);
    event["address"].as_str().expect("an address").trim_start_matches("http://").to_owned()
}

/// A port that was free just now.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// The same service by another name.
fn api(folder: &str, rest: &str) -> String {
    web(folder, rest).replace("services.web", "services.api")
}

/// Somebody who asks one time after the other, and is answered each time.
struct Asking {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Asking {
    fn begin(address: &str) -> Self {
        let (address, is_over) = (address.to_owned(), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            loop {
                let value = get(&address).expect("an answer");
                assert!(["one", "two"].contains(&value.as_str()), "{value}");
                if until.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Self { is_over, thread }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("each was answered");
    }
}

/// How often a process of a service was told to be started.
fn starts(dev: &Dev, service: &str) -> usize {
    let is_one = |event: &&Value| event["event"] == "starting" && event["service"] == service;
    dev.told.iter().filter(is_one).count()
}

/// Whether a service has been ready so often.
fn is_ready(dev: &Dev, service: &str, times: usize) -> bool {
    let is_one = |event: &&Value| event["event"] == "ready" && event["service"] == service;
    dev.told.iter().filter(is_one).count() >= times
}

/// It was not even read, while it looked as if it were: as a file that counts it had all built anew.
#[test]
fn only_the_service_whose_part_was_edited_is_started_anew_and_no_connection_is_refused() {
    let folder = folder();
    configure(&folder, &[&web("one", "sockets = ['http::0']\nenv.SLOW_START = '300'"), OTHER]);
    let mut dev = folder.dev(&[]);
    let address = address(&mut dev, "web");
    let pids = ["other", "web"].map(|service| ready_by_now(&mut dev, service));
    let asking = Asking::begin(&address);
    configure(&folder, &[&web("two", "sockets = ['http::0']\nenv.SLOW_START = '300'"), OTHER]);
    let configured = dev.wait("configured");
    assert_eq!(configured["changed"], json!(["web"]));
    assert_eq!((&configured["added"], &configured["removed"]), (&json!([]), &json!([])));
    // As if all had ended, it was once said how to be faster about it.
    assert_eq!(dev.wait("ending")["because"], "edited");
    assert_eq!(dev.wait("ended")["because"], "edited");
    let new = ready(&mut dev, "web");
    assert_eq!(get(&address).unwrap(), "two");
    asking.end();
    assert!(!runs(pids[1]) && runs(new) && runs(pids[0]));
    assert_eq!(starts(&dev, "other"), 1);
    assert!(dev.told.iter().all(|event| event["event"] != "changed"), "{:#?}", dev.told);
    assert!(dev.end().success());
}

#[test]
fn what_is_wrong_changes_nothing_and_is_told_with_its_place() {
    let folder = folder();
    let good = [&*web("one", "sockets = ['http::0']"), OTHER];
    configure(&folder, &good);
    let mut dev = folder.dev(&[]);
    let address = address(&mut dev, "web");
    let pid = ready(&mut dev, "web");
    configure(&folder, &[&web("one", "sockets = ['http::0']\nsettle = 'soon'")]);
    let refused = dev.wait("not-configured");
    assert_eq!((&refused["line"], &refused["column"]), (&json!(5), &json!(10)), "{refused}");
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("soon is no duration") && reason.contains("server-dev.toml:5:10"));
    configure(&folder, &[&web("one", "proxy = 'port'")]);
    let refused = dev.wait("not-configured");
    assert!(refused["reason"].as_str().unwrap().contains("web: a proxy answers on"), "{refused}");
    configure(&folder, &[&web("one", "watch = ['nowhere']")]);
    let refused = dev.wait("not-configured");
    assert!(refused["reason"].as_str().unwrap().contains("nowhere can't be watched"), "{refused}");
    fs::remove_file(folder.path().join("server-dev.toml")).unwrap();
    dev.wait("not-configured");
    configure(&folder, &good);
    let configured = dev.wait("configured");
    for list in ["changed", "added", "removed"] {
        assert_eq!(configured[list], json!([]));
    }
    assert_eq!(get(&address).unwrap(), "one");
    assert!(runs(pid) && starts(&dev, "web") == 1);
    assert!(dev.end().success());
}

#[test]
fn a_new_service_is_started_and_one_that_is_gone_is_ended() {
    let folder = folder();
    configure(&folder, &[OTHER]);
    let mut dev = folder.dev(&[]);
    let other = ready(&mut dev, "other");
    configure(&folder, &[OTHER, &web("one", "sockets = ['http::0']\nproxy = 'port'")]);
    assert_eq!(dev.wait("configured")["added"], json!(["web"]));
    let address = address(&mut dev, "web");
    ready(&mut dev, "web");
    assert_eq!(get(&address).unwrap(), "one");
    let asking = Asking::begin(&address);
    // The proxy goes on, and whoever asks it waits.
    configure(&folder, &[OTHER, &web("two", "sockets = ['http::0']\nproxy = 'socket'")]);
    dev.wait("configured");
    let web = ready(&mut dev, "web");
    assert_eq!(get(&address).unwrap(), "two");
    asking.end();
    assert!(runs(other) && runs(web));
    configure(&folder, &[&self::web("two", "sockets = ['http::0']\nproxy = 'socket'")]);
    assert_eq!(dev.wait("configured")["removed"], json!(["other"]));
    let ending = dev.wait_for("ending", |event| event["service"] == "other");
    assert_eq!(ending["because"], "removed");
    dev.wait_for("ended", |event| event["service"] == "other");
    assert!(!runs(other) && runs(web));
    assert!(dev.end().success());
    assert!(!runs(web));
}

#[test]
fn a_service_whose_port_is_taken_goes_on_as_before() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    configure(&folder, &[&web("one", "sockets = ['http::0']")]);
    let mut dev = folder.dev(&[]);
    let before = address(&mut dev, "web");
    let pid = ready(&mut dev, "web");
    configure(&folder, &[&web("two", &format!("sockets = ['http::{port}']")), OTHER]);
    // What can be had is had.
    assert_eq!(dev.wait("configured")["added"], json!(["other"]));
    let refused = dev.wait("not-configured");
    assert_eq!(refused["service"], "web");
    assert!(refused["reason"].as_str().unwrap().contains(&port.to_string()), "{refused}");
    ready(&mut dev, "other");
    assert!(runs(pid) && get(&before).unwrap() == "one");
    drop(taken);
    configure(&folder, &[&web("two", &format!("sockets = ['http::{port}']\ngrace = '9s'")), OTHER]);
    assert_eq!(dev.wait("configured")["changed"], json!(["web"]));
    ready(&mut dev, "web");
    assert_eq!(get(&format!("127.0.0.1:{port}")).unwrap(), "two");
    assert!(get(&before).is_err());
}

#[test]
fn a_socket_that_one_service_gives_up_is_taken_by_another_while_it_stays_open() {
    let folder = folder();
    let path = folder.path().join("s");
    let sockets = format!("sockets = ['http::0', 'unix::{}']", path.display());
    configure(&folder, &[&web("one", &sockets)]);
    let mut dev = folder.dev(&[]);
    let before = address(&mut dev, "web");
    let old = ready(&mut dev, "web");
    configure(&folder, &[&web("two", &sockets).replace("services.web", "services.api")]);
    let configured = dev.wait("configured");
    assert_eq!((&configured["added"], &configured["removed"]), (&json!(["api"]), &json!(["web"])));
    assert_eq!(address(&mut dev, "api"), before);
    let (mut is_ended, mut is_ready) = (false, false);
    while !(is_ended && is_ready) {
        let event = dev.wait_for_any(&["ended", "ready"]);
        is_ended |= event["event"] == "ended";
        is_ready |= event["event"] == "ready";
    }
    assert_eq!(get(&before).unwrap(), "two");
    assert!(!runs(old) && path.exists());
    assert!(dev.end().success());
    assert!(!path.exists());
}

/// It once found its socket as a proxy or another server had left it, and ended with `EAGAIN`.
#[test]
fn a_server_that_waits_in_accept_can_take_the_place_of_one_that_does_not() {
    if Command::new("python3").arg("--version").output().is_err() {
        return eprintln!("skipped: python3 is not to be had here");
    }
    let folder = folder();
    folder.write(
        "one/app.py",
        "import socket\n\
         waits = socket.socket(fileno=3)\n\
         while True:\n    \
             client = waits.accept()[0]\n    \
             client.recv(1000)\n    \
             client.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 8\\r\\n\\r\\nblocking')\n    \
             client.close()\n",
    );
    let sockets = "sockets = ['http::0']\n";
    let blocking =
        format!("[services.web]\ncommand = 'python3 app.py'\ndirectory = 'one'\n{sockets}");
    let behind_proxy = blocking.clone() + "proxy = 'socket'\n";
    configure(&folder, &[&behind_proxy]);
    let mut dev = folder.dev(&[]);
    let address = address(&mut dev, "web");
    for (service, answer) in [
        (&behind_proxy, "blocking"),
        (&blocking, "blocking"),
        (&web("one", sockets), "one"),
        (&blocking, "blocking"),
        (&behind_proxy, "blocking"),
    ] {
        configure(&folder, &[service]);
        let event = dev.wait_for_any(&["ready", "not-ready"]);
        assert_eq!(event["event"], "ready", "{event}");
        assert_eq!(get(&address).unwrap(), answer, "{service}");
    }
    assert!(dev.end().success());
}

#[test]
fn two_edits_in_a_row_come_to_what_the_second_says_and_the_end_waits_for_neither() {
    let folder = folder();
    configure(&folder, &[&web("one", "sockets = ['http::0']\nenv.SLOW_END = '300'")]);
    let mut dev = folder.dev(&[]);
    let address = address(&mut dev, "web");
    ready(&mut dev, "web");
    // Whoever waited for one of these to be ready would not be done in time.
    let never = "sockets = ['http::0']\nready_timeout = '1h'\nenv.SLOW_START = '3600000'";
    configure(&folder, &[&web("two", never)]);
    dev.wait("configured");
    configure(&folder, &[&web("one", "sockets = ['http::0']\nsettle = '60ms'")]);
    dev.wait("configured");
    ready(&mut dev, "web");
    assert_eq!(get(&address).unwrap(), "one");
    configure(&folder, &[&web("two", never)]);
    dev.wait("configured");
    let start = Instant::now();
    assert!(dev.end().success());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

/// The old one was ended all the same, and with nothing left to run server-dev ended as well, in success.
#[test]
fn a_service_goes_on_whose_new_name_has_a_port_that_is_taken() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = format!("sockets = ['http::{}']", taken.local_addr().unwrap().port());
    configure(&folder, &[&web("one", "sockets = ['http::0']")]);
    let mut dev = folder.dev(&[]);
    let before = address(&mut dev, "web");
    let pid = ready(&mut dev, "web");
    configure(&folder, &[&api("two", &elsewhere)]);
    let refused = dev.wait("not-configured");
    assert_eq!((&refused["service"], &refused["goes_on"]), (&json!("api"), &json!(false)));
    assert_eq!(get(&before).unwrap(), "one");
    // It is said that all is well again.
    configure(&folder, &[&web("one", "sockets = ['http::0']")]);
    let configured = dev.wait("configured");
    for list in ["changed", "added", "removed"] {
        assert_eq!(configured[list], json!([]));
    }
    assert!(runs(pid) && starts(&dev, "web") == 1);
    drop(taken);
    configure(&folder, &[&api("two", &elsewhere)]);
    let configured = dev.wait("configured");
    assert_eq!((&configured["added"], &configured["removed"]), (&json!(["api"]), &json!(["web"])));
    let now = address(&mut dev, "api");
    ready(&mut dev, "api");
    assert_eq!(get(&now).unwrap(), "two");
    assert!(dev.end().success());
}

/// Its port was held by itself, while it ended, and nothing tried again.
#[test]
fn a_service_that_is_put_back_while_it_ends_is_started_once_it_has() {
    let folder = folder();
    let web = web("one", &format!("sockets = ['http::{}']\nenv.SLOW_END = '1500'", free_port()));
    configure(&folder, &[&web, OTHER]);
    let mut dev = folder.dev(&[]);
    let address = address(&mut dev, "web");
    let old = ready(&mut dev, "web");
    configure(&folder, &[OTHER]);
    assert_eq!(dev.wait("configured")["removed"], json!(["web"]));
    configure(&folder, &[&web, OTHER]);
    let told = dev.wait_for_any(&["configured", "not-configured"]);
    assert_eq!(told["added"], json!(["web"]), "{told}");
    assert!(runs(old));
    let new = ready(&mut dev, "web");
    assert!(!runs(old) && runs(new));
    assert_eq!(get(&address).unwrap(), "one");
    assert!(dev.end().success());
}

/// The socket that it had was in its own way.
#[test]
fn a_service_moves_from_one_address_to_all_addresses_at_the_same_port() {
    for proxy in ["", "proxy = 'port'\n"] {
        let folder = folder();
        let port = free_port();
        let at = |place| format!("{proxy}sockets = ['http::{place}:{port}']");
        configure(&folder, &[&web("one", &at("127.0.0.1"))]);
        let mut dev = folder.dev(&[]);
        let old = ready(&mut dev, "web");
        configure(&folder, &[&web("two", &at("0.0.0.0"))]);
        let told = dev.wait_for_any(&["configured", "not-configured"]);
        assert_eq!(told["changed"], json!(["web"]), "{told}");
        assert_eq!(address(&mut dev, "web"), format!("0.0.0.0:{port}"));
        let new = ready(&mut dev, "web");
        assert!(!runs(old) && runs(new));
        assert_eq!(get(&format!("127.0.0.2:{port}")).unwrap(), "two");
        configure(&folder, &[&web("one", &at("127.0.0.1"))]);
        assert_eq!(dev.wait("configured")["changed"], json!(["web"]));
        ready(&mut dev, "web");
        assert_eq!(get(&format!("127.0.0.1:{port}")).unwrap(), "one");
        assert!(dev.end().success());
    }
}

/// Each waited for the other to be opened first.
#[test]
fn two_services_swap_their_ports() {
    let folder = folder();
    let ports = [free_port(), free_port()].map(|port| format!("sockets = ['http::{port}']"));
    configure(&folder, &[&api("one", &ports[0]), &web("two", &ports[1])]);
    let mut dev = folder.dev(&[]);
    let addresses = ["api", "web"].map(|service| address(&mut dev, service));
    while ["api", "web"].iter().any(|name| !is_ready(&dev, name, 1)) {
        dev.wait("ready");
    }
    configure(&folder, &[&api("one", &ports[1]), &web("two", &ports[0])]);
    let told = dev.wait_for_any(&["configured", "not-configured"]);
    assert_eq!(told["changed"], json!(["api", "web"]), "{told}");
    while ["api", "web"].iter().any(|name| !is_ready(&dev, name, 2)) {
        dev.wait("ready");
    }
    assert_eq!(addresses.map(|address| get(&address).unwrap()), ["two", "one"]);
    assert!(dev.end().success());
}

#[test]
fn a_service_that_goes_on_keeps_the_port_that_another_asks_for() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = taken.local_addr().unwrap().port();
    let ports = [free_port(), free_port(), held].map(|port| format!("sockets = ['http::{port}']"));
    configure(&folder, &[&api("one", &ports[0]), &web("two", &ports[1])]);
    let mut dev = folder.dev(&[]);
    let addresses = ["api", "web"].map(|service| address(&mut dev, service));
    while ["api", "web"].iter().any(|name| !is_ready(&dev, name, 1)) {
        dev.wait("ready");
    }
    configure(&folder, &[&api("one", &ports[1]), &web("two", &ports[2])]);
    let refused = dev.wait_for("not-configured", |event| event["service"] == "api");
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("is held by web, which goes on"), "{reason}");
    assert_eq!(refused["goes_on"], json!(true));
    assert_eq!(addresses.map(|address| get(&address).unwrap()), ["one", "two"]);
    assert!(dev.end().success());
}
