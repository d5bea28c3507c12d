//! What a build or a server says of the source comes with the event that tells of its failure.

mod common;

use common::{Folder, tiny};
use serde_json::{Value, json};

/// The text form of what `server-dev` tells, until it has said `last`.
fn text_until(folder: &Folder, arguments: &[&str], last: &str) -> String {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };
    let mut child =
        folder.command(arguments).stderr(Stdio::piped()).spawn().expect("server-dev starts");
    let stderr = BufReader::new(child.stderr.take().expect("its stderr"));
    let mut text = String::new();
    for line in stderr.lines().map_while(Result::ok) {
        text.push_str(&line);
        text.push('\n');
        if line.contains(last) {
            break;
        }
    }
    // It is not told to end in good order: only what it has said counts here.
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    text
}

#[test]
fn a_failed_cargo_build_names_each_place_once() {
    let manifest =
        "[package]\nname = \"web\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    let main = "fn main() {\n    let n: u8 = \"one\";\n    missing();\n}\n";
    let folder = Folder::with(&[("Cargo.toml", manifest), ("src/main.rs", main)]);
    let target = folder.path().join("target").display().to_string();
    let mut dev = folder.dev_with(
        &["-e", "rs,toml", "--", "cargo", "run", "--offline"],
        &[("CARGO_TARGET_DIR", &target)],
    );
    let failed = dev.wait("build-failed");
    let mut places: Vec<_> = failed["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| {
            (it["file"].clone(), it["line"].clone(), it["column"].clone(), it["severity"].clone())
        })
        .collect();
    places.sort_by_key(|place| place.1.as_u64());
    let at =
        |line: u32, column: u32| (json!("src/main.rs"), json!(line), json!(column), json!("error"));
    assert_eq!(places, [at(2, 17), at(3, 5)], "{failed}");
    // What isn't about the source is told as well.
    folder.write("Cargo.toml", "[package]\nname = 1\n");
    let failed = dev.wait("build-failed");
    let message = failed["diagnostics"][0]["message"].as_str().expect("a message");
    assert!(message.contains("invalid type"), "{failed}");
}

#[test]
fn a_failed_build_of_any_kind_names_its_place() {
    let go = "printf '# web\\n./main.go:7:2: undefined: x\\n' >&2; exit 1";
    let folder = Folder::with(&[("value.txt", "one"), ("code", go)]);
    // It listens wherever nobody else does.
    let arguments = ["--build", "sh ./code", "--", &tiny()];
    let mut dev = folder.dev_with(&arguments, &[("PORT", "0")]);
    let place = json!([
        { "file": "./main.go", "line": 7, "column": 2, "message": "undefined: x", "severity": "error" }
    ]);
    assert_eq!(dev.wait("build-failed")["diagnostics"], place);
    folder.write("code", "echo 'a.ts(1,7): error TS2322: no'; exit 1");
    let place = json!([
        { "file": "a.ts", "line": 1, "column": 7, "message": "TS2322: no", "severity": "error" }
    ]);
    assert_eq!(dev.wait("build-failed")["diagnostics"], place);
    folder.write("code", "echo 'no rule' >&2; exit 1");
    let plain = json!([{ "message": "no rule", "severity": "error" }]);
    assert_eq!(dev.wait("build-failed")["diagnostics"], plain);
    folder.write("code", "exit 0");
    dev.wait("ready");
}

#[test]
fn a_server_that_ends_says_where() {
    let folder = Folder::with(&[("value.txt", "exit 3")]);
    let mut dev = folder.dev(&["-s", "http::0", "--", &tiny()]);
    let place = json!([
        { "file": "value.txt", "line": 1, "column": 1, "message": "told to end", "severity": "error" }
    ]);
    assert_eq!(dev.wait("not-ready")["diagnostics"], place);
    drop(dev);
    let traceback = "Traceback (most recent call last):\n  File \"/w/main.py\", line 4, in run\n    x\nNameError: x\n";
    let folder =
        Folder::with(&[("server", "sleep 0.1; cat trace >&2; exit 1"), ("trace", traceback)]);
    let mut dev = folder.dev(&["--ready", "1ms", "--", "sh", "./server"]);
    let place = json!([
        { "file": "/w/main.py", "line": 4, "message": "NameError: x", "severity": "error" }
    ]);
    assert_eq!(dev.wait("exited")["diagnostics"], place);
    folder.write("server", "echo 'main.go:1:1: fine' >&2; sleep 0.1; exit 0");
    let exited = dev.wait_for("exited", |event| event["status"] == "exit status: 0");
    assert_eq!(exited["diagnostics"], Value::Array(Vec::new()));
}

#[test]
fn a_person_sees_each_message_once() {
    let folder = Folder::with(&[("code", "echo './main.go:7:2: undefined: x' >&2; exit 1")]);
    let arguments = ["--build", "sh ./code", "--", "sleep", "600"];
    let text = text_until(&folder, &arguments, "the build failed");
    assert_eq!(text.matches("undefined: x").count(), 1, "{text}");
    assert_eq!(text.matches("main.go").count(), 1, "{text}");
}
