//! What is run: one service from the command line, or those of a file.

mod forms;
mod service;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hot_reload::FileError;
use schemars::JsonSchema;
use serde::Deserialize;

#[cfg(test)]
pub(crate) use self::service::Rule;
pub(crate) use self::{
    forms::Ready,
    service::{Action, ProxyMode, Service, grace, poll_interval, proxy_wait, settle},
};
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
    #[error(transparent)]
    Parse(FileError),
    #[error("{}: there is no service in it, such as [services.web] with a line command = \"./web\"", .0.display())]
    Empty(PathBuf),
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let config: Self = toml::from_str(&text).map_err(|error| {
            // As it is told of an edit.
            let span = error.span().unwrap_or_default();
            ConfigError::Parse(FileError::at(path, &text, span, error.message()))
        })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timespan::Timespan;

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

    /// At the start it was once told in another way than of an edit.
    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_place_as_of_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server-dev.toml");
        std::fs::write(&path, "[services.web]\ncommand = 'a'\nsettle = 'soon'\n").unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        let start = format!("{}:3:10: ", path.display());
        assert!(error.starts_with(&start) && error.contains("soon is no duration"), "{error}");
        assert!(!error.ends_with('\n') && !error.contains("TOML parse error"), "{error}");
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
