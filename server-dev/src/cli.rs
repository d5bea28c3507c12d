//! The command line.

mod service;
mod tips;

use std::{
    io::{self, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

pub(crate) use self::{
    service::{PARTS, ServiceArgs},
    tips::parse,
};
use crate::{
    config::{Config, ConfigError},
    doctor,
    failure::Failure,
    init, migrate,
    report::Form,
    schema,
};

/// Read where the command line names no command and no file.
pub(crate) const FILE: &str = "server-dev.toml";

const EXAMPLES: &str = "\
Examples:
  server-dev -s http::3000 -e rs,toml -i config.toml -- cargo run -p server-bin -- --config config.toml
  server-dev -s http::3000 -e go --build 'go build -o ./tmp/main .' -- ./tmp/main
  server-dev                                  all services of ./server-dev.toml
  server-dev init                             writes a first one, by what is in this folder
  server-dev migrate 'cargo watch -x run'     prints one, by how the server is run today
  server-dev doctor                           says who holds a port, and what else is in the way

Keys, in a terminal: r restarts, b builds, c clears the screen, q quits, ? says so.

Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 a socket, a folder or the file can't be had, or
doctor has found what doesn't run; 2 the command line is wrong; 130 ended at once, by a second Ctrl-C.";

/// Holds the sockets of a server, builds and starts it anew at every change, and replaces the old
/// process once the new one is ready.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
#[allow(
    clippy::doc_markdown,
    clippy::struct_excessive_bools,
    reason = "it is shown as it is written"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) order: Option<Order>,

    #[command(flatten)]
    asked: ServiceArgs,

    /// Tell what happens by JSON, an object a line, on stdout
    #[arg(long)]
    json: bool,

    /// Clear the screen before each build, or start without one, for a change or a key
    #[arg(long)]
    pub(crate) clear: bool,

    /// Show failures and what is ready on the desktop, by notify-send
    #[arg(long)]
    pub(crate) notify: bool,

    /// Pass on to the server what is typed or piped in; there are no keys then
    #[arg(long, requires = "command")]
    pub(crate) stdin: bool,
}

/// What may be done beside running servers.
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Write a server-dev.toml for what is in this folder, where there is none yet
    Init(init::Args),
    /// Print what another runner was told, as a server-dev.toml
    Migrate(migrate::Args),
    /// Look for what keeps services from running, such as a port that is taken
    Doctor(Box<doctor::Args>),
    /// Print the JSON Schema of server-dev.toml, for editors
    Schema,
}

impl Order {
    pub(crate) fn carry_out(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::Init(args) => init::run(args),
            Self::Migrate(args) => migrate::run(args),
            Self::Doctor(args) => doctor::run(args),
            Self::Schema => {
                say(&schema::text())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Cli {
    /// Returns what is to be run.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        self.asked.config()
    }

    /// The file of services, unless the command line says everything.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.asked.names_file()
    }

    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

/// Prints what was asked for; whoever has read enough of it may close the other end.
pub(crate) fn say(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{service::ONLY, *};
    use crate::config::poll_interval;

    #[test]
    fn is_a_command_line_that_clap_accepts() {
        Cli::command().debug_assert();
    }

    #[test]
    fn takes_a_service_from_the_command_line() {
        let line = "server-dev -s http::0 -e rs,toml --poll --no-overlap -- cargo run -- --port 1";
        let config = Cli::parse_from(line.split(' ')).config().unwrap();
        let service = &config.services[ONLY];
        assert_eq!(service.extensions, ["rs", "toml"]);
        assert_eq!(service.poll, Some(poll_interval()));
        assert_eq!(service.command.arguments(), ["run", "--", "--port", "1"]);
        assert!(!service.overlap && service.listen_pid);
    }

    #[test]
    fn says_what_ready_may_be() {
        let line = ["server-dev", "--ready", "blah", "--", "server"];
        let error = Cli::try_parse_from(line).unwrap_err().to_string();
        for form in ["'blah'", "auto", "notify", "500ms", "/health"] {
            assert!(error.contains(form), "{form}: {error}");
        }
    }

    #[test]
    fn wants_a_command_for_what_is_of_one() {
        for line in [
            "server-dev -s http::0",
            "server-dev --no-overlap",
            "server-dev -c a -- b",
            "server-dev --json init",
            "server-dev schema -- a",
        ] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
