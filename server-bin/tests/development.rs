//! What development without inherited sockets costs is said in a terminal, and nowhere else.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File as Terminal,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::Command,
};

use command_fds::{CommandFdExt, FdMapping};
use common::{Daemon, File, Installed, program, text};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

const ADVICE: &str = "no inherited socket: while this is restarted, connections are refused";

/// The program as a shell has it, whoever runs the tests.
fn plain() -> Command {
    let mut command = program();
    for name in ["CARGO_PKG_NAME", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.env_remove("SYSTEMD_EXEC_PID").env("NO_COLOR", "1");
    command
}

/// Starts it with its log in a terminal, and returns what it says until it serves.
fn says_in_a_terminal(mut command: Command, file: &File) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = ioctl_tiocgptpeer(ours.as_fd(), OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    command.arg("--config").arg(&file.path).stderr(theirs);
    let child = command.spawn().unwrap();
    // It has our handle of its side too, without which the end is an end.
    drop(command);
    let mut daemon = Daemon::reading(child, Terminal::from(ours));
    daemon.until("in use generation=1");
    daemon.log.clone()
}

/// The command that the advice has.
fn advised(log: &str) -> Vec<String> {
    let line = log.lines().find(|line| line.contains(ADVICE)).unwrap_or_else(|| panic!("{log}"));
    shlex::split(line.split_once("to keep it open: ").unwrap().1.trim_end()).unwrap()
}

#[test]
fn a_terminal_is_told_the_command() {
    let file = File::new(&text("one"));
    let words = advised(&says_in_a_terminal(plain(), &file));
    let program = env!("CARGO_BIN_EXE_server-bin");
    let want = ["server-dev", "-s", "http::127.0.0.1:0", "-w", program, "--"];
    assert_eq!(words, [&want[..], &[program, "--config", file.name()]].concat());

    let mut command = plain();
    command.env("CARGO_PKG_NAME", "server-bin");
    let words = advised(&says_in_a_terminal(command, &file)).join(" ");
    let want = format!(
        "cargo run -p server-dev -- -s http::127.0.0.1:0 -e rs,toml -i config.toml -- \
         cargo run -p server-bin -- --config {}",
        file.name()
    );
    assert_eq!(words, want);
}

#[test]
fn the_command_keeps_the_sockets_while_a_new_build_takes_over() {
    // Where all of the workspace is built, it is beside this one.
    let server_dev = Path::new(env!("CARGO_BIN_EXE_server-bin")).with_file_name("server-dev");
    if !server_dev.exists() {
        return eprintln!("skipped: server-dev is not built here");
    }
    let dir = tempfile::tempdir().unwrap();
    let admin = dir.path().join("admin.sock");
    let file = File::new(&format!("{}admin_address = 'unix:{}'\n", text("one"), admin.display()));
    let installed = Installed::new();
    let mut command = Command::new(&installed.path);
    for (name, value) in plain().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let words = advised(&says_in_a_terminal(command, &file));
    let mut daemon = Daemon::spawn(Command::new(server_dev).args(&words[1..]));
    let line = daemon.listens();
    assert!(line.contains("inherited=true"), "{line}");
    daemon.until("in use generation=1");
    assert_eq!(daemon.name(), "one");
    installed.put(Path::new(env!("CARGO_BIN_EXE_server-bin")));
    daemon.until("has ended, as it was told");
    assert_eq!(daemon.name(), "one");
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
}

#[test]
fn nobody_is_told_in_production() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::spawn(plain().arg("--config").arg(&file.path));
    daemon.until("in use generation=1");
    assert!(!daemon.log.contains(ADVICE), "no terminal: {}", daemon.log);

    let own = std::process::id().to_string();
    let nowhere = file.path.with_file_name("nobody-listens");
    for (name, value) in [
        ("INVOCATION_ID", "0123"),
        ("JOURNAL_STREAM", "8:1"),
        ("NOTIFY_SOCKET", nowhere.to_str().unwrap()),
        // The parent of the daemon.
        ("SYSTEMD_EXEC_PID", &own),
    ] {
        let mut command = plain();
        command.env(name, value);
        let log = says_in_a_terminal(command, &file);
        assert!(!log.contains(ADVICE), "{name}: {log}");
    }
}

#[test]
fn nobody_is_told_in_a_container() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let has_namespaces = Command::new("unshare").args(unshare).arg("true").status();
    if !has_namespaces.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: namespaces are not to be had here");
    }
    let file = File::new(&text("one"));
    let (plain, mut command) = (plain(), Command::new("unshare"));
    command.args(unshare).arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let log = says_in_a_terminal(command, &file);
    assert!(!log.contains(ADVICE), "{log}");
}

#[test]
fn a_shell_of_a_desktop_is_told() {
    let file = File::new(&text("one"));
    let mut command = plain();
    command.envs([("SYSTEMD_EXEC_PID", "1"), ("INVOCATION_ID", "0123")]);
    advised(&says_in_a_terminal(command, &file));
}

#[test]
fn nobody_is_told_who_has_brought_a_socket() {
    let file = File::new(&text("one"));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = plain();
    command.env("LISTEN_FDS", "1").env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
    let mapping = FdMapping { parent_fd: OwnedFd::from(socket), child_fd: 3 };
    command.fd_mappings(vec![mapping]).unwrap();
    let log = says_in_a_terminal(command, &file);
    assert!(log.contains("inherited=true") && !log.contains(ADVICE), "{log}");
}
