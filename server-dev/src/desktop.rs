//! Notifications of the desktop, by notify-send(1).

use std::{
    env,
    process::{Command, Stdio},
    thread,
};

const PROGRAM: &str = "notify-send";

/// Whether there is a program for it.
pub(crate) fn is_there() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file())
}

/// Shows a text; whoever waits for a desktop that doesn't answer is a thread of its own.
pub(crate) fn show(title: String, text: String, is_urgent: bool) {
    thread::spawn(move || {
        let mut command = Command::new(PROGRAM);
        command.args(["--app-name=server-dev", "--urgency"]);
        command.arg(if is_urgent { "critical" } else { "normal" });
        // Either may begin with a dash.
        command.arg("--").args([title, text]);
        // What is not shown was written all the same.
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    });
}
