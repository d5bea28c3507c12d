//! What is run: one service from the command line, or those of a file.

mod forms;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;

use self::forms::Switch;
use crate::{spec::Spec, timespan::Timespan};

pub(crate) use self::forms::Ready;
pub(crate) use crate::words::Words;

/// Everything that `server-dev.toml` may say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Each by its name, which is before each of its lines.
    #[serde(default)]
    #[schemars(required)]
    pub(crate) services: BTreeMap<String, Service>,
}

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
    /// socket, or else the one that was started.
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

/// What is wrong with a file of services.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "there is no server-dev.toml here; `server-dev init` writes one, or say what to run: server-dev -s \
         http::3000 -- COMMAND"
    )]
    Missing,
    #[error("there is no server-dev.toml here, but one above: say -c {}", .0.display())]
    Above(PathBuf),
    #[error("{} can't be read", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{}: {}", .0.display(), .1.to_string().trim_end())]
    Parse(PathBuf, toml::de::Error),
    #[error("{}: there is no service in it, such as [services.web] with a line command = \"./web\"", .0.display())]
    Empty(PathBuf),
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let config: Self =
            toml::from_str(&text).map_err(|error| ConfigError::Parse(path.to_owned(), error))?;
        config.of_file(path)
    }

    /// Takes what was read from `path`: what a file names is beside it, from wherever it is run.
    pub(crate) fn of_file(mut self, path: &Path) -> Result<Self, ConfigError> {
        if self.services.is_empty() {
            return Err(ConfigError::Empty(path.to_owned()));
        }
        let base = path.parent().unwrap_or(Path::new(""));
        for service in self.services.values_mut() {
            service.directory = base.join(&service.directory);
            for socket in &mut service.sockets {
                socket.place_in(&service.directory);
            }
        }
        Ok(self)
    }
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
pub(crate) const DEFAULT_POLL: Timespan = Timespan::milliseconds(500);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Service, toml::de::Error> {
        toml::from_str::<Config>(&format!("[services.web]\n{text}"))
            .map(|config| config.services.into_values().next().unwrap())
    }

    #[test]
    fn reads_every_form_that_is_documented() {
        let service = one(r#"
            command = "env A='b c' ./web --port 3000"
            build = ["go", "build", "-o", "./tmp/main", "."]
            sockets = ["http::3000", "admin=tcp::0"]
            rules = [{ files = "*.css", do = "css" }, { files = "docs/", do = "nothing" }]
            ready = { delay = "300ms" }
            settle = "1s"
            poll = "500ms"
            overlap = false
            proxy = "socket"
            allow_hosts = ["app.test"]
        "#)
        .unwrap();
        assert_eq!(service.command.arguments(), ["A=b c", "./web", "--port", "3000"]);
        assert_eq!(service.build.unwrap().program(), "go");
        assert_eq!(service.sockets[1].name, "admin");
        assert_eq!(service.rules[0].action, Action::Css);
        assert_eq!(service.ready, Ready::Delay(Timespan::milliseconds(300)));
        assert_eq!(
            (service.settle, service.poll),
            (Timespan::seconds(1), Some(Timespan::milliseconds(500)))
        );
        assert!(!service.overlap);
        assert_eq!((service.proxy, service.proxy_wait), (Some(ProxyMode::Socket), proxy_wait()));
        let probed = one("command = \"a\"\nready = { http = \"/up\" }").unwrap();
        assert_eq!(probed.ready, Ready::Http("/up".into()));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, words) in [
            ("", "missing field `command`"),
            ("command = \"\"", "has a program"),
            ("command = \"a 'b\"", "has a program"),
            ("command = \"a\"\nsettle = \"soon\"", "no duration"),
            ("command = \"a\"\nsockets = [\"3000\"]", "is written as"),
            ("command = \"a\"\nextension = [\"rs\"]", "unknown field `extension`"),
        ] {
            let error = one(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
