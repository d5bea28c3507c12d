//! Where no new executable takes over, by SIGUSR2, nothing is lost.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use common::{Daemon, File, Installed, Successor, text, until};
use rustix::process::Signal;

#[test]
fn one_that_fails_to_start_changes_nothing() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    file.write("name = ");
    daemon.until("the last good value keeps serving");
    daemon.signal(Signal::USR2);
    daemon.until("it ended before it was ready: exit status: 1");
    assert_eq!(daemon.name(), "one");

    file.write(&text("two"));
    daemon.expect("two");
    let _new = Successor::of(&mut daemon);
    let address = daemon.address;
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(address), "two");
}

#[test]
fn told_to_end_it_takes_the_one_that_it_starts_with_it() {
    let file = File::new(&text("one"));
    let installed = Installed::new();
    let mut daemon = installed.start(&file.path);
    let told = installed.path.with_extension("told");
    installed.put_script(&format!("echo $$ > {}; exec sleep 60", told.display()));
    daemon.signal(Signal::USR2);
    daemon.until("starting a new process");
    let started = Successor::writes(&told);
    assert_eq!(daemon.end_by(Signal::TERM).code(), Some(0));
    started.ends();
}

/// Once it went on until the last request was answered, and listened all the while; told twice, it was
/// left behind.
#[test]
fn told_to_end_nobody_takes_its_place() {
    for times in [1, 2] {
        let file = File::new(&text("one"));
        let installed = Installed::new();
        let mut daemon = installed.start(&file.path);
        let address = daemon.address;
        let mut under_way = daemon.half_a_request();
        let told = installed.path.with_extension("told");
        installed.put_script(&format!(
            "echo $$ > {}; sleep 0.3; exec {} \"$@\"",
            told.display(),
            env!("CARGO_BIN_EXE_server-bin"),
        ));
        daemon.signal(Signal::USR2);
        let started = Successor::writes(&told);
        daemon.signal(Signal::TERM);
        daemon.until("waiting for requests under way");
        if times == 2 {
            assert_eq!(daemon.end_by(Signal::TERM).code(), Some(1));
        }
        started.ends();
        // With all that it had begun with.
        until("nobody listens", || TcpStream::connect(address).is_err());
        if times == 1 {
            under_way.write_all(b"\r\n").unwrap();
            let mut response = String::new();
            under_way.read_to_string(&mut response).unwrap();
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
    }
}

/// Once removed, by the one that had taken it over for a moment.
#[test]
fn a_socket_of_the_file_system_stays_when_the_new_process_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http");
    let listed =
        |more: &str| text("one").replace("\"]", &format!("\", \"unix:{}\"{more}]", path.display()));
    let file = File::new(&listed(""));
    let mut daemon = Daemon::start(&file.path, &[]);
    // No machine has this one: RFC 5737.
    file.write(&listed(", \"192.0.2.1:80\""));
    daemon.until("192.0.2.1:80 can't be bound");
    daemon.signal(Signal::USR2);
    daemon.until("it ended before it was ready");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn what_is_pinned_is_not_lost_to_a_new_process() {
    let file = File::new(&format!("{}admin_address = '127.0.0.1:0'\n", text("one")));
    let mut daemon = Daemon::start(&file.path, &[]);
    let admin = daemon.admin().to_string();
    file.write(&format!("{}admin_address = '127.0.0.1:0'\n", text("two")));
    daemon.expect("two");
    let ask = |what: &[&str]| {
        let args = [what, &["--admin", &admin][..]].concat();
        assert_eq!(common::run(&args).status.code(), Some(0), "{args:?}");
    };
    ask(&["rollback", "1"]);
    daemon.signal(Signal::USR2);
    daemon.until("an earlier generation is pinned");
    assert_eq!(daemon.name(), "one");
    ask(&["resume"]);
    daemon.expect("two");
    let _new = Successor::of(&mut daemon);
}
