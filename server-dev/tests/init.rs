//! The first file of services, and what an editor checks it by.

mod common;

use std::process::{Command, Output, Stdio};

use common::{Folder, SERVER_DEV};
use serde_json::Value;

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    folder.command(arguments).output().expect("server-dev starts")
}

#[test]
fn what_init_writes_is_run_and_passes_the_schema() {
    let server = ("server.js", "require('http').createServer().listen(process.env.LISTEN_FDS)");
    let package = ("package.json", r#"{"name": "shop", "scripts": {"start": "node server.js"}}"#);
    let folder = Folder::with(&[server, package]);
    let output = run(&folder, &["init"]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(folder.path().join("server-dev.toml")).expect("a file");
    let schema = run(&folder, &["schema"]).stdout;
    let schema: Value = serde_json::from_slice(&schema).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let value: Value = toml::from_str(&text).expect("TOML");
    validator.validate(&value).expect("it passes");
    assert_eq!(value["services"]["shop"]["sockets"][0], "http::3000");
    let own_port = text.replace("http::3000", "http::0").replace("node server.js", "sleep 600");
    folder.write("server-dev.toml", &own_port);
    let mut dev = folder.dev(&[]);
    assert_eq!(dev.wait("listening")["service"], "shop");
    dev.wait("starting");
    assert!(dev.end().success());
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let mut child = Command::new(SERVER_DEV)
        .arg("schema")
        .stdout(Stdio::piped())
        .spawn()
        .expect("server-dev starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn init_leaves_a_file_that_is_there_as_it_is() {
    let folder = Folder::with(&[("package.json", r#"{"scripts": {"start": "node ."}}"#)]);
    folder.write("server-dev.toml", "mine");
    let output = run(&folder, &["init"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("server-dev.toml is there already"), "{error}");
    let text = std::fs::read_to_string(folder.path().join("server-dev.toml")).expect("a file");
    assert_eq!(text, "mine");
    let output = run(&folder, &["init", "-c", "other.toml"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn init_writes_what_is_to_be_filled_in_where_it_finds_nothing() {
    let folder = Folder::with(&[("README.md", "")]);
    let output = run(&folder, &["init"]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("no Cargo.toml") && told.contains("init -- COMMAND"), "{told}");
    let file = folder.path().join("server-dev.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(text.contains("\n#[services.server]\n#command = "), "{text}");
    let run_it = run(&folder, &[]);
    let error = String::from_utf8_lossy(&run_it.stderr);
    assert!(error.contains("there is no service in it"), "{error}");
    // Nobody has written in it.
    let output = run(&folder, &["init", "--", "sleep", "600"]);
    assert!(output.status.success(), "{output:?}");
    let mut dev = folder.dev(&[]);
    assert_eq!(dev.wait("starting")["service"], "server");
    assert!(dev.end().success());
    let output = run(&folder, &["init", "--", "sleep", "600"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn init_writes_the_server_that_it_is_given() {
    let source =
        "import os\nfrom http.server import HTTPServer\nport = int(os.environ[\"PORT\"])\n";
    let folder = Folder::with(&[("serve.py", source), ("server-dev.toml", "")]);
    let output = run(&folder, &["init", "--", "python3", "serve.py", "--name", "a b"]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(folder.path().join("server-dev.toml")).expect("a file");
    let value: Value = toml::from_str(&text).expect("TOML");
    let service = &value["services"]["server"];
    assert_eq!(service["command"], "python3 serve.py --name 'a b'");
    assert_eq!((&service["proxy"], &service["sockets"][0]), (&"port".into(), &"http::3000".into()));
    assert_eq!(service["extensions"][0], "py");
}
