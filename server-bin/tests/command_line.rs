//! What is said at once, and the exit code that goes with it.

mod common;

use std::net::TcpListener;

use common::{Daemon, File, program, run, text};

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
        &["-c", "-"],
        &["-c", "-", "--check"],
        &["-c", "config.toml", "--check", "status"],
        &["status"],
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
    for part in ["Examples:\n", "What is hot:\n", "Signals:\n", "Exit codes:\n", "#:schema "] {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
    let short = said(&run(&["-h"]).stdout);
    assert!(short.lines().count() < 35 && !short.contains("Examples:"), "{short}");
    for command in ["status", "reload", "rollback", "resume"] {
        let help = said(&run(&[command, "--help"]).stdout);
        assert!(help.contains("Exit codes:\n"), "{help}");
    }
}

#[test]
fn the_manual_page_is_one_that_man_understands() {
    let output = run(&["man"]);
    assert_eq!(output.status.code(), Some(0));
    let file = File::new(&said(&output.stdout));
    // Without what has a terminal show letters as bold.
    let groff = ["-man", "-Tutf8", "-ww", "-P-cbou", file.name()];
    let Ok(output) = std::process::Command::new("groff").args(groff).output() else {
        return eprintln!("skipped: groff is not to be had here");
    };
    assert_eq!(said(&output.stderr), "", "warnings");
    let page = said(&output.stdout);
    for part in ["EXAMPLES", "SIGNALS", "EXIT CODES", "server-bin rollback", "--print-schema"] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        let script = said(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(script.contains("watch-mode") && script.contains("rollback"), "{shell}");
    }
    let file = File::new(&said(&run(&["completions", "bash"]).stdout));
    let script = format!(
        "source {}; COMP_WORDS=(server-bin sta); COMP_CWORD=1; _server__bin server-bin sta; \
         echo \"${{COMPREPLY[@]}}\"",
        file.name()
    );
    let Ok(output) = std::process::Command::new("bash").args(["-c", &script]).output() else {
        return eprintln!("skipped: bash is not to be had here");
    };
    assert_eq!(said(&output.stdout), "status\n", "{output:?}");
}

#[test]
fn nobody_has_to_read_it_to_its_end() {
    for args in [&["--print-schema"][..], &["man"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = program().args(args).stdout(writer).status().unwrap();
        assert_eq!(status.code(), Some(0), "{args:?}");
    }
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
    assert!(said(&output.stdout).starts_with(&format!("{}: good\n", file.name())), "{output:?}");
}

#[test]
fn check_says_where_it_would_listen() {
    let text = "listen_addresses = ['[::1]:0', '127.0.0.1:0']\nadmin_address = '127.0.0.1:0'\n";
    let file = File::new(text);
    let output = run(&["-c", file.name(), "--check"]);
    let want = "  http   [::1]:0\n  http   127.0.0.1:0\n  admin  127.0.0.1:0\n";
    assert!(said(&output.stdout).ends_with(&format!(": good\n{want}")), "{output:?}");
}

#[test]
fn a_directory_is_no_configuration() {
    let file = File::new("");
    let dir = file.path.parent().unwrap().to_str().unwrap();
    for args in [&["-c", dir, "--check"][..], &["-c", dir]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let want = format!("error: {dir}: a directory, not a regular file");
        assert!(said(&output.stderr).starts_with(&want), "{output:?}");
    }
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
        (
            "listen_addresses = []\n",
            ":1:20: no address to listen on: add listen_addresses = [\"127.0.0.1:8080\"]\n",
        ),
        ("listen_addresses = ['127.0.0.1:0']\nnaem = 'one'\n", ":2:1: unknown field `naem`"),
        ("name = 'one'\n", ": listen_addresses: no address to listen on"),
        (
            "https_addresses = ['127.0.0.1:0']\n",
            ":1:19: an address over TLS needs a certificate: list one in [[tls.certificates]]\n",
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
            let is_check = args.contains(&"--check");
            // Nobody sits at a pipe, to be shown what the file holds.
            let want = if is_check { want } else { want.split(['\n', '`']).next().unwrap() };
            let (said, want) = (said(&output.stderr), format!("error: {}{want}", file.name()));
            assert!(said.contains(&want), "{text}: {said}");
        }
    }
}

/// Once at the line of the certificate, which comes first.
#[test]
fn what_is_wrong_with_a_key_is_told_at_the_key_though_both_are_in_one_file() {
    let pem = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap().cert.pem();
    let both = File::new(&pem);
    let file = File::new(&format!(
        "https_addresses = ['127.0.0.1:0']\n[[tls.certificates]]\ncertificate = '{0}'\nkey = '{0}'\n",
        both.name()
    ));
    let output = run(&["-c", file.name(), "--check"]);
    let want = format!("error: {}:4:7: {}: no private key in it", file.name(), both.name());
    assert!(said(&output.stderr).starts_with(&want), "{output:?}");
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
    let want = format!("{taken} can't be bound: end whoever listens there, or list another port: ");
    // Once told by the log as well.
    assert_eq!(said(&output.stderr).matches(&want).count(), 1, "{output:?}");
}

/// Once called good: bind(2) says the same of it as of a socket that somebody listens on.
#[test]
fn a_file_where_a_socket_is_to_be_is_an_error() {
    let file = File::new("");
    let path = file.path.with_file_name("http.sock");
    std::fs::write(&path, "somebody's").unwrap();
    file.write(&format!("listen_addresses = ['unix:{}']\n", path.display()));
    for args in [&["-c", file.name(), "--check"][..], &["-c", file.name()]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let want = format!(
            "error: {}:1:21: unix:{} can't be bound: what is there is no socket: remove it, or name \
             another path",
            file.name(),
            path.display()
        );
        assert!(said(&output.stderr).contains(&want), "{output:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
    }
}

#[test]
fn a_path_that_no_socket_can_have_is_told_by_its_length() {
    let path = format!("unix:/{}", "a".repeat(108));
    let file = File::new(&format!("listen_addresses = ['{path}']\n"));
    let output = run(&["-c", file.name(), "--check"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let want = format!("{path} can't be bound: the path is longer than 107 bytes\n");
    assert!(said(&output.stderr).contains(&want), "{output:?}");
}

#[test]
fn a_typo_in_the_filter_of_the_log_is_warned_of() {
    let file = File::new("listen_addresses = ['127.0.0.1:0']\nlog = 'inof'\n");
    let output = run(&["-c", file.name(), "--check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let want = format!(
        "warning: {}:2:7: log: \"inof\" is taken for a part of the program; the levels are error, warn, \
         info, debug, trace\n  |\n2 | log = 'inof'\n  |       ^^^^^^\n",
        file.name()
    );
    assert_eq!(said(&output.stderr), want);
}

/// It was told twice, and three times by a daemon, without a word of where it stands.
#[test]
fn what_is_no_filter_in_the_environment_is_told_once() {
    let file = File::new(&text("one"));
    let bad = "warning: RUST_LOG: \"bogus=lvl\" is ignored: ";
    let mut command = program();
    command.args(["-c", file.name(), "--check"]).env("RUST_LOG", "bogus=lvl,info");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = said(&output.stderr);
    assert!(said.starts_with(bad) && said.lines().count() == 1, "{said}");

    let mut daemon =
        Daemon::spawn(program().args(["-c", file.name()]).env("RUST_LOG", "bogus=lvl,info"));
    daemon.until("in use generation=1");
    assert!(daemon.log.starts_with(bad), "{}", daemon.log);
    assert_eq!(daemon.log.matches("bogus").count(), 1, "{}", daemon.log);
}

#[test]
fn an_address_that_this_machine_lacks_is_an_error() {
    let file =
        File::new("name = 'one'\nlisten_addresses = [\n  '127.0.0.1:0',\n  '192.0.2.1:80',\n]\n");
    for args in [&["-c", file.name(), "--check"][..], &["-c", file.name()]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = said(&output.stderr);
        let want = format!(
            "error: {}:4:3: 192.0.2.1:80 can't be bound: list an address that this machine has: ",
            file.name()
        );
        assert!(said.contains(&want), "{said}");
        assert!(said.ends_with("\n4 |   '192.0.2.1:80',\n  |   ^^^^^^^^^^^^^^\n"), "{said}");
    }
}

/// A log keeps what it is told, and others read it.
#[test]
fn a_log_is_not_told_the_line_in_question() {
    let file = File::new("listen_addresses = ['127.0.0.1:0']\nname = \"hunter2\nid = 1\n");
    let (start, check) = (run(&["-c", file.name()]), run(&["-c", file.name(), "--check"]));
    let place = format!("error: {}:2:", file.name());
    for output in [&start, &check] {
        assert!(said(&output.stderr).contains(&place), "{output:?}");
    }
    assert!(!said(&start.stderr).contains("hunter2"), "{start:?}");
    assert!(said(&start.stderr).ends_with("; --check shows the line\n"), "{start:?}");
    assert!(said(&check.stderr).contains("hunter2"), "{check:?}");
}
