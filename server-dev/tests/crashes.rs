//! A server that crashes is started again, and none is started for ever.

mod common;

use std::time::Duration;

use common::{Dev, Folder, get, pid, process::kill, tiny};

#[test]
fn a_server_that_crashes_again_and_again_is_left_until_a_change() {
    let folder = Folder::with(&[("value.txt", "one"), ("server", "sleep 0.1; exit 4")]);
    let mut dev = folder.dev(&["--ready", "1ms", "--", "sh", "./server"]);
    for _ in 0..5 {
        let exited = dev.wait("exited");
        assert!(exited["again_in_milliseconds"].is_u64(), "{exited}");
    }
    dev.wait("gave-up");
    assert!(dev.tells_within(Duration::from_millis(500)).is_empty());
    folder.write("server", "sleep 600");
    dev.wait("ready");
}

/// It was dead until the next edit.
#[test]
fn a_server_that_dies_while_what_can_not_be_built_is_built_is_started_again() {
    let folder = Folder::with(&[("value.txt", "one"), ("code", "exit 0")]);
    let mut dev = folder.dev(&["-s", "http::0", "-i", "go", "--build", "sh ./code", "--", &tiny()]);
    let first = dev.wait("ready");
    folder.write("code", "while [ ! -e go ]; do sleep 0.01; done; exit 7");
    dev.wait("building");
    kill(pid(&first));
    dev.wait("exited");
    folder.write("go", "");
    let failed = dev.wait("build-failed");
    assert!(failed["again_in_milliseconds"].is_u64() && failed["serves"] == false, "{failed}");
    dev.wait("ready");
}

/// It was started anew four times a second, for ever, and nobody was told why.
#[test]
fn a_server_that_writes_a_file_at_each_start_is_not_started_for_ever() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let script = "echo started >> app.log; sleep 0.2; exec \"$0\"";
    let mut dev = folder.dev(&["-s", "http::0", "--", "sh", "-c", script, &tiny()]);
    let address = dev.address();
    let found = dev.wait("own-writes");
    assert_eq!(found["files"], serde_json::json!(["app.log"]));
    let rests = |dev: &mut Dev| {
        let told = dev.tells_within(Duration::from_secs(2));
        assert!(told.iter().all(|event| event["event"] != "starting"), "{told:#?}");
    };
    rests(&mut dev);
    // Another file is heeded, and this one not once more.
    folder.write("value.txt", "two");
    dev.wait("changed");
    dev.wait("own-writes");
    rests(&mut dev);
    assert_eq!(get(&address).unwrap(), "two");
}
