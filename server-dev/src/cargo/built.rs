//! What cargo would run: this executable is run in its place, and says which program, with which
//! arguments and variables, it was to be.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
};

use procfs::process::Process;
use rustix::process::getppid;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::Words;

/// The first argument that asks for it; no user writes it.
pub(crate) const WORD: &str = "__built";

/// A program that cargo has built, as cargo would run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Built {
    /// The program and its arguments.
    words: Vec<String>,
    /// What cargo has set, such as `CARGO_MANIFEST_DIR` and `LD_LIBRARY_PATH`.
    variables: BTreeMap<String, String>,
}

impl Built {
    /// Leaves out what cargo was given, as that may be something else at the next start.
    pub(crate) fn without(mut self, given: &[(OsString, OsString)]) -> Self {
        self.variables.retain(|name, value| {
            !given.iter().any(|(given, to)| *given == **name && *to == **value)
        });
        self
    }

    /// How it is started.
    pub(crate) fn command(&self) -> Option<Words> {
        Words::new(self.words.clone())
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.variables.iter().map(|(name, value)| (name.into(), value.into()))
    }
}

/// Says, as one of cargo's own messages, what the arguments after [`WORD`] and the number of the runner
/// would have run. Where a cargo asks that the build itself has started, as a build script may, it becomes
/// that: the variables that lead here are its as well.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let runner = arguments.next().and_then(|number| number.to_str()?.parse().ok());
    if runner.is_some_and(builds) {
        return tell(arguments);
    }
    let program = arguments.next().unwrap_or_default();
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("server-dev: {} can't be started: {error}", program.display());
    ExitCode::FAILURE
}

/// Whether the cargo that has become this process is the one that the runner has started, by whatever
/// program in between: where a cargo is still above it, that one is.
fn builds(runner: i32) -> bool {
    let mut above = getppid().map(|pid| pid.as_raw_nonzero().get());
    while let Some(pid) = above.filter(|pid| *pid != runner) {
        let Ok(process) = Process::new(pid) else { return false };
        if process.exe().is_ok_and(|exe| exe.file_name().is_some_and(|name| name == "cargo")) {
            return false;
        }
        above = process.stat().ok().map(|stat| stat.ppid);
    }
    above.is_some()
}

fn tell(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match built(arguments).and_then(|built| say(&built)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server-dev: what cargo has built can't be told: {error}");
            ExitCode::FAILURE
        }
    }
}

fn built(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Built> {
    // Cargo names it relative to the folder that both are run in.
    let program = std::path::absolute(PathBuf::from(arguments.next().unwrap_or_default()))?;
    let words = std::iter::once(program.into()).chain(arguments).map(OsString::into_string);
    let words = words
        .collect::<Result<_, _>>()
        .map_err(|word| io::Error::other(format!("{} is no UTF-8", word.display())))?;
    let before = variables_before();
    let variables = env::vars_os()
        .filter(|(name, value)| before.get(name.as_os_str()) != Some(value))
        // Cargo sets no others.
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Built { words, variables })
}

/// The environment of the runner, which is the parent: cargo becomes what it runs, by execve(2).
fn variables_before() -> BTreeMap<OsString, OsString> {
    let parent = getppid().map(|pid| format!("/proc/{}/environ", pid.as_raw_nonzero()));
    // Without it, all that is found here is taken for cargo's.
    let text = parent.and_then(|file| fs::read(file).ok()).unwrap_or_default();
    let pairs = text.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let [name, value] = [&pair[..at], &pair[at + 1..]].map(OsStr::from_bytes);
        Some((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

fn say(built: &Built) -> io::Result<()> {
    let mut message = json!(built);
    message["reason"] = "server-dev-built".into();
    writeln!(io::stdout(), "{message}")
}

#[cfg(test)]
mod tests {
    use super::{super::Message, *};

    #[test]
    fn is_read_as_it_is_told() {
        let words = ["target/debug/a b", "--port", "1"].map(OsString::from);
        let built = built(words.into_iter()).unwrap();
        let command = built.command().unwrap();
        assert!(command.program().starts_with('/') && command.program().ends_with("/a b"));
        assert_eq!(command.arguments(), ["--port", "1"]);
        let mut message = json!(built);
        message["reason"] = "server-dev-built".into();
        match Message::read(message.to_string().as_bytes()) {
            Some(Message::Built(read)) => assert_eq!(read, built),
            other => panic!("{other:?}"),
        }
    }
}
