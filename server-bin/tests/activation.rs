//! Sockets that the daemon is started with, by real producers.

mod common;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    process::Command,
};

use command_fds::{CommandFdExt, FdMapping};
use common::{Daemon, File, program, text};
use rustix::process::Signal;

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Whether `tool` is there; the test is skipped without it.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {tool} is not to be had here");
    }
    found
}

/// Starts the daemon with `sockets` from descriptor 3 on, and these variables beside `LISTEN_FDS`.
fn activated(file: &File, sockets: Vec<impl Into<OwnedFd>>, variables: &[(&str, &str)]) -> Daemon {
    let mut command = program();
    command.arg("--config").arg(&file.path).env("LISTEN_FDS", sockets.len().to_string());
    command.env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
    command.envs(variables.iter().copied());
    let mappings = sockets
        .into_iter()
        .zip(3..)
        .map(|(socket, child_fd)| FdMapping { parent_fd: socket.into(), child_fd });
    command.fd_mappings(mappings.collect()).unwrap();
    Daemon::spawn(&mut command)
}

/// Checks that it answers at `address`, which it has inherited, and goes on to follow its file.
fn serves(mut daemon: Daemon, file: &File, address: SocketAddr) {
    let line = daemon.listens();
    assert!(line.contains("inherited=true"), "{line}");
    assert_eq!((daemon.address, daemon.name().as_str()), (address, "one"));
    file.write(&text("two"));
    daemon.expect("two");
    // The configuration's own address was never bound; whoever changes it is told again, nobody else.
    let unused = "not used: the process was started with a socket for it key=\"listen_addresses\"";
    daemon.until(&format!("{unused} addresses=\"127.0.0.1:0\""));
    file.write(&text("two").replace("127.0.0.1:0", "127.0.0.2:0"));
    daemon.until(&format!("{unused} addresses=\"127.0.0.2:0\""));
    assert_eq!(daemon.log.matches(unused).count(), 2, "{}", daemon.log);
    let listening = daemon.log.matches("listening address=").count();
    assert_eq!(listening, 1, "{}", daemon.log);
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
}

#[test]
fn takes_a_socket_without_a_process_number() {
    let file = File::new(&text("one"));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    serves(activated(&file, vec![socket], &[]), &file, address);
}

/// Once served in clear text.
#[test]
fn a_socket_over_tls_takes_a_certificate() {
    let file = File::new(&text("one"));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = activated(&file, vec![socket], &[("LISTEN_FDNAMES", "https")]);
    daemon.until("a socket over TLS, which was inherited, needs a certificate");
    assert_eq!(daemon.ends().code(), Some(1));
}

/// Once served to whoever could reach it, to reload and roll back by.
#[test]
fn a_socket_to_look_after_the_server_by_is_for_nobody_else() {
    let file = File::new(&text("one"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin");
    let unix = UnixListener::bind(&path).unwrap();
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let started = |socket: OwnedFd| activated(&file, vec![socket], &[("LISTEN_FDNAMES", "admin")]);
    let refused = |socket: OwnedFd, want: &str| {
        let mut daemon = started(socket);
        daemon.until(want);
        assert_eq!(daemon.ends().code(), Some(1));
    };
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let address = everywhere.local_addr().unwrap();
    refused(everywhere.into(), &format!("admin: {address} can be reached from elsewhere"));
    mode(0o666);
    let want = format!("admin: unix:{} can be connected to by every user", path.display());
    refused(unix.try_clone().unwrap().into(), &want);

    for mine in [0o600, 0o660] {
        mode(mine);
        let mut daemon = started(unix.try_clone().unwrap().into());
        daemon.until("purpose=\"admin\" inherited=true");
        assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    }
    let local = TcpListener::bind("127.0.0.1:0").unwrap();
    started(local.into()).until("purpose=\"admin\" inherited=true");
}

#[test]
fn takes_several_and_keeps_them_open_for_the_next() {
    let file = File::new(&text("one"));
    let sockets = ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).unwrap());
    let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let kept = sockets.each_ref().map(|socket| socket.try_clone().unwrap());
    // The second begins as what a process hands over, and is not.
    let names = [("LISTEN_FDNAMES", "one:handed-over-by-hand")];
    let mut daemon = activated(&file, sockets.into(), &names);
    for address in addresses {
        daemon.listens();
        assert_eq!((daemon.address, daemon.name().as_str()), (address, "one"));
    }
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    // Whoever holds them has them still, and the next is served by them.
    let mut next = activated(&file, kept.into(), &names);
    for address in addresses {
        next.listens();
        assert_eq!((next.address, next.name().as_str()), (address, "one"));
    }
}

#[test]
fn leaves_a_socket_alone_that_is_meant_for_another_process() {
    let file = File::new(&text("one"));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = activated(&file, vec![socket], &[("LISTEN_PID", "1")]);
    let line = daemon.listens();
    assert!(!line.contains("inherited"), "{line}");
    assert_eq!(daemon.name(), "one");
}

#[test]
fn is_activated_by_systemd() {
    if !has("systemd-socket-activate") {
        return;
    }
    let file = File::new(&text("one"));
    let address = free();
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", &address.to_string(), env!("CARGO_BIN_EXE_server-bin")]);
    let mut daemon = Daemon::spawn(command.arg("--config").arg(&file.path));
    // It starts the daemon once somebody connects.
    daemon.until("Listening on");
    daemon.address = address;
    assert_eq!(daemon.name(), "one");
    serves(daemon, &file, address);
}

#[test]
fn is_activated_by_systemfd() {
    if !has("systemfd") {
        return;
    }
    let file = File::new(&text("one"));
    let address = free();
    let mut command = Command::new("systemfd");
    command.args(["--no-pid", "-s", &format!("http::{address}"), "--"]);
    command.arg(env!("CARGO_BIN_EXE_server-bin")).arg("--config").arg(&file.path);
    serves(Daemon::spawn(&mut command), &file, address);
}
