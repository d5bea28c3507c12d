//! A service, and what it is where nothing is said of it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{self, Ready, Switch};
use crate::{spec::Spec, timespan::Timespan, words::Words};

/// One server, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    reason = "it is shown as it is written in the file"
)]
pub(crate) struct Service {
    /// The program and its arguments.
    pub(crate) command: Words,
    /// What has to succeed before the program is started; of `cargo run` it is found by itself.
    #[schemars(extend("examples" = ["make"]))]
    pub(crate) build: Option<Words>,
    /// Where both are run, and what the paths below are relative to.
    #[serde(default = "here")]
    pub(crate) directory: PathBuf,
    /// The sockets that are held and passed on, such as "http::3000", "tcp::127.0.0.1:0", "unix::./app.sock" or,
    /// with a name, "admin=http::3001".
    #[serde(default)]
    pub(crate) sockets: Vec<Spec>,
    /// The folders or files that it is made of.
    #[serde(default = "all_of_it")]
    pub(crate) watch: Vec<PathBuf>,
    /// Only files with one of these count, such as ["rs", "toml"]; all of them where there is none.
    #[serde(default)]
    pub(crate) extensions: Vec<String>,
    /// What never counts, beside what git ignores; globs as in `.gitignore`, such as ["*.log", "docs/"].
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
    /// What a change of some files does, first match first, such as { files = "*.css", do = "css" }, where
    /// `do` is "build", "restart", "signal", "reload", "css" or "nothing"; any other has the service built.
    /// Behind a proxy, where there is no rule, "*.css" is "css".
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
    /// How long no file may change before the change is taken.
    #[serde(default = "settle")]
    pub(crate) settle: Timespan,
    /// Looks at the files this often, such as "500ms", instead of being told by the system; `true` is that.
    #[serde(default, deserialize_with = "forms::poll")]
    #[schemars(with = "Switch<Timespan>", extend("examples" = ["500ms"]))]
    pub(crate) poll: Option<Timespan>,
    /// When a new process counts as ready: "auto" (by READY=1, or once it is seen to wait for connections),
    /// "notify" (by READY=1 alone), after a time such as "500ms", or, behind a proxy, once a path such as
    /// "/health" is answered.
    #[serde(default)]
    #[schemars(extend("default" = "auto"))]
    pub(crate) ready: Ready,
    /// How long that may take.
    #[serde(default = "ready_timeout")]
    pub(crate) ready_timeout: Timespan,
    /// How long an old process may take to end, before it is killed.
    #[serde(default = "grace")]
    pub(crate) grace: Timespan,
    /// Whether a new process may start while the old one still serves.
    #[serde(default = "yes")]
    pub(crate) overlap: bool,
    /// Whether `LISTEN_PID` names the process; not for one that starts the server as a child of its own.
    #[serde(default = "yes")]
    pub(crate) listen_pid: bool,
    /// Has a proxy answer on the first http socket, and says how each process is reached behind it: "port" (at
    /// HOST and PORT; `true` is that) or "socket" (at one that it is passed).
    #[serde(default, deserialize_with = "forms::proxy")]
    #[schemars(with = "Switch<ProxyMode>", extend("examples" = ["port"]))]
    pub(crate) proxy: Option<ProxyMode>,
    /// How long a request may wait there while no process is ready.
    #[serde(default = "proxy_wait")]
    pub(crate) proxy_wait: Timespan,
    /// Names that the proxy answers to beside those of this machine; `.name` stands for all below it.
    #[serde(default)]
    pub(crate) allow_hosts: Vec<String>,
    /// Variables of the environment, such as { RUST_LOG = "debug" }.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// A file of such, `NAME=value` a line; where it isn't said, `.env` if it is there.
    #[schemars(extend("examples" = [".env"]))]
    pub(crate) env_file: Option<PathBuf>,
}

/// What a change of the files of a glob does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// As in `.gitignore`.
    pub(crate) files: String,
    #[serde(rename = "do")]
    pub(crate) action: Action,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    /// Builds, then starts anew.
    Build,
    /// Starts anew.
    Restart,
    /// Sends SIGHUP to the process that serves: that of `MAINPID=` or `READY=1`, that which waits at a
    /// socket, or else the one that was started, unless another of its group alone catches the signal.
    Signal,
    /// Has the browser load the page anew.
    Reload,
    /// Has the browser take the style sheets anew.
    Css,
    /// Does nothing.
    Nothing,
}

/// How a process is reached behind the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProxyMode {
    /// It listens by itself, at a port of its own that `HOST` and `PORT` name.
    Port,
    /// It is passed a socket of its own, in the place of the one that the proxy answers on.
    Socket,
}

impl Service {
    /// One with every default, from a command line.
    pub(crate) fn of(command: Words) -> Self {
        Self {
            command,
            build: None,
            directory: here(),
            sockets: Vec::new(),
            watch: all_of_it(),
            extensions: Vec::new(),
            ignore: Vec::new(),
            rules: Vec::new(),
            settle: settle(),
            poll: None,
            ready: Ready::default(),
            ready_timeout: ready_timeout(),
            grace: grace(),
            overlap: true,
            listen_pid: true,
            proxy: None,
            proxy_wait: proxy_wait(),
            allow_hosts: Vec::new(),
            env: BTreeMap::new(),
            env_file: None,
        }
    }

    /// What a change of some files does: what it says, and behind a proxy, where it says nothing, that a page
    /// takes its style sheets anew.
    pub(crate) fn rules(&self) -> Cow<'_, [Rule]> {
        if self.rules.is_empty() && self.proxy.is_some() {
            Cow::Owned(vec![Rule { files: "*.css".to_owned(), action: Action::Css }])
        } else {
            Cow::Borrowed(&self.rules)
        }
    }

    /// Where its variables are, relative to its directory; one that it doesn't name may be missing.
    pub(crate) fn env_file(&self) -> &Path {
        self.env_file.as_deref().unwrap_or(Path::new(".env"))
    }
}

/// How often files are looked at that nobody tells of, where a service doesn't say it: often enough that
/// an edit seems to be seen at once, and seldom enough for a server of files.
pub(crate) fn poll_interval() -> Timespan {
    Timespan::milliseconds(500)
}

fn here() -> PathBuf {
    ".".into()
}

fn all_of_it() -> Vec<PathBuf> {
    vec![here()]
}

fn yes() -> bool {
    true
}

/// Editors and formatters write several files in a row; a person doesn't notice it.
pub(crate) fn settle() -> Timespan {
    Timespan::milliseconds(50)
}

pub(crate) fn ready_timeout() -> Timespan {
    Timespan::seconds(60)
}

pub(crate) fn grace() -> Timespan {
    Timespan::seconds(10)
}

/// A build from scratch takes longer; whoever waits for it is better told so.
pub(crate) fn proxy_wait() -> Timespan {
    Timespan::seconds(30)
}
