//! From an edit to the new process, and what stays while there is none.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use common::{
    Folder, get, pid,
    process::{kill, runs, worked},
    tiny,
};

#[test]
fn serves_the_new_process_once_it_is_ready_and_ends_the_old_one() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--", &tiny()]);
    let address = dev.address();
    let first = dev.wait("ready");
    assert_eq!((first["generation"].as_u64(), get(&address).unwrap()), (Some(1), "one".into()));
    folder.write("value.txt", "two");
    let changed = dev.wait("changed");
    assert_eq!(changed["files"][0], "value.txt");
    let second = dev.wait("ready");
    // Until the old one is told to end, both accept.
    let drained = dev.wait("drained");
    assert_eq!((second["generation"].as_u64(), get(&address).unwrap()), (Some(2), "two".into()));
    assert_eq!((pid(&drained), drained["status"].as_str()), (pid(&first), Some("exit status: 0")));
    assert!(!runs(pid(&first)) && runs(pid(&second)));
    assert!(dev.end().success());
    assert!(!runs(pid(&second)));
}

#[test]
fn a_server_that_does_not_start_leaves_the_old_one_serving() {
    let folder = Folder::with(&[("value.txt", "good")]);
    let mut dev = folder.dev(&["-s", "http::0", "--", &tiny()]);
    let address = dev.address();
    let first = dev.wait("ready");
    folder.write("value.txt", "exit 3");
    let failed = dev.wait("not-ready");
    assert!(failed["reason"].as_str().unwrap().contains("exit status: 3"), "{failed}");
    assert_eq!(failed["serves"], true);
    assert_eq!(get(&address).unwrap(), "good");
    assert!(runs(pid(&first)));
    folder.write("value.txt", "mended");
    dev.wait("ready");
    dev.wait("drained");
    assert_eq!(get(&address).unwrap(), "mended");
}

/// It once took the old one's place after two seconds, as it was alive.
#[test]
fn a_server_that_fails_late_in_its_start_leaves_the_old_one_serving() {
    let folder = Folder::with(&[("value.txt", "good")]);
    let script =
        "grep -q good value.txt && exec \"$0\"; while [ ! -e end ]; do sleep 0.01; done; exit 3";
    let arguments = ["-s", "http::0", "-e", "txt", "--", "sh", "-c", script, &tiny()];
    let mut dev = folder.dev(&arguments);
    let address = dev.address();
    let first = dev.wait("ready");
    folder.write("value.txt", "bad");
    dev.wait("starting");
    assert!(dev.tells_within(Duration::from_millis(2500)).is_empty(), "{:#?}", dev.told);
    folder.write("end", "");
    let failed = dev.wait("not-ready");
    assert!(failed["reason"].as_str().unwrap().contains("exit status: 3"), "{failed}");
    assert_eq!((failed["serves"].as_bool(), runs(pid(&first))), (Some(true), true));
    assert_eq!(get(&address).unwrap(), "good");
}

#[test]
fn a_server_that_does_not_wait_at_its_socket_is_told_how_it_would_be() {
    let service = "sockets = ['http::0']\ncommand = 'sleep 600'\nready_timeout = '100ms'";
    let folder = Folder::with(&[("server-dev.toml", &format!("[services.web]\n{service}"))]);
    let mut dev = folder.dev(&[]);
    let failed = dev.wait("not-ready");
    assert!(failed["reason"].as_str().unwrap().contains("--proxy"), "{failed}");
}

#[test]
fn who_waits_for_datagrams_is_ready() {
    let folder = Folder::with(&[]);
    let script = "import socket; socket.socket(fileno=3).recvfrom(9)";
    let mut dev = folder.dev(&["-s", "udp::0", "--", "/usr/bin/python3", "-c", script]);
    assert_eq!(dev.wait("ready")["by"], "accepts");
}

#[test]
fn a_build_that_fails_leaves_the_old_one_serving() {
    let folder = Folder::with(&[("value.txt", "good"), ("code", "exit 0")]);
    let mut dev = folder.dev(&["-s", "http::0", "--build", "sh ./code", "--", &tiny()]);
    let address = dev.address();
    dev.wait("ready");
    folder.write("code", "echo 'code:1: no such word' >&2; exit 7");
    let line = dev.wait_for("output", |event| event["stream"] == "stderr");
    assert_eq!(line["line"], "code:1: no such word");
    let failed = dev.wait("build-failed");
    assert!(failed["reason"].as_str().unwrap().contains("exit status: 7"), "{failed}");
    assert_eq!(get(&address).unwrap(), "good");
}

#[test]
fn connections_made_before_the_first_start_are_answered() {
    let folder = Folder::with(&[("value.txt", "late")]);
    let env = [("SLOW_START", "700")];
    let mut dev = folder.dev_with(&["-s", "http::0", "--", &tiny()], &env);
    let address = dev.address();
    assert_eq!(get(&address).unwrap(), "late");
}

#[test]
fn no_request_is_lost_over_twenty_replacements() {
    let folder = Folder::with(&[("value.txt", "0")]);
    let mut dev = folder.dev(&["-s", "http::0", "--settle", "5ms", "--", &tiny()]);
    let address = dev.address();
    dev.wait("ready");
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (over, address) = (Arc::clone(&over), address.clone());
            thread::spawn(move || {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    get(&address).expect("an answer");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for n in 1..=20 {
        folder.write("value.txt", &n.to_string());
        dev.wait_for("ready", |event| event["generation"] == n + 1);
    }
    dev.wait("drained");
    over.store(true, Ordering::Relaxed);
    let answered: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(answered > 100, "{answered}");
    assert_eq!(get(&address).unwrap(), "20");
}

#[test]
fn without_overlap_the_old_one_has_ended_before_the_new_one_starts() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--no-overlap", "--", &tiny()]);
    let address = dev.address();
    let first = dev.wait("ready");
    folder.write("value.txt", "two");
    let drained = dev.wait("drained");
    assert_eq!(pid(&drained), pid(&first));
    dev.wait("starting");
    dev.wait("ready");
    assert_eq!(get(&address).unwrap(), "two");
}

#[test]
fn without_overlap_a_start_that_is_called_off_has_ended_before_the_next() {
    // Its end takes longer than whatever else is to be done between.
    let server = "trap 'sleep 0.2; rmdir lock; exit' TERM; mkdir lock || echo overlap; echo up
        while :; do sleep 0.01; done";
    let folder = Folder::with(&[("value.txt", "0"), ("server", server)]);
    let arguments = ["-e", "txt", "--settle", "1ms", "--no-overlap", "--ready", "notify"];
    let mut dev = folder.dev(&[&arguments[..], &["--", "sh", "./server"]].concat());
    for n in 1..=5 {
        dev.wait_for("output", |output| output["line"] == "up");
        folder.write("value.txt", &n.to_string());
        dev.wait("changed");
    }
    assert!(dev.told.iter().all(|event| event["line"] != "overlap"));
    // The next one waits for the last one's end, or has just begun.
    assert!(dev.end().success());
    assert!(!folder.path().join("lock").exists());
}

#[test]
fn the_latest_edit_wins_over_a_build_that_runs() {
    let folder = Folder::with(&[("value.txt", "one"), ("code", "exit 0")]);
    let mut dev = folder.dev(&["-s", "http::0", "--build", "sh ./code", "--", &tiny()]);
    let address = dev.address();
    dev.wait("ready");
    folder.write("code", "sleep 600");
    dev.wait("building");
    // In this order, as each may be an edit of its own: the one before it builds for ten minutes as well.
    folder.write("value.txt", "two");
    folder.write("code", "exit 0");
    dev.wait("ready");
    dev.wait("drained");
    assert_eq!(get(&address).unwrap(), "two");
    assert!(dev.told.iter().all(|event| event["event"] != "build-failed"));
}

#[test]
fn a_server_that_says_when_it_is_ready_is_believed() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = folder
        .dev_with(&["-s", "http::0", "--ready", "notify", "--", &tiny()], &[("SAYS_READY", "1")]);
    let ready = dev.wait("ready");
    assert_eq!(ready["by"], "notified");
}

#[test]
fn waits_for_a_slow_end_without_working() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = folder.dev_with(&["-s", "http::0", "--", &tiny()], &[("SLOW_END", "1500")]);
    dev.wait("ready");
    let before = worked(dev.pid());
    dev.signal(rustix::process::Signal::TERM);
    thread::sleep(Duration::from_secs(1));
    let ticks = worked(dev.pid()) - before;
    assert!(ticks < 30, "{ticks} of 100");
    assert!(dev.wait_for_end().success());
}

#[test]
fn a_save_while_the_old_one_ends_and_the_new_one_may_not_start_is_not_the_last() {
    let folder = Folder::with(&[("value.txt", "one"), ("code", "sleep 1")]);
    let mut dev = folder.dev_with(
        &["-s", "http::0", "--no-overlap", "--build", "sh ./code", "--", &tiny()],
        &[("SLOW_END", "300")],
    );
    let address = dev.address();
    dev.wait("ready");
    folder.write("value.txt", "two");
    dev.wait("built");
    // It is told to end by now, and takes its time.
    folder.write("value.txt", "three");
    dev.wait("drained");
    dev.wait("ready");
    assert_eq!(get(&address).unwrap(), "three");
}

#[test]
fn a_build_does_not_find_the_one_before_at_work() {
    let slow = "trap '' TERM; mkdir lock || exit 1; sleep 1; rmdir lock";
    let folder = Folder::with(&[("value.txt", "one"), ("code", slow)]);
    let mut dev =
        folder.dev(&["-s", "http::0", "-e", "txt", "--build", "sh ./code", "--", &tiny()]);
    dev.wait("ready");
    for value in ["two", "three", "four"] {
        folder.write("value.txt", value);
        dev.wait("building");
    }
    dev.wait("ready");
    assert!(dev.told.iter().all(|event| event["event"] != "build-failed"), "{:#?}", dev.told);
}

/// As `cargo build --workspace` in another terminal does.
#[test]
fn it_goes_on_when_its_own_executable_is_replaced() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let own = tempfile::tempdir().unwrap();
    let copy = own.path().join("server-dev");
    std::fs::copy(common::SERVER_DEV, &copy).unwrap();
    let mut command = std::process::Command::new(&copy);
    command.args(["--json", "-s", "http::0", "--", &tiny()]).current_dir(folder.path());
    let mut dev = common::Dev::spawn(&mut command);
    dev.wait("ready");
    std::fs::remove_file(copy).unwrap();
    folder.write("value.txt", "two");
    dev.wait("ready");
}

/// Two days were said to have gone by since the save.
#[test]
fn the_time_since_the_save_is_that_of_the_edit_which_is_served() {
    let folder = Folder::with(&[("value.txt", "one"), ("code", "exit 0"), ("moved", "old")]);
    let mut dev =
        folder.dev(&["-s", "http::0", "-i", "moved", "--build", "sh ./code", "--", &tiny()]);
    assert!(dev.wait("ready")["since_save_milliseconds"].is_null());
    let moved = folder.path().join("moved");
    let of_last_week = std::time::SystemTime::now() - Duration::from_secs(7 * 24 * 3600);
    std::fs::File::options().write(true).open(&moved).unwrap().set_modified(of_last_week).unwrap();
    std::fs::rename(moved, folder.path().join("value.txt")).unwrap();
    let ready = dev.wait("ready");
    let since_save = ready["since_save_milliseconds"].as_u64().expect("a time");
    assert!(Duration::from_millis(since_save) < common::PATIENCE, "{since_save} ms");
    // What can't be built is no reason of what comes later.
    folder.write("code", "exit 7");
    dev.wait("build-failed");
    kill(pid(&ready));
    assert!(dev.wait("ready")["since_save_milliseconds"].is_null());
}
