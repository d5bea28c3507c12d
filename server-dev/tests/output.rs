//! What a process writes is read whole; of a build, by a stand-in for cargo that writes what cargo would.

mod common;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::Duration,
};

use common::{Dev, Folder, wait_until};
use serde_json::json;

/// A folder with a cargo of its own, and a program that it may build.
fn with_cargo(script: &str, messages: &[serde_json::Value]) -> Folder {
    let folder = Folder::with(&[]);
    folder.program("cargo", script);
    folder.program("server", "#!/bin/sh\necho up; sleep 600");
    let lines: Vec<_> = messages.iter().map(serde_json::Value::to_string).collect();
    folder.write("messages", &(lines.join("\n") + "\n"));
    folder
}

/// What is said in the place of the program that cargo has built.
fn built() -> serde_json::Value {
    json!({ "reason": "server-dev-built", "words": ["./server"], "variables": {} })
}

const RUN: [&str; 7] = ["-e", "rs", "--ready", "1ms", "--", "./cargo", "run"];

/// It once had a fifth of a second, and what it had built was not known after that.
#[test]
fn the_last_lines_of_a_build_are_read_whole_however_long_they_are_held_up() {
    // More than fits into all that is between it and whoever reads.
    let shown = json!({ "rendered": "warning\n".repeat(4000) });
    let folder = with_cargo(
        "#!/bin/sh\ncat messages; touch ended",
        &[json!({ "reason": "compiler-message", "message": shown }), built()],
    );
    let mut command = folder.command(&["--json"]);
    command.args(RUN).stdout(Stdio::piped());
    let held_up = command.spawn().expect("server-dev starts");
    wait_until(|| folder.path().join("ended").exists(), || "it doesn't build");
    // Longer than they once had.
    thread::sleep(Duration::from_millis(500));
    let mut dev = Dev::of(held_up);
    dev.wait_for("output", |output| output["line"] == "up");
}

#[test]
fn a_message_of_cargo_is_understood_though_it_is_long() {
    let span = json!({ "file_name": "src/main.rs", "line_start": 7, "column_start": 3,
                       "is_primary": true });
    let message = json!({ "rendered": format!("{}\n", "x".repeat(999)).repeat(100), "message": "too long",
                          "level": "error", "spans": [span] });
    let folder = with_cargo(
        "#!/bin/sh\ncat messages; exit 101",
        &[json!({ "reason": "compiler-message", "message": message })],
    );
    let mut dev = folder.dev(&RUN);
    let failed = dev.wait("build-failed");
    assert_eq!(failed["diagnostics"][0]["file"], "src/main.rs", "{failed}");
    let is_raw = |line: &str| line.contains("compiler-message");
    assert!(!dev.told.iter().any(|event| event["line"].as_str().is_some_and(is_raw)));
}

/// As what a build starts and is to stay.
#[test]
fn somebody_who_stays_and_writes_on_is_not_waited_for() {
    let script = "#!/bin/sh
        setsid sh -c 'while echo chatter; do sleep 0.01; done' 2>/dev/null & cat messages";
    let folder = with_cargo(script, &[built()]);
    let mut dev = folder.dev(&RUN);
    dev.wait_for("output", |output| output["line"] == "up");
}

/// As long as any come; they once had a fifth of a second together.
#[test]
fn the_last_lines_of_a_server_that_is_replaced_are_read_by_who_reads_slowly() {
    let script = "trap 'seq 9000; echo bye; exit' TERM; echo up; while :; do sleep 0.01; done";
    let folder = Folder::with(&[("value.txt", "one"), ("server", script)]);
    let arguments = ["--json", "-e", "txt", "--ready", "1ms", "--", "sh", "./server"];
    let mut command = folder.command(&arguments);
    let mut dev = command.stdout(Stdio::piped()).spawn().expect("server-dev starts");
    let stdout = BufReader::new(dev.stdout.take().expect("its output"));
    let mut told = (0..).zip(stdout.lines().map_while(Result::ok));
    assert!(told.any(|(_, line)| line.contains(r#""line":"up""#)));
    folder.write("value.txt", "two");
    let last = told.find(|(n, line)| {
        // Slower than whoever writes, and never as long as it takes to be given up on.
        if n % 50 == 0 {
            thread::sleep(Duration::from_millis(10));
        }
        line.contains(r#""line":"bye""#) || line.contains(r#""event":"drained""#)
    });
    dev.kill().expect("it runs");
    dev.wait().expect("it ends");
    assert!(last.as_ref().is_some_and(|(_, line)| line.contains("bye")), "{last:?}");
}
