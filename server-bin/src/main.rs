//! An HTTP daemon whose configuration file takes effect as it is saved.

#![forbid(unsafe_code)]

mod ask;
mod check;
mod cli;
mod descriptors;
mod development;
mod help;
mod interval;
mod locate;
mod log;
mod print;
mod report;
mod schema;
mod signals;
mod task;

use std::{
    error::Error,
    io::{self, IsTerminal},
    process::ExitCode,
};

use hot_reload::{Reload, ReloaderError, ReloaderOptions, ReloaderService, TomlFile};
use server_lib::{Inherited, Server, ServerConfig, ServerContextBuilder, ServerError};
use tokio::runtime::{Builder, Runtime};
use tracing::info;

use self::cli::Cli;

/// How many configurations can be rolled back to, the one in use included.
const HISTORY: usize = 20;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::read();
    let filter = log::Filter::to_stderr();
    let done = if cli.is_to_serve() {
        start(cli, filter).map(|()| ExitCode::SUCCESS)
    } else {
        carry_out(&cli)
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            report(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn carry_out(cli: &Cli) -> Result<ExitCode, Failure> {
    on_this_thread()?.block_on(task::carry_out(cli))
}

/// Loads the configuration once, and runs the daemon on as many threads as that asks for.
fn start(cli: Cli, filter: log::Filter) -> Result<(), Failure> {
    // Before anything else is opened.
    let inherited = Inherited::from_env();
    descriptors::allow_all();
    let reloader = TomlFile::<ServerConfig>::from_path(cli.config())?;
    // A service waits for a bad file to become good; whoever starts a daemon is told at once.
    let loaded = on_this_thread()?.block_on(reloader.reload());
    let config = loaded.map_err(told)?.ok_or("nothing to load")?;
    log::parse(reloader.path(), &config)?;
    development::advise(&inherited, &config);
    let mut runtime = Builder::new_multi_thread();
    if let Some(threads) = config.worker_threads {
        runtime.worker_threads(threads.get());
    }
    runtime.enable_all().build()?.block_on(serve(cli, reloader, inherited, filter))
}

/// Tells what is wrong with the file; with the line in question only to somebody who sits there, since a
/// log keeps it, and it may hold a secret.
fn told(error: ReloaderError<ServerConfig, String>) -> Failure {
    match error.file_error() {
        Some(file) if !io::stderr().is_terminal() => file.without_content().into(),
        _ => error.into(),
    }
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
        Err(ServerError::Certificate(failure)) => {
            Err(locate::tell_certificate(&path, &failure).into())
        }
        Err(ServerError::Invalid(invalid)) => Err(locate::tell_invalid(&path, &invalid).into()),
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
