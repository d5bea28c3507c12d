//! An HTTP daemon whose configuration file takes effect as it is saved.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod descriptors;
mod interval;
mod locate;
mod log;
mod signals;

use std::{error::Error, io, path::Path, process::ExitCode};

use clap::Parser;
use hot_reload::{Reload, ReloaderOptions, ReloaderService, TomlFile};
use server_lib::{Inherited, Server, ServerConfig, ServerContextBuilder, ServerError};
use tokio::runtime::{Builder, Runtime};
use tracing::info;

use self::cli::Cli;

/// How many configurations can be rolled back to, the one in use included.
const HISTORY: usize = 20;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = log::Filter::to_stderr();
    let done = if cli.check { check(&cli.config) } else { start(cli, filter) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> Result<(), Failure> {
    on_this_thread()?.block_on(check::check(path))
}

/// Loads the configuration once, and runs the daemon on as many threads as that asks for.
fn start(cli: Cli, filter: log::Filter) -> Result<(), Failure> {
    // Before anything else is opened.
    let inherited = Inherited::from_env();
    descriptors::allow_all();
    let reloader = TomlFile::<ServerConfig>::from_path(&cli.config)?;
    // A service waits for a bad file to become good; whoever starts a daemon is told at once.
    let config = on_this_thread()?.block_on(reloader.reload())?.ok_or("nothing to load")?;
    log::parse(reloader.path(), &config)?;
    let mut runtime = Builder::new_multi_thread();
    if let Some(threads) = config.worker_threads {
        runtime.worker_threads(threads.get());
    }
    runtime.enable_all().build()?.block_on(serve(cli, reloader, inherited, filter))
}

fn on_this_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs the daemon until it is told to end.
async fn serve(
    cli: Cli,
    reloader: TomlFile<ServerConfig>,
    inherited: Inherited,
    filter: log::Filter,
) -> Result<(), Failure> {
    let shutdown = signals::shutdown()?;
    let path = reloader.path().to_owned();

    let options =
        ReloaderOptions::polling().strategy(cli.watch_mode.into()).poll_interval(cli.poll_interval);
    info!(config = %path.display(), mode = ?cli.watch_mode, "following");
    let (service, receiver) = ReloaderService::from_reloader(reloader, options);
    let service = filter.follow(&path, service).history(HISTORY);
    let context = ServerContextBuilder::default()
        .context_rx(receiver)
        .inherited(inherited)
        .daemon()
        .shutdown(shutdown)
        .build()?;
    match Server::new(context).entrypoint_with_realtime(service).await {
        Err(ServerError::Bind(failure)) => Err(locate::tell(&path, &failure).into()),
        done => Ok(done?),
    }
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
