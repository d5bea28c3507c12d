//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use hot_reload::WatchStrategy;

use crate::interval;

const AFTER_HELP: &str = "\
Examples:
  server-bin --config config.toml                  serve, and follow the file
  server-bin -c config.toml -w polling --poll-interval 500ms
                                                   follow it on a network file system
  server-bin -c config.toml --check                say whether the file is good
  RUST_LOG=debug server-bin -c config.toml         say more

A configuration that is broken while the daemon runs is reported with its file, line and column,
and the last good one goes on. SIGHUP has the file loaded now, and the log say what came of it.
SIGINT and SIGTERM end the daemon once the requests under way have been answered; a second one ends
it at once.

In use as the file is saved: addresses, the log's filter, time-outs, the limits of heads, bodies,
connections and requests, headers of responses, and what is answered. Connections that are open keep
the limits of time and of heads that they began with.
In use from the next start on, as the log says when it changes: worker_threads.

The filter of the log is the configuration's, as in log = \"debug\"; RUST_LOG, where that has none.

Sockets that the daemon is started with (LISTEN_FDS) come before the addresses of the configuration.

Exit codes:
  0  told to end by a signal; with --check: the configuration is good
  1  the configuration is bad or can't be used, at the start or with --check; or a second signal
     ended it at once
  2  the command line is wrong";

/// Serves HTTP by a configuration file that takes effect as it is saved.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Configuration file, TOML
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,

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

impl From<WatchMode> for WatchStrategy {
    fn from(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Polling => Self::Polling,
            WatchMode::Realtime => Self::Realtime,
            WatchMode::Hybrid => Self::Hybrid,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_what_is_not_hot() {
        let (_, rest) = AFTER_HELP.split_once("from the next start on").unwrap();
        let listed = rest.split_once(": ").unwrap().1.split_once(".\n").unwrap().0;
        assert_eq!(listed.split(", ").collect::<Vec<_>>(), server_lib::ServerConfig::NOT_HOT);
    }
}
