//! The command line, as it is written.

use std::{fmt, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{OsStringValueParser, PossibleValue, TypedValueParser},
};
use clap_complete::Shell;
use hot_reload::WatchStrategy;
use server_lib::Address;

use crate::{help, interval, place::Place};

/// Serves HTTP by a configuration, in a file or a store, that takes effect as it is saved.
#[derive(Debug, Parser)]
#[command(version, override_usage = help::USAGE)]
#[command(after_help = help::SHORT, after_long_help = help::long())]
#[command(max_term_width = 100, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    /// Configuration, TOML: a file, or the URL of a place in a store
    #[arg(short, long, value_name = "FILE|URL", value_parser = place(), value_hint = ValueHint::FilePath)]
    #[arg(required_unless_present = "print_schema")]
    pub(crate) config: Option<Place>,

    #[command(flatten)]
    pub(crate) daemon: DaemonFlags,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What is for the daemon itself, and for no command.
#[derive(Debug, Args)]
pub(crate) struct DaemonFlags {
    /// How changes of it are noticed
    #[arg(short, long, value_name = "MODE", value_enum, default_value_t = WatchMode::Hybrid)]
    pub(crate) watch_mode: WatchMode,

    /// How often it is looked at, such as 500ms or 10s; a plain number is in seconds
    ///
    /// In realtime mode only while there are no events to be had.
    #[arg(long, value_name = "INTERVAL", value_parser = interval::parse, default_value = "10s")]
    pub(crate) poll_interval: Duration,

    /// How long a store may be silent, or take to answer, until the connection is given up
    ///
    /// 5s unless it is said; what waits for events over HTTP has 30s at least. Signs of life are asked for a few times in that time, so a large fleet may
    /// want more.
    #[arg(long, value_name = "TIME", value_parser = interval::parse)]
    pub(crate) read_deadline: Option<Duration>,

    /// Longest pause before a store that can't be reached is tried again, 10s at the most
    ///
    /// 800ms unless it is said. Each pause is drawn from zero to a bound that doubles up to this, and
    /// grows with an outage of more than a minute.
    #[arg(long, value_name = "TIME", value_parser = interval::parse)]
    pub(crate) reconnect_ceiling: Option<Duration>,

    /// File that the last good configuration is kept in, to start with when there is none to be had
    ///
    /// Written after each that is taken into use, for its owner alone: whatever secrets are in the one
    /// are in the other.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) last_good: Option<PathBuf>,

    /// Check the configuration and exit; nothing is served
    #[arg(long)]
    pub(crate) check: bool,

    /// Print the JSON Schema of the configuration, for editors, and exit
    #[arg(long, conflicts_with = "check")]
    pub(crate) print_schema: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the daemon that runs how it is doing
    #[command(after_help = help::STATUS)]
    Status {
        #[command(flatten)]
        whom: Whom,
        /// Print what it answers as it is: JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the daemon that runs load its configuration now
    #[command(after_help = help::ORDER)]
    Reload {
        #[command(flatten)]
        whom: Whom,
    },
    /// Have the daemon that runs go back to an earlier configuration
    ///
    /// It stays there, whatever the file or the store says, until it is told to resume.
    #[command(after_help = help::ORDER)]
    Rollback {
        /// Which one, by its number in the history that status shows, or by an earlier one
        #[arg(value_parser = generation)]
        generation: u64,
        #[command(flatten)]
        whom: Whom,
    },
    /// Have the daemon that runs follow its file or store again after a rollback
    #[command(after_help = help::ORDER)]
    Resume {
        #[command(flatten)]
        whom: Whom,
    },
    /// Print what has a shell complete this command line
    Completions {
        /// For which one
        shell: Shell,
    },
    /// Print the manual page, as man(1) reads it
    Man,
}

/// Which daemon is asked.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// Configuration that it runs on, which says where to ask
    #[arg(short, long, value_name = "FILE|URL", value_parser = place(), value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<Place>,

    /// Address to ask instead: an IP address and a port, or unix: and a path
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<Address>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WatchMode {
    /// Look every poll interval
    Polling,
    /// Wait for events of the file system, or of the store
    Realtime,
    /// Both, so that whatever the events miss is at most one interval old
    Hybrid,
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

/// As the command line has it.
impl fmt::Display for WatchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", PossibleValue::get_name))
    }
}

/// Takes a path or a URL, and not what other programs take for standard input.
fn place() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(Place::try_from)
}

fn generation(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "a generation is a number, such as 3")
}
