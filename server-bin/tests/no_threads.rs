//! No thread can be had any more, as at `pids.max` or `RLIMIT_NPROC`.

#![cfg(target_os = "linux")]

mod common;

use std::{
    ffi::OsStr,
    fs,
    net::TcpStream,
    os::unix::{fs::chown, process::CommandExt},
    process::Command,
};

use common::{Daemon, File, Installed, text, until};
use rustix::process::{Signal, geteuid};

/// Root has as many as it likes, so another user takes its place.
const NOBODY: u32 = 65534;

/// A daemon that listens, and can start no thread from then on; `None` where that can't be brought about.
fn without_threads(installed: &Installed, file: &File) -> Option<Daemon> {
    if geteuid().is_root() {
        for of in [&installed.path, &file.path] {
            chown(of.parent().unwrap(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let mut daemon = Daemon::spawn(by_its_user(&installed.path).arg("--config").arg(&file.path));
    daemon.listens();
    let pid = daemon.pid().as_raw_pid().to_string();
    // Of another user's process, root may not be allowed to.
    if by_its_user("prlimit").args(["--nproc=0:0", "--pid", &pid]).status().is_err() {
        eprintln!("skipped: prlimit is not to be had here");
        return None;
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let of_threads = limits.lines().find(|line| line.starts_with("Max processes")).unwrap();
    assert_eq!(of_threads.split_whitespace().nth(2), Some("0"), "{limits}");
    Some(daemon)
}

fn by_its_user(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// It panicked in place of its last words.
#[test]
fn a_daemon_that_has_no_more_threads_ends_as_it_is_told() {
    let (installed, file) = (Installed::new(), File::new(&text("one")));
    let Some(mut daemon) = without_threads(&installed, &file) else { return };
    daemon.signal(Signal::TERM);
    daemon.until("told to end");
    assert_eq!(daemon.ends().code(), Some(0));
}

#[test]
fn a_daemon_that_has_no_more_threads_ends_at_once_by_a_second_signal() {
    let (installed, file) = (Installed::new(), File::new(&text("one")));
    let Some(mut daemon) = without_threads(&installed, &file) else { return };
    let _held = daemon.half_a_request();
    let address = daemon.address;
    daemon.signal(Signal::TERM);
    until("it listens no more", || TcpStream::connect(address).is_err());
    daemon.signal(Signal::TERM);
    daemon.until("told again: ending at once");
    assert_eq!(daemon.ends().code(), Some(1));
}
