//! What of the process itself follows its file, and what says that it does not.

mod common;

use std::net::TcpListener;

use common::{Daemon, File, program, run, text};
use rustix::process::Signal;

/// What the daemon says of a configuration before it is in use, by the filter of the one before.
const PREPARED: &str = "DEBUG server_lib::site::admit: is prepared generation=";

#[test]
fn the_filter_of_the_log_follows_the_file() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write(&format!("{}log = 'server_lib=debug,info'\n", text("two")));
    daemon.until("changed=[\"name\", \"log\"]");
    assert!(!daemon.log.contains("DEBUG"), "{}", daemon.log);
    file.write(&format!("{}log = 'warn'\n", text("three")));
    daemon.until(&format!("{PREPARED}3"));
    daemon.expect("three");
    file.write(&format!("{}log = 'info'\n", text("four")));
    daemon.until("changed=[\"name\", \"log\"]");
    file.write(&text("five"));
    daemon.until("changed=[\"name\", \"log\"]");
    assert_eq!(daemon.log.matches(PREPARED).count(), 1, "{}", daemon.log);
}

#[test]
fn the_file_comes_before_the_environment() {
    let file = File::new(&text("one"));
    let mut daemon =
        Daemon::spawn(program().arg("-c").arg(&file.path).env("RUST_LOG", "server_lib=debug,info"));
    daemon.listens();
    file.write(&format!("{}log = 'info'\n", text("two")));
    daemon.until(&format!("{PREPARED}2"));
    daemon.expect("two");
    file.write(&text("three"));
    daemon.expect("three");
    file.write(&text("four"));
    daemon.until(&format!("{PREPARED}4"));
    assert!(!daemon.log.contains(&format!("{PREPARED}3")), "{}", daemon.log);
}

#[test]
fn a_filter_that_is_none_is_refused_with_its_place() {
    let bad = format!("{}log = 'server_lib=loud'\n", text("two"));
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write(&bad);
    // With the levels to choose from: they are the program's own words.
    daemon.until(&format!(
        "{}:3:7: log: error parsing level filter: expected one of off, error, warn, info, debug, trace",
        file.name()
    ));
    assert_eq!(daemon.name(), "one");
    file.write(&text("three"));
    daemon.expect("three");

    let file = File::new(&bad);
    for args in [&["-c", file.name(), "--check"][..], &["-c", file.name()]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let place = format!("error: {}:3:7: log: error parsing level filter", file.name());
        assert!(said.contains(&place), "{said}");
    }
}

/// By the filter before it: by its own, nothing is said at all.
#[test]
fn a_typo_in_the_filter_is_told_before_it_silences_the_log() {
    let typo = format!("{}log = 'inof'\n", text("two"));
    let want = "log: \"inof\" is taken for a part of the program; the levels are error, warn, info";
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write(&typo);
    daemon.until(want);
    daemon.expect("two");

    let file = File::new(&typo);
    Daemon::spawn(program().arg("-c").arg(&file.path)).until(want);
}

/// It was told each time that a configuration that can't be used was tried again.
#[test]
fn a_typo_in_the_filter_is_told_once_however_often_it_is_tried() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let typo = format!("{}log = 'inof,info'\n", text("two")).replace("127.0.0.1:0", &taken);
    file.write(&typo);
    daemon.until("can't be bound");
    for _ in 0..3 {
        daemon.signal(Signal::HUP);
        daemon.until("SIGHUP: the last good configuration goes on");
    }
    drop(other);
    daemon.signal(Signal::HUP);
    daemon.until("in use generation=2");
    assert_eq!(daemon.log.matches("\"inof\" is taken for a part").count(), 1, "{}", daemon.log);
}

#[test]
fn the_first_line_says_what_is_followed_and_how_as_the_command_line_does() {
    let file = File::new(&text("one"));
    let daemon = Daemon::start(&file.path, &["--watch-mode", "hybrid"]);
    daemon.expect("one");
    assert!(daemon.log.contains(&format!("config={} mode=hybrid", file.name())), "{}", daemon.log);
}

#[test]
fn what_is_not_hot_says_so_when_it_changes() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write(&format!("{}worker_threads = 3\n", text("two")));
    daemon.until("needs a restart: worker_threads: in use from the next start");
    assert_eq!(daemon.name(), "two", "all the rest is in use");
    file.write(&text("three"));
    daemon.until("needs no restart any more");
}

#[test]
#[cfg(target_os = "linux")]
fn it_has_the_threads_that_it_is_told_to() {
    // More than there are by themselves, those for blocking work included.
    let file = File::new(&format!("{}worker_threads = 40\n", text("one")));
    let daemon = Daemon::start(&file.path, &[]);
    let tasks = format!("/proc/{}/task", daemon.pid().as_raw_nonzero());
    let threads = std::fs::read_dir(tasks).unwrap().count();
    assert!((40..60).contains(&threads), "{threads} threads");
}
