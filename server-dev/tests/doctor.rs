//! What keeps a service from running is named before it is started.

mod common;

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use common::{Folder, SERVER_DEV};

/// The user that is nobody, by Debian's policy and most others.
const NOBODY: u32 = 65534;

fn doctor(command: &mut Command, folder: &Folder) -> (Option<i32>, String) {
    doctor_of(command.arg("doctor"), folder)
}

fn doctor_of(command: &mut Command, folder: &Folder) -> (Option<i32>, String) {
    let output = command.current_dir(folder.path()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

fn command() -> Command {
    Command::new(SERVER_DEV)
}

#[test]
fn is_content_with_what_runs() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let service = "[services.web]\ncommand = 'sleep 600'\nsockets = ['http::0']\n";
    folder.write("server-dev.toml", service);
    let (code, text) = doctor(&mut command(), &folder);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("\nnothing is in the way\n"), "{text}");
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
        &format!("error: two: 127.0.0.1:{port} is asked for by one and by two"),
        "all services: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn says_each_thing_once_and_the_worst_last() {
    let folder = Folder::with(&[("a.txt", ""), ("web/run.sh", "")]);
    folder.write(
        "server-dev.toml",
        "[services.gone]\ncommand = 'sh'\ndirectory = 'nowhere'\nsockets = ['unix::a.sock']\n\
         [services.web]\ncommand = './run.sh'\ndirectory = 'web'\nwatch = ['.', 'lib']\n",
    );
    let (code, text) = doctor(&mut command(), &folder);
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<_> = text.lines().collect();
    let errors = [
        "error: gone: there is no folder nowhere",
        "error: web: ./run.sh can't be run: it isn't executable, see chmod +x ./run.sh",
        "error: web: web/lib is to be watched, and is not there",
        "3 errors; it doesn't run as it is",
    ];
    assert!(lines.ends_with(&errors), "{text}");
    assert!(lines.contains(&"fine: web: 1 file in 1 folder of web may begin a build"), "{text}");
    // A list is for no shell, and may still look like it.
    folder.write("server-dev.toml", "[services.web]\ncommand = ['$HOME/a']\n");
    let (_, text) = doctor(&mut command(), &folder);
    assert!(text.contains("$HOME/a can't be run: no shell is in between"), "{text}");
}

#[test]
fn tells_programs_by_json() {
    let folder = Folder::with(&[("a.txt", "")]);
    let flags = ["doctor", "--json", "-w", ".", "--", "no-such-program"];
    let (code, text) = doctor_of(command().args(flags), &folder);
    assert_eq!(code, Some(1), "{text}");
    let read = |line| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    let told: Vec<_> = text.lines().map(read).collect();
    let [.., error, summary] = &told[..] else { panic!("{text}") };
    assert_eq!(error["event"], "finding");
    assert_eq!((&error["service"], &error["level"]), (&"server".into(), &"error".into()));
    assert!(error["text"].as_str().expect("a text").starts_with("no-such-program"), "{text}");
    assert_eq!(*summary, serde_json::json!({ "event": "summary", "errors": 1, "warnings": 0 }));
    assert!(told.iter().any(|it| it["event"] == "finding" && it["service"].is_null()), "{text}");
}

#[test]
fn looks_at_a_service_of_the_command_line() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port();
    let folder = Folder::with(&[("src/a.rs", "")]);
    let socket = format!("http::{port}");
    let flags = ["doctor", "-s", &socket, "-w", "src", "-e", "rs"];
    let taken = format!("127.0.0.1:{port} is held by pid {} (", std::process::id());
    // Before there is a command, none is looked for.
    let (code, text) = doctor_of(command().args(flags), &folder);
    assert!(code == Some(1) && text.contains(&taken), "{text}");
    assert!(!text.contains("can't be run"), "{text}");
    let (code, text) =
        doctor_of(command().args(flags).args(["--", "no-such-program", "-x"]), &folder);
    assert!(code == Some(1) && text.contains(&taken), "{text}");
    assert!(text.contains("no-such-program can't be run"), "{text}");
    drop(held);
    let (code, text) = doctor_of(command().args(flags).args(["--", "sh"]), &folder);
    assert_eq!(code, Some(0), "{text}");
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
    fs::copy(SERVER_DEV, &copy).expect("room for a copy");
    let (code, text) = doctor(Command::new(copy).uid(NOBODY).gid(NOBODY), &folder);
    assert_eq!(code, Some(1), "{text}");
    let told = format!("127.0.0.1:{port} is held by a process of another user (uid 0)");
    assert!(text.contains(&told), "{text}");
}

#[test]
fn names_a_file_that_is_missing_or_wrong() {
    let folder = Folder::with(&[("a/b/c.txt", "")]);
    let (code, text) = doctor_of(&mut command(), &folder);
    assert!(code == Some(1) && text.contains("there is no server-dev.toml here; `"), "{text}");
    assert!(text.contains("server-dev init") && text.contains("-- COMMAND"), "{text}");
    let (code, text) = doctor_of(command().args(["-c", "x.toml"]), &folder);
    assert!(code == Some(1) && text.contains("x.toml can't be read"), "{text}");
    folder.write("server-dev.toml", "[services.web]\n");
    let (code, text) = doctor(&mut command(), &folder);
    assert!(code == Some(1) && text.contains("missing field `command`"), "{text}");
    let output = command().current_dir(folder.path().join("a/b")).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("one above: say -c ../../server-dev.toml"), "{text}");
}
