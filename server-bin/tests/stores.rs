//! A configuration in a store, named by its URL.

#![cfg(feature = "redis")]

mod common;

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Daemon, File, program, run, text, until};
use hot_reload::testing::address;
use rustix::process::Signal;
use tempfile::TempDir;

const PASSWORD: &str = "hunter2-of-redis";
const KEY: &str = "prod/server.toml";

/// A server of the test's own that asks for a password, and keeps nothing when it is killed.
struct Redis {
    address: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl Redis {
    fn start() -> Self {
        let address = address();
        let dir = tempfile::tempdir().unwrap();
        let child = Self::run(address, &dir);
        Self { address, dir, child }
    }

    fn run(address: SocketAddr, dir: &TempDir) -> Child {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--bind", &ip, "--port", &port]);
        command.args(["--requirepass", PASSWORD, "--save", "", "--dir"]).arg(dir.path());
        let child = command.stdout(Stdio::null()).spawn().expect("setpriv");
        until("redis-server listens; ./test installs it", || TcpStream::connect(address).is_ok());
        child
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Self::run(self.address, &self.dir);
    }

    fn set(&self, value: &str) {
        let mut client = Command::new("redis-cli");
        client.args(["-h", &self.address.ip().to_string(), "-p", &self.address.port().to_string()]);
        client.args(["-x", "SET", KEY]).env("REDISCLI_AUTH", PASSWORD);
        let mut client =
            client.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("redis-cli");
        client.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        assert!(client.wait().unwrap().success());
    }

    fn url(&self) -> String {
        format!("redis://{}/0/{KEY}", self.address)
    }

    /// The program, with the password where it belongs.
    fn program(&self) -> Command {
        let mut program = program();
        program.args(["--config", &self.url()]).env("SERVER_CONFIG_PASSWORD", PASSWORD);
        program
    }

    fn daemon(&self, args: &[&str]) -> Daemon {
        let mut daemon = Daemon::spawn(self.program().args(args));
        daemon.listens();
        daemon
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_key_is_followed_as_a_file_is() {
    let redis = Redis::start();
    redis.set(&text("one"));
    for mode in ["realtime", "hybrid", "polling"] {
        redis.set(&text("one"));
        let mut daemon = redis.daemon(&["-w", mode, "--poll-interval", "200ms"]);
        assert_eq!(daemon.name(), "one");
        redis.set(&text("two"));
        daemon.expect("two");
        redis.set("name = 'three'\nlisten_addresses = 7\n");
        daemon.until(&format!("{}:2:20: invalid type", redis.url()));
        assert_eq!(daemon.name(), "two");
        // What only the server can know to be wrong has its place too.
        redis.set(&format!("{}log = 'server_lib=loud'\n", text("three")));
        daemon.until(&format!("{}:3:7: log: error parsing level filter", redis.url()));
        redis.set(&text("four"));
        daemon.expect("four");
        assert!(!daemon.log.contains(PASSWORD), "{}", daemon.log);
        daemon.end_by(Signal::TERM);
    }
}

#[test]
fn a_store_that_goes_and_comes_back_is_waited_for() {
    let mut redis = Redis::start();
    redis.set(&text("one"));
    let mut daemon = redis.daemon(&[]);
    redis.kill();
    daemon.until("the last good value keeps serving");
    assert_eq!(daemon.name(), "one");
    redis.restart();
    redis.set(&text("two"));
    daemon.expect("two");
    redis.kill();
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
}

#[test]
fn a_start_without_the_store_goes_by_the_last_good_configuration() {
    let mut redis = Redis::start();
    redis.set(&text("one"));
    let kept: PathBuf = redis.dir.path().join("last-good");
    let args = ["--last-good", kept.to_str().unwrap()];
    redis.daemon(&args).end_by(Signal::TERM);
    redis.kill();
    let daemon = redis.daemon(&args);
    assert_eq!(daemon.name(), "one");
    redis.restart();
    redis.set(&text("two"));
    daemon.expect("two");
}

#[test]
fn check_and_status_take_a_url() {
    let redis = Redis::start();
    let socket = redis.dir.path().join("admin.sock");
    redis.set(&format!("{}admin_address = 'unix:{}'\n", text("one"), socket.display()));
    let output = redis.program().arg("--check").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with(&format!("{}: good\n", redis.url())), "{said}");

    let mut daemon = redis.daemon(&[]);
    daemon.until("in use generation=1");
    let output = redis.program().arg("status").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&redis.url()), "{output:?}");

    redis.set("broken");
    let output = redis.program().arg("--check").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("{}:1:", redis.url())), "{said}");
}

/// A store that takes connections and says nothing.
struct Silent(TcpListener);

impl Silent {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("redis://{}/0/{KEY}", self.0.local_addr().unwrap())
    }

    /// Starts the program, and waits until it loads; the connection is open for as long as it is held.
    fn daemon(&self) -> (Daemon, TcpStream) {
        let daemon = Daemon::spawn(program().args(["--config", &self.url()]));
        let mut connection = None;
        until("it connects", || {
            connection = self.0.accept().ok();
            connection.is_some()
        });
        (daemon, connection.unwrap().0)
    }
}

#[test]
fn while_the_first_load_waits_signals_are_heard() {
    let store = Silent::start();
    for signals in [
        &[Signal::TERM][..],
        &[Signal::INT],
        // What to load and to replace there is nothing yet.
        &[Signal::HUP, Signal::TERM],
        &[Signal::USR2, Signal::TERM],
    ] {
        let (daemon, _connection) = store.daemon();
        for signal in signals {
            daemon.signal(*signal);
        }
        assert_eq!(daemon.ends().code(), Some(0), "{signals:?}");
    }
}

#[test]
fn a_store_may_take_as_long_as_the_command_line_says() {
    let store = Silent::start();
    for args in [&["--check"][..], &[]] {
        let mut program = program();
        program.args(["--config", &store.url(), "--read-deadline", "321ms"]).args(args);
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("no answer within 321ms"), "{said}");
    }
}

#[test]
fn a_store_that_is_away_is_tried_as_often_as_the_command_line_says() {
    let file = File::new(&text("one"));
    let kept = file.path.with_extension("last-good");
    let kept = ["--last-good", kept.to_str().unwrap()];
    Daemon::start(&file.path, &kept).end_by(Signal::TERM);

    // Each attempt is told that there is nobody.
    let store = Silent::start();
    let mut command = program();
    command.args(["--config", &store.url(), "--reconnect-ceiling", "10ms"]).args(kept);
    let _daemon = Daemon::spawn(&mut command);
    let (mut attempts, mut in_a_row, mut last) = (0, 0, Instant::now());
    // By default a pause is as likely as any up to 800 ms by then.
    until("after ten attempts five pauses in a row of less than 100 ms", || {
        let Ok(_refused) = store.0.accept() else { return false };
        let pause = std::mem::replace(&mut last, Instant::now()).elapsed();
        attempts += 1;
        in_a_row =
            if attempts > 10 && pause < Duration::from_millis(100) { in_a_row + 1 } else { 0 };
        in_a_row == 5
    });
}

#[test]
fn whom_to_ask_is_not_known_while_the_store_is_away() {
    let url = "redis://127.0.0.1:1/0/key";
    let output = run(&["status", "--config", url]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches(url).count(), 1, "{said}");
    assert!(said.contains("--admin ADDRESS"), "{said}");
}

#[test]
fn what_is_wrong_with_the_way_there_is_told_without_the_password() {
    let redis = Redis::start();
    redis.set(&text("one"));
    let nowhere = redis.dir.path().join("password");
    let url = redis.url().replace("redis://", "redis://:wrong-hunter3@");
    let warning = "every user of this machine sees the password on the command line";
    for (url, variables, want) in [
        (redis.url(), &[][..], "a password is needed; give one"),
        (redis.url(), &[("PASSWORD", "wrong-hunter3")], "the user or the password is wrong"),
        (url.clone(), &[], "the user or the password is wrong"),
        (url, &[], warning),
        (redis.url(), &[("PASSWORD_FILE", nowhere.to_str().unwrap())], "can't be read"),
        (redis.url(), &[("PASSWORD", "a"), ("PASSWORD_FILE", "b")], "both set"),
        (redis.url(), &[("PASSWORD", PASSWORD), ("TOKEN", "hunter3")], "redis knows no tokens"),
        ("redis://127.0.0.1:1/0/key".into(), &[], "redis://127.0.0.1:1/0/key: can't be reached"),
        ("ftp://host/key".into(), &[], "ftp:// is no store that is known"),
        ("redis://".into(), &[], "no host; a URL has to be like redis://host:6379/0/key"),
        ("redis://host/0".into(), &[], "the URL names no key"),
    ] {
        let mut program = program();
        program.args(["--config", &url]);
        for (name, value) in variables {
            program.env(format!("SERVER_CONFIG_{name}"), value);
        }
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(want) && !said.contains("hunter"), "{url}: {said}");
        let is_in_url = url.contains("hunter");
        assert_eq!(said.contains(warning), is_in_url, "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
