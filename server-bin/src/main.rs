//! An HTTP daemon whose configuration file takes effect as it is saved.

#![forbid(unsafe_code)]

mod ask;
mod check;
mod cli;
mod development;
mod help;
mod interval;
mod locate;
mod print;
mod report;
mod schema;
mod signals;
mod task;

use std::{error::Error, io::IsTerminal, process::ExitCode};

use hot_reload::{Reload, ReloaderOptions, ReloaderService, TomlFile};
use server_lib::{Inherited, Server, ServerConfig, ServerContextBuilder, ServerError};
use tracing::info;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use self::cli::Cli;

/// How many configurations can be rolled back to, the one in use included.
const HISTORY: usize = 20;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::read();
    log_to_stderr();
    let done = if cli.is_to_serve() {
        serve(cli).await.map(|()| ExitCode::SUCCESS)
    } else {
        task::carry_out(&cli).await
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            report(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Runs the daemon until it is told to end.
async fn serve(cli: Cli) -> Result<(), Failure> {
    // Before anything else is opened.
    let inherited = Inherited::from_env();
    let shutdown = signals::shutdown()?;
    let reloader = TomlFile::<ServerConfig>::from_path(cli.config())?;
    // A service waits for a bad file to become good; whoever starts a daemon is told at once.
    if let Some(first) = reloader.reload().await? {
        development::advise(&inherited, &first);
    }
    let path = reloader.path().to_owned();

    let options =
        ReloaderOptions::polling().strategy(cli.watch_mode.into()).poll_interval(cli.poll_interval);
    info!(config = %path.display(), mode = ?cli.watch_mode, "following");
    let (service, receiver) = ReloaderService::from_reloader(reloader, options);
    let service = service.history(HISTORY);
    let context = ServerContextBuilder::default()
        .context_rx(receiver)
        .inherited(inherited)
        .daemon()
        .shutdown(shutdown)
        .build()?;
    match Server::new(context).entrypoint_with_realtime(service).await {
        Err(ServerError::Bind(failure)) => Err(locate::tell(&path, &failure).into()),
        Err(ServerError::Certificate(failure)) => {
            Err(locate::tell_certificate(&path, &failure).into())
        }
        Err(ServerError::Invalid(invalid)) => Err(locate::tell_invalid(&path, &invalid).into()),
        done => Ok(done?),
    }
}

fn log_to_stderr() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured())
        .init();
}

/// Whether whoever reads the log wants colours (<https://no-color.org>).
fn is_coloured() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_refused && std::io::stderr().is_terminal()
}

/// Tells an error and its causes, as a compiler does.
fn report(failure: &(dyn Error + 'static)) {
    let mut told = format!("error: {failure}");
    let mut next = failure.source();
    while let Some(cause) = next {
        told = format!("{told}\n  caused by: {cause}");
        next = cause.source();
    }
    eprintln!("{told}");
}
