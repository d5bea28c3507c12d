//! What is logged, which follows the configuration.

use std::io::{IsTerminal, stderr};

use hot_reload::{Reload, ReloaderService};
use server_lib::ServerConfig;
use tokio::task::spawn_blocking;
use tracing::warn;
use tracing_subscriber::{
    EnvFilter, Registry, filter::LevelFilter, fmt, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

use crate::{locate, source::Source};

/// What a service calls this part of the program, when it refuses a value.
const PART: &str = "log";

/// The filter of the log, to be replaced while the program runs.
#[derive(Clone)]
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

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
        source: &Source,
        service: ReloaderService<T, ServerConfig, String>,
    ) -> ReloaderService<T, ServerConfig, String>
    where
        T: Reload<ServerConfig, String> + Clone,
    {
        let source = source.clone();
        service.prepare(PART, move |candidate| {
            let (source, filter) = (source.clone(), self.clone());
            let directives = candidate.new.log.clone();
            async move {
                // It reads the file to say where it is wrong.
                let parsed = spawn_blocking(move || parse(&source, directives.as_deref())).await;
                let parsed = parsed.map_err(|failure| failure.to_string())??;
                Ok::<_, String>(move || filter.set(parsed))
            }
        })
    }
}

/// Makes the filter that is asked for; where none is, that of `RUST_LOG`. May block.
///
/// A failure is told as the parser's errors are told: file, line, column and the line itself.
pub(crate) fn parse(source: &Source, directives: Option<&str>) -> Result<EnvFilter, String> {
    let Some(directives) = directives else { return Ok(from_env()) };
    builder().parse(directives).map_err(|error| locate::tell_log(source, directives, &error))
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
