//! `cargo run` in each of its forms: cargo builds and chooses, and only what it has built is passed the
//! sockets.

mod common;

use std::process::Command;

use common::{Dev, Folder};

const PROGRAM: &str = r#"
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let of = |name| std::env::var(name).unwrap_or_default();
    let mode = if cfg!(debug_assertions) { "debug" } else { "release" };
    let feature = if cfg!(feature = "extra") { " extra" } else { "" };
    println!("{} {mode}{feature} {arguments:?}", module_path!());
    println!("{} {} fds={}", of("CARGO_PKG_NAME"), of("CARGO_MANIFEST_DIR"), of("LISTEN_FDS"));
    for (name, value) in std::env::vars().filter(|(_, value)| value.contains("__built")) {
        println!("{name} is {value}");
    }
    println!("end");
    std::thread::sleep(std::time::Duration::from_secs(600));
}
"#;

/// A workspace of a package with several programs of which one is the default, of one with one, and of
/// one with two.
fn workspace() -> Folder {
    let package = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
    };
    Folder::with(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"many\", \"one\", \"two\"]\nresolver = \"3\"\n\
             [profile.quick]\ninherits = \"release\"\n",
        ),
        ("many/Cargo.toml", &package("many", "default-run = \"first\"\n[features]\nextra = []\n")),
        ("many/src/bin/first.rs", PROGRAM),
        ("many/src/bin/second.rs", PROGRAM),
        ("many/examples/third.rs", PROGRAM),
        ("one/Cargo.toml", &package("one", "")),
        ("one/src/main.rs", PROGRAM),
        ("two/Cargo.toml", &package("two", "")),
        ("two/src/main.rs", PROGRAM),
        ("two/src/bin/other.rs", PROGRAM),
    ])
}

/// Runs a command of cargo in a folder of the workspace.
fn run(folder: &Folder, below: &str, command: &str) -> Dev {
    let mut dev = folder.command(&["--json", "-s", "http::0", "--ready", "1ms", "--"]);
    dev.args(command.split(' ')).env("CARGO_TARGET_DIR", folder.path().join("target"));
    Dev::spawn(dev.current_dir(folder.path().join(below)))
}

/// What the server says of itself, and that it is passed the socket.
fn says(folder: &Folder, below: &str, command: &str) -> String {
    let mut dev = run(folder, below, command);
    let is_it = |line: &str| line.ends_with(']');
    let event = dev.wait_for("output", |event| event["line"].as_str().is_some_and(is_it));
    let place = dev.wait("output")["line"].as_str().expect("a line").to_owned();
    dev.wait_for("output", |event| event["line"] == "end");
    let line = event["line"].as_str().expect("a line").to_owned();
    let package = if line.starts_with("one ") { "one" } else { "many" };
    let home = folder.path().join(package);
    assert_eq!(place, format!("{package} {} fds=1", home.display()), "{command}");
    // Neither by what is shown nor by its variables.
    let outputs = dev.told.iter().filter(|event| event["event"] == "output");
    let hidden =
        outputs.filter(|event| event["line"].as_str().is_some_and(|it| it.contains("__built")));
    assert_eq!(hidden.count(), 0, "{command}: {:#?}", dev.told);
    assert_eq!(dev.end().code(), Some(0), "{command}");
    line
}

#[test]
fn every_form_that_cargo_takes_is_built_and_then_passed_the_socket() {
    let folder = workspace();
    for (below, command, want) in [
        ("many", "cargo run", "first debug []"),
        ("many", "cargo r -- --port 1", "first debug [\"--port\", \"1\"]"),
        ("many", "cargo run --bin second", "second debug []"),
        (
            "many",
            "cargo -q run --bin=second serve --bin x",
            "second debug [\"serve\", \"--bin\", \"x\"]",
        ),
        ("many", "cargo run serve -- -v", "first debug [\"serve\", \"--\", \"-v\"]"),
        ("many", "cargo run --example third", "third debug []"),
        ("many", "cargo run --features extra", "first debug extra []"),
        ("one", "cargo run", "one debug []"),
        ("", "cargo run -p one --release", "one release []"),
        ("", "cargo run --package one --profile quick a", "one release [\"a\"]"),
        ("", "cargo --color never run --offline -p many", "first debug []"),
        ("one", "cargo run --manifest-path ../many/Cargo.toml", "first debug []"),
        ("one", "cargo run --message-format short", "one debug []"),
    ] {
        assert_eq!(says(&folder, below, command), want, "{command}");
    }
}

#[test]
fn another_toolchain_is_asked_where_it_is_named() {
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|told| told.status.success()) {
        return eprintln!("skipped: there is no nightly toolchain here");
    }
    let folder = workspace();
    assert_eq!(says(&folder, "one", "cargo +nightly run x"), "one debug [\"x\"]");
}

#[test]
fn a_runner_of_the_project_is_not_given_the_server() {
    let folder = workspace();
    let told = ["gnu", "musl"].map(|libc| {
        format!("[target.{}-unknown-linux-{libc}]\nrunner = \"false\"\n", std::env::consts::ARCH)
    });
    folder.write(".cargo/config.toml", &told.concat());
    assert_eq!(says(&folder, "one", "cargo run"), "one debug []");
}

#[test]
fn what_cargo_refuses_is_a_failed_build_in_its_own_words() {
    let folder = workspace();
    for (below, command, words) in [
        ("two", "cargo run", "could not determine which binary to run"),
        ("many", "cargo run --bin first --bin second", "at most one executable"),
        ("one", "cargo run --bin missing", "no bin target named `missing`"),
        ("one", "cargo run --frobnicate", "unexpected argument '--frobnicate'"),
    ] {
        let mut dev = run(&folder, below, command);
        dev.wait_for("output", |event| event["line"].as_str().is_some_and(|it| it.contains(words)));
        dev.wait("build-failed");
        let started = dev.told.iter().filter(|event| event["event"] == "starting");
        assert_eq!(started.count(), 0, "{command}: {:#?}", dev.told);
        assert!(dev.end().success());
    }
}

#[test]
fn an_order_that_runs_nothing_is_no_server() {
    let folder = workspace();
    let mut dev = run(&folder, "one", "cargo run --help");
    let failed = dev.wait("build-failed");
    assert!(
        failed["reason"].as_str().is_some_and(|it| it.contains("has run no program")),
        "{failed}"
    );
    assert!(dev.end().success());
}

/// As of those who choose a toolchain by a script.
#[test]
fn a_cargo_that_another_program_starts_is_asked() {
    use std::os::unix::fs::PermissionsExt;
    let folder = workspace();
    folder.write("one/cargo", "#!/bin/sh\ncargo \"$@\"\n");
    let script = folder.path().join("one/cargo");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).expect("a script");
    assert_eq!(says(&folder, "one", "./cargo run x"), "one debug [\"x\"]");
}

/// It was not run, and what it makes was missing.
#[test]
fn what_a_build_script_has_cargo_run_is_run() {
    let package = |name: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n")
    };
    let script = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            let generator = ["run", "--manifest-path", "generator/Cargo.toml", "--target-dir"];
            let mut cargo = std::process::Command::new("cargo");
            let cargo = cargo.args(generator).arg(format!("{out}/target")).args(["--", "made"]);
            let output = cargo.output().unwrap();
            assert!(output.status.success());
            std::fs::write(format!("{out}/made.txt"), output.stdout).unwrap();
        }
    "#;
    let generator = r#"fn main() { print!("{}", std::env::args().nth(1).unwrap()); }"#;
    let program = r#"
        fn main() {
            println!("{} [{}]", include_str!(concat!(env!("OUT_DIR"), "/made.txt")), module_path!());
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
    "#;
    let folder = Folder::with(&[
        ("Cargo.toml", &package("web")),
        ("build.rs", script),
        ("src/main.rs", program),
        ("generator/Cargo.toml", &(package("generator") + "[workspace]\n")),
        ("generator/src/main.rs", generator),
    ]);
    let mut dev = run(&folder, "", "cargo run");
    dev.wait_for("output", |event| event["line"] == "made [web]");
    assert!(dev.end().success());
}

/// The server found it until the next build.
#[test]
fn a_variable_that_its_file_says_no_more_is_gone_without_a_build() {
    let folder = workspace();
    let program = r#"
        fn main() {
            println!("secret {:?}", std::env::var("SECRET").ok());
            println!("package {:?}", std::env::var("CARGO_PKG_NAME").ok());
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
    "#;
    folder.write("one/src/main.rs", program);
    folder.write("one/.env", "SECRET=old\n");
    let mut dev = run(&folder, "one", "cargo run");
    dev.wait_for("output", |event| event["line"] == r#"secret Some("old")"#);
    folder.write("one/.env", "");
    let changed = dev.wait("changed");
    assert_eq!(changed["asks_for"], serde_json::json!(["restart"]));
    dev.wait_for("output", |event| event["line"] == "secret None");
    dev.wait_for("output", |event| event["line"] == r#"package Some("one")"#);
    assert!(dev.end().success());
}
