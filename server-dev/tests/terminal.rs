//! What somebody sees and types, in a terminal of the test's own; and what is written without one.

mod common;

use std::{
    fs,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use common::{
    Dev, Folder, SERVER_DEV,
    process::{self, runs},
    wait_until,
};
use rustix::{
    process::Signal,
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize},
};

/// A terminal, and a `server-dev` in it.
struct Terminal {
    ours: fs::File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of it was waited for.
    seen: usize,
}

impl Terminal {
    fn with(folder: &Folder, arguments: &[&str]) -> Self {
        Self::of(folder, &folder.command(arguments))
    }

    fn of(folder: &Folder, command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(ours.as_fd(), flags).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let same = || Stdio::from(OwnedFd::from(fs::File::from(theirs.try_clone().unwrap())));
        // In a session of its own, of which this is the terminal.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm")
            .current_dir(folder.path())
            .stdin(same())
            .stdout(same())
            .stderr(same())
            .spawn()
            .unwrap();
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let ours = fs::File::from(ours);
        let (mut from, to) = (ours.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // It ends by an error once nobody has the other side (pty(7)).
            while let Ok(length) = from.read(&mut piece) {
                to.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self { ours, child, shown, seen: 0 }
    }

    fn shows(&self) -> String {
        text(&self.shown)
    }

    /// Waits for a text that comes after those that were waited for.
    fn wait(&mut self, text: &str) {
        let find = || self.shows()[self.seen..].find(text);
        wait_until(
            || find().is_some(),
            || format!("no {text:?} after {:?}", &self.shows()[self.seen..]),
        );
        self.seen += find().expect("nothing is taken back") + text.len();
    }

    /// Waits until all that it shows is as it should be.
    fn until(&self, is_so: impl Fn(&str) -> bool) {
        wait_until(|| is_so(&self.shows()), || format!("{:?}", self.shows()));
    }

    fn types(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether it is as a shell's command finds it.
    fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.ours).unwrap();
        now.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
            && now.output_modes.contains(OutputModes::OPOST)
    }

    fn signal(&self, signal: Signal) {
        process::signal(self.child.id(), signal);
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        let shown = Arc::clone(&self.shown);
        let has_ended = || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        };
        wait_until(has_ended, || format!("it doesn't end: {}", text(&shown)));
        status.expect("it has ended")
    }
}

fn text(shown: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&shown.lock().unwrap()).into_owned()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

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

/// As a shell runs it that leaves the modes of the terminal alone.
#[test]
fn ctrl_z_gives_the_terminal_back_until_it_goes_on() {
    let folder = Folder::with(&[]);
    let script = "set -m; \"$@\"; echo stopped; bg; read word; jobs; fg >/dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", SERVER_DEV]);
    command.args(["--ready", "1ms", "--", "sleep", "600"]);
    let mut terminal = Terminal::of(&folder, &command);
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
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", SERVER_DEV]);
    command.args(["--ready", "1ms", "--", "sleep", "600"]);
    let mut terminal = Terminal::of(&folder, &command);
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

/// It ended, as this process had replaced what nohup(1) had said.
#[test]
fn under_nohup_it_outlives_its_terminal() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut command = Command::new("nohup");
    command.args([SERVER_DEV, "--json", "--ready", "1ms"]);
    command.args(["--", "sleep", "600"]).current_dir(folder.path());
    let mut dev = Dev::spawn(&mut command);
    dev.wait("ready");
    dev.signal(Signal::HUP);
    folder.write("a.rs", "two");
    dev.wait("ready");
    assert!(dev.told.iter().all(|event| event["event"] != "ending"), "{:#?}", dev.told);
    assert!(dev.end().success());
}

#[test]
fn without_a_terminal_it_is_plain() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut child = folder
        .command(&["--clear", "--build", "true", "--ready", "1ms", "--", "sh", "-c", SERVER])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut written, mut told) = (Vec::new(), Vec::new());
    until(&mut stdout, &mut written, "two\n");
    until(&mut stderr, &mut told, "generation 1");
    process::signal(child.id(), Signal::INT);
    stdout.read_to_end(&mut written).unwrap();
    stderr.read_to_end(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(written, b"one\ntwo\n");
    assert!(!told.contains(&b'\x1b') && !told.contains(&b'\r'), "{:?}", told.escape_ascii());
}

/// Reads until a text has come.
fn until(from: &mut impl Read, text: &mut Vec<u8>, want: &str) {
    while !String::from_utf8_lossy(text).contains(want) {
        let mut piece = [0; 4096];
        let length = from.read(&mut piece).unwrap();
        assert!(length > 0, "no {want}: {:?}", text.escape_ascii());
        text.extend_from_slice(&piece[..length]);
    }
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

#[test]
fn what_is_piped_in_ends_for_the_server_too() {
    let folder = Folder::with(&[]);
    let server = "wc -c; kill -INT $PPID; sleep 600";
    let mut child = folder
        .command(&["--stdin", "--ready", "1ms", "--", "sh", "-c", server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![b'a'; 300_000]).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "300000");
    assert!(output.status.success());
}

/// The programs of a folder before all others.
fn with_bin(folder: &Folder) -> String {
    let bin = folder.path().join("bin");
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// It once was left behind, a process and a thread for each thing that was told.
#[test]
fn a_desktop_that_does_not_answer_is_left_alone() {
    let script = "#!/bin/sh\necho $$ >> $PIDS\nexec sleep 600\n";
    let folder = Folder::with(&[("src/value", "one")]);
    folder.program("bin/notify-send", script);
    let pids = folder.path().join("pids");
    let mut command =
        folder.command(&["--json", "--notify", "--ready", "1ms", "--", "sleep", "600"]);
    command.env("PATH", with_bin(&folder)).env("PIDS", &pids);
    let mut dev = Dev::spawn(command.current_dir(folder.path().join("src")));
    for value in ["two", "three", "four"] {
        dev.wait("ready");
        folder.write("src/value", value);
    }
    dev.wait("ready");
    let pids = || fs::read_to_string(&pids).unwrap_or_default();
    wait_until(|| pids().ends_with('\n'), || "it isn't told");
    assert!(dev.end().success());
    let pids = pids();
    assert!(pids.lines().all(|pid| !runs(pid.parse().unwrap())), "{pids}");
    // It had not answered the first.
    assert_eq!(pids.lines().count(), 1, "{pids}");
}

#[test]
fn the_desktop_is_told_where_asked() {
    let folder = Folder::with(&[("src/code", "exit 0")]);
    folder.program("bin/notify-send", "#!/bin/sh\necho \"$@\" >> ../told\n");
    let arguments = ["--json", "--notify", "--build", "sh ./code", "--ready", "1ms"];
    let mut command = folder.command(&[&arguments[..], &["--", "sleep", "600"]].concat());
    command.env("PATH", with_bin(&folder)).current_dir(folder.path().join("src"));
    let mut dev = Dev::spawn(&mut command);
    dev.wait("ready");
    folder.write("src/code", "exit 3");
    dev.wait("build-failed");
    let told = || fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    wait_until(|| told().contains("generation 1") && told().contains("exit status: 3"), told);
    let failed = "--urgency critical -- server-dev: server the build failed";
    assert!(told().contains(failed), "{}", told());
}
