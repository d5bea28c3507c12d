//! What is logged, which follows the configuration.

use std::{
    io::{IsTerminal, stderr},
    ops::Range,
    path::Path,
};

use hot_reload::{FileError, Reload, ReloaderService};
use serde::Deserialize;
use server_lib::ServerConfig;
use toml::Spanned;
use tracing::warn;
use tracing_subscriber::{
    EnvFilter, Registry, filter::LevelFilter, fmt, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

/// What a service calls this part of the program, when it refuses a value.
const PART: &str = "log";

/// The filter of the log, to be replaced while the program runs.
#[derive(Clone)]
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

/// As much of the file as is needed to find the filter in it.
#[derive(Deserialize)]
struct Listed {
    log: Option<Spanned<String>>,
}

impl Filter {
    /// Starts to log to stderr, by `RUST_LOG`.
    pub(crate) fn to_stderr() -> Self {
        let (filter, handle) = reload::Layer::new(from_env());
        let lines = fmt::layer().with_writer(stderr).with_ansi(is_coloured());
        tracing_subscriber::registry().with(filter).with(lines).init();
        Self(handle)
    }

    /// Logs by `filter` from here on.
    fn set(&self, filter: EnvFilter) {
        if let Err(error) = self.0.reload(filter) {
            warn!(%error, "the filter of the log stays as it is");
        }
    }

    /// Has each value of `service` set the filter, or be refused as a whole.
    pub(crate) fn follow<T>(
        self,
        path: &Path,
        service: ReloaderService<T, ServerConfig, String>,
    ) -> ReloaderService<T, ServerConfig, String>
    where
        T: Reload<ServerConfig, String> + Clone,
    {
        let path = path.to_owned();
        service.prepare(PART, move |candidate| {
            let parsed = parse(&path, &candidate.new);
            let filter = self.clone();
            async move { parsed.map(|parsed| move || filter.set(parsed)) }
        })
    }
}

/// Makes the filter that `config` asks for; where it asks for none, that of `RUST_LOG`.
///
/// A failure is told as the parser's errors are told: file, line, column and the line itself.
pub(crate) fn parse(path: &Path, config: &ServerConfig) -> Result<EnvFilter, String> {
    let Some(directives) = &config.log else { return Ok(from_env()) };
    builder().parse(directives).map_err(|error| {
        let message = format!("log: {error}");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        match span(directives, &text) {
            None => format!("{}: {message}", path.display()),
            Some(span) => FileError::at(path, &text, span, message).to_string(),
        }
    })
}

/// The bytes of `text` that are the filter, if it is the one that is meant.
fn span(directives: &str, text: &str) -> Option<Range<usize>> {
    let listed: Listed = toml::from_str(text).ok()?;
    listed.log.filter(|log| log.as_ref() == directives).map(|log| log.span())
}

fn from_env() -> EnvFilter {
    builder().from_env_lossy()
}

fn builder() -> tracing_subscriber::filter::Builder {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into())
}

/// Whether whoever reads the log wants colours (<https://no-color.org>).
fn is_coloured() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_refused && stderr().is_terminal()
}
