//! Nobody takes what is logged: a terminal that is stopped, a pipe whose reader hangs.

mod common;

use std::{
    io::{ErrorKind, PipeReader, Write, empty, pipe},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
};

use common::{Daemon, File, program, until};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};

/// A daemon that listens, and prints its log and all else into a pipe that is full, and the end that it can be
/// read from.
fn unread(file: &File, address: SocketAddr) -> (Child, PipeReader) {
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
    until("it listens", || TcpStream::connect(address).is_ok());
    (child, read)
}

/// The same, of which nobody ever reads.
fn never_read(file: &File, address: SocketAddr) -> (Daemon, PipeReader) {
    let (child, log) = unread(file, address);
    let mut daemon = Daemon::reading(child, empty());
    daemon.address = address;
    (daemon, log)
}

/// An address that is free, with its port, as nobody tells which one was taken.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn text(name: &str, address: SocketAddr) -> String {
    format!("name = {name:?}\nlisten_addresses = [\"{address}\"]\n")
}

/// The first line stopped all of it: nothing was served, and no signal heard.
#[test]
fn a_daemon_whose_log_nobody_takes_serves_follows_its_file_and_ends() {
    let address = free();
    let file = File::new(&text("one", address));
    let (daemon, log) = never_read(&file, address);
    for name in ["two", "three", "four"] {
        file.write(&text(name, address));
        daemon.expect(name);
    }
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    drop(log);
}

#[test]
fn a_daemon_whose_log_nobody_takes_ends_at_once_by_a_second_signal() {
    let address = free();
    let file = File::new(&text("one", address));
    let (daemon, log) = never_read(&file, address);
    let _held = daemon.half_a_request();
    daemon.signal(Signal::TERM);
    until("it listens no more", || TcpStream::connect(address).is_err());
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(1));
    drop(log);
}

#[test]
fn what_is_logged_is_written_once_somebody_takes_it() {
    let address = free();
    let file = File::new(&text("one", address));
    let (child, log) = unread(&file, address);
    let mut daemon = Daemon::reading(child, log);
    daemon.until("listening address=");
    daemon.signal(Signal::TERM);
    daemon.until("told to end");
    assert_eq!(daemon.ends().code(), Some(0));
}
