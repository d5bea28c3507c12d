//! What is written, and read, where there is no terminal.

mod common;

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use common::{Dev, Folder, SERVER_DEV, process};
use rustix::process::Signal;

const SERVER: &str = "echo one; echo two; exec sleep 600";

/// It ended, as this process had replaced what nohup(1) had said.
#[test]
fn under_nohup_it_outlives_its_terminal() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut command = Command::new("nohup");
    command.args([SERVER_DEV, "--json", "--ready", "1ms"]);
    command.args(["--", "sleep", "600"]).current_dir(folder.path());
    let mut dev = Dev::spawn(&mut command);
    dev.wait("ready");
    dev.signal(Signal::HUP);
    folder.write("a.rs", "two");
    dev.wait("ready");
    assert!(dev.told.iter().all(|event| event["event"] != "ending"), "{:#?}", dev.told);
    assert!(dev.end().success());
}

#[test]
fn without_a_terminal_it_is_plain() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut child = folder
        .command(&["--clear", "--build", "true", "--ready", "1ms", "--", "sh", "-c", SERVER])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut written, mut told) = (Vec::new(), Vec::new());
    until(&mut stdout, &mut written, "two\n");
    until(&mut stderr, &mut told, "generation 1");
    process::signal(child.id(), Signal::INT);
    stdout.read_to_end(&mut written).unwrap();
    stderr.read_to_end(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(written, b"one\ntwo\n");
    assert!(!told.contains(&b'\x1b') && !told.contains(&b'\r'), "{:?}", told.escape_ascii());
}

/// Reads until a text has come.
fn until(from: &mut impl Read, text: &mut Vec<u8>, want: &str) {
    while !String::from_utf8_lossy(text).contains(want) {
        let mut piece = [0; 4096];
        let length = from.read(&mut piece).unwrap();
        assert!(length > 0, "no {want}: {:?}", text.escape_ascii());
        text.extend_from_slice(&piece[..length]);
    }
}

#[test]
fn what_is_piped_in_ends_for_the_server_too() {
    let folder = Folder::with(&[]);
    let server = "wc -c; kill -INT $PPID; sleep 600";
    let mut child = folder
        .command(&["--stdin", "--ready", "1ms", "--", "sh", "-c", server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![b'a'; 300_000]).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "300000");
    assert!(output.status.success());
}
