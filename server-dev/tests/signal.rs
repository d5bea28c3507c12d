//! An edit that a server is told of by a signal.

mod common;

use common::{Folder, tiny};

/// What a rule has told by a signal.
fn folder(command: &str, server: &str) -> Folder {
    let service = format!(
        r#"
        [services.web]
        command = {command:?}
        sockets = ["http::0"]
        listen_pid = false
        rules = [{{ files = "*.conf", do = "signal" }}, {{ files = "go", do = "nothing" }}]
        "#
    );
    Folder::with(&[("value.txt", "one"), ("server", server), ("server-dev.toml", &service)])
}

/// In Python, with a handler.
const HANDLER: &str = "import os, signal, socket, time
signal.signal(signal.SIGHUP, lambda *_: print('hup', os.getpid(), flush=True))
def say(words): print(words, flush=True)
def serve(): socket.socket(fileno=3).accept()
";

/// It may have read the file by then, and could not be told yet.
#[test]
fn a_server_that_starts_is_told_of_an_edit_once_it_is_ready() {
    let server =
        "say('up')\nwhile not os.path.exists('go'): time.sleep(0.01)\nsay('went')\nserve()";
    let folder = folder("python3 ./server", &format!("{HANDLER}{server}"));
    let mut dev = folder.dev(&[]);
    dev.wait_for("output", |output| output["line"] == "up");
    folder.write("a.conf", "1");
    // Nothing was said of what came of it.
    assert_eq!(dev.wait("changed")["asks_for"], serde_json::json!(["signal"]));
    folder.write("go", "");
    dev.wait_for("output", |output| output["line"].as_str().unwrap().starts_with("hup"));
    // Not before, as it was not ready.
    assert!(dev.told.iter().any(|event| event["line"] == "went"), "{:#?}", dev.told);
}

/// The shell died of it, which counted as a crash.
#[test]
fn who_has_started_the_server_is_not_told() {
    for (ready, server) in [
        // Seen at the socket: one that was forked, and the one that has forked it is the server.
        ("'auto'", "if os.fork() == 0: serve()\nsay('is %d' % os.getpid())\ntime.sleep(600)"),
        (
            "'notify'",
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); say('is %d' % os.getpid())\n\
             s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(600)",
        ),
        // Nobody says or sees which it is, but it alone can take it.
        ("{ delay = '500ms' }", "say('is %d' % os.getpid())\ntime.sleep(600)"),
    ] {
        let command = "sh -c 'python3 ./server; true'";
        let folder = folder(command, &format!("{HANDLER}{server}"));
        let service = std::fs::read_to_string(folder.path().join("server-dev.toml")).unwrap();
        folder.write("server-dev.toml", &format!("{service}ready = {ready}\n"));
        let mut dev = folder.dev(&[]);
        let is = |event: &serde_json::Value, what: &str| {
            event["line"].as_str().is_some_and(|line| line.starts_with(what))
        };
        let said = dev.wait_for("output", |output| is(output, "is "));
        // Whichever comes first.
        if dev.told.iter().all(|event| event["event"] != "ready") {
            dev.wait("ready");
        }
        folder.write("a.conf", "1");
        let hup = dev.wait_for("output", |output| is(output, "hup "));
        assert_eq!(hup["line"].as_str().unwrap()[4..], said["line"].as_str().unwrap()[3..]);
        let told = dev.tells_within(std::time::Duration::from_millis(300));
        assert!(told.iter().all(|event| event["event"] != "exited"), "{ready}: {told:#?}");
    }
}

/// It had begun after the edit, and a server without a handler was ended by it.
#[test]
fn a_server_that_starts_after_the_edit_is_not_told() {
    let folder =
        folder("sh ./server", "echo up; while [ ! -e go ]; do sleep 0.01; done; exec \"$TINY\"");
    let mut dev = folder.dev_with(&[], &[("TINY", &tiny())]);
    dev.wait_for("output", |output| output["line"] == "up");
    folder.write("a.conf", "1");
    dev.wait("changed");
    // Instead of the one that is owed a signal.
    folder.write("value.txt", "two");
    dev.wait_for("output", |output| output["line"] == "up");
    folder.write("go", "");
    dev.wait("ready");
    folder.write("value.txt", "three");
    dev.wait("drained");
    assert!(dev.told.iter().all(|event| event["event"] != "exited"), "{:#?}", dev.told);
}
