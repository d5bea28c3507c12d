//! What of the process itself follows its file, and what says that it does not.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::{Daemon, File, program, run, text};

/// Has the daemon log something that only somebody who looks for trouble wants to read.
fn make_trouble(daemon: &Daemon) {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn the_filter_of_the_log_follows_the_file() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    make_trouble(&daemon);
    file.write(&format!("{}log = 'server_lib=debug,info'\n", text("two")));
    daemon.until("changed=[\"name\", \"log\"]");
    assert!(!daemon.log.contains("DEBUG"), "{}", daemon.log);
    make_trouble(&daemon);
    daemon.until("DEBUG server_lib::connection: ended by an error");

    file.write(&format!("{}log = 'warn'\n", text("three")));
    daemon.expect("three");
    file.write(&format!("{}log = 'info'\n", text("four")));
    daemon.until("changed=[\"name\", \"log\"]");
    make_trouble(&daemon);
    file.write(&text("five"));
    daemon.until("changed=[\"name\", \"log\"]");
    assert_eq!(daemon.log.matches("DEBUG server_lib::connection").count(), 1, "{}", daemon.log);
}

#[test]
fn the_file_comes_before_the_environment() {
    let file = File::new(&text("one"));
    let mut daemon =
        Daemon::spawn(program().arg("-c").arg(&file.path).env("RUST_LOG", "server_lib=debug,info"));
    daemon.listens();
    make_trouble(&daemon);
    daemon.until("DEBUG server_lib::connection: ended by an error");
    file.write(&format!("{}log = 'info'\n", text("two")));
    daemon.expect("two");
    make_trouble(&daemon);
    file.write(&text("three"));
    daemon.expect("three");
    make_trouble(&daemon);
    daemon.until("DEBUG server_lib::connection: ended by an error");
    assert_eq!(daemon.log.matches("ended by an error").count(), 2, "{}", daemon.log);
}

#[test]
fn a_filter_that_is_none_is_refused_with_its_place() {
    let bad = format!("{}log = 'server_lib=loud'\n", text("two"));
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write(&bad);
    daemon.until(&format!("{}:3:7: log: error parsing level filter", file.name()));
    assert_eq!(daemon.name(), "one");
    file.write(&text("three"));
    daemon.expect("three");

    let file = File::new(&bad);
    for args in [&["-c", file.name(), "--check"][..], &["-c", file.name()]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let place = format!("error: {}:3:7: log: error parsing level filter", file.name());
        assert!(said.contains(&place), "{said}");
    }
}

#[test]
fn what_is_not_hot_says_so_when_it_changes() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write(&format!("{}worker_threads = 3\n", text("two")));
    daemon.until("needs a restart: worker_threads");
    assert_eq!(daemon.name(), "two", "all the rest is in use");
    file.write(&text("three"));
    daemon.until("needs no restart any more");
}

#[test]
#[cfg(target_os = "linux")]
fn it_has_the_threads_that_it_is_told_to() {
    // More than there are by themselves, those for blocking work included.
    let file = File::new(&format!("{}worker_threads = 40\n", text("one")));
    let daemon = Daemon::start(&file.path, &[]);
    let tasks = format!("/proc/{}/task", daemon.pid().as_raw_nonzero());
    let threads = std::fs::read_dir(tasks).unwrap().count();
    assert!((40..60).contains(&threads), "{threads} threads");
}
