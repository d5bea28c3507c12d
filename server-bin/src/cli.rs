//! The command line.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PathBufValueParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};
use clap_complete::Shell;
use hot_reload::WatchStrategy;
use server_lib::Address;

use crate::{help, interval};

/// Serves HTTP by a configuration file that takes effect as it is saved.
#[derive(Debug, Parser)]
#[command(version, override_usage = help::USAGE)]
#[command(after_help = help::SHORT, after_long_help = help::long())]
#[command(max_term_width = 100, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    /// Configuration file, TOML
    #[arg(short, long, value_name = "FILE", value_parser = file(), value_hint = ValueHint::FilePath)]
    #[arg(required_unless_present = "print_schema")]
    config: Option<PathBuf>,

    /// How changes of the file are noticed
    #[arg(short, long, value_name = "MODE", value_enum, default_value_t = WatchMode::Hybrid)]
    pub(crate) watch_mode: WatchMode,

    /// How often the file is looked at, such as 500ms or 10s; a plain number is in seconds
    ///
    /// In realtime mode only while the system has no events to give.
    #[arg(long, value_name = "INTERVAL", value_parser = interval::parse, default_value = "10s")]
    pub(crate) poll_interval: Duration,

    /// Check the configuration and exit; nothing is served
    #[arg(long)]
    pub(crate) check: bool,

    /// Print the JSON Schema of the configuration, for editors, and exit
    #[arg(long, conflicts_with = "check")]
    pub(crate) print_schema: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the daemon that runs how it is doing
    #[command(after_help = help::STATUS)]
    Status {
        #[command(flatten)]
        place: Place,
        /// Print what it answers as it is: JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the daemon that runs load its configuration now
    #[command(after_help = help::ORDER)]
    Reload {
        #[command(flatten)]
        place: Place,
    },
    /// Have the daemon that runs go back to an earlier configuration
    ///
    /// It stays there, whatever the file says, until it is told to resume.
    #[command(after_help = help::ORDER)]
    Rollback {
        /// Which one, by its number in the history that status shows
        generation: u64,
        #[command(flatten)]
        place: Place,
    },
    /// Have the daemon that runs follow its file again after a rollback
    #[command(after_help = help::ORDER)]
    Resume {
        #[command(flatten)]
        place: Place,
    },
    /// Print what has a shell complete this command line
    Completions {
        /// For which one
        shell: Shell,
    },
    /// Print the manual page, as man(1) reads it
    Man,
}

/// Where to ask the daemon that runs.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Configuration file that it runs on, which says where to ask
    #[arg(short, long, value_name = "FILE", value_parser = file(), value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Address to ask instead: an IP address and a port, or unix: and a path
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<Address>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum WatchMode {
    /// Look every poll interval
    Polling,
    /// Wait for events of the file system
    Realtime,
    /// Both, so that whatever the events miss is at most one interval old
    Hybrid,
}

impl Cli {
    /// Reads the command line; a wrong one ends the process.
    pub(crate) fn read() -> Self {
        Self::try_read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn try_read(
        args: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(args)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let Some(asked) = &mut cli.command else { return Ok(cli) };
        // Otherwise they would be taken and do nothing.
        let serving = ["watch_mode", "poll_interval", "check", "print_schema"];
        if let Some(id) = serving.into_iter().find(|id| is_given(id)) {
            let flag = id.replace('_', "-");
            let told = format!("--{flag} is for the daemon itself, and not for a command");
            return Err(command.error(ErrorKind::ArgumentConflict, told));
        }
        if let Some(place) = asked.place_mut() {
            place.config = place.config.take().or_else(|| cli.config.clone());
            if place.config.is_none() && place.admin.is_none() {
                let told = "whom to ask is not said: give --config <FILE> or --admin <ADDRESS>";
                return Err(command.error(ErrorKind::MissingRequiredArgument, told));
            }
        }
        Ok(cli)
    }

    /// Whether there is a daemon to be, and not another task.
    pub(crate) fn is_to_serve(&self) -> bool {
        self.command.is_none() && !self.check && !self.print_schema
    }

    /// The configuration file to serve by, or to check.
    pub(crate) fn config(&self) -> &Path {
        // The parser asks for it where there is no other task.
        self.config.as_deref().unwrap_or(Path::new(""))
    }
}

impl Command {
    fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Status { place, .. }
            | Self::Reload { place }
            | Self::Rollback { place, .. }
            | Self::Resume { place } => Some(place),
            Self::Completions { .. } | Self::Man => None,
        }
    }
}

impl From<WatchMode> for WatchStrategy {
    fn from(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Polling => Self::Polling,
            WatchMode::Realtime => Self::Realtime,
            WatchMode::Hybrid => Self::Hybrid,
        }
    }
}

/// Takes the path of a file, and not what other programs take for standard input.
fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path.as_os_str() == OsStr::new("-") {
            return Err("standard input can't be followed; the file of that name is ./-");
        }
        Ok(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_read(line.split(' '))
    }

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_file_is_taken_before_and_after_a_command() {
        for line in ["s -c one status", "s status -c one", "s -c two status -c one"] {
            let asked = read(line).unwrap().command;
            let Some(Command::Status { place, .. }) = asked else { panic!("{line}") };
            assert_eq!(place.config.as_deref(), Some(Path::new("one")), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, want) in [
            ("s", ErrorKind::MissingRequiredArgument),
            ("s status", ErrorKind::MissingRequiredArgument),
            ("s -c one --check status", ErrorKind::ArgumentConflict),
            ("s -c one -w polling reload", ErrorKind::ArgumentConflict),
            ("s -c one --check --print-schema", ErrorKind::ArgumentConflict),
            ("s status --admin here", ErrorKind::ValueValidation),
            ("s -c -", ErrorKind::ValueValidation),
            ("s -c one rollback", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(read(line).unwrap_err().kind(), want, "{line}");
        }
        for line in ["s --print-schema", "s man", "s completions bash", "s -c one reload"] {
            assert!(read(line).is_ok(), "{line}");
        }
    }
}
