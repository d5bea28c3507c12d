//! What is said at once, and the exit code that goes with it.

#![cfg(unix)]

mod common;

use std::net::TcpListener;

use common::{File, run, text};

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &[][..],
        &["-c", "config.toml", "--watch-mode", "bogus"],
        &["-c", "config.toml", "--watch-mode", "Hybrid"],
        &["-c", "config.toml", "--poll-interval", "soon"],
        &["-c", "config.toml", "--poll-interval", "0"],
        &["-c", "config.toml", "--chekc"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output.stderr).starts_with("error: "), "{args:?}: {output:?}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = said(&output.stdout);
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}

#[test]
fn the_configuration_that_comes_along_is_good() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../config.toml");
    let output = run(&["--config", config, "--check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn check_says_that_it_is_good() {
    let file = File::new(&text("one"));
    let output = run(&["-c", file.name(), "--check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output.stdout).starts_with(&format!("{}: good", file.name())), "{output:?}");
}

#[test]
fn check_and_start_say_where_it_is_bad() {
    for (text, want) in [
        ("name = \n", ":1:"),
        (
            "name = 'one'\nlisten_addresses = ['127.0.0.1:0', '127.0.0.1:0']\n",
            ":2:36: 127.0.0.1:0 is listed twice\n  |\n2 | listen_addresses = \
             ['127.0.0.1:0', '127.0.0.1:0']\n  |                                    ^^^^^^^^^^^^^\n",
        ),
        ("listen_addresses = []\n", ":1:20: no address to listen on\n"),
        ("listen_addresses = ['127.0.0.1:0']\nnaem = 'one'\n", ":2:1: unknown field `naem`"),
        ("name = 'one'\n", ": listen_addresses: no address to listen on"),
        (
            "https_addresses = ['127.0.0.1:0']\n",
            ":1:19: they take a certificate: list one in [[tls.certificates]]\n",
        ),
        (
            "https_addresses = ['127.0.0.1:0']\n[[tls.certificates]]\n\
             certificate = '/nowhere/tls.crt'\nkey = '/nowhere/tls.key'\n",
            ":3:15: /nowhere/tls.crt: not there",
        ),
        ("", ": empty"),
    ] {
        let file = File::new(text);
        for args in [&["-c", file.name(), "--check"][..], &["-c", file.name()]] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(1), "{text}");
            let (said, want) = (said(&output.stderr), format!("error: {}{want}", file.name()));
            assert!(said.contains(&want), "{text}: {said}");
        }
    }
}

#[test]
fn a_file_that_is_missing_is_an_error() {
    for args in [&["-c", "/nowhere/config.toml", "--check"][..], &["-c", "/nowhere/config.toml"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output.stderr).starts_with("error: /nowhere/config.toml: "), "{output:?}");
    }
}

#[test]
fn an_address_in_use_is_a_warning_to_check_and_an_error_to_start() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let file = File::new(&format!("listen_addresses = ['{taken}']\n"));

    let output = run(&["-c", file.name(), "--check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output.stderr).contains(&format!("{taken} is in use")), "{output:?}");

    let output = run(&["-c", file.name()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output.stderr).contains(&format!("{taken} can't be bound")), "{output:?}");
}

#[test]
fn an_address_that_this_machine_lacks_is_an_error() {
    let file =
        File::new("name = 'one'\nlisten_addresses = [\n  '127.0.0.1:0',\n  '192.0.2.1:80',\n]\n");
    for args in [&["-c", file.name(), "--check"][..], &["-c", file.name()]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = said(&output.stderr);
        let want = format!("error: {}:4:3: 192.0.2.1:80 can't be bound: ", file.name());
        assert!(said.contains(&want), "{said}");
        assert!(said.ends_with("\n4 |   '192.0.2.1:80',\n  |   ^^^^^^^^^^^^^^\n"), "{said}");
    }
}
