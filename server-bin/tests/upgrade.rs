//! A new executable takes over the sockets, by SIGUSR2.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Daemon, File, PATIENCE, text};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A process that another has started in its place; killed when the test is over.
struct Successor(Pid);

impl Successor {
    /// Has `daemon` start it, and waits until it has taken over.
    fn of(daemon: &mut Daemon) -> Self {
        daemon.signal(Signal::USR2);
        Self::told_by(daemon)
    }

    fn told_by(daemon: &mut Daemon) -> Self {
        let line = daemon.until("a new process has taken over");
        let id = line.split("process=").nth(1).and_then(|id| id.trim().parse().ok());
        Self(id.and_then(Pid::from_raw).expect(&line))
    }

    /// Waits until it writes its number to `file`.
    fn writes(file: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let id = fs::read_to_string(file).unwrap_or_default();
            if let Ok(id) = id.trim().parse() {
                return Self(Pid::from_raw(id).unwrap());
            }
            assert!(Instant::now() < deadline, "it doesn't start");
            sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    fn ends(&self) {
        let deadline = Instant::now() + PATIENCE;
        while test_kill_process(self.0).is_ok() && !is_zombie(self.0) {
            assert!(Instant::now() < deadline, "it doesn't end");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// Where nobody reaps orphans, as in some containers, one stays for ever.
fn is_zombie(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid()));
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// A copy of the program that the test may replace.
struct Installed {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let installed = Self { path: dir.path().join("server-bin"), _dir: dir };
        installed.put(Path::new(env!("CARGO_BIN_EXE_server-bin")));
        installed
    }

    /// Replaces it as an installation does.
    fn put(&self, program: &Path) {
        let next = self.path.with_extension("next");
        fs::copy(program, &next).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(next, &self.path).unwrap();
    }

    fn put_script(&self, script: &str) {
        let next = self.path.with_extension("script");
        fs::write(&next, format!("#!/bin/sh\n{script}\n")).unwrap();
        self.put(&next);
    }

    fn start(&self, config: &Path) -> Daemon {
        let mut command = Command::new(&self.path);
        let mut daemon = Daemon::spawn(command.arg("--config").arg(config));
        daemon.listens();
        daemon
    }
}

#[test]
fn a_new_process_takes_over_the_port_that_was_found() {
    let file = File::new(&text("one"));
    let mut old = Daemon::start(&file.path, &[]);
    let address = old.address;
    let new = Successor::of(&mut old);
    assert_eq!(old.ends().code(), Some(0));
    assert_eq!(common::name_at(address), "one");

    // It follows the file as the first did.
    file.write(&text("two"));
    common::expect_at(address, "two");
    new.signal(Signal::TERM);
    new.ends();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn one_that_fails_to_start_changes_nothing() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write("name = ");
    daemon.until("the last good value keeps serving");
    daemon.signal(Signal::USR2);
    daemon.until("it ended before it was ready: exit status: 1");
    assert_eq!(daemon.name(), "one");

    file.write(&text("two"));
    daemon.expect("two");
    let _new = Successor::of(&mut daemon);
    let address = daemon.address;
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(address), "two");
}

#[test]
fn what_is_started_is_what_is_installed_by_then() {
    let file = File::new(&text("one"));
    let installed = Installed::new();
    let mut daemon = installed.start(&file.path);
    installed.put_script("exit 7");
    daemon.signal(Signal::USR2);
    daemon.until("it ended before it was ready: exit status: 7");
    fs::remove_file(&installed.path).unwrap();
    daemon.signal(Signal::USR2);
    daemon.until("can't be started");
    assert_eq!(daemon.name(), "one");

    installed.put(Path::new(env!("CARGO_BIN_EXE_server-bin")));
    let _new = Successor::of(&mut daemon);
    let address = daemon.address;
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(address), "one");
}

#[test]
fn told_to_end_it_takes_the_one_that_it_starts_with_it() {
    let file = File::new(&text("one"));
    let installed = Installed::new();
    let mut daemon = installed.start(&file.path);
    let told = installed.path.with_extension("told");
    installed.put_script(&format!("echo $$ > {}; exec sleep 60", told.display()));
    daemon.signal(Signal::USR2);
    daemon.until("starting a new process");
    let started = Successor::writes(&told);
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    started.ends();
}

/// Once it went on until the last request was answered, and listened all the while; told twice, it was
/// left behind.
#[test]
fn told_to_end_nobody_takes_its_place() {
    for times in [1, 2] {
        let file = File::new(&text("one"));
        let installed = Installed::new();
        let mut daemon = installed.start(&file.path);
        let address = daemon.address;
        let mut under_way = half_a_request(&daemon);
        let told = installed.path.with_extension("told");
        installed.put_script(&format!(
            "echo $$ > {}; sleep 0.3; exec {} \"$@\"",
            told.display(),
            env!("CARGO_BIN_EXE_server-bin"),
        ));
        daemon.signal(Signal::USR2);
        let started = Successor::writes(&told);
        daemon.signal(Signal::TERM);
        daemon.until("waiting for requests under way");
        if times == 2 {
            assert_eq!(daemon.end_by(Signal::TERM).code(), Some(1));
        }
        started.ends();
        // Whatever it had begun with has ended as well.
        sleep(Duration::from_millis(500));
        assert!(TcpStream::connect(address).is_err(), "told {times} times");
        if times == 1 {
            under_way.write_all(b"\r\n").unwrap();
            let mut response = String::new();
            under_way.read_to_string(&mut response).unwrap();
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
    }
}

#[test]
fn sockets_of_the_file_system_are_handed_over_too() {
    let dir = tempfile::tempdir().unwrap();
    let (http, admin) = (dir.path().join("http"), dir.path().join("admin"));
    let file = File::new(&format!(
        "{}admin_address = \"unix:{}\"\n",
        text("one").replace("\"]", &format!("\", \"unix:{}\"]", http.display())),
        admin.display(),
    ));
    let mut old = Daemon::start(&file.path, &[]);
    let new = Successor::of(&mut old);
    assert_eq!(old.ends().code(), Some(0));
    for (path, request, want) in [(&http, "/healthz", "ok\n"), (&admin, "/readyz", "ready\n")] {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.ends_with(want), "{said}");
    }
    new.signal(Signal::TERM);
    new.ends();
    assert!(!http.exists() && !admin.exists());
}

/// Once removed, by the one that had taken it over for a moment.
#[test]
fn a_socket_of_the_file_system_stays_when_the_new_process_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http");
    let listed =
        |more: &str| text("one").replace("\"]", &format!("\", \"unix:{}\"{more}]", path.display()));
    let file = File::new(&listed(""));
    let mut daemon = Daemon::start(&file.path, &[]);
    // No machine has this one: RFC 5737.
    file.write(&listed(", \"192.0.2.1:80\""));
    daemon.until("192.0.2.1:80 can't be bound");
    daemon.signal(Signal::USR2);
    daemon.until("it ended before it was ready");
    UnixStream::connect(&path).unwrap();
}

/// Once in the way of the new process, which found the address taken and ended.
#[test]
fn what_is_saved_while_a_new_process_starts_is_in_use_in_the_end() {
    let file = File::new(&text("one"));
    let installed = Installed::new();
    let mut daemon = installed.start(&file.path);
    let (told, go) = (installed.path.with_extension("told"), installed.path.with_extension("go"));
    installed.put_script(&format!(
        "touch {}; while ! [ -e {} ]; do sleep 0.01; done; exec {} \"$@\"",
        told.display(),
        go.display(),
        env!("CARGO_BIN_EXE_server-bin"),
    ));
    daemon.signal(Signal::USR2);
    let deadline = Instant::now() + PATIENCE;
    while !told.exists() {
        assert!(Instant::now() < deadline, "it doesn't start");
        sleep(Duration::from_millis(5));
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    file.write(&text("two").replace("\"]", &format!("\", \"{taken}\"]")));
    // Long enough for it to be applied, if it were to be.
    sleep(Duration::from_millis(300));
    assert_eq!(daemon.name(), "one");
    fs::write(&go, "").unwrap();
    let _new = Successor::told_by(&mut daemon);
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(taken), "two");
}

/// Once counted out, what was about to be bound was in the way of the new process.
#[test]
fn what_is_being_prepared_is_handed_over_too() {
    let installed = Installed::new();
    let [certificate, key] =
        ["cert.pem", "key.pem"].map(|name| installed.path.with_file_name(name));
    let (right, other) = (certified(), certified());
    fs::write(&certificate, right.cert.pem()).unwrap();
    fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let file = File::new(&text("one"));
    let mut daemon = installed.start(&file.path);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    installed.put_script(&format!("sleep 0.5; exec {} \"$@\"", env!("CARGO_BIN_EXE_server-bin")));
    file.write(&format!(
        "{}[[tls.certificates]]\ncertificate = {certificate:?}\nkey = {key:?}\n",
        text("two").replace("\"]", &format!("\", \"{taken}\"]")),
    ));
    // It waits for a key that belongs to it by now.
    sleep(Duration::from_millis(150));
    daemon.signal(Signal::USR2);
    sleep(Duration::from_millis(150));
    fs::write(&key, right.signing_key.serialize_pem()).unwrap();
    let _new = Successor::told_by(&mut daemon);
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(taken), "two");
}

fn certified() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

#[test]
fn what_is_pinned_is_not_lost_to_a_new_process() {
    let file = File::new(&format!("{}admin_address = '127.0.0.1:0'\n", text("one")));
    let mut daemon = Daemon::start(&file.path, &[]);
    let admin = daemon.until("purpose=\"admin\"");
    let admin = admin.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    file.write(&format!("{}admin_address = '127.0.0.1:0'\n", text("two")));
    daemon.expect("two");
    let ask = |what: &[&str]| {
        let args = [what, &["--admin", &admin][..]].concat();
        assert_eq!(common::run(&args).status.code(), Some(0), "{args:?}");
    };
    ask(&["rollback", "1"]);
    daemon.signal(Signal::USR2);
    daemon.until("an earlier generation is pinned");
    assert_eq!(daemon.name(), "one");
    ask(&["resume"]);
    daemon.expect("two");
    let _new = Successor::of(&mut daemon);
}

#[test]
fn several_drain_at_once_and_each_answers_what_it_has_begun() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    let address = daemon.address;
    let mut under_way = vec![half_a_request(&daemon)];
    let mut generations = vec![Successor::of(&mut daemon)];
    // They all log to where the first does.
    daemon.until("waiting for requests under way");
    for _ in 0..2 {
        under_way.push(half_a_request(&daemon));
        generations.last().unwrap().signal(Signal::USR2);
        generations.push(Successor::told_by(&mut daemon));
        daemon.until("waiting for requests under way");
    }
    for mut request in under_way {
        request.write_all(b"\r\n").unwrap();
        let mut response = String::new();
        request.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.contains("connection: close"), "{response}");
    }
    let newest = generations.pop().unwrap();
    for old in &generations {
        old.ends();
    }
    assert_eq!(common::name_at(address), "one");
    drop(newest);
}

#[test]
fn the_new_one_goes_on_when_the_old_is_killed_in_mid_drain() {
    let file = File::new(&text("one"));
    let mut old = Daemon::start(&file.path, &[]);
    let address = old.address;
    let mut under_way = half_a_request(&old);
    let new = Successor::of(&mut old);
    old.until("waiting for requests under way");
    assert_eq!(old.end_by(Signal::KILL).code(), None);
    // Only what the killed one had begun is lost.
    let mut response = Vec::new();
    let _ = under_way.read_to_end(&mut response);
    assert_eq!(response, b"");
    for name in ["two", "three"] {
        file.write(&text(name));
        common::expect_at(address, name);
    }
    new.signal(Signal::TERM);
    new.ends();
}

/// A request of which all but the end has been sent, and read.
fn half_a_request(daemon: &Daemon) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n").unwrap();
    // It has been read once another, sent later, is answered.
    daemon.name();
    stream
}
