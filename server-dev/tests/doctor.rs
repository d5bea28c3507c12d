//! What keeps a service from running is named before it is started.

mod common;

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use common::Folder;

/// The user that is nobody, by Debian's policy and most others.
const NOBODY: u32 = 65534;

fn doctor(command: &mut Command, folder: &Folder) -> (Option<i32>, String) {
    let output = command.arg("doctor").current_dir(folder.path()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_server-dev"))
}

#[test]
fn is_content_with_what_runs() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let service = "[services.web]\ncommand = 'sleep 600'\nsockets = ['http::0']\n";
    folder.write("server-dev.toml", service);
    let (code, text) = doctor(&mut command(), &folder);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.lines().all(|line| !line.starts_with("error: ")), "{text}");
}

#[test]
fn names_everything_that_is_wrong_at_once() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port();
    let folder = Folder::with(&[("a.txt", "")]);
    folder.write(
        "server-dev.toml",
        &format!(
            "[services.one]\ncommand = 'no-such-program'\nsockets = ['http::{port}']\n\
             [services.two]\ncommand = 'sh'\nextensions = ['rs']\nsockets = ['tcp::{port}']\n"
        ),
    );
    let (code, text) = doctor(&mut command(), &folder);
    assert_eq!(code, Some(1), "{text}");
    for part in [
        &format!("error: one: 127.0.0.1:{port} is held by pid {} (", std::process::id()),
        "error: one: no-such-program can't be run",
        "error: two: nothing below",
        &format!("error: two: 127.0.0.1:{port} is asked for by one as well"),
        "all services: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn says_that_a_socket_is_another_users() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root may become another user: nothing is tested");
        return;
    }
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port();
    let folder = Folder::with(&[("a.txt", "")]);
    let service = format!("[services.web]\ncommand = 'sh'\nsockets = ['http::{port}']\n");
    folder.write("server-dev.toml", &service);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("its own folder");
    // Where that user may look at it.
    let copy = folder.path().join("server-dev");
    fs::copy(env!("CARGO_BIN_EXE_server-dev"), &copy).expect("room for a copy");
    let (code, text) = doctor(Command::new(copy).uid(NOBODY).gid(NOBODY), &folder);
    assert_eq!(code, Some(1), "{text}");
    let told = format!("127.0.0.1:{port} is held by a process of another user (uid 0)");
    assert!(text.contains(&told), "{text}");
}

#[test]
fn names_a_file_that_is_missing_or_wrong() {
    let folder = Folder::with(&[]);
    let (code, text) = doctor(&mut command(), &folder);
    assert!(code == Some(1) && text.contains("server-dev.toml can't be read"), "{text}");
    folder.write("server-dev.toml", "[services.web]\n");
    let (code, text) = doctor(&mut command(), &folder);
    assert!(code == Some(1) && text.contains("missing field `command`"), "{text}");
}
