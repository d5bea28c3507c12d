//! What the command line asks for.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    Args, CommandFactory, FromArgMatches, Id,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;
use server_lib::Address;

use crate::{
    cli::{Cli, Command, DaemonFlags, WatchMode, Whom},
    place::Place,
    source::Patience,
};

/// The one thing that is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Serve(Following),
    /// Say whether a configuration is good.
    Check {
        place: Place,
        patience: Patience,
    },
    Schema,
    Status {
        at: Where,
        as_json: bool,
    },
    Order {
        at: Where,
        order: Order,
    },
    Completions(Shell),
    Man,
}

/// Which configuration is served by, and how it is followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Following {
    pub(crate) place: Place,
    pub(crate) mode: WatchMode,
    pub(crate) poll_interval: Duration,
    pub(crate) patience: Patience,
    pub(crate) last_good: Option<PathBuf>,
}

/// Where to ask the daemon that runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// Where the configuration that it runs on has it listen.
    Configured(Place),
    Given(Address),
}

/// What the daemon that runs is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Reload,
    Rollback(u64),
    Resume,
}

impl Task {
    /// Reads the command line; a wrong one ends the process.
    pub(crate) fn read() -> Self {
        Self::try_read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn try_read(
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut line = Cli::command();
        let matches = line.try_get_matches_from_mut(args).map_err(named_file)?;
        let Cli { config, daemon, command } = Cli::from_arg_matches(&matches)?;
        let Some(command) = command else { return Self::of_daemon(config, &daemon, &mut line) };
        // Otherwise they would be taken and do nothing. Defaults are not among them.
        let group = DaemonFlags::group_id().expect("a struct of arguments is a group");
        if let Some(flag) = matches.get_many::<Id>(group.as_str()).into_iter().flatten().next() {
            let flag = flag.as_str().replace('_', "-");
            let told = format!("--{flag} is for the daemon itself, and not for a command");
            return Err(line.error(ErrorKind::ArgumentConflict, told));
        }
        Self::of_command(command, config, &mut line)
    }

    fn of_daemon(
        config: Option<Place>,
        flags: &DaemonFlags,
        line: &mut clap::Command,
    ) -> Result<Self, clap::Error> {
        if flags.print_schema {
            return Ok(Self::Schema);
        }
        let place = config.ok_or_else(|| {
            // The parser has asked for it already.
            line.error(
                ErrorKind::MissingRequiredArgument,
                "no configuration is given: --config <FILE|URL>",
            )
        })?;
        let &DaemonFlags {
            watch_mode: mode, poll_interval, read_deadline, reconnect_ceiling, ..
        } = flags;
        let patience = Patience { read_deadline, reconnect_ceiling };
        // They would be taken and do nothing.
        if matches!(place, Place::File(_)) && patience != Patience::default() {
            let told = format!(
                "--read-deadline and --reconnect-ceiling are for a store, and {place} is a file"
            );
            return Err(line.error(ErrorKind::ArgumentConflict, told));
        }
        if flags.check {
            return Ok(Self::Check { place, patience });
        }
        let last_good = flags.last_good.clone();
        Ok(Self::Serve(Following { place, mode, poll_interval, patience, last_good }))
    }

    /// Makes it of a command, before which a file may be named as well.
    fn of_command(
        command: Command,
        config: Option<Place>,
        line: &mut clap::Command,
    ) -> Result<Self, clap::Error> {
        let at = |Whom { config: own, admin }| {
            let configured = own.or(config).map(Where::Configured);
            admin.map(Where::Given).or(configured).ok_or_else(|| {
                let told = "whom to ask is not said: give --config <FILE|URL> or --admin <ADDRESS>";
                line.error(ErrorKind::MissingRequiredArgument, told)
            })
        };
        Ok(match command {
            Command::Status { whom, json } => Self::Status { at: at(whom)?, as_json: json },
            Command::Reload { whom } => Self::Order { at: at(whom)?, order: Order::Reload },
            Command::Rollback { whom, generation } => {
                Self::Order { at: at(whom)?, order: Order::Rollback(generation) }
            }
            Command::Resume { whom } => Self::Order { at: at(whom)?, order: Order::Resume },
            Command::Completions { shell } => Self::Completions(shell),
            Command::Man => Self::Man,
        })
    }
}

/// Says how a file is named where a command was looked for.
fn named_file(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && Path::new(word).is_file()
    {
        let tip = format!("a configuration is named by '--config {word}'").into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Task, clap::Error> {
        Task::try_read(line.split(' '))
    }

    fn place(written: &str) -> Place {
        Place::try_from(OsString::from(written)).unwrap()
    }

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_line_is_one_task() {
        let following = |mode, seconds| {
            let poll_interval = Duration::from_secs(seconds);
            let (place, patience) = (place("one"), Patience::default());
            Task::Serve(Following { place, mode, poll_interval, patience, last_good: None })
        };
        let check = |written, read_deadline: Option<u64>, reconnect_ceiling: Option<u64>| {
            let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
            let (read_deadline, reconnect_ceiling) =
                (seconds(read_deadline), seconds(reconnect_ceiling));
            let patience = Patience { read_deadline, reconnect_ceiling };
            Task::Check { place: place(written), patience }
        };
        let configured = |file: &str| Where::Configured(place(file));
        let order = |order| Task::Order { at: configured("one"), order };
        let status = |at, as_json| Task::Status { at, as_json };
        for (line, want) in [
            ("s -c one", following(WatchMode::Hybrid, 10)),
            ("s -c one -w polling --poll-interval 1m", following(WatchMode::Polling, 60)),
            ("s -c one --check", check("one", None, None)),
            ("s -c etcd://host/one --check", check("etcd://host/one", None, None)),
            (
                "s -c etcd://host/one --check --read-deadline 1m --reconnect-ceiling 10s",
                check("etcd://host/one", Some(60), Some(10)),
            ),
            ("s --print-schema", Task::Schema),
            ("s -c one --print-schema", Task::Schema),
            ("s -c one status", status(configured("one"), false)),
            ("s status -c one --json", status(configured("one"), true)),
            ("s -c two status -c one", status(configured("one"), false)),
            ("s -c one status --admin [::1]:1", {
                status(Where::Given("[::1]:1".parse().unwrap()), false)
            }),
            ("s -c one reload", order(Order::Reload)),
            ("s rollback 3 -c one", order(Order::Rollback(3))),
            ("s resume -c one", order(Order::Resume)),
            ("s completions bash", Task::Completions(Shell::Bash)),
            ("s man", Task::Man),
        ] {
            assert_eq!(read(line).map_err(|error| error.to_string()), Ok(want), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, want) in [
            ("s", ErrorKind::MissingRequiredArgument),
            ("s status", ErrorKind::MissingRequiredArgument),
            ("s -c one --check status", ErrorKind::ArgumentConflict),
            ("s -c one -w polling reload", ErrorKind::ArgumentConflict),
            ("s --poll-interval 10s man", ErrorKind::ArgumentConflict),
            ("s --print-schema man", ErrorKind::ArgumentConflict),
            ("s -c one --check --print-schema", ErrorKind::ArgumentConflict),
            ("s status --admin here", ErrorKind::ValueValidation),
            ("s -c one --read-deadline 10s", ErrorKind::ArgumentConflict),
            ("s -c one --check --reconnect-ceiling 10s", ErrorKind::ArgumentConflict),
            ("s -c etcd://host/one --read-deadline 0", ErrorKind::ValueValidation),
            ("s -c -", ErrorKind::ValueValidation),
            ("s -c one rollback", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(read(line).unwrap_err().kind(), want, "{line}");
        }
        // Beside the crate's own files, where tests run.
        let told = read("s Cargo.toml").unwrap_err().to_string();
        assert!(told.contains("'--config Cargo.toml'"), "{told}");
        assert!(!read("s nowhere.toml").unwrap_err().to_string().contains("--config nowhere"));
        let told = read("s -c one -w polling reload").unwrap_err().to_string();
        assert!(told.contains("--watch-mode is for the daemon itself"), "{told}");
    }
}
