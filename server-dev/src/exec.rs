//! The moment between `fork` and the program: this executable, as its own child, says what only the
//! process itself can know, and becomes the program.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, exit},
};

use rustix::io::Errno;
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
    let mut all: Vec<OsString> = vec![WORD.into(), parent.into(), listen_pid.into()];
    all.extend(words.all().iter().map(OsString::from));
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
    let shown = program.display();
    let why = match error.kind() {
        io::ErrorKind::NotFound => {
            let here = std::env::current_dir().unwrap_or_default();
            why_missing(&program.to_string_lossy(), &here)
        }
        io::ErrorKind::PermissionDenied if Path::new(&program).is_file() => {
            format!("{error}; see chmod +x {shown}")
        }
        io::ErrorKind::PermissionDenied if Path::new(&program).is_dir() => {
            "it is a folder".to_owned()
        }
        // See ENOEXEC in execve(2).
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            format!("{error}; a script begins with #! and who reads it, such as #!/bin/sh")
        }
        _ => error.to_string(),
    };
    eprintln!("server-dev: {shown} can't be started: {why}");
    exit(NOT_FOUND)
}

/// Why a program isn't found that is to be run in a folder.
pub(crate) fn why_missing(program: &str, folder: &Path) -> String {
    let there = folder.join(program);
    if program.contains('$') || program.starts_with('~') {
        return "no shell is in between that replaces a part of it: say sh -c '…'".to_owned();
    }
    if program.contains(char::is_whitespace) && !there.exists() {
        return "it is taken for a single word: take away the quotes around it".to_owned();
    }
    if let Some((name, _)) = program.split_once('=').filter(|(name, _)| !name.contains('/')) {
        return format!("a variable before a command is for a shell: say env {name}=…");
    }
    if !program.contains('/') {
        return "it is in no folder of PATH; is it installed?".to_owned();
    }
    // See ENOENT in execve(2).
    if there.exists() {
        return "it is there, but not what runs it: see its first line, or ldd(1)".to_owned();
    }
    match folder.canonicalize() {
        Ok(folder) if !program.starts_with('/') => {
            format!("there is no such file in {}", folder.display())
        }
        _ => "there is no such file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_of_what_is_missing_what_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script"), "#!/missing/sh\n").unwrap();
        for (program, words) in [
            ("nosuch", "in no folder of PATH; is it installed?"),
            ("./nosuch.sh", "there is no such file in /"),
            ("/missing/nosuch.sh", "there is no such file"),
            ("./script", "see its first line"),
            ("python3 -m http.server", "take away the quotes"),
            ("./a b.sh -x", "take away the quotes"),
            ("$HOME/a", "no shell is in between"),
            ("~/a", "no shell is in between"),
            ("A=/b", "say env A=…"),
            ("./a=b", "there is no such file in /"),
        ] {
            let why = why_missing(program, folder.path());
            assert!(why.contains(words), "{program}: {why}");
        }
    }
}
