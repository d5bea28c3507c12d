//! The daemon.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use hot_reload::{
    Reload, ReloadResult, ReloaderError, ReloaderOptions, ReloaderService, read_last_good,
};
use server_lib::{Inherited, Server, ServerConfig, ServerContextBuilder};
use tokio::runtime::Builder;
use tracing::info;

use crate::{
    Failure, descriptors, development, locate, log, on_this_thread, signals::Signals,
    source::Source, task::Following,
};

/// How many configurations can be rolled back to, the one in use included: more than anybody tries
/// before they mend the file, and each takes as much memory as its text.
const HISTORY: usize = 20;

/// How long what is not waited for any more may go on at the end.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Loads the configuration once, and runs the daemon on as many threads as that asks for, until it is
/// told to end.
pub(crate) fn serve(
    following: Following,
    filter: log::Filter,
    written: &log::Written,
) -> Result<(), Failure> {
    // Before anything else is opened.
    let inherited = Inherited::from_env();
    descriptors::allow_all();
    let source = Source::at(&following.place, following.patience)?;
    let loading = on_this_thread()?;
    let loaded = loading.block_on(load(&source, written));
    // Somebody may be looking up a name still, for longer than anybody waits.
    loading.shutdown_background();
    let Some((loaded, signals)) = loaded? else { return Ok(()) };
    let config = match (loaded, &following.last_good) {
        (Ok(loaded), _) => loaded.ok_or("nothing to load")?,
        (Err(error), None) => return Err(told(error)),
        (Err(error), Some(path)) => {
            let kept = read_last_good(path).ok_or_else(|| told(error))?;
            // The service says why, and that it serves.
            info!(file = %path.display(), "starting by the last good configuration of an earlier run");
            kept
        }
    };
    log::parse(&source, config.log.as_deref())?;
    development::advise(&inherited, &following.place, &config);
    let mut runtime = Builder::new_multi_thread();
    if let Some(threads) = config.worker_threads {
        runtime.worker_threads(threads.get());
    }
    let runtime = runtime.enable_all().build()?;
    let served = runtime.block_on(run(following, source, inherited, filter, signals));
    // A file system that does not answer keeps a thread for ever.
    runtime.shutdown_timeout(LAST_WORK);
    served
}

type Loaded = ReloadResult<Option<ServerConfig>, ServerConfig, String>;

/// Loads what there is, and hears signals from then on; `None` if one has told it to end meanwhile.
///
/// A service waits for a bad file to become good; whoever starts a daemon is told at once.
async fn load(source: &Source, written: &log::Written) -> io::Result<Option<(Loaded, Signals)>> {
    let mut signals = Signals::new(written.clone())?;
    tokio::select! {
        biased;
        () = signals.told() => Ok(None),
        loaded = source.reload() => Ok(Some((loaded, signals))),
    }
}

/// Tells what is wrong with the file; with the line in question only to somebody who sits there, since a
/// log keeps it, and it may hold a secret.
fn told(error: ReloaderError<ServerConfig, String>) -> Failure {
    match error.file_error() {
        Some(file) if !io::stderr().is_terminal() => {
            let shown = file.line_text().map_or("", |_| "; --check shows the line");
            format!("{}{shown}", file.without_content()).into()
        }
        _ => error.into(),
    }
}

async fn run(
    Following { mode, poll_interval, last_good, .. }: Following,
    source: Source,
    inherited: Inherited,
    filter: log::Filter,
    signals: Signals,
) -> Result<(), Failure> {
    let shutdown = signals.shutdown();
    let options = ReloaderOptions::polling().strategy(mode.into()).poll_interval(poll_interval);
    info!(config = %source.name(), %mode, "following");
    let (service, receiver) = ReloaderService::from_reloader(source.clone(), options);
    let mut service = filter.follow(&source, service).history(HISTORY);
    if let Some(path) = last_good {
        service = service.last_good(path);
    }
    let context = ServerContextBuilder::default()
        .context_rx(receiver)
        .inherited(inherited)
        .explain({
            let source = source.clone();
            move |refused| locate::tell_refused(&source, refused)
        })
        .daemon()
        .shutdown(shutdown)
        .build()?;
    let served = Server::new(context).entrypoint_with_realtime(service).await;
    served.map_err(|error| match locate::tell_refused(&source, &error) {
        Some(told) => told.into(),
        None => error.into(),
    })
}
