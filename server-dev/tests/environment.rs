//! What a server finds in its environment.

mod common;

use common::{Folder, tiny};

#[test]
fn variables_are_taken_from_the_file_that_git_ignores_and_again_once_it_changes() {
    let files = [("value.txt", "one"), (".env", "SLOW_START=1\n"), (".gitignore", ".env\n")];
    let folder = Folder::with(&files);
    let mut dev = folder.dev(&["-s", "http::0", "-e", "txt", "--", &tiny()]);
    let roots = dev.wait("watching")["roots"].clone();
    assert_eq!(roots, serde_json::json!([".", ".env"]));
    dev.wait("ready");
    folder.write(".env", "SAYS_READY=1\n");
    assert_eq!(dev.wait("changed")["files"][0], ".env");
    dev.wait("ready");
    // What else is looked at anew is no edit of it.
    folder.write(".gitignore", ".env\n*.log\n");
    folder.write("value.txt", "two");
    assert_eq!(dev.wait("changed")["files"], serde_json::json!(["value.txt"]));
    dev.wait("ready");
}

/// As `cargo run -p server-dev` says it of server-dev.
#[test]
fn what_cargo_says_of_another_package_is_not_passed_on() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let script = r#"echo "[$CARGO_MANIFEST_DIR$CARGO_PKG_NAME]"; sleep 1000"#;
    let arguments = ["-e", "txt", "--ready", "1ms", "--", "sh", "-c", script];
    let env = [("CARGO_MANIFEST_DIR", "/another"), ("CARGO_PKG_NAME", "another")];
    let mut dev = folder.dev_with(&arguments, &env);
    assert_eq!(dev.wait("output")["line"], "[]");
}
