//! What the daemon that runs says to `status`, `reload`, `rollback` and `resume`.

mod common;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Output,
    thread::spawn,
    time::Instant,
};

use common::{Daemon, File, PATIENCE, run, text};
use rustix::process::Signal;

/// A daemon, its file, and the socket that it is asked at.
struct Asked {
    file: File,
    socket: PathBuf,
    daemon: Daemon,
}

impl Asked {
    fn new() -> Self {
        let file = File::new("");
        let socket = file.path.with_file_name("admin.sock");
        file.write(&Self::text(&socket, "one"));
        let daemon = Daemon::start(&file.path, &["--watch-mode", "realtime"]);
        let mut asked = Self { file, socket, daemon };
        asked.daemon.until("in use generation=1");
        asked
    }

    fn text(socket: &std::path::Path, name: &str) -> String {
        format!("{}admin_address = 'unix:{}'\n", text(name), socket.display())
    }

    fn name(&self, name: &str) {
        self.file.write(&Self::text(&self.socket, name));
        self.daemon.expect(name);
    }

    /// Asks by the file.
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--config", self.file.name()]].concat())
    }
}

/// An address at which nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let said = if code == 0 || output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    String::from_utf8(said.clone()).unwrap()
}

#[test]
fn status_says_how_it_is_doing() {
    let mut asked = Asked::new();
    let report = said(&asked.ask(&["status"]), 0);
    for want in [
        "health      fresh, ready\n",
        "generation  1, for ",
        "follows by  events\n",
        &format!("addresses   http   {}\n", asked.daemon.address),
        "history     1    initial ",
    ] {
        assert!(report.contains(want), "{want} is not in:\n{report}");
    }
    // Whether the file is said before or after.
    let before = run(&["--config", asked.file.name(), "status"]);
    assert!(said(&before, 0).starts_with("health      fresh, ready\n"));

    let raw = said(&asked.ask(&["status", "--json"]), 0);
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert_eq!((&raw["health"], &raw["generation"]), (&"fresh".into(), &1.into()));

    // A key that is not known, so that the file still says where to ask.
    asked.file.write(&format!("naem = 1\n{}", Asked::text(&asked.socket, "two")));
    asked.daemon.until("unknown field");
    let report = said(&asked.ask(&["status"]), 1);
    let place = format!("error       {}:1:1: unknown field `naem`", asked.file.name());
    assert!(report.starts_with("health      retrying, ready\n"), "{report}");
    assert!(report.contains(&place) && report.contains("\n            1 | naem = 1\n"), "{report}");
    assert!(report.lines().all(|line| line.len() <= 80 || line.contains(&place)), "{report}");
}

#[test]
fn a_file_that_is_broken_still_says_where_to_ask() {
    let mut asked = Asked::new();
    for (broken, place) in [
        (format!("name = \n{}", Asked::text(&asked.socket, "two")), ":1:8: "),
        (format!("{}greeting = 'never closed\n", Asked::text(&asked.socket, "two")), ":4:25: "),
    ] {
        asked.file.write(&broken);
        asked.daemon.until(&format!("{}{place}", asked.file.name()));
        let report = said(&asked.ask(&["status"]), 1);
        assert!(report.contains(place), "{report}");
    }
}

#[test]
fn a_file_that_says_nothing_of_it_still_leaves_the_address() {
    let mut asked = Asked::new();
    asked.file.write("name = ");
    asked.daemon.until(&format!("{}:1:8: ", asked.file.name()));
    let answer = said(&asked.ask(&["status"]), 4);
    assert!(answer.starts_with("error: ") && answer.contains("--admin ADDRESS"), "{answer}");
    let admin = format!("unix:{}", asked.socket.display());
    let report = said(&asked.ask(&["status", "--admin", &admin]), 1);
    assert!(report.contains(":1:8: "), "{report}");
    let alone = run(&["status", "--admin", &admin]);
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
}

#[test]
fn an_edit_that_is_refused_is_told_by_whom() {
    let mut asked = Asked::new();
    let text = Asked::text(&asked.socket, "two").replace("127.0.0.1:0", "192.0.2.1:80");
    asked.file.write(&text);
    asked.daemon.until("192.0.2.1:80 can't be bound");
    let report = said(&asked.ask(&["status"]), 1);
    assert!(report.contains(", refused by the server\n"), "{report}");
    let place = format!("{}:2:21: 192.0.2.1:80 can't be bound", asked.file.name());
    assert!(report.replace("\n            ", " ").contains(&place), "{report}");
    assert!(asked.daemon.log.contains(&place), "{}", asked.daemon.log);
}

#[test]
fn it_is_told_to_roll_back_and_to_resume() {
    let mut asked = Asked::new();
    asked.name("two");
    assert_eq!(said(&asked.ask(&["reload"]), 0), "unchanged\n");
    assert_eq!(said(&asked.ask(&["rollback", "1"]), 0), "published generation 3\n");
    asked.daemon.expect("one");
    let report = said(&asked.ask(&["status"]), 1);
    assert!(report.starts_with("health      rolled back, ready\n"), "{report}");
    let pinned = "\npinned      to 1, whatever its source says, until 'server-bin resume'\n";
    assert!(report.contains(pinned), "{report}");
    assert!(report.contains("3    rollback to 1 "), "{report}");
    asked.daemon.signal(Signal::HUP);
    asked.daemon.until("serves until 'POST /resume' at the admin address");
    let answer = said(&asked.ask(&["reload"]), 1);
    assert!(answer.starts_with("error: pinned"), "{answer}");
    assert!(answer.ends_with(" until it is resumed, as by 'server-bin resume'\n"), "{answer}");
    let answer = said(&asked.ask(&["rollback", "99"]), 1);
    let want = "error: generation 99 is not kept: 'server-bin status' lists those that are\n";
    assert_eq!(answer, want);
    assert_eq!(said(&asked.ask(&["resume"]), 0), "resumed; published generation 4\n");
    asked.daemon.expect("two");
    said(&asked.ask(&["status"]), 0);
    assert_eq!(said(&asked.ask(&["resume"]), 0), "resumed; unchanged\n");
    said(&asked.ask(&["rollback", "1"]), 0);
    asked.file.write(&format!("naem = 1\n{}", Asked::text(&asked.socket, "three")));
    let answer = said(&asked.ask(&["resume"]), 1);
    let place = format!("{}:1:1: unknown field `naem`", asked.file.name());
    assert!(answer.starts_with("error: resumed; failed: ") && answer.contains(&place), "{answer}");
}

/// Whoever is refused another one already knows its number.
#[test]
fn what_can_be_gone_back_to_is_told_where_it_is_not_kept_alone() {
    let mut asked = Asked::new();
    let address = free_address();
    asked.file.write(&Asked::text(&asked.socket, "two").replace("127.0.0.1:0", &address));
    asked.daemon.until("in use generation=2");
    asked.file.write(&Asked::text(&asked.socket, "three"));
    asked.daemon.until("in use generation=3");
    let deadline = Instant::now() + PATIENCE;
    // Once the daemon has closed it, somebody else has it.
    let _taken = loop {
        match TcpListener::bind(&address) {
            Ok(taken) => break taken,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let answer = said(&asked.ask(&["rollback", "2"]), 1);
    assert!(answer.contains(&address) && !answer.contains("tip:"), "{answer}");
}

#[test]
fn what_an_address_is_for_is_told_as_by_check() {
    let issued = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let pem = File::new(&format!("{}{}", issued.cert.pem(), issued.signing_key.serialize_pem()));
    let file = File::new("");
    let socket = file.path.with_file_name("admin.sock");
    file.write(&format!(
        "{}https_addresses = ['127.0.0.1:0']\n[[tls.certificates]]\ncertificate = '{1}'\nkey = '{1}'\n",
        Asked::text(&socket, "one"),
        pem.name(),
    ));
    let mut daemon = Daemon::start(&file.path, &[]);
    daemon.until("in use generation=1");
    let report = said(&run(&["status", "-c", file.name()]), 0);
    let found = report.lines().skip_while(|line| !line.starts_with("addresses "));
    let found: Vec<_> = found.take(3).map(|line| line.get(12..30).unwrap_or_default()).collect();
    let want = ["http   127.0.0.1:", "https  127.0.0.1:", "admin  unix:/"];
    assert!(found.iter().zip(want).all(|(line, want)| line.starts_with(want)), "{report}");
}

#[test]
fn a_generation_is_a_number() {
    let answer = said(&run(&["rollback", "abc", "-c", "config.toml"]), 2);
    assert!(answer.contains(": a generation is a number, such as 3\n"), "{answer}");
}

#[test]
fn an_address_of_the_machine_can_be_asked_as_well() {
    let file = File::new(&format!("{}admin_address = '[::1]:0'\n", text("one")));
    let mut daemon = Daemon::start(&file.path, &[]);
    let address = daemon.admin().to_string();
    daemon.until("in use generation=1");
    assert!(said(&run(&["status", "--admin", &address]), 0).starts_with("health      fresh"));
    assert_eq!(said(&run(&["reload", "--admin", &address]), 0), "unchanged\n");
}

#[test]
fn nobody_answers() {
    let file = File::new("");
    let socket = file.path.with_file_name("admin.sock");
    file.write(&Asked::text(&socket, "one"));
    for args in [&["status"][..], &["status", "--json"], &["reload"], &["rollback", "1"]] {
        let answer = said(&run(&[args, &["-c", file.name()]].concat()), 3);
        let want = format!("error: nobody answers at unix:{}: ", socket.display());
        assert!(answer.starts_with(&want), "{answer}");
        assert!(answer.ends_with("; does the daemon run?\n"), "{answer}");
    }
    let answer = said(&run(&["status", "--admin", &free_address()]), 3);
    assert!(answer.contains("refused") && answer.ends_with("; does the daemon run?\n"), "{answer}");
}

#[test]
fn where_to_ask_is_not_known() {
    let port_0 = format!("{}admin_address = '127.0.0.1:0'\n", text("one"));
    for (text, want) in [
        (text("one").as_str(), "no admin_address is configured"),
        (&port_0, "port 0 of admin_address is any port"),
        ("admin_address = 'here'", "an address is an IP address and a port"),
    ] {
        let file = File::new(text);
        let answer = said(&run(&["status", "-c", file.name()]), 4);
        assert!(answer.starts_with(&format!("error: {}: {want}", file.name())), "{answer}");
    }
    said(&run(&["status", "-c", "/nowhere/config.toml"]), 4);
}

/// Answers every request with `response`, or never if that is empty.
fn other(response: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            // The first part of a request is enough to answer.
            let _ = stream.read(&mut [0; 1024]);
            if !response.is_empty() {
                let _ = stream.write_all(response.as_bytes());
                continue;
            }
            kept.push(stream);
        }
    });
    address
}

#[test]
fn somebody_else_is_told_from_a_daemon() {
    for (response, want) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "/status is 404 Not Found"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "/status is 200 OK"),
        ("SSH-2.0-OpenSSH\r\n", "nobody answers at "),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[]", "nobody answers at "),
    ] {
        let answer = said(&run(&["status", "--admin", &other(response).to_string()]), 3);
        assert!(answer.contains(want), "{response:?}: {answer}");
    }
}

#[test]
fn a_daemon_that_hangs_is_not_waited_for() {
    let begun = Instant::now();
    let answer = said(&run(&["status", "--admin", &other("").to_string()]), 3);
    assert!(answer.ends_with(": not within 5 s\n"), "{answer}");
    assert!(begun.elapsed() < PATIENCE);
}
