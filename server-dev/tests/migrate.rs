//! From the command line of another runner to a service that runs.

mod common;

use std::process::Command;

use common::{Folder, get, tiny};

fn migrate(folder: &Folder, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_server-dev"))
        .arg("migrate")
        .args(words)
        .current_dir(folder.path())
        .output()
        .expect("server-dev starts");
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().unwrap_or(-1), String::from_utf8(text).expect("text"))
}

#[test]
fn what_it_prints_runs_the_server_as_it_did() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let line = format!("systemfd --no-pid -s http::0 -- watchexec -r -e txt -- {}", tiny());
    let (code, text) = migrate(&folder, &[&line]);
    assert_eq!(code, 0, "{text}");
    folder.write("server-dev.toml", &text);
    let mut dev = folder.dev(&[]);
    let address = dev.address();
    dev.wait("ready");
    assert_eq!(get(&address).unwrap(), "one");
    folder.write("value.txt", "two");
    dev.wait("ready");
    dev.wait("drained");
    assert_eq!(get(&address).unwrap(), "two");
}

#[test]
fn takes_a_line_with_or_without_quotes_around_it() {
    let folder = Folder::with(&[]);
    let (_, quoted) = migrate(&folder, &["cargo watch --why -x 'run -- -v'"]);
    let (_, bare) = migrate(&folder, &["cargo", "watch", "--why", "-x", "run -- -v"]);
    assert_eq!(quoted, bare);
    assert!(quoted.contains("\n# cargo watch --why is left out: "), "{quoted}");
    assert!(
        quoted.contains("Without a file: server-dev --no-overlap -- cargo run -- -v\n"),
        "{quoted}"
    );
    let (code, error) = migrate(&folder, &["nodemon server.js"]);
    assert!(code == 1 && error.contains("nodemon is none of the runners"), "{error}");
}
