//! Nobody takes what is logged: a terminal that is stopped, a pipe whose reader hangs.

mod common;

use std::{
    io::{BufRead, BufReader, ErrorKind, PipeReader, Write, pipe},
    net::TcpListener,
    thread::sleep,
    time::Duration,
};

use common::{Daemon, File, expect_at, program, until};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};

/// A daemon whose log, and all else that it prints, goes into a pipe that is full, and the end that it can
/// be read from.
fn unread(file: &File) -> (Daemon, PipeReader) {
    let (read, mut write) = pipe().unwrap();
    let blocks = fcntl_getfl(&write).unwrap();
    fcntl_setfl(&write, blocks | OFlags::NONBLOCK).unwrap();
    // To the last byte.
    for part in [4096, 1] {
        while write.write(&vec![b'\n'; part]).is_ok_and(|written| written > 0) {}
    }
    assert_eq!(write.write(b"\n").unwrap_err().kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&write, blocks).unwrap();
    let mut program = program();
    program.arg("--config").arg(&file.path).stdout(write.try_clone().unwrap()).stderr(write);
    let child = program.spawn().unwrap();
    (Daemon::reading(child, std::io::empty()), read)
}

/// An address that is free, with its port, as nobody tells which one was taken.
fn free() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn text(name: &str, address: std::net::SocketAddr) -> String {
    format!("name = {name:?}\nlisten_addresses = [\"{address}\"]\n")
}

/// The first line stopped all of it: nothing was served, and no signal heard.
#[test]
fn a_daemon_whose_log_nobody_takes_serves_follows_its_file_and_ends() {
    let address = free();
    let file = File::new(&text("one", address));
    let (daemon, log) = unread(&file);
    until("it listens", || std::net::TcpStream::connect(address).is_ok());
    for name in ["two", "three", "four"] {
        file.write(&text(name, address));
        expect_at(address, name);
    }
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    drop(log);
}

#[test]
fn a_daemon_whose_log_nobody_takes_ends_at_once_by_a_second_signal() {
    let address = free();
    let file = File::new(&text("one", address));
    let (mut daemon, log) = unread(&file);
    until("it listens", || std::net::TcpStream::connect(address).is_ok());
    daemon.address = address;
    let _held = daemon.half_a_request();
    daemon.signal(Signal::TERM);
    until("it listens no more", || std::net::TcpStream::connect(address).is_err());
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(1));
    drop(log);
}

#[test]
fn what_is_logged_is_written_once_somebody_takes_it() {
    let address = free();
    let file = File::new(&text("one", address));
    let (daemon, log) = unread(&file);
    until("it listens", || std::net::TcpStream::connect(address).is_ok());
    sleep(Duration::from_millis(100));
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("listening address=")));
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    assert!(lines.any(|line| line.contains("told to end")));
}
