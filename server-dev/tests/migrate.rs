//! From the command line of another runner to a service that runs.

mod common;

use common::{Folder, get, tiny};

fn migrate(folder: &Folder, words: &[&str]) -> (i32, String) {
    let output = folder.command(&[&["migrate"], words].concat()).output();
    let output = output.expect("server-dev starts");
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
    let (code, error) = migrate(&folder, &["vite --host"]);
    assert!(code == 1 && error.contains("vite is none of the runners"), "{error}");
    assert!(error.contains("server-dev init -- vite --host"), "{error}");
}

#[test]
fn says_how_the_schema_that_it_names_is_made() {
    let (_, text) = migrate(&Folder::with(&[]), &["cargo watch -x run"]);
    assert!(text.starts_with("#:schema ./server-dev.schema.json\n"), "{text}");
    assert!(text.contains("server-dev schema > server-dev.schema.json"), "{text}");
}

#[test]
fn reads_what_a_script_of_a_package_runs() {
    let scripts = r#"{"scripts": {"dev": "A=1 nodemon -e js server.js", "loop": "npm run loop", "start": "vite"}}"#;
    let folder = Folder::with(&[("package.json", scripts)]);
    let (code, text) = migrate(&folder, &["npm run dev -- --port 3"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\ncommand = \"node server.js --port 3\"\n"), "{text}");
    assert!(text.contains("\nenv = { A = \"1\" }\n"), "{text}");
    for (line, words) in [
        ("npm start", "vite is none of the runners"),
        ("npm start", "server-dev init -- npm start"),
        ("yarn loop", "npm run loop is none"),
        ("npm run none", "package.json has no script none"),
    ] {
        let (code, error) = migrate(&folder, &[line]);
        assert!(code == 1 && error.contains(words), "{line}: {error}");
    }
}
