//! The command line.

mod tips;

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
};

use clap::{Parser, Subcommand, ValueHint};

pub(crate) use self::tips::parse;
use crate::{
    Failure,
    config::{self, Config, ConfigError, DEFAULT_POLL, ProxyMode, Ready, Service, Words},
    doctor, init, migrate,
    report::Form,
    schema,
    spec::Spec,
    timespan::Timespan,
};

/// What a service on the command line is called.
const ONLY: &str = "server";
/// What may be said of a service before its command is known.
pub(crate) const PARTS: [&str; 4] = ["sockets", "extensions", "watch", "ignore"];
/// Read where the command line names no command and no file.
pub(crate) const FILE: &str = "server-dev.toml";

const EXAMPLES: &str = "\
Examples:
  server-dev -s http::3000 -e rs,toml -- cargo run -p server-bin -- --config config.toml
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
    asked: Asked,

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

/// The services that are meant: one of the command line, or those of a file.
#[derive(Debug, clap::Args)]
#[allow(
    clippy::doc_markdown,
    clippy::struct_excessive_bools,
    reason = "it is shown as it is written"
)]
pub(crate) struct Asked {
    /// A socket to hold and pass on: [name=]{http,https,tcp,unix,udp}::address; may be repeated
    #[arg(short, long = "socket", value_name = "SOCKET", requires = "command")]
    sockets: Vec<Spec>,

    /// Only files with these extensions count
    #[arg(short, long, value_name = "EXT,…", value_delimiter = ',', requires = "command")]
    extensions: Vec<String>,

    /// A folder or file that the server is made of; may be repeated [default: .]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath, requires = "command")]
    watch: Vec<PathBuf>,

    /// What never counts, beside what git ignores: a glob as in .gitignore; may be repeated
    #[arg(short, long, value_name = "GLOB", requires = "command")]
    ignore: Vec<String>,

    /// What has to succeed before the command is started; of `cargo run` it is found by itself
    #[arg(short, long, value_name = "COMMAND", requires = "command")]
    build: Option<Words>,

    /// When a new process is ready: auto, notify (READY=1), after a time such as 500ms, or, with
    /// --proxy, once a path such as /health is answered
    #[arg(long, value_name = "WHEN", requires = "command", value_parser = Ready::from_str, default_value = "auto")]
    ready: Ready,

    /// How long no file may change before a change is taken
    #[arg(long, value_name = "TIME", requires = "command", default_value_t = config::settle())]
    settle: Timespan,

    /// Look at the files this often instead of being told; for folders that can't tell
    #[arg(long, value_name = "TIME", requires = "command")]
    #[arg(num_args = 0..=1, default_missing_value = DEFAULT_POLL.to_string(), require_equals = true)]
    poll: Option<Timespan>,

    /// How long an old process may take to end before it is killed
    #[arg(long, value_name = "TIME", requires = "command", default_value_t = config::grace())]
    grace: Timespan,

    /// End the old process before the new one starts; the sockets stay
    #[arg(long, requires = "command")]
    no_overlap: bool,

    /// Leave LISTEN_PID out, for a command that starts the server as a child of its own
    #[arg(long, requires = "command")]
    no_pid: bool,

    /// Answer on the first http socket, and pass on to the newest process, which listens at HOST and
    /// PORT, or at a socket that it is passed; pages reload by themselves, take style sheets (*.css)
    /// without that, and show what is wrong
    #[arg(long, value_name = "HOW", requires = "command", value_enum)]
    #[arg(num_args = 0..=1, default_missing_value = "port", require_equals = true)]
    proxy: Option<ProxyMode>,

    /// How long a request may wait at the proxy while no process is ready
    #[arg(long, value_name = "TIME", requires = "command", default_value_t = config::proxy_wait())]
    proxy_wait: Timespan,

    /// A name that the proxy answers to beside those of this machine; may be repeated
    #[arg(long, value_name = "NAME", requires = "command")]
    allow_host: Vec<String>,

    /// File of services
    #[arg(short, long, value_name = "FILE", default_value = FILE, conflicts_with = "command")]
    #[arg(value_hint = ValueHint::FilePath)]
    config: PathBuf,

    /// The server, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
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
        self.asked.command.is_empty().then_some(&*self.asked.config)
    }

    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

impl Asked {
    fn config(&self) -> Result<Config, ConfigError> {
        match Words::new(self.command.clone()) {
            Some(command) => Ok(self.with(command)),
            None => self.file(),
        }
    }

    fn file(&self) -> Result<Config, ConfigError> {
        if self.config != Path::new(FILE) || self.config.exists() {
            return Config::read(&self.config);
        }
        let here = std::env::current_dir().unwrap_or_default();
        let folders =
            std::iter::successors(Some(PathBuf::from("..")), |above| Some(above.join("..")));
        let mut above = folders.take(here.ancestors().count()).map(|folder| folder.join(FILE));
        Err(above.find(|file| file.exists()).map_or(ConfigError::Missing, ConfigError::Above))
    }

    /// Returns what is to be looked at; a command that isn't there yet is taken for any.
    pub(crate) fn config_or_part(&self) -> Result<Config, ConfigError> {
        match Words::new(vec![ONLY.to_owned()]).filter(|_| self.is_part()) {
            Some(any) => Ok(self.with(any)),
            None => self.config(),
        }
    }

    /// Whether there is something of a service, but no command.
    pub(crate) fn is_part(&self) -> bool {
        let is_service = !self.sockets.is_empty()
            || !self.extensions.is_empty()
            || !self.watch.is_empty()
            || !self.ignore.is_empty();
        is_service && self.command.is_empty()
    }

    fn with(&self, command: Words) -> Config {
        let mut service = Service::of(command);
        service.sockets.clone_from(&self.sockets);
        service.extensions.clone_from(&self.extensions);
        service.ignore.clone_from(&self.ignore);
        service.build.clone_from(&self.build);
        service.ready = self.ready.clone();
        service.settle = self.settle;
        service.poll = self.poll;
        service.grace = self.grace;
        service.overlap = !self.no_overlap;
        service.listen_pid = !self.no_pid;
        service.proxy = self.proxy;
        service.proxy_wait = self.proxy_wait;
        service.allow_hosts.clone_from(&self.allow_host);
        if !self.watch.is_empty() {
            service.watch.clone_from(&self.watch);
        }
        Config { services: [(ONLY.to_owned(), service)].into() }
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

    use super::*;

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
        assert_eq!(service.poll, Some(DEFAULT_POLL));
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
