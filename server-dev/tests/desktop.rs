//! What the desktop is told.

mod common;

use std::fs;

use common::{Dev, Folder, process::runs, wait_until};

/// The programs of a folder before all others.
fn with_bin(folder: &Folder) -> String {
    let bin = folder.path().join("bin");
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// It once was left behind, a process and a thread for each thing that was told.
#[test]
fn a_desktop_that_does_not_answer_is_left_alone() {
    let script = "#!/bin/sh\necho $$ >> $PIDS\nexec sleep 600\n";
    let folder = Folder::with(&[("src/value", "one")]);
    folder.program("bin/notify-send", script);
    let pids = folder.path().join("pids");
    let mut command =
        folder.command(&["--json", "--notify", "--ready", "1ms", "--", "sleep", "600"]);
    command.env("PATH", with_bin(&folder)).env("PIDS", &pids);
    let mut dev = Dev::spawn(command.current_dir(folder.path().join("src")));
    for value in ["two", "three", "four"] {
        dev.wait("ready");
        folder.write("src/value", value);
    }
    dev.wait("ready");
    let pids = || fs::read_to_string(&pids).unwrap_or_default();
    wait_until(|| pids().ends_with('\n'), || "it isn't told");
    assert!(dev.end().success());
    let pids = pids();
    assert!(pids.lines().all(|pid| !runs(pid.parse().unwrap())), "{pids}");
    // It had not answered the first.
    assert_eq!(pids.lines().count(), 1, "{pids}");
}

#[test]
fn the_desktop_is_told_where_asked() {
    let folder = Folder::with(&[("src/code", "exit 0")]);
    folder.program("bin/notify-send", "#!/bin/sh\necho \"$@\" >> ../told\n");
    let arguments = ["--json", "--notify", "--build", "sh ./code", "--ready", "1ms"];
    let mut command = folder.command(&[&arguments[..], &["--", "sleep", "600"]].concat());
    command.env("PATH", with_bin(&folder)).current_dir(folder.path().join("src"));
    let mut dev = Dev::spawn(&mut command);
    dev.wait("ready");
    folder.write("src/code", "exit 3");
    dev.wait("build-failed");
    let told = || fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    wait_until(|| told().contains("generation 1") && told().contains("exit status: 3"), told);
    let failed = "--urgency critical -- server-dev: server the build failed";
    assert!(told().contains(failed), "{}", told());
}
