//! `server-dev migrate`: what another runner was told, as a service.

mod address;
mod air;
mod cargo_watch;
mod flags;
mod flask;
mod gunicorn;
mod line;
mod nodemon;
mod script;
mod shell;
mod systemfd;
mod uvicorn;
mod watchexec;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{cli::say, config::Config, draft::Draft, failure::Failure, schema};

/// What may be said to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How the server is run today: 'systemfd … -- watchexec …', 'cargo watch …', 'uvicorn … --reload',
    /// 'gunicorn --reload …', 'flask … run', 'manage.py runserver', 'nodemon …', 'npm run …', or the path of an
    /// .air.toml
    #[arg(
        value_name = "COMMAND LINE",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    line: Vec<String>,
}

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    #[error("its quotes are not closed: {0}")]
    Quotes(String),
    #[error(
        "{0} is none of the runners that are known: systemfd, watchexec, cargo watch, uvicorn, gunicorn, \
         flask, manage.py runserver, nodemon, npm run, air or the path of an .air.toml; where it is the server \
         itself: server-dev init -- {1}"
    )]
    Runner(String, String),
    #[error("package.json has no script {0}")]
    Script(String),
    #[error("package.json can't be read")]
    Package(#[source] serde_json::Error),
    #[error("{0} runs no command")]
    Command(&'static str),
    #[error("{0}: {1}")]
    Flag(&'static str, #[source] lexopt::Error),
    #[error("what comes of it can't be run: {}", .0.message())]
    Refused(toml::de::Error),
    #[error("{} can't be read", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{}: {}", .0.display(), .1.to_string().trim_end())]
    Parse(PathBuf, toml::de::Error),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let words = match &args.line[..] {
        // As a shell would have read it.
        [line] if !Path::new(line).exists() => {
            shlex::split(line).ok_or_else(|| MigrateError::Quotes(line.clone()))?
        }
        words => words.to_vec(),
    };
    let draft = migrate(&words)?;
    let line =
        line::of(&draft).map_or_else(String::new, |line| format!("# Without a file: {line}\n"));
    say(&format!(
        "{}# As server-dev.toml, in place of: {}\n{line}\n{draft}",
        schema::head(),
        shell::joined(&words).replace(char::is_control, " ")
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn migrate(words: &[String]) -> Result<Draft, MigrateError> {
    let mut draft = Draft::new("server");
    read(words, &mut draft)?;
    if draft.get("sockets").is_none() {
        draft.note(
            "No socket is held: the server binds its own, and ends before another starts. With sockets = \
             [\"http::3000\"] and a server that takes it by LISTEN_FDS, nothing is lost meanwhile; \
             with proxy = \"port\" beside it, the same goes for one that listens at PORT. Then leave overlap out.",
        );
        draft.set("overlap", false);
    }
    toml::from_str::<Config>(&draft.to_string()).map_err(MigrateError::Refused)?;
    Ok(draft)
}

/// Reads the command line of a runner.
fn read(words: &[String], draft: &mut Draft) -> Result<(), MigrateError> {
    let words = shell::environment(words, draft);
    let Some((program, rest)) = words.split_first() else {
        return Err(MigrateError::Command("an empty line"));
    };
    match Runner::of(words) {
        Some(Runner::Systemfd) => systemfd::read(rest, draft),
        Some(Runner::Watchexec) => watchexec::read(rest, draft),
        Some(Runner::CargoWatch(flags)) => cargo_watch::read(&rest[flags..], draft),
        Some(Runner::Uvicorn(flags)) => uvicorn::read(&words[..flags], &words[flags..], draft),
        Some(Runner::Gunicorn(flags)) => gunicorn::read(&words[..flags], &words[flags..], draft),
        Some(Runner::Flask(flags)) => flask::read(&words[..flags], &words[flags..], draft),
        Some(Runner::Django(flags)) => flask::read_django(&words[..flags], &words[flags..], draft),
        Some(Runner::Nodemon(flags)) => nodemon::read(&words[flags..], draft),
        Some(Runner::Air) => air::read_flags(rest, draft),
        Some(Runner::AirFile) => air::read(Path::new(program), Vec::new(), draft),
        None => match script::named(words) {
            Some((name, arguments)) => {
                let script = script::words(name, arguments)?;
                let inner = shell::environment(&script, draft);
                // One that runs another script might never end.
                if Runner::of(inner).is_none() {
                    return Err(MigrateError::Runner(shell::joined(inner), shell::joined(words)));
                }
                read(inner, draft)
            }
            None => Err(MigrateError::Runner(program.clone(), shell::joined(words))),
        },
    }
}

/// A runner that is known, and how many words there are before its flags.
enum Runner {
    Systemfd,
    Watchexec,
    CargoWatch(usize),
    Uvicorn(usize),
    Gunicorn(usize),
    Flask(usize),
    Django(usize),
    Nodemon(usize),
    Air,
    AirFile,
}

impl Runner {
    fn of(words: &[String]) -> Option<Self> {
        let (program, rest) = words.split_first()?;
        let name = Path::new(program).file_name()?.to_str()?;
        let is_watch = |word: Option<&String>| word.is_some_and(|word| word == "watch");
        match name {
            "systemfd" => Some(Self::Systemfd),
            "watchexec" => Some(Self::Watchexec),
            "cargo-watch" => Some(Self::CargoWatch(usize::from(is_watch(rest.first())))),
            "cargo" => {
                let toolchain = rest.iter().take_while(|word| word.starts_with('+')).count();
                is_watch(rest.get(toolchain)).then_some(Self::CargoWatch(toolchain + 1))
            }
            "air" => Some(Self::Air),
            _ if words.len() == 1 && Path::new(name).extension().is_some_and(|it| it == "toml") => {
                Some(Self::AirFile)
            }
            _ => {
                // `python -m uvicorn`, `uv run uvicorn`, `npx nodemon` and the like.
                let found =
                    words.iter().take(4).enumerate().find_map(|(at, word)| {
                        match Path::new(word).file_name()?.to_str()? {
                            "uvicorn" => Some(Self::Uvicorn(at + 1)),
                            "gunicorn" => Some(Self::Gunicorn(at + 1)),
                            "flask" => Some(Self::Flask(at + 1)),
                            "nodemon" => Some(Self::Nodemon(at + 1)),
                            _ => None,
                        }
                    });
                if found.is_some() {
                    return found;
                }
                let at = words.iter().take(5).position(|word| word == "runserver")?;
                words[..at].last()?.ends_with("manage.py").then_some(Self::Django(at + 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// What is written for a line, once our own reader has taken it, as a file and as a command line.
    pub(super) fn told(line: &str) -> String {
        let words = shlex::split(line).unwrap();
        let draft = migrate(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
        let text = draft.to_string();
        let config: Config = toml::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        if let Some(line) = line::of(&draft) {
            let words = shlex::split(&line).unwrap();
            let cli = Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(format!("{:?}", cli.config().unwrap()), format!("{config:?}"), "{line}");
        }
        text
    }

    /// The keys that are written, without what is said about them.
    pub(super) fn keys(line: &str) -> String {
        let text = told(line);
        let keys = text.lines().filter(|line| !line.starts_with(['#', '[']));
        keys.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn takes_over_what_people_run_today() {
        assert_eq!(
            keys(
                "systemfd --no-pid -s http::3000 -- watchexec -r -e ml,mli --ignore _build -- dune exec \
                 ./bin/main.exe"
            ),
            "sockets = [\"http::3000\"]\nlisten_pid = false\nextensions = [\"ml\", \"mli\"]\n\
             ignore = [\"_build\"]\ncommand = \"dune exec ./bin/main.exe\""
        );
        assert_eq!(
            keys("systemfd --no-pid -s http::0.0.0.0:3000 -s https::3443 -- cargo watch -x run"),
            "sockets = [\"http::0.0.0.0:3000\", \"https::3443\"]\ncommand = \"cargo run\""
        );
        assert_eq!(
            keys("cargo watch -x 'run -- --port 1'"),
            "command = \"cargo run -- --port 1\"\noverlap = false"
        );
        assert_eq!(
            keys("RUST_LOG=info systemfd -s 3000 ./web"),
            "env = { RUST_LOG = \"info\" }\nsockets = [\"tcp::3000\"]\ncommand = \"./web\""
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            runner in "(watchexec|cargo watch|systemfd|uvicorn|gunicorn|flask run|nodemon)",
            words in proptest::collection::vec("-{0,2}[a-zA-Z=:.,&'\"* 0-9\n\\\\]{0,6}", 0..6),
            command in proptest::collection::vec("(?s).{1,6}", 0..3),
        ) {
            let line: Vec<String> = runner.split(' ').map(str::to_owned).chain(words).chain(["--".to_owned()]).chain(command).collect();
            match migrate(&line) {
                Ok(draft) => {
                    let config: Config = toml::from_str(&draft.to_string()).unwrap();
                    if let Some(line) = line::of(&draft) {
                        let cli = Cli::try_parse_from(shlex::split(&line).unwrap()).unwrap();
                        let (one, other) = (format!("{:?}", cli.config().unwrap()), format!("{config:?}"));
                        proptest::prop_assert_eq!(one, other, "{}", line);
                    }
                }
                Err(MigrateError::Refused(error)) => {
                    let message = error.message();
                    let is_about_it = ["a command has a program", "missing field `command`"].iter().any(|it| message.contains(it));
                    proptest::prop_assert!(is_about_it, "{line:?}: {error}");
                }
                Err(_refused) => {}
            }
        }
    }

    #[test]
    fn says_what_it_can_not_take_over() {
        for (line, words) in [
            ("vite --port 3", "vite is none of the runners"),
            ("vite --port 3", "server-dev init -- vite --port 3"),
            ("npm run no-such-script", "package.json can't be read"),
            ("systemfd -s http::3000", "systemfd runs no command"),
            ("watchexec -r", "watchexec runs no command"),
            ("watchexec --exts", "missing argument for option '--exts'"),
            ("", "an empty line"),
            ("watchexec -n ''", "a command has a program"),
            ("missing.toml", "missing.toml can't be read"),
        ] {
            let error = migrate(&shlex::split(line).unwrap()).unwrap_err();
            assert!(crate::failure::chain(&error).contains(words), "{line}: {error}");
        }
        let text = told("systemfd --frobnicate=3 -s http::3000 watchexec --gnaw -Z -- ./web");
        for flag in ["systemfd --frobnicate=3 ", "watchexec --gnaw ", "watchexec -Z "] {
            assert!(text.contains(flag), "{flag}: {text}");
        }
    }
}
