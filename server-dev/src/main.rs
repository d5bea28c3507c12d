//! Runs servers in development: holds their sockets, and builds, starts and replaces them as their
//! files change.
//!
//! `server-dev --help` says how it is used.

#[cfg(not(target_os = "linux"))]
compile_error!("server-dev is for Linux: it stands on inotify(7), proc(5) and prctl(2)");

mod background;
mod cargo;
mod cli;
mod config;
mod desktop;
mod diagnostics;
mod doctor;
mod draft;
mod exec;
mod failure;
mod followed;
mod guard;
mod init;
mod input;
mod keyboard;
mod machine;
mod migrate;
mod never;
mod orphans;
mod over;
mod process;
mod proxy;
mod ready;
mod report;
mod runner;
mod schema;
mod screen;
mod services;
mod signals;
mod sockets;
mod spec;
mod stat;
mod status;
mod stops;
mod terminal;
mod timespan;
mod tree;
mod words;

use std::{path::Path, process::ExitCode, sync::Arc};

use rustix::process::{getpid, set_child_subreaper};
use tempfile::TempDir;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::broadcast,
};
use tokio_util::sync::CancellationToken;

use crate::{
    background::Background,
    cli::Cli,
    config::Config,
    desktop::Desktop,
    failure::{Failure, chain},
    followed::Followed,
    guard::KillGuard,
    input::Input,
    keyboard::Keyboard,
    machine::Need,
    ready::Place,
    report::{Form, Report, Wants},
    services::{Given, Services},
    stops::Stops,
    terminal::Terminal,
};

/// What a shell says of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// Keys that somebody presses faster than anything starts; of more, the last ones count.
const ASKED: usize = 16;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == exec::WORD => exec::become_it(arguments),
        Some(word) if word == cargo::WORD => return cargo::run(arguments),
        Some(word) if word == guard::WORD => {
            guard::become_it(arguments.next());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let cli = cli::parse();
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
    let mut background = Background::default();
    background.spawn(orphans::reap(signal(SignalKind::child())?));
    let signals = signals::of_the_end()?;
    // As it was before, whichever way this function is left.
    let terminal = if cli.stdin || cli.form() != Form::Text { None } else { Terminal::find() };
    let terminal = terminal.map(Arc::new);
    if cli.notify && !desktop::is_there() {
        eprintln!("server-dev: nothing is shown on the desktop: notify-send is not in PATH");
    }
    let (notify, folder) = Place::find();
    if notify == Place::Nowhere {
        eprintln!(
            "server-dev: READY=1 can't be heard: no socket can be made, neither in TMPDIR nor in XDG_RUNTIME_DIR"
        );
    }
    let guard = KillGuard::begin(folder.as_ref().map(TempDir::path))?;
    let desktop = cli.notify.then(|| Desktop::begin(guard.groups()));
    let wants = Wants { status: terminal.is_some(), clear: cli.clear };
    let names = config.services.keys().cloned().collect();
    let report = Arc::new(Report::new(cli.form(), wants, names, desktop));
    // In the background it waits until it is continued before it.
    if terminal.as_ref().is_some_and(|terminal| terminal.take()) {
        report.show();
    }
    let (ask, asked) = broadcast::channel(ASKED);
    let given = Given {
        report: Arc::clone(&report),
        notify,
        asked,
        input: cli.stdin.then(Input::begin),
        guarded: guard.groups(),
        file: cli.file().map(Path::to_owned),
        over: CancellationToken::new(),
        hurry: CancellationToken::new(),
    };
    let services = run_all(given, config, ask, terminal.as_ref(), signals);
    let ended = background.beside(services).await.map_err(Failure::from).and_then(|ended| ended);
    report.finish().await;
    ended
}

/// Runs all services until they have ended.
async fn run_all(
    given: Given,
    config: Config,
    ask: broadcast::Sender<Need>,
    terminal: Option<&Arc<Terminal>>,
    signals: Vec<Signal>,
) -> Result<ExitCode, Failure> {
    let report = Arc::clone(&given.report);
    let (over, hurry) = (given.over.clone(), given.hurry.clone());
    let file = given.file.clone();
    let services = Services::open(given, config)?;
    let followed = file.as_deref().map(Followed::begin).transpose()?;
    let mut background = Background::default();
    background.spawn(signals::attend(signals, over.clone(), hurry.clone()));
    if let Some(terminal) = terminal {
        let keyboard = Keyboard { report: Arc::clone(&report), ask, over };
        background.spawn(keyboard.attend(Terminal::keys()));
        let stops = Stops::of(terminal, &report)?;
        background.spawn(stops.attend());
    }
    background.beside(services.run(followed)).await??;
    Ok(if hurry.is_cancelled() { INTERRUPTED.into() } else { ExitCode::SUCCESS })
}
