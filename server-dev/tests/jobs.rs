//! The example folders, each copied, run as it is, and edited.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Dev, Folder, get, page_is_told, tiny};
use serde_json::Value;

/// A copy of an example, whose sockets take any port.
fn example(name: &str) -> Folder {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let folder = Folder::with(&[]);
    copy(&from, folder.path());
    let file = folder.path().join("server-dev.toml");
    let text = fs::read_to_string(&file).expect("a file of services");
    let ports = ["::3000\"", "::3001\"", "::8000\""];
    let text = ports.iter().fold(text, |text, port| text.replace(port, "::0\""));
    fs::write(file, text).expect("room for a file");
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let is_made =
            ["_build", "tmp", "target", "__pycache__"].iter().any(|name| from.ends_with(name));
        if is_made {
        } else if from.is_dir() {
            fs::create_dir(&to).expect("a folder");
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("room for a file");
        }
    }
}

fn edit(folder: &Folder, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.path().join(file)).expect("a file");
    assert!(text.contains(from), "{text}");
    folder.write(file, &text.replace(from, to));
}

fn is_installed(program: &str) -> bool {
    Command::new(program)
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The addresses of so many services, by their names.
fn addresses(dev: &mut Dev, count: usize) -> Vec<(String, String)> {
    let listening = (0..count).map(|_| {
        let event = dev.wait("listening");
        let text = |key: &str| event[key].as_str().expect("a text").to_owned();
        (text("service"), text("address").replace("http://", ""))
    });
    listening.collect()
}

fn of(service: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["service"] == service
}

#[test]
fn a_server_in_ocaml_keeps_its_socket_over_every_build() {
    let folder = example("ocaml");
    let mut dev = folder.dev(&[]);
    let address = dev.address();
    dev.wait("ready");
    assert_eq!(get(&address).unwrap(), "hello from OCaml");
    edit(&folder, "bin/greeting.ml", "hello", "good day");
    let changed = dev.wait("changed");
    assert_eq!(changed["files"][0], "bin/greeting.ml");
    dev.wait("drained");
    assert_eq!(get(&address).unwrap(), "good day from OCaml");
    // What is built is no edit, and a build that fails replaces nothing.
    edit(&folder, "bin/greeting.ml", "let text =", "let tex");
    dev.wait("build-failed");
    assert_eq!(get(&address).unwrap(), "good day from OCaml");
    let count = dev.told.iter().filter(|event| event["event"] == "changed").count();
    assert_eq!(count, 2, "{:#?}", dev.told);
}

#[test]
fn each_of_two_services_is_replaced_by_its_own_changes_only() {
    let folder = example("two-services");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = if is_installed("go") {
        path
    } else {
        println!("go is not installed: a stand-in builds");
        let compiler = format!("#!/bin/sh\nmkdir -p tmp && cp {} tmp/main\n", tiny());
        folder.program("bin/go", &compiler);
        folder.write("web/value.txt", "<h1>hello from Go</h1>");
        format!("{}:{path}", folder.path().join("bin").display())
    };
    let cache = folder.path().join("go-cache");
    let target = shared_target().join("two-services");
    let env = [
        ("PATH", path.as_str()),
        ("GOCACHE", cache.to_str().expect("a text")),
        ("GOFLAGS", "-mod=mod"),
        ("CARGO_TARGET_DIR", target.to_str().expect("a text")),
    ];
    let mut dev = folder.dev_with(&[], &env);
    let addresses = addresses(&mut dev, 2);
    let at = |name: &str| {
        addresses.iter().find(|(of, _)| of == name).map(|(_, at)| at.clone()).expect("a service")
    };
    for _ in 0..2 {
        dev.wait("ready");
    }
    assert_eq!(get(&at("api")).unwrap(), "hello from Rust");
    assert!(get(&at("web")).unwrap().contains("<h1>hello from Go</h1>"));
    edit(&folder, "api/src/main.rs", "hello from Rust", "good day from Rust");
    dev.wait_for("drained", of("api"));
    assert_eq!(get(&at("api")).unwrap(), "good day from Rust");
    edit(&folder, "web/page.tmpl", "<h1>", "<h1 class=big>");
    let changed = dev.wait("changed");
    assert_eq!(
        (changed["service"].as_str(), changed["files"][0].as_str()),
        (Some("web"), Some("page.tmpl"))
    );
    dev.wait_for("drained", of("web"));
    let built = |name| {
        let building = dev.told.iter().filter(|event| event["event"] == "building");
        building.filter(|event| event["service"] == name).count()
    };
    assert_eq!((built("api"), built("web")), (2, 2), "{:#?}", dev.told);
}

/// Where what an example is made of is built once for all tests.
fn shared_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned()
}

#[test]
fn an_asgi_application_is_started_in_a_fresh_process() {
    // Debian's own, where the first in PATH has no uvicorn.
    let has_uvicorn = |python: &&str| {
        Command::new(python)
            .args(["-c", "import uvicorn"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_uvicorn) else {
        println!("uvicorn is not installed: skipped");
        return;
    };
    let folder = example("asgi");
    edit(&folder, "server-dev.toml", "\"uvicorn ", &format!("\"{python} -m uvicorn "));
    let mut dev = folder.dev(&[]);
    let address = dev.address();
    dev.wait("ready");
    assert!(get(&address).unwrap().contains("<h1>hello from Python</h1>"));
    edit(&folder, "app.py", "hello", "good day");
    dev.wait("drained");
    assert!(get(&address).unwrap().contains("<h1>good day from Python</h1>"));
    folder.write("tests/test_app.py", "assert True");
    edit(&folder, "app.py", "async def app", "async def ap(");
    let failed = dev.wait("not-ready");
    assert_eq!(failed["serves"], true);
    assert!(get(&address).unwrap().contains("good day"));
    let count = dev.told.iter().filter(|event| event["event"] == "changed").count();
    assert_eq!(count, 2, "{:#?}", dev.told);
}

/// The page that a browser is shown.
fn shown(address: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(common::PATIENCE)).expect("a time-out");
    let head = "GET / HTTP/1.0\r\nhost: localhost\r\naccept: text/html\r\n\r\n";
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("room for a request");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("an answer");
    answer
}

#[test]
fn a_front_end_is_loaded_anew_swapped_and_told_what_is_wrong() {
    let folder = example("front-end");
    let target = shared_target().join("front-end");
    let env = [("CARGO_TARGET_DIR", target.to_str().expect("a text"))];
    let mut dev = folder.dev_with(&[], &env);
    let address = dev.address();
    dev.wait("ready");
    let page = shown(&address);
    assert!(
        page.contains("<h1>hello from the server</h1>") && page.contains("/__server-dev/client.js")
    );
    let before = page_is_told(&address, |_| true);
    edit(&folder, "static/app.css", "0, 0, 255", "255, 0, 0");
    dev.wait("changed");
    let swapped = page_is_told(&address, |told| told["styles"] != before["styles"]);
    assert_eq!(swapped["page"], before["page"], "{swapped}");
    edit(&folder, "templates/index.html", "Your name", "Your full name");
    dev.wait("changed");
    page_is_told(&address, |told| told["page"] != before["page"]);
    assert!(get(&address).unwrap().contains("Your full name"));
    edit(&folder, "src/main.rs", "const GREETING: &str", "const GREETING: &st");
    let failed = dev.wait("build-failed");
    assert_eq!(failed["diagnostics"][0]["file"], "src/main.rs", "{failed}");
    let told = page_is_told(&address, |told| told["problem"]["kind"] == "build");
    assert_eq!(told["problem"]["places"][0]["line"], 10, "{told}");
    edit(&folder, "src/main.rs", "const GREETING: &st", "const GREETING: &str");
    edit(&folder, "src/main.rs", "hello from", "good day from");
    dev.wait("ready");
    page_is_told(&address, |told| told["problem"].is_null());
    assert!(get(&address).unwrap().contains("good day from the server"));
    let built = dev.told.iter().filter(|event| event["event"] == "building").count();
    assert!((3..=4).contains(&built), "{:#?}", dev.told);
}
