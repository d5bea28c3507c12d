//! What is run: one service from the command line, or those of a file.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};

use crate::{schema, spec::Spec};

/// Everything that `server-dev.toml` may say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Each by its name, which is before each of its lines.
    pub(crate) services: BTreeMap<String, Service>,
}

/// One server, and what it is made of.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// The program and its arguments.
    pub(crate) command: Words,
    /// What has to succeed before the program is started; of `cargo run` it is found by itself.
    pub(crate) build: Option<Words>,
    /// Where both are run, and what the paths below are relative to.
    #[serde(default = "here")]
    pub(crate) directory: PathBuf,
    /// The sockets that are held and passed on.
    #[serde(default)]
    pub(crate) sockets: Vec<Spec>,
    /// The folders or files that it is made of.
    #[serde(default = "all_of_it")]
    pub(crate) watch: Vec<PathBuf>,
    /// Only files with one of these count; all of them where there is none.
    #[serde(default)]
    pub(crate) extensions: Vec<String>,
    /// What never counts, beside what git ignores; globs as in `.gitignore`.
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
    /// What a change of some files does, first match first; any other has the service built.
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
    /// How long no file may change before the change is taken.
    #[serde(default = "settle", deserialize_with = "duration", serialize_with = "schema::text_of")]
    #[schemars(schema_with = "schema::duration")]
    pub(crate) settle: Duration,
    /// Looks at the files this often instead of being told by the system.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub(crate) poll: Option<Duration>,
    /// When a new process counts as ready.
    #[serde(default)]
    #[schemars(extend("default" = "auto"))]
    pub(crate) ready: Ready,
    /// How long that may take.
    #[serde(
        default = "ready_timeout",
        deserialize_with = "duration",
        serialize_with = "schema::text_of"
    )]
    #[schemars(schema_with = "schema::duration")]
    pub(crate) ready_timeout: Duration,
    /// How long an old process may take to end, before it is killed.
    #[serde(default = "grace", deserialize_with = "duration", serialize_with = "schema::text_of")]
    #[schemars(schema_with = "schema::duration")]
    pub(crate) grace: Duration,
    /// Whether a new process may start while the old one still serves.
    #[serde(default = "yes")]
    pub(crate) overlap: bool,
    /// Whether `LISTEN_PID` names the process; not for one that starts the server as a child of its own.
    #[serde(default = "yes")]
    pub(crate) listen_pid: bool,
    /// Whether a proxy answers on the first http socket, and how each process is reached behind it.
    pub(crate) proxy: Option<Proxy>,
    /// How long a request may wait there while no process is ready.
    #[serde(
        default = "proxy_wait",
        deserialize_with = "duration",
        serialize_with = "schema::text_of"
    )]
    #[schemars(schema_with = "schema::duration")]
    pub(crate) proxy_wait: Duration,
    /// Names that the proxy answers to beside those of this machine; `.name` stands for all below it.
    #[serde(default)]
    pub(crate) allow_hosts: Vec<String>,
    /// Variables of the environment.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// A file of such, `NAME=value` a line.
    pub(crate) env_file: Option<PathBuf>,
}

/// A command line: a text as in a shell, without its expansions, or a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

/// What a change of the files of a glob does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    /// Sends SIGHUP to the process that serves.
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
pub(crate) enum Proxy {
    /// It listens by itself, at a port of its own that `HOST` and `PORT` name.
    Port,
    /// It is passed a socket of its own, in the place of the one that the proxy answers on.
    Socket,
}

/// When a new process is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ready {
    /// By `READY=1`, or once it is seen to wait for connections, whichever is first.
    #[default]
    Auto,
    /// By `READY=1` alone, see `sd_notify(3)`.
    Notify,
    /// After so long.
    #[serde(deserialize_with = "duration")]
    #[schemars(schema_with = "schema::duration")]
    Delay(Duration),
    /// Once it answers a request for this path with success; behind the proxy only, since a socket
    /// that several hold doesn't say who answers.
    Http(String),
}

/// What is wrong with a file of services.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{} can't be read", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{}: {}", .0.display(), .1.to_string().trim_end())]
    Parse(PathBuf, toml::de::Error),
    #[error("{}: there is no service in it; `server-dev init` writes one", .0.display())]
    Empty(PathBuf),
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| ConfigError::Parse(path.to_owned(), error))?;
        if config.services.is_empty() {
            return Err(ConfigError::Empty(path.to_owned()));
        }
        // What a file names is beside it, from wherever it is run.
        let base = path.parent().unwrap_or(Path::new(""));
        for service in config.services.values_mut() {
            service.directory = base.join(&service.directory);
        }
        Ok(config)
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

    /// Where its variables are, relative to its directory; one that it doesn't name may be missing.
    pub(crate) fn env_file(&self) -> &Path {
        self.env_file.as_deref().unwrap_or(Path::new(".env"))
    }
}

impl Words {
    /// Returns `None` where there is no program.
    pub(crate) fn new(words: Vec<String>) -> Option<Self> {
        words.first().is_some_and(|program| !program.is_empty()).then_some(Self(words))
    }

    /// Reads a text as a shell does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        shlex::split(text).and_then(Self::new)
    }

    pub(crate) fn program(&self) -> &str {
        &self.0[0]
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.0[1..]
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A word with a NUL in it can't be quoted, and can't be run either.
        let text = shlex::try_join(self.0.iter().map(String::as_str)).unwrap_or_default();
        f.write_str(&text)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a command: a text, or a list of words")]
        enum Either {
            Text(String),
            List(Vec<String>),
        }
        let words = match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::parse(&text),
            Either::List(words) => Self::new(words),
        };
        words.ok_or_else(|| D::Error::custom("a command has a program, and its quotes are closed"))
    }
}

/// Often enough that an edit seems to be seen at once, and seldom enough for a server of files.
pub(crate) const DEFAULT_POLL: &str = "500ms";

/// Reads `50ms`, `10s` and the like.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("{text} is no duration such as 50ms or 10s"))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
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
fn settle() -> Duration {
    Duration::from_millis(50)
}

fn ready_timeout() -> Duration {
    Duration::from_secs(60)
}

fn grace() -> Duration {
    Duration::from_secs(10)
}

/// A build from scratch takes longer; whoever waits for it is better told so.
fn proxy_wait() -> Duration {
    Duration::from_secs(30)
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
        assert_eq!(service.ready, Ready::Delay(Duration::from_millis(300)));
        assert_eq!(
            (service.settle, service.poll),
            (Duration::from_secs(1), Some(Duration::from_millis(500)))
        );
        assert!(!service.overlap);
        assert_eq!((service.proxy, service.proxy_wait), (Some(Proxy::Socket), proxy_wait()));
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
