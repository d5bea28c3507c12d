//! What has left the group of its server is found all the same.

mod common;

use common::{
    Dev, Folder, SERVER_DEV,
    mark::Mark,
    process::{self, children, runs, unshare},
    wait_until,
};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn who_has_left_its_group_is_no_zombie_in_the_end() {
    let folder = Folder::with(&[]);
    let script =
        "setsid sh -c 'setsid sh -c \"sleep 0.3; touch ended\" &' ; echo up; exec sleep 600";
    let mut dev = folder.dev(&["-e", "rs", "--ready", "1ms", "--", "sh", "-c", script]);
    dev.wait_for("output", |output| output["line"] == "up");
    wait_until(|| folder.path().join("ended").exists(), || "it doesn't end");
    wait_until(
        || children(dev.pid()).iter().all(|(_, state)| *state != 'Z'),
        || format!("{:?}", children(dev.pid())),
    );
    assert!(dev.end().success());
}

/// As a shell with job control does, timeout(1) has a group of its own.
#[test]
fn what_has_left_its_group_ends_with_its_server() {
    let script = "timeout 600 sleep 600 & echo stray $!; wait";
    let folder = Folder::with(&[("value.txt", "one"), ("server", script)]);
    let mut dev = folder.dev(&["-e", "txt", "--ready", "300ms", "--", "sh", "./server"]);
    let stray = |event: &Value| event["line"].as_str()?.strip_prefix("stray ")?.parse::<u32>().ok();
    let first = stray(&dev.wait("output")).expect("a number");
    dev.wait("ready");
    folder.write("value.txt", "two");
    // In any order, as a machine that is busy lets it write late.
    let (mut second, mut is_drained) = (None, false);
    while second.is_none() || !is_drained {
        let event = dev.wait_for_any(&["output", "drained"]);
        is_drained |= event["event"] == "drained";
        second = second.or(stray(&event));
    }
    let second = second.expect("waited for");
    assert!(!runs(first) && runs(second));
    assert!(dev.end().success());
    assert!(!runs(second));
}

/// As in a container that was entered from outside, where its session has no number; it once panicked.
#[test]
fn what_leads_its_session_may_be_in_another_pid_namespace() {
    let Some(mut command) = unshare(&["--pid", "--fork", "--mount-proc"]) else {
        return eprintln!("no namespaces are to be had here, so this is not tried");
    };
    // timeout(1) has a group of its own.
    let script = "timeout 600 sleep 600 & echo up; wait";
    let folder = Folder::with(&[("value.txt", "one"), ("server", script)]);
    let mark = Mark::new();
    command.args([SERVER_DEV, "--json", "-e", "txt", "--ready", "300ms", "--", "sh", "./server"]);
    let mut dev = Dev::spawn(command.current_dir(folder.path()).envs([mark.env()]));
    dev.wait("ready");
    folder.write("value.txt", "two");
    dev.wait("drained");
    let serve = || mark.processes().len();
    // The one that enters, server-dev and its guard; of the server the shell, timeout and sleep.
    wait_until(|| serve() == 6, || format!("{:?}", mark.processes()));
    let [(inner, _)] = children(dev.pid())[..] else { panic!("server-dev alone") };
    process::signal(inner, Signal::INT);
    assert!(dev.wait_for_end().success());
    assert_eq!(mark.processes(), [0; 0]);
}
