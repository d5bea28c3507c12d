//! What a daemon owes to who started it: systemd is told how it is doing, and `SIGHUP` is answered.

use std::{future::pending, io, pin::Pin, time::Duration};

use hot_reload::{ReloaderHandle, Triggered};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Instant, interval_at},
};
use tracing::{info, warn};

use crate::status::ServerStatus;

/// How often a drain that goes on asks for more time, and how much: systemd gives up on one that has
/// asked for nothing within its own limit (`sd_notify(3)`, `EXTEND_TIMEOUT_USEC`).
const MORE_TIME: Duration = Duration::from_secs(5);

/// Attends to systemd and to signals, beside a server.
pub(crate) struct Daemon {
    status: watch::Receiver<ServerStatus>,
    handle: ReloaderHandle,
    hangups: Signal,
    /// What systemd shows; empty until it was told that the server is ready.
    shown: String,
}

impl Daemon {
    /// From here on `SIGHUP` does not end the process any more.
    pub(crate) fn new(
        status: watch::Receiver<ServerStatus>,
        handle: ReloaderHandle,
    ) -> io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        Ok(Self { status, handle, hangups, shown: String::new() })
    }

    /// Tells systemd whatever there is to tell, for as long as it is polled.
    ///
    /// It is polled by the task that applies configurations, so that a watchdog hears of one that
    /// hangs.
    pub(crate) async fn attend(&mut self) {
        let mut watchdog = Watchdog::from_env();
        let mut reloading: Option<Reloading> = None;
        loop {
            tokio::select! {
                biased;
                changed = self.status.changed() => {
                    if changed.is_err() {
                        return pending().await;
                    }
                    self.show();
                }
                outcome = over(&mut reloading) => {
                    reloading = None;
                    self.has_reloaded(&outcome);
                }
                // One after another, while everything else goes on.
                Some(()) = self.hangups.recv(), if reloading.is_none() => {
                    reloading = Some(self.reload());
                }
                () = watchdog.is_due() => tell(&[NotifyState::Watchdog]),
            }
        }
    }

    /// Loads the configuration now, as systemd has it of `Type=notify-reload`: the beginning is told
    /// in one datagram with the time, by the clock that nobody sets, and then the end.
    fn reload(&self) -> Reloading {
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

/// A load that somebody has asked for by signal.
type Reloading = Pin<Box<dyn Future<Output = Triggered> + Send>>;

async fn over(reloading: &mut Option<Reloading>) -> Triggered {
    match reloading {
        Some(reloading) => reloading.await,
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
