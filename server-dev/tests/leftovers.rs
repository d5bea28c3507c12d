//! Nothing is left: no process, descriptor, zombie or temporary file, however it ends.

mod common;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{
    Dev, Folder, PATIENCE, get,
    mark::Mark,
    process::{children, kill},
    tiny, wait_until,
};
use rustix::process::Signal;

fn descriptors(of: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{of}/fd")).expect("it runs").flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut targets: Vec<_> = targets.map(|target| target.display().to_string()).collect();
    targets.sort();
    targets
}

/// Starts a shell's script as the server, and waits until it has said `up`.
fn serves(folder: &Folder, mark: &Mark, flags: &[&str], script: &str) -> Dev {
    let arguments = [flags, &["--ready", "1ms", "--", "sh", "-c", script]].concat();
    let mut dev = folder.dev_with(&arguments, &[mark.env()]);
    dev.wait_for("output", |output| output["line"] == "up");
    dev
}

/// Children, and one that has outlived the process that started it.
const FAMILY: &str = "sleep 600 & (sleep 600 & sleep 600 &) ; sleep 600 & echo up; wait";
/// A family of which nobody ends when told to.
const STUBBORN: &str =
    "trap '' TERM; sh -c 'sleep 600; sleep 600' & echo up; while :; do sleep 600; done";

#[test]
fn ctrl_c_ends_children_and_grandchildren() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let dev = serves(&folder, &mark, &[], FAMILY);
    assert!(mark.processes().len() >= 6);
    assert!(dev.end().success());
    assert_eq!(mark.processes(), [0; 0]);
}

#[test]
fn a_leader_that_ends_leaves_no_grandchildren() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let mut dev = serves(&folder, &mark, &[], "(sleep 600 & sleep 600 &); echo up; sleep 0.2");
    dev.wait("exited");
    let own = dev.pid();
    wait_until(
        || mark.processes().into_iter().all(|pid| is_own(pid, own)),
        || format!("{:?} are left", mark.processes()),
    );
    assert!(dev.end().success());
    assert_eq!(mark.processes(), [0; 0]);
}

/// Whether a process is `server-dev`, or what guards it.
fn is_own(pid: u32, dev: u32) -> bool {
    let dev = fs::read_link(format!("/proc/{dev}/exe")).expect("it runs");
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == dev)
}

#[test]
fn who_does_not_end_within_the_grace_is_killed() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let mut dev = serves(&folder, &mark, &["--grace", "300ms"], STUBBORN);
    let starting = dev.told.iter().find(|event| event["event"] == "starting");
    let pid = starting.expect("it was started")["pid"].clone();
    let start = Instant::now();
    dev.signal(Signal::INT);
    // It is said what it waits for, and what came of it.
    let ending = dev.wait("ending");
    assert_eq!(ending["because"], "told");
    assert_eq!((&ending["pids"][0], &ending["milliseconds"]), (&pid, &300.into()), "{ending}");
    assert_eq!(dev.wait("drained")["killed"], true);
    assert!(dev.wait_for_end().success());
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    assert_eq!(mark.processes(), [0; 0]);
}

/// It was waited for for ever, as is one in a call of the kernel that can't be interrupted.
#[test]
fn who_is_left_even_after_sigkill_is_told_and_left_alone() {
    // A zombie of the group, whose parent has left it.
    let server = r#"if (!fork) { my $zombie = fork; exit if !$zombie; setpgrp; $| = 1;
        print "$zombie\n"; sleep 600; exit } sleep 600"#;
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let arguments = ["--grace", "300ms", "--ready", "1ms", "--", "perl", "-e", server];
    let mut dev = folder.dev_with(&arguments, &[mark.env()]);
    let said = dev.wait_for("output", |output| output["stream"] == "stdout");
    let zombie: u32 = said["line"].as_str().expect("a text").parse().expect("a number");
    dev.signal(Signal::INT);
    assert_eq!(dev.wait("left")["pids"], serde_json::json!([zombie]));
    assert!(dev.wait_for_end().success());
    assert_eq!(mark.processes(), [0; 0]);
}

#[test]
fn who_is_stopped_ends_without_the_grace() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let dev = serves(&folder, &mark, &["--grace", "10m"], "echo up; kill -STOP $$; sleep 600");
    wait_until(
        || children(dev.pid()).iter().any(|(_, state)| *state == 'T'),
        || format!("{:?}", children(dev.pid())),
    );
    assert!(dev.end().success());
    assert_eq!(mark.processes(), [0; 0]);
}

#[test]
fn a_second_ctrl_c_ends_everything_at_once() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let mut dev = serves(&folder, &mark, &["--grace", "10m"], STUBBORN);
    dev.signal(Signal::INT);
    // That the first one is taken before the second is sent, or both are one.
    let told = dev.tells_within(Duration::from_millis(300));
    assert!(told.iter().all(|event| event["event"] != "drained"), "{told:?}");
    dev.signal(Signal::INT);
    assert_eq!(dev.wait_for_end().code(), Some(130));
    assert_eq!(mark.processes(), [0; 0]);
}

#[test]
fn ctrl_c_ends_the_first_look_at_a_large_tree() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    for n in 0..5_000 {
        folder.write(&format!("{}/{n}", n / 100), "");
    }
    // On a machine that is busy it may be over before it can be ended.
    let is_cut_short = (0..20).any(|_| {
        let mut dev = folder.dev_with(&["-s", "http::0", "--", "sleep", "600"], &[mark.env()]);
        dev.wait("listening");
        dev.signal(Signal::INT);
        assert!(dev.wait_for_end().success());
        assert_eq!(mark.processes(), [0; 0]);
        dev.tells_within(PATIENCE).iter().all(|event| event["event"] != "watching")
    });
    assert!(is_cut_short, "each was over by itself");
}

#[test]
fn ctrl_c_ends_a_build_and_all_that_it_runs() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let build = "sh -c 'sleep 600 & sleep 600 & echo up; wait'";
    let mut dev = folder.dev_with(&["--build", build, "--", "true"], &[mark.env()]);
    dev.wait_for("output", |output| output["line"] == "up");
    assert!(dev.end().success());
    assert_eq!(mark.processes(), [0; 0]);
}

#[test]
fn to_kill_server_dev_ends_what_it_runs() {
    for script in ["echo up; exec sleep 600", FAMILY] {
        let (folder, mark) = (Folder::with(&[]), Mark::new());
        let mut dev = serves(&folder, &mark, &[], script);
        dev.signal(Signal::KILL);
        dev.wait_for_end();
        mark.wait_until_gone();
    }
}

#[test]
fn to_kill_server_dev_leaves_no_temporary_files() {
    let (folder, mark, temporary) =
        (Folder::with(&[("value.txt", "0")]), Mark::new(), Folder::with(&[]));
    let env = [mark.env(), ("TMPDIR", temporary.path().to_str().expect("UTF-8"))];
    let arguments = ["-s", "http::0", "--settle", "1ms", "--", &tiny()];
    // While it starts, serves, and replaces.
    for wait in ["starting", "ready", "changed"] {
        let mut dev = folder.dev_with(&arguments, &env);
        if wait == "changed" {
            dev.wait("ready");
            folder.write("value.txt", "1");
        }
        dev.wait(wait);
        assert_ne!(files(temporary.path()), [""; 0]);
        dev.signal(Signal::KILL);
        dev.wait_for_end();
        mark.wait_until_gone();
        assert_eq!(files(temporary.path()), [""; 0], "{wait}");
    }
}

#[test]
fn to_kill_server_dev_ends_even_who_does_not_want_to() {
    let (folder, mark) = (Folder::with(&[]), Mark::new());
    let mut dev = serves(&folder, &mark, &["--grace", "200ms"], STUBBORN);
    dev.signal(Signal::KILL);
    dev.wait_for_end();
    mark.wait_until_gone();
}

#[test]
fn two_hundred_restarts_with_kills_in_between_leave_nothing() {
    let (folder, mark, temporary) =
        (Folder::with(&[("value.txt", "0")]), Mark::new(), Folder::with(&[]));
    let env = [mark.env(), ("TMPDIR", temporary.path().to_str().expect("UTF-8"))];
    let arguments = ["-s", "http::0", "--settle", "1ms", "--build", "true", "--", &tiny()];
    let mut dev = folder.dev_with(&arguments, &env);
    let address = dev.address();
    // With an edit before, as whatever is made for the first one stays.
    dev.wait("ready");
    folder.write("value.txt", "first");
    dev.wait("ready");
    while !dev.tells_within(Duration::from_secs(1)).is_empty() {}
    let before = descriptors(dev.pid());
    let mut random = 0x2545_f491_u32;
    for n in 0..200 {
        folder.write("value.txt", &n.to_string());
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        thread::sleep(Duration::from_millis((random % 40).into()));
        if random & 1 == 0 {
            // A build, a server that starts, serves or is drained.
            let others =
                children(dev.pid()).into_iter().filter(|(pid, _)| !is_own(*pid, dev.pid()));
            let others: Vec<_> = others.collect();
            if !others.is_empty() {
                kill(others[random as usize / 2 % others.len()].0);
            }
        }
    }
    folder.write("value.txt", "the last one");
    wait_until(
        || get(&address).is_ok_and(|value| value == "the last one"),
        || format!("{:#?}", dev.told),
    );
    while !dev.tells_within(Duration::from_secs(1)).is_empty() {}
    let left = children(dev.pid());
    assert!(left.iter().all(|(_, state)| *state != 'Z'), "{left:?}");
    let servers: Vec<_> =
        mark.processes().into_iter().filter(|pid| !is_own(*pid, dev.pid())).collect();
    assert_eq!(servers.len(), 1, "{servers:?}");
    // Numbers of sockets and pipes are new ones, their count is not.
    assert_eq!(
        descriptors(dev.pid()).len(),
        before.len(),
        "{:?}\n{before:?}",
        descriptors(dev.pid())
    );
    assert_eq!(files(temporary.path()).len(), 1, "{:?}", files(temporary.path()));
    assert!(dev.end().success());
    assert_eq!(mark.processes(), [0; 0]);
    assert_eq!(files(temporary.path()).len(), 0);
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}
