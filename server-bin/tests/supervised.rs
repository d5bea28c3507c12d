//! What systemd is told, by a receiver that checks who tells it.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::IoSliceMut, mem::MaybeUninit, os::unix::net::UnixDatagram, path::Path, time::Duration,
};

use common::{Daemon, File, PATIENCE, program, text};
use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt::set_socket_passcred,
    },
    process::{Pid, Signal, kill_process},
};

struct Systemd(UnixDatagram);

impl Systemd {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        set_socket_passcred(&socket, true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Returns the next datagram, which has to be from `daemon`.
    fn hears(&self, daemon: &Daemon) -> String {
        let (by, told) = self.hears_anybody();
        assert_eq!(by, daemon.pid(), "by somebody else: {told}");
        told
    }

    /// Returns the next datagram, and the process that it is from.
    fn hears_anybody(&self) -> (Pid, String) {
        let mut text = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut text)];
        let told = recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::empty());
        let told = told.unwrap_or_else(|error| panic!("nothing is told: {error}"));
        let by = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(by) => Some(by.pid),
            _ => None,
        });
        (by.unwrap(), String::from_utf8(text[..told.bytes].to_vec()).unwrap())
    }

    /// Waits for a datagram that has `part` in it.
    fn hears_of(&self, part: &str, daemon: &Daemon) -> String {
        loop {
            let told = self.hears(daemon);
            if told.contains(part) {
                return told;
            }
        }
    }
}

#[test]
fn systemd_is_told_of_readiness_reloads_and_the_end() {
    let file = File::new(&text("one"));
    let path = file.path.with_file_name("notify");
    let systemd = Systemd::at(&path);
    let mut command = program();
    command.args(["--watch-mode", "polling", "--poll-interval", "1h", "--config"]).arg(&file.path);
    let mut daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", &path));
    daemon.listens();
    assert_eq!(systemd.hears(&daemon), "READY=1\nSTATUS=serving generation 1\n");

    file.write(&text("two"));
    daemon.signal(Signal::HUP);
    let reloading = systemd.hears(&daemon);
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(time.trim().parse::<u64>().is_ok(), "{reloading}");
    let ready = systemd.hears_of("READY=1", &daemon);
    assert_eq!(ready, "READY=1\nSTATUS=serving generation 2\n");
    assert_eq!(daemon.name(), "two");

    // What is bad is answered as well, and harms nothing.
    file.write("id = \"hunter2\"");
    daemon.signal(Signal::HUP);
    assert!(systemd.hears_of("RELOADING=1", &daemon).starts_with("RELOADING=1\n"));
    let place = file.path.display();
    let wrong =
        format!("READY=1\nSTATUS=serving generation 2; {place}:1:6 is wrong, see the log\n");
    assert_eq!(systemd.hears_of("READY=1", &daemon), wrong);
    // Though the log has said so before: that may be long ago. What stands there may be a secret.
    let told = daemon.until("SIGHUP: the last good configuration goes on");
    assert!(told.contains(&format!("{place}:1:6: invalid type: string \"…\", ")), "{told}");
    assert_eq!(daemon.name(), "two");

    daemon.signal(Signal::TERM);
    assert!(systemd.hears_of("STOPPING=1", &daemon).starts_with("STOPPING=1\n"));
    assert_eq!(daemon.ends().code(), Some(0));
}

/// The manager takes word from the main process alone, so that names the next one before it lets go.
#[test]
fn systemd_is_told_which_process_goes_on() {
    let file = File::new(&text("one"));
    let path = file.path.with_file_name("notify");
    let systemd = Systemd::at(&path);
    let mut command = program();
    command.arg("--config").arg(&file.path).env("NOTIFY_SOCKET", &path);
    let mut daemon = Daemon::spawn(&mut command);
    daemon.listens();
    systemd.hears_of("READY=1", &daemon);

    daemon.signal(Signal::USR2);
    let named = systemd.hears(&daemon);
    // With a word of life each, so that there is no gap between those of the one and of the next.
    let id = named.strip_prefix("MAINPID=").and_then(|rest| rest.strip_suffix("\nWATCHDOG=1\n"));
    let id = id.and_then(|id| id.parse().ok()).expect(&named);
    let next = Pid::from_raw(id).unwrap();
    let (by, told) = systemd.hears_anybody();
    assert_eq!((by, told), (next, format!("MAINPID={id}\nWATCHDOG=1\n")));
    let (by, told) = systemd.hears_anybody();
    assert_eq!((by, &*told), (next, "READY=1\nSTATUS=serving generation 1\n"));
    assert_eq!(daemon.ends().code(), Some(0));

    kill_process(next, Signal::TERM).unwrap();
    // Of the first nothing more was heard: to systemd, the service has stopped only now.
    let (by, told) = systemd.hears_anybody();
    assert_eq!(by, next);
    assert!(told.starts_with("STOPPING=1\n"), "{told}");
}

#[test]
fn a_watchdog_is_told_that_it_is_alive() {
    let file = File::new(&text("one"));
    let path = file.path.with_file_name("notify");
    let systemd = Systemd::at(&path);
    let mut command = program();
    command.arg("--config").arg(&file.path).env("NOTIFY_SOCKET", &path);
    let limit = Duration::from_millis(200);
    let mut daemon = Daemon::spawn(command.env("WATCHDOG_USEC", limit.as_micros().to_string()));
    daemon.listens();
    for _ in 0..3 {
        systemd.hears_of("WATCHDOG=1", &daemon);
    }
}
