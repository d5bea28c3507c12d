//! An edit that a server is told of by a signal, while one starts.

mod common;

use common::{Folder, tiny};

/// A shell's script as the server, ready once something of it waits for connections.
fn folder(server: &str) -> Folder {
    let service = r#"
        [services.web]
        command = "sh ./server"
        sockets = ["http::0"]
        listen_pid = false
        rules = [{ files = "*.conf", do = "signal" }, { files = "go", do = "nothing" }]
        "#;
    Folder::with(&[("value.txt", "one"), ("server", server), ("server-dev.toml", service)])
}

/// It may have read the file by then, and could not be told yet.
#[test]
fn a_server_that_starts_is_told_of_an_edit_once_it_is_ready() {
    // Ready once something waits for connections, which is to live on.
    let server = "trap 'echo hup' HUP; echo up; while [ ! -e go ]; do sleep 0.01; done
        echo went; (trap '' HUP; exec \"$TINY\") & while :; do sleep 0.01; done";
    let folder = folder(server);
    let mut dev = folder.dev_with(&[], &[("TINY", &tiny())]);
    dev.wait_for("output", |output| output["line"] == "up");
    folder.write("a.conf", "1");
    // Nothing was said of what came of it.
    assert_eq!(dev.wait("changed")["asks_for"], serde_json::json!(["signal"]));
    folder.write("go", "");
    dev.wait_for("output", |output| output["line"] == "hup");
    // Not before, as it was not ready.
    assert!(dev.told.iter().any(|event| event["line"] == "went"), "{:#?}", dev.told);
}

/// It had begun after the edit, and a server without a handler was ended by it.
#[test]
fn a_server_that_starts_after_the_edit_is_not_told() {
    let folder = folder("echo up; while [ ! -e go ]; do sleep 0.01; done; exec \"$TINY\"");
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
