//! Runs servers in development: holds their sockets, and builds, starts and replaces them as their
//! files change.
//!
//! `server-dev --help` says how it is used.

#[cfg(not(target_os = "linux"))]
compile_error!("server-dev is for Linux: it stands on inotify(7), proc(5) and prctl(2)");

mod cargo;
mod cli;
mod config;
mod desktop;
mod diagnostics;
mod doctor;
mod draft;
mod exec;
mod guard;
mod init;
mod input;
mod machine;
mod migrate;
mod orphans;
mod process;
mod proxy;
mod ready;
mod report;
mod runner;
mod schema;
mod screen;
mod sockets;
mod spec;
mod stat;
mod status;
mod stops;
mod terminal;
mod timespan;
mod tree;
mod words;

use std::{error::Error, path::Path, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use hot_reload::{ReloaderOptions, ReloaderService};
use rustix::process::{getpid, set_child_subreaper};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{broadcast, mpsc},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    cli::Cli,
    config::{Config, Service},
    desktop::Desktop,
    guard::{GuardedGroups, KillGuard},
    input::Input,
    machine::Need,
    proxy::{Fronted, Publisher},
    report::{Form, Report, Told, Wants, WatchedBy, milliseconds},
    runner::Runner,
    sockets::Sockets,
    stops::Stops,
    terminal::{Key, Terminal},
    tree::{Filter, Mechanism, Tree},
};

/// What a shell says of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// Keys that somebody presses faster than anything starts; of more, the last ones count.
const ASKED: usize = 16;

/// A large tree on another machine takes its time; it is not given up on, as nothing else would help.
const LONGEST_LOOK: Duration = Duration::from_secs(3600);

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == exec::WORD => exec::become_it(arguments),
        Some(word) if word == cargo::WORD => return cargo::tell(arguments),
        Some(word) if word == guard::WORD => {
            guard::become_it(arguments.next());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let cli = Cli::parse();
    let done = match &cli.order {
        Some(order) => order.carry_out(),
        None => run(&cli),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("server-dev: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error and what it comes from, in a line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(run_within(cli));
    // A look at a large tree, or at one of a server that doesn't answer, is waited for by nobody.
    runtime.shutdown_background();
    ended
}

async fn run_within(cli: &Cli) -> Result<ExitCode, Failure> {
    let config = cli.config()?;
    // What a server starts and leaves behind comes to this process, which ends and reaps it
    // (PR_SET_CHILD_SUBREAPER(2const)).
    set_child_subreaper(Some(getpid()))?;
    tokio::spawn(orphans::reap(signal(SignalKind::child())?));
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    let signals = signals.into_iter().map(signal).collect::<Result<Vec<_>, _>>()?;
    // As it was before, whichever way this function is left.
    let terminal = if cli.stdin || cli.form() != Form::Text { None } else { Terminal::find() };
    let terminal = terminal.map(Arc::new);
    if cli.notify && !desktop::is_there() {
        eprintln!("server-dev: nothing is shown on the desktop: notify-send is not in PATH");
    }
    let notify = ready::folder()?;
    let guard = KillGuard::begin(notify.path())?;
    let desktop = cli.notify.then(|| Desktop::begin(guard.groups()));
    let wants = Wants { status: terminal.is_some(), clear: cli.clear };
    let names = config.services.keys().cloned().collect();
    let report = Arc::new(Report::new(cli.form(), wants, names, desktop));
    // In the background it waits until it is continued before it.
    if terminal.as_ref().is_some_and(|terminal| terminal.take()) {
        report.show();
    }
    let ended =
        run_all(cli, config, &report, &guard.groups(), notify.path(), terminal.as_ref(), signals)
            .await;
    report.finish().await;
    ended
}

/// Runs all services until they have ended.
async fn run_all(
    cli: &Cli,
    config: Config,
    report: &Arc<Report>,
    guarded: &GuardedGroups,
    notify: &Path,
    terminal: Option<&Arc<Terminal>>,
    signals: Vec<Signal>,
) -> Result<ExitCode, Failure> {
    let (ask, asked) = broadcast::channel(ASKED);
    let input = cli.stdin.then(Input::begin);
    let (over, hurry) = (CancellationToken::new(), CancellationToken::new());
    let mut services = JoinSet::new();
    let all = open(config)?;
    let names: Vec<_> = all.iter().map(|(name, ..)| name.clone()).collect();
    for (name, service, mut sockets, tree) in all {
        for (socket, address) in sockets.places() {
            let told = Told::Listening { name: socket.to_owned(), address };
            report.tell(&name, told);
        }
        let (report, hurry) = (Arc::clone(report), hurry.clone());
        let (asked, input) = (asked.resubscribe(), input.clone());
        let site = Publisher::default();
        let front = service.proxy.and_then(|_| sockets.take_front());
        let fronted = front.map(|front| Fronted::put_before(&name, &service, front, &site, &over));
        let (proxy, behind) = fronted.transpose()?.unzip();
        let runner = Runner {
            name,
            service,
            sockets,
            behind,
            site,
            tree,
            notify: notify.to_owned(),
            report,
            asked,
            input,
            hurry,
            guarded: guarded.clone(),
        };
        services.spawn(serve(runner, proxy, over.clone()));
    }
    tokio::spawn(attend(signals, over.clone(), hurry.clone()));
    tokio::spawn({
        let (report, over) = (Arc::clone(report), over.clone());
        async move {
            over.cancelled().await;
            for name in names {
                report.tell(&name, Told::Ending);
            }
        }
    });
    if let Some(terminal) = terminal {
        let keyboard = Keyboard { report: Arc::clone(report), ask, over: over.clone() };
        tokio::spawn(keyboard.attend(Terminal::keys()));
        let stops = Stops::of(terminal, report)?;
        tokio::spawn(stops.attend());
    }
    while let Some(ended) = services.join_next().await {
        ended??;
    }
    Ok(if hurry.is_cancelled() { INTERRUPTED.into() } else { ExitCode::SUCCESS })
}

/// Makes everything that may be refused, of all services, before any of them is started.
fn open(config: Config) -> Result<Vec<(String, Service, Sockets, Tree)>, Failure> {
    let open = config.services.into_iter().map(|(name, service)| {
        proxy::check(&name, &service)?;
        let sockets = Sockets::open(&service.sockets)?;
        let tree =
            Tree::new(Filter::of(&service)?, *service.settle, service.poll.map(Duration::from));
        Ok((name, service, sockets, tree))
    });
    open.collect()
}

/// Follows the files of a service, and runs it.
async fn serve(
    runner: Runner,
    proxy: Option<Fronted>,
    over: CancellationToken,
) -> Result<(), Failure> {
    let tree = runner.tree.clone();
    let options = ReloaderOptions::realtime().load_timeout(LONGEST_LOOK);
    let (service, mut edits) = ReloaderService::from_reloader(tree.clone(), options);
    let service = service.with_shutdown(over.clone().cancelled_owned());
    let following = tokio::spawn(async move { service.start_with_realtime().await });
    // The files as they were before the first build.
    tokio::select! {
        biased;
        () = over.cancelled() => return Ok(()),
        read = edits.changed() => read?,
    }
    let mut mechanism = tree.watch_mechanism();
    let now = mechanism.borrow_and_update().clone();
    runner.report.tell(&runner.name, watching(&tree, now));
    if !tree.has_files() {
        let (roots, extensions) = (tree.roots(), tree.extensions().to_vec());
        runner.report.tell(&runner.name, Told::NothingCounts { roots, extensions });
    }
    let _telling = AbortOnDropHandle::new(tokio::spawn({
        let (report, name) = (Arc::clone(&runner.report), runner.name.clone());
        async move {
            while mechanism.changed().await.is_ok() {
                let now = mechanism.borrow_and_update().clone();
                report.tell(&name, watching(&tree, now));
            }
        }
    }));
    let running = runner.run(edits, over);
    match proxy {
        Some(proxy) => proxy.serve(running).await?,
        None => running.await,
    }
    following.await??;
    Ok(())
}

fn watching(tree: &Tree, by: Mechanism) -> Told {
    let (files, folders) = tree.size();
    let mechanism = match (by.is_told, by.poll) {
        (true, None) => WatchedBy::Events,
        (true, Some(_)) => WatchedBy::EventsAndPolling,
        (false, _) => WatchedBy::Polling,
    };
    let poll_milliseconds = by.poll.map(milliseconds);
    Told::Watching {
        roots: tree.roots(),
        files,
        folders,
        mechanism,
        poll_milliseconds,
        reason: by.reason,
    }
}

/// The first signal has everything end, the second at once.
async fn attend(mut signals: Vec<Signal>, over: CancellationToken, hurry: CancellationToken) {
    loop {
        let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(any).await;
        // It may have been asked for by a key before.
        if over.is_cancelled() {
            return hurry.cancel();
        }
        over.cancel();
    }
}

/// Does what keys ask for.
struct Keyboard {
    report: Arc<Report>,
    ask: broadcast::Sender<Need>,
    over: CancellationToken,
}

impl Keyboard {
    async fn attend(self, mut keys: mpsc::UnboundedReceiver<Key>) {
        while let Some(key) = keys.recv().await {
            match key {
                // Nobody receives it once all services have ended, and then there is nothing to do.
                Key::Restart => drop(self.ask.send(Need::Restart)),
                Key::Build => drop(self.ask.send(Need::Build)),
                Key::Clear => self.report.clear(),
                Key::Help => self.report.help(),
                Key::Quit => self.over.cancel(),
            }
        }
    }
}
