//! What somebody sees and types, in a terminal of the test's own.

#[path = "../common/mod.rs"]
mod common;
mod own;

use std::process::Command;

use common::{Folder, SERVER_DEV};
use own::Terminal;
use rustix::{
    process::Signal,
    termios::{Winsize, tcsetwinsize},
};

const SERVER: &str = "echo one; echo two; exec sleep 600";

fn serves(folder: &Folder, flags: &[&str]) -> Terminal {
    let arguments = [flags, &["--build", "true", "--ready", "50ms", "--", "sh", "-c", SERVER]];
    let mut terminal = Terminal::with(folder, &arguments.concat());
    terminal.wait("serves generation 1");
    terminal
}

#[test]
fn keys_do_what_they_say() {
    let folder = Folder::with(&[]);
    let mut terminal = serves(&folder, &[]);
    assert!(!terminal.is_as_before());
    terminal.types("r");
    terminal.wait("as asked, it is started anew");
    terminal.wait("starts, pid");
    terminal.wait("serves generation 2");
    let builds = |terminal: &Terminal| terminal.shows().matches("builds: true").count();
    assert_eq!(builds(&terminal), 1);
    terminal.types("b");
    terminal.wait("as asked, it is built anew");
    terminal.wait("builds: true");
    terminal.wait("serves generation 3");
    terminal.types("?");
    terminal.wait("r restarts, b builds");
    terminal.types("c");
    terminal.wait("\x1b[2J");
    terminal.wait("serves generation 3");
    terminal.types("xyz\n");
    terminal.types("q");
    assert!(terminal.wait_for_end().success());
    assert!(terminal.is_as_before());
    assert_eq!(builds(&terminal), 2);
}

#[test]
fn the_terminal_is_as_before_whichever_way_it_ends() {
    let folder = Folder::with(&[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut terminal = serves(&folder, &[]);
        assert!(!terminal.is_as_before());
        terminal.signal(signal);
        assert!(terminal.wait_for_end().success(), "{signal:?}");
        assert!(terminal.is_as_before(), "{signal:?}");
    }
    // What can't be had.
    let mut terminal = Terminal::with(&folder, &["-w", "nowhere", "--", "true"]);
    assert_eq!(terminal.wait_for_end().code(), Some(1));
    assert!(terminal.is_as_before());
}

#[test]
fn ctrl_c_is_a_signal_still() {
    let folder = Folder::with(&[]);
    let mut terminal = serves(&folder, &[]);
    terminal.types("\x03");
    assert!(terminal.wait_for_end().success());
    assert!(terminal.is_as_before());

    let stubborn = "trap '' TERM; echo up; while :; do sleep 600; done";
    let mut terminal = Terminal::with(&folder, &["--grace", "10m", "--", "sh", "-c", stubborn]);
    terminal.wait("up");
    terminal.types("q");
    terminal.wait("waits for pid");
    terminal.wait("Ctrl-C once more ends it at once");
    terminal.types("\x03");
    assert_eq!(terminal.wait_for_end().code(), Some(130));
    assert!(terminal.is_as_before());
}

/// Has a shell's script run a `server-dev` that serves, as its arguments.
fn under_a_shell(folder: &Folder, script: &str) -> Terminal {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", SERVER_DEV]);
    command.args(["--ready", "1ms", "--", "sleep", "600"]);
    Terminal::of(folder, &command)
}

/// As a shell runs it that leaves the modes of the terminal alone.
#[test]
fn ctrl_z_gives_the_terminal_back_until_it_goes_on() {
    let folder = Folder::with(&[]);
    let script = "set -m; \"$@\"; echo stopped; bg; read word; jobs; fg >/dev/null";
    let mut terminal = under_a_shell(&folder, script);
    terminal.wait("serves generation 1");
    terminal.wait("\x1b[0m");
    terminal.types("\x1a");
    terminal.wait("stopped");
    assert!(terminal.is_as_before());
    // The status is gone, and comes back.
    let shows = terminal.shows();
    let (_, status) = shows.rsplit_once("(? for keys)\x1b[0m").unwrap();
    assert!(status.starts_with("\r\x1b[K"), "{status:?}");
    // In the background it doesn't wait for keys, which would stop it again.
    terminal.types("on\n");
    terminal.wait("Running");
    terminal.wait("serves generation 1");
    terminal.types("r");
    terminal.wait("serves generation 2");
    terminal.types("q");
    assert!(terminal.wait_for_end().success());
    assert!(terminal.is_as_before());
}

#[test]
fn what_was_started_in_the_background_has_keys_once_it_is_before_it() {
    let folder = Folder::with(&[]);
    let script = "set -m; \"$@\" & read word; echo \"read $word\"; fg >/dev/null";
    let mut terminal = under_a_shell(&folder, script);
    terminal.wait("generation 1");
    assert!(terminal.is_as_before() && !terminal.shows().contains("for keys"));
    terminal.types("on\n");
    terminal.wait("read on");
    terminal.wait("serves generation 1 (? for keys)");
    terminal.types("r");
    terminal.wait("serves generation 2");
    terminal.types("q");
    assert!(terminal.wait_for_end().success());
    assert!(terminal.is_as_before());
}

#[test]
fn the_status_is_as_long_as_the_terminal_is_wide() {
    let folder = Folder::with(&[]);
    let mut terminal = serves(&folder, &[]);
    terminal.wait("(? for keys)");
    let size = Winsize { ws_row: 24, ws_col: 30, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal.ours, size).unwrap();
    terminal.wait("\x1b[2mserver: serves generation 1\x1b[0m");
}

/// It would be stopped for ever.
#[test]
fn ctrl_z_does_nothing_where_no_shell_could_continue_it() {
    let folder = Folder::with(&[]);
    let mut terminal = serves(&folder, &[]);
    terminal.types("\x1ar");
    terminal.wait("serves generation 2");
}

#[test]
fn the_status_is_under_the_lines_of_processes() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut terminal = serves(&folder, &[]);
    folder.write("a.rs", "two");
    terminal.wait("a.rs changed");
    terminal.wait("serves generation 2, built in");
    terminal.wait("after the save");
    terminal.until(|shows| shows.matches("one\r\n").count() == 2);
    terminal.until(|shows| shows.matches("two\r\n").count() == 2);
    terminal.types("q");
    assert!(terminal.wait_for_end().success());
    // Each time it is erased before anything else is written, and in the end.
    terminal.until(|shows| {
        let mut after = shows.split("(? for keys)\x1b[0m").skip(1);
        after.all(|after| after.starts_with("\r\x1b[K"))
    });
}

#[test]
fn a_status_that_is_too_long_is_cut() {
    let folder = Folder::with(&[]);
    let services = ["abcdefghijklmnopqrstuvwxyz0123456789", "bcdefghijklmnopqrstuvwxyz0123456789a"];
    let text = services.map(|name| {
        format!("[services.{name}]\ncommand = 'sleep 600'\nready = {{ delay = '1ms' }}\n")
    });
    folder.write("server-dev.toml", &text.concat());
    let mut terminal = Terminal::with(&folder, &[]);
    terminal.wait("generation 1");
    terminal.wait("\x1b[2mabc");
    terminal.wait("\x1b[0m");
    for part in terminal.shows().split("\x1b[2mabc").skip(1) {
        assert!(part.split("\x1b[0m").next().unwrap().len() + 3 < 100, "{part:?}");
    }
}

#[test]
fn the_screen_is_cleared_before_each_build_but_not_of_what_changed() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut terminal = serves(&folder, &["--clear"]);
    folder.write("a.rs", "two");
    terminal.wait("\x1b[2J");
    terminal.wait("a.rs changed");
    terminal.wait("builds: true");
}

/// It did nothing there.
#[test]
fn the_screen_is_cleared_before_each_start_of_what_is_not_built() {
    let folder = Folder::with(&[("a.rs", "one"), ("server", "echo up; exec sleep 600")]);
    let arguments = ["--clear", "--ready", "50ms", "--", "sh", "./server"];
    let mut terminal = Terminal::with(&folder, &arguments);
    terminal.wait("serves generation 1");
    folder.write("a.rs", "two");
    terminal.wait("\x1b[2J");
    terminal.wait("a.rs changed: it is started anew");
    terminal.wait("starts, pid");
    terminal.wait("serves generation 2");
    terminal.types("r");
    terminal.wait("\x1b[2J");
    terminal.wait("as asked, it is started anew");
    terminal.wait("serves generation 3");
    // Of a crash everything stays.
    folder.write("server", "echo up; sleep 0.1; echo last words; exit 3");
    terminal.wait("\x1b[2J");
    terminal.wait("last words");
    terminal.wait("starts again in");
    terminal.wait("last words");
    let shows = terminal.shows();
    assert_eq!(shows.matches("\x1b[2J").count(), 3, "{shows:?}");
}

#[test]
fn what_is_typed_goes_to_the_server_where_asked() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let server = "while read line; do echo \"got $line\"; done; echo end; sleep 600";
    let arguments = ["--stdin", "--ready", "1ms", "--", "sh", "-c", server];
    let mut terminal = Terminal::with(&folder, &arguments);
    terminal.wait("generation 1");
    assert!(terminal.is_as_before());
    terminal.types("quick brown\n");
    terminal.wait("got quick brown");
    // The next one reads on, and the one before finds the end.
    folder.write("a.rs", "two");
    terminal.wait("generation 2");
    terminal.types("fox\n");
    terminal.wait("got fox");
}
