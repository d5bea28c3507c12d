//! A new executable takes over the sockets, by SIGUSR2.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use common::{Daemon, File, Installed, PATIENCE, Successor, text, until};
use rustix::process::Signal;

#[test]
fn a_new_process_takes_over_the_port_that_was_found() {
    let file = File::new(&text("one"));
    let mut old = Daemon::start(&file.path, &[]);
    let address = old.address;
    let new = Successor::of(&mut old);
    // Nothing that is served is called closed.
    old.until("handed over address=");
    assert!(!old.log.contains("closed address="), "{}", old.log);
    assert_eq!(old.ends().code(), Some(0));
    assert_eq!(common::name_at(address), "one");

    // It follows the file as the first did.
    file.write(&text("two"));
    common::expect_at(address, "two");
    new.signal(Signal::TERM);
    new.ends();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_is_started_is_what_is_installed_by_then() {
    let file = File::new(&text("one"));
    let installed = Installed::new();
    let mut daemon = installed.start(&file.path);
    installed.put_script("exit 7");
    daemon.signal(Signal::USR2);
    daemon.until("it ended before it was ready: exit status: 7");
    fs::remove_file(&installed.path).unwrap();
    daemon.signal(Signal::USR2);
    daemon.until("can't be started");
    assert_eq!(daemon.name(), "one");

    installed.put(Path::new(env!("CARGO_BIN_EXE_server-bin")));
    let _new = Successor::of(&mut daemon);
    let address = daemon.address;
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(address), "one");
}

#[test]
fn sockets_of_the_file_system_are_handed_over_too() {
    let dir = tempfile::tempdir().unwrap();
    let (http, admin) = (dir.path().join("http"), dir.path().join("admin"));
    let file = File::new(&format!(
        "{}admin_address = \"unix:{}\"\n",
        text("one").replace("\"]", &format!("\", \"unix:{}\"]", http.display())),
        admin.display(),
    ));
    let mut old = Daemon::start(&file.path, &[]);
    let new = Successor::of(&mut old);
    assert_eq!(old.ends().code(), Some(0));
    for (path, request, want) in [(&http, "/healthz", "ok\n"), (&admin, "/readyz", "ready\n")] {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.ends_with(want), "{said}");
    }
    new.signal(Signal::TERM);
    new.ends();
    assert!(!http.exists() && !admin.exists());
}

/// Once in the way of the new process, which found the address taken and ended.
#[test]
fn what_is_saved_while_a_new_process_starts_is_in_use_in_the_end() {
    let file = File::new(&text("one"));
    let installed = Installed::new();
    let mut daemon = installed.start(&file.path);
    let (told, go) = (installed.path.with_extension("told"), installed.path.with_extension("go"));
    installed.put_script(&format!(
        "touch {}; while ! [ -e {} ]; do sleep 0.01; done; exec {} \"$@\"",
        told.display(),
        go.display(),
        env!("CARGO_BIN_EXE_server-bin"),
    ));
    daemon.signal(Signal::USR2);
    until("it starts", || told.exists());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    file.write(&text("two").replace("\"]", &format!("\", \"{taken}\"]")));
    daemon.until("it waits for its turn generation=2");
    assert_eq!(daemon.name(), "one");
    fs::write(&go, "").unwrap();
    let _new = Successor::told_by(&mut daemon);
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(taken), "two");
}

/// Once counted out, what was about to be bound was in the way of the new process.
#[test]
fn what_is_being_prepared_is_handed_over_too() {
    let installed = Installed::new();
    let [certificate, key] =
        ["cert.pem", "key.pem"].map(|name| installed.path.with_file_name(name));
    let (right, other) = (certified(), certified());
    fs::write(&certificate, right.cert.pem()).unwrap();
    fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let file = File::new(&text("one"));
    let mut daemon = installed.start(&file.path);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    installed.put_script(&format!("sleep 0.5; exec {} \"$@\"", env!("CARGO_BIN_EXE_server-bin")));
    file.write(&format!(
        "{}[[tls.certificates]]\ncertificate = {certificate:?}\nkey = {key:?}\n",
        text("two").replace("\"]", &format!("\", \"{taken}\"]")),
    ));
    // From then on it waits for a key that belongs to it.
    daemon.until("is prepared generation=2");
    daemon.signal(Signal::USR2);
    daemon.until("as soon as no configuration is being prepared");
    fs::write(&key, right.signing_key.serialize_pem()).unwrap();
    let _new = Successor::told_by(&mut daemon);
    assert_eq!(daemon.ends().code(), Some(0));
    assert_eq!(common::name_at(taken), "two");
}

#[test]
fn several_drain_at_once_and_each_answers_what_it_has_begun() {
    let file = File::new(&text("one"));
    let mut daemon = Daemon::start(&file.path, &[]);
    let address = daemon.address;
    let mut under_way = vec![daemon.half_a_request()];
    let mut generations = vec![Successor::of(&mut daemon)];
    // They all log to where the first does.
    daemon.until("waiting for requests under way");
    for _ in 0..2 {
        under_way.push(daemon.half_a_request());
        generations.last().unwrap().signal(Signal::USR2);
        generations.push(Successor::told_by(&mut daemon));
        daemon.until("waiting for requests under way");
    }
    for mut request in under_way {
        request.write_all(b"\r\n").unwrap();
        let mut response = String::new();
        request.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.contains("connection: close"), "{response}");
    }
    let newest = generations.pop().unwrap();
    for old in &generations {
        old.ends();
    }
    assert_eq!(common::name_at(address), "one");
    drop(newest);
}

#[test]
fn the_new_one_goes_on_when_the_old_is_killed_in_mid_drain() {
    let file = File::new(&text("one"));
    let mut old = Daemon::start(&file.path, &[]);
    let address = old.address;
    let mut under_way = old.half_a_request();
    let new = Successor::of(&mut old);
    old.until("waiting for requests under way");
    assert_eq!(old.end_by(Signal::KILL).code(), None);
    // Only what the killed one had begun is lost.
    let mut response = Vec::new();
    let _ = under_way.read_to_end(&mut response);
    assert_eq!(response, b"");
    for name in ["two", "three"] {
        file.write(&text(name));
        common::expect_at(address, name);
    }
    new.signal(Signal::TERM);
    new.ends();
}

fn certified() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}
