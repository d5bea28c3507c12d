//! Where a server says that it is ready, when the usual place takes no socket.

mod common;

use std::process::Command;

use common::{Dev, Folder, pid, process::runs, tiny, wait_until};

/// Starts a server that says it, which is believed alone.
fn start(folder: &Folder, tmp: &str, runtime: &str) -> Dev {
    folder.write("value.txt", "one");
    let env = [("SAYS_READY", "1"), ("TMPDIR", tmp), ("XDG_RUNTIME_DIR", runtime)];
    folder.dev_with(&["-s", "http::0", "--ready", "notify", "--", &tiny()], &env)
}

/// Longer than an address may be, and no folder at all.
fn useless(folder: &Folder) -> [String; 2] {
    let long = format!("{}/a", "long".repeat(30));
    folder.write(&format!("{long}/file"), "");
    [long, "missing".to_owned()].map(|name| folder.path().join(name).display().to_string())
}

/// It once ran nothing at all.
#[test]
fn a_folder_that_takes_no_socket_is_passed_over() {
    let folder = Folder::with(&[]);
    let other = tempfile::tempdir().unwrap();
    let runtime = other.path().display().to_string();
    for tmp in useless(&folder) {
        let mut dev = start(&folder, &tmp, &runtime);
        dev.wait_for("ready", |ready| ready["by"] == "notified");
        let made = other.path().read_dir().unwrap().count();
        assert_eq!(made, 1, "{tmp}");
        assert!(dev.end().success());
        assert_eq!(other.path().read_dir().unwrap().count(), 0, "{tmp}");
    }
}

#[test]
fn where_no_folder_takes_a_socket_there_is_one_without() {
    let folder = Folder::with(&[]);
    for tmp in useless(&folder) {
        let mut dev = start(&folder, &tmp, "");
        let ready = dev.wait_for("ready", |ready| ready["by"] == "notified");
        let pid = pid(&ready);
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("NOTIFY_SOCKET=@server-dev-"), "{environment}");
        assert!(dev.end().success());
        wait_until(|| !runs(pid), || "it doesn't end");
    }
}

/// It once was the end of all that a server said: the descriptor of `BARRIER=1` had no room.
#[test]
fn a_server_that_passes_a_descriptor_is_still_heard_and_that_is_closed() {
    if Command::new("systemd-notify").arg("--version").output().is_err() {
        return eprintln!("skipped: systemd-notify is not to be had here");
    }
    // It fails unless its barrier is closed within 5 s.
    let server =
        "systemd-notify --status=loading && systemd-notify --ready && echo heard; exec sleep 600";
    let folder = Folder::with(&[("server", server)]);
    let mut dev = folder.dev(&["--ready", "notify", "--", "sh", "./server"]);
    let (mut is_ready, mut is_heard) = (false, false);
    while !(is_ready && is_heard) {
        let event = dev.wait_for_any(&["ready", "not-ready", "output"]);
        assert!(event["event"] != "not-ready", "{event}");
        is_ready |= event["by"] == "notified";
        is_heard |= event["line"] == "heard";
    }
    assert!(dev.end().success());
}
