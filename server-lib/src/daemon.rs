//! What a daemon owes to who started it: systemd is told how it is doing, and signals are answered.

use std::{future::pending, io, pin::Pin, sync::Arc, time::Duration};

use hot_reload::{ReloaderHandle, StatusReceiver, Triggered};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{OwnedMutexGuard, watch},
    time::{Instant, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    site::Site,
    status::ServerStatus,
    upgrade::{NotReplaced, Predecessor, Program, Successor},
};

/// How often a drain that goes on asks for more time, and how much: systemd gives up on one that has
/// asked for nothing within its own limit (`sd_notify(3)`, `EXTEND_TIMEOUT_USEC`).
const MORE_TIME: Duration = Duration::from_secs(5);

/// Attends to systemd and to signals, beside a server.
pub(crate) struct Daemon {
    site: Arc<Site>,
    status: watch::Receiver<ServerStatus>,
    reloader: StatusReceiver,
    handle: ReloaderHandle,
    hangups: Signal,
    upgrades: Signal,
    program: Program,
    /// What starts another process.
    upgrading: Option<Doing<Result<Replacement, NotReplaced>>>,
    shutdown: CancellationToken,
    /// Who is to be told first that this process is ready.
    predecessor: Option<Predecessor>,
    /// What systemd shows; empty until it was told that the server is ready.
    shown: String,
}

impl Daemon {
    /// From here on neither `SIGHUP` nor `SIGUSR2` ends the process any more.
    pub(crate) fn new(
        site: &Arc<Site>,
        status: watch::Receiver<ServerStatus>,
        reloader: StatusReceiver,
        handle: ReloaderHandle,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let predecessor = site.predecessor().map(Predecessor::new).transpose()?;
        Ok(Self {
            site: Arc::clone(site),
            status,
            reloader,
            handle,
            hangups: signal(SignalKind::hangup())?,
            upgrades: signal(SignalKind::user_defined2())?,
            program: Program::of_this_process()?,
            upgrading: None,
            shutdown,
            predecessor,
            shown: String::new(),
        })
    }

    /// Tells systemd whatever there is to tell, until another process has taken over.
    ///
    /// It is polled by the task that applies configurations, so that a watchdog hears of one that
    /// hangs.
    pub(crate) async fn attend(&mut self) {
        let mut watchdog = Watchdog::from_env();
        let mut reloading: Option<Doing<Triggered>> = None;
        let mut relieving: Option<Doing<()>> = None;
        loop {
            let serves = self.status.borrow().generation > 0;
            tokio::select! {
                biased;
                changed = self.status.changed() => {
                    if changed.is_err() {
                        return pending().await;
                    }
                    let serves = self.status.borrow().generation > 0;
                    match self.predecessor.take_if(|_| serves) {
                        Some(predecessor) => relieving = Some(Box::pin(predecessor.relieve())),
                        // Until the one before lets go, systemd hears of nobody else.
                        None if relieving.is_none() => self.show(),
                        None => {}
                    }
                }
                () = over(&mut relieving) => {
                    relieving = None;
                    info!("in the place of an earlier process");
                    tell(&[NotifyState::MainPid(std::process::id())]);
                    self.show();
                }
                outcome = over(&mut reloading) => {
                    reloading = None;
                    self.has_reloaded(&outcome);
                }
                started = over(&mut self.upgrading) => {
                    self.upgrading = None;
                    match started {
                        Ok(replacement) => return self.hand_over_to(replacement),
                        Err(error) => {
                            let error = crate::error::chain(&error);
                            warn!(error, "SIGUSR2: there is no new process, and nothing has changed");
                        }
                    }
                }
                // One after another, while everything else goes on.
                Some(()) = self.hangups.recv(), if reloading.is_none() => {
                    reloading = Some(self.reload());
                }
                // Before there is a configuration, no socket is where another would look for it.
                Some(()) = self.upgrades.recv(), if self.upgrading.is_none() && serves => {
                    self.upgrading = Some(Box::pin(self.upgrade()));
                }
                () = watchdog.is_due() => tell(&[NotifyState::Watchdog]),
            }
        }
    }

    /// Ends a process that it has started in its place, once its shutdown is cancelled: whoever wants
    /// this one to end wants nobody to go on.
    pub(crate) async fn end(&mut self) {
        let Some(upgrading) = self.upgrading.take() else { return };
        if let Ok(Replacement { successor, .. }) = upgrading.await {
            successor.end();
        }
    }

    /// Starts the new executable.
    fn upgrade(&self) -> impl Future<Output = Result<Replacement, NotReplaced>> + 'static {
        let (site, reloader) = (Arc::clone(&self.site), self.reloader.clone());
        let (program, shutdown) = (self.program.clone(), self.shutdown.clone());
        async move {
            if std::process::id() == 1 {
                return Err(NotReplaced::First);
            }
            // What is opened after the sockets were counted would be in the way of the new process.
            let turn = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(NotReplaced::Ending),
                turn = Arc::clone(&site.turn).lock_owned() => turn,
            };
            if reloader.get().pinned.is_some() {
                return Err(NotReplaced::Pinned);
            }
            let sockets = site.sockets().map_err(NotReplaced::Sockets)?;
            info!(sockets = sockets.len(), "SIGUSR2: starting a new process");
            let successor = program.start(sockets, &shutdown).await?;
            Ok(Replacement { successor, turn })
        }
    }

    /// Lets go; what waits for its turn is the new process's to take, which follows the same source.
    fn hand_over_to(&self, Replacement { successor, turn: _turn }: Replacement) {
        info!(process = successor.id, "SIGUSR2: a new process has taken over");
        // First, since from then on what this process tells is of no interest to systemd.
        tell(&[NotifyState::MainPid(successor.id)]);
        self.site.keep_files();
        successor.release();
    }

    /// Loads the configuration now, as systemd has it of `Type=notify-reload`: the beginning is told
    /// in one datagram with the time, by the clock that nobody sets, and then the end.
    fn reload(&self) -> Doing<Triggered> {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!(%error, "systemd can't be told of the reload"),
        }
        let handle = self.handle.clone();
        Box::pin(async move { handle.trigger().await })
    }

    fn has_reloaded(&mut self, outcome: &Triggered) {
        match outcome {
            // Why is in the log of the reloader, and in its status.
            Triggered::Failed(_) => warn!("SIGHUP: the last good configuration goes on"),
            outcome => info!(%outcome, "SIGHUP"),
        }
        self.shown = words(&self.status.borrow_and_update()).unwrap_or_default();
        tell(&[NotifyState::Ready, NotifyState::Status(&self.shown)]);
    }

    /// Has systemd show what there is now, and count the server as ready once it serves.
    fn show(&mut self) {
        let words = words(&self.status.borrow_and_update());
        let Some(words) = words.filter(|words| *words != self.shown) else { return };
        let ready = self.shown.is_empty().then_some(NotifyState::Ready);
        let state: Vec<_> = ready.into_iter().chain([NotifyState::Status(&words)]).collect();
        tell(&state);
        self.shown = words;
    }
}

/// A process that is ready to take over, and that no configuration is applied meanwhile.
struct Replacement {
    successor: Successor,
    turn: OwnedMutexGuard<()>,
}

/// What somebody has asked for by signal, while it is done.
type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

async fn over<T>(doing: &mut Option<Doing<T>>) -> T {
    match doing {
        Some(doing) => doing.await,
        None => pending().await,
    }
}

/// Tells that the server is about to drain.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("waiting for requests under way")]);
}

/// Asks for more time, for as long as it is polled.
pub(crate) async fn ask_for_time() {
    let more = u32::try_from((2 * MORE_TIME).as_micros()).unwrap_or(u32::MAX);
    let mut again = interval_at(Instant::now(), MORE_TIME);
    loop {
        again.tick().await;
        tell(&[NotifyState::ExtendTimeoutUsec(more)]);
    }
}

/// When systemd wants to hear that the server is alive, if at all.
struct Watchdog(Option<tokio::time::Interval>);

impl Watchdog {
    fn from_env() -> Self {
        // At half of its limit, as sd_watchdog_enabled(3) has it.
        let interval = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let interval = interval.filter(|interval| !interval.is_zero());
        Self(interval.map(|interval| interval_at(Instant::now() + interval, interval)))
    }

    async fn is_due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => pending().await,
        }
    }
}

/// What systemd shows of a server, once it serves.
fn words(status: &ServerStatus) -> Option<String> {
    let generation = Some(status.generation).filter(|generation| *generation > 0)?;
    Some(match &status.refusal {
        None => format!("serving generation {generation}"),
        Some(refusal) => {
            format!("serving generation {generation}; {} is refused", refusal.generation)
        }
    })
}

/// Tells systemd, if that has started the process (`NOTIFY_SOCKET`).
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd can't be told");
    }
}
