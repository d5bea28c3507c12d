//! What of the command line is of services.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::ValueHint;

use super::FILE;
use crate::{
    config::{self, Config, ConfigError, ProxyMode, Ready, Service, Words, poll_interval},
    spec::Spec,
    timespan::Timespan,
};

/// What a service on the command line is called.
pub(super) const ONLY: &str = "server";
/// What may be said of a service before its command is known.
pub(crate) const PARTS: [&str; 4] = ["sockets", "extensions", "watch", "ignore"];

/// The services that are meant: one of the command line, or those of a file.
#[derive(Debug, clap::Args)]
#[allow(
    clippy::doc_markdown,
    clippy::struct_excessive_bools,
    reason = "it is shown as it is written"
)]
pub(crate) struct ServiceArgs {
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
    #[arg(num_args = 0..=1, default_missing_value = poll_interval().to_string(), require_equals = true)]
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

impl ServiceArgs {
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        match Words::new(self.command.clone()) {
            Some(command) => Ok(self.with(command)),
            None => self.file(),
        }
    }

    /// The file of services, unless the command line says everything.
    pub(super) fn names_file(&self) -> Option<&Path> {
        self.command.is_empty().then_some(&*self.config)
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
