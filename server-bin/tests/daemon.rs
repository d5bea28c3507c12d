//! The daemon follows its file, in every watch mode.

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use common::{Daemon, File, text};
use rustix::process::Signal;

fn edit_break_mend(args: &[&str]) {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, args);
    assert_eq!(daemon.name(), "one");

    file.write(&text("two"));
    daemon.expect("two");

    file.write(&format!("{}id = \"hunter2\"\n", text("three")));
    daemon.until(&format!("{}:3:6: invalid type: string", file.name()));
    assert_eq!(daemon.name(), "two");

    file.write(&text("four"));
    daemon.expect("four");

    file.write("name = 'five'\nlisten_addresses = ['127.0.0.1:0', '192.0.2.1:80']\n");
    daemon.until("192.0.2.1:80 can't be bound");
    assert_eq!(daemon.name(), "four");

    file.write(&text("six"));
    daemon.expect("six");
    assert!(!daemon.log.contains("hunter2"), "{}", daemon.log);
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
}

#[test]
fn follows_its_file_by_polling() {
    edit_break_mend(&["--watch-mode", "polling", "--poll-interval", "50ms"]);
}

#[test]
fn follows_its_file_in_realtime() {
    edit_break_mend(&["-w", "realtime", "--poll-interval", "1h"]);
}

#[test]
fn follows_its_file_in_hybrid() {
    edit_break_mend(&["--watch-mode", "hybrid", "--poll-interval", "1h"]);
}

#[test]
fn hybrid_is_the_default() {
    edit_break_mend(&[]);
}

#[test]
fn ends_well_by_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let file = File::new(&text("one"));
        let daemon = Daemon::start(&file.path, &[]);
        // An open connection doesn't hold it up.
        let _idle = std::net::TcpStream::connect(daemon.address).unwrap();
        assert_eq!(daemon.end_by(signal).code(), Some(0), "{signal:?}");
    }
}

#[test]
fn while_it_drains_its_addresses_are_free_and_requests_under_way_are_answered() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    let mut under_way = daemon.half_a_request();
    daemon.signal(Signal::TERM);
    daemon.until("waiting for requests under way");
    TcpListener::bind(daemon.address).unwrap();
    under_way.write_all(b"connection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    under_way.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    let _under_way = daemon.half_a_request();
    daemon.signal(Signal::TERM);
    daemon.until("waiting for requests under way");
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(1));
}
