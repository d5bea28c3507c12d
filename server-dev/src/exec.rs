//! The moment between `fork` and the program: this executable, as its own child, says what only the
//! process itself can know, and becomes the program.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process::{Command, exit},
};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::config::Words;

/// The first argument that asks for it; no user writes it.
pub(crate) const WORD: &str = "__exec";
/// What a shell says of a program that isn't there.
const NOT_FOUND: i32 = 127;

/// The arguments of this executable that have it become a program; `listen_pid` where that is to find the
/// number of its process in `LISTEN_PID`.
pub(crate) fn arguments(words: &Words, listen_pid: bool) -> Vec<OsString> {
    let parent = getpid().as_raw_nonzero().to_string();
    let listen_pid = if listen_pid { "pid" } else { "no-pid" };
    let mut all: Vec<OsString> =
        vec![WORD.into(), parent.into(), listen_pid.into(), words.program().into()];
    all.extend(words.arguments().iter().map(OsString::from));
    all
}

/// Becomes the program that the arguments after [`WORD`] name.
pub(crate) fn become_it(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let mut next = || arguments.next().unwrap_or_default();
    let (parent, listen_pid, program) = (next(), next(), next());
    // Whoever ends this runner with SIGKILL ends what it has started as well (PR_SET_PDEATHSIG(2const)),
    // and `guard` what that has started.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("server-dev: the end of this runner would not end what it starts: {error}");
    }
    let is_parent = |pid: Pid| parent.to_str() == Some(pid.as_raw_nonzero().to_string().as_str());
    if !getppid().is_some_and(is_parent) {
        // It has ended in between, and nobody is left to start the program for.
        exit(NOT_FOUND);
    }
    let mut command = Command::new(&program);
    command.args(arguments);
    if listen_pid == "pid" {
        command.env("LISTEN_PID", getpid().as_raw_nonzero().to_string());
    }
    let error = command.exec();
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "; is it installed, and in PATH?",
        _ => "",
    };
    eprintln!("server-dev: {} can't be started: {error}{hint}", program.display());
    exit(NOT_FOUND)
}
