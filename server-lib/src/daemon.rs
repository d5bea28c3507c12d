//! What a daemon owes to who started it: systemd is told how it is doing, and signals are answered.

use std::{future::pending, io, pin::Pin, sync::Arc};

use hot_reload::{ReloaderHandle, StatusReceiver, Triggered};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{OwnedMutexGuard, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, field::display, info, warn};

use crate::{
    site::Site,
    status::ServerStatus,
    systemd::{self, Event, Told, Watchdog, tell_successor},
    upgrade::{NotReplaced, Predecessor, Program, Successor},
};

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
    told: Told,
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
            told: if predecessor.is_some() { Told::Waiting } else { Told::Nothing },
            predecessor,
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
            if let Some(predecessor) = self.predecessor.take_if(|_| serves) {
                relieving = Some(Box::pin(predecessor.relieve()));
            }
            tokio::select! {
                biased;
                changed = self.status.changed() => {
                    if changed.is_err() {
                        return pending().await;
                    }
                    self.tell(Event::Changed);
                }
                // It ends with the server; until then it is read by `tell` as well.
                Ok(_) = self.reloader.changed() => self.tell(Event::Changed),
                () = over(&mut relieving) => {
                    relieving = None;
                    info!("in the place of an earlier process");
                    self.tell(Event::Relieved);
                }
                outcome = over(&mut reloading) => {
                    reloading = None;
                    match outcome {
                        Triggered::Failed(_) => self.tell_failure(),
                        outcome => info!(%outcome, "SIGHUP"),
                    }
                    self.tell(Event::HasReloaded);
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
                    self.tell(Event::Reloads);
                    reloading = Some(self.reload());
                }
                // Before there is a configuration, no socket is where another would look for it.
                Some(()) = self.upgrades.recv(), if self.upgrading.is_none() && serves => {
                    self.upgrading = Some(Box::pin(self.upgrade()));
                }
                () = watchdog.is_due() => self.tell(Event::IsAlive),
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
            debug!("SIGUSR2: as soon as no configuration is being prepared");
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
        tell_successor(successor.id);
        self.site.keep_files();
        successor.release();
    }

    /// Says why a reload has come to nothing, in the words that the reloader has logged when that was found, which
    /// may be long ago.
    fn tell_failure(&self) {
        let status = self.reloader.get();
        let (pinned, refused_by) = (status.pinned, status.refused_by.as_deref());
        let error = status.last_error_masked.as_ref().map(display);
        if let Some(generation) = pinned {
            warn!(
                generation,
                "SIGHUP: an earlier configuration serves until 'POST /resume' at the admin address"
            );
        } else {
            warn!(error, refused_by, "SIGHUP: the last good configuration goes on");
        }
    }

    fn reload(&self) -> Doing<Triggered> {
        let handle = self.handle.clone();
        Box::pin(async move { handle.trigger().await })
    }

    fn tell(&mut self, event: Event) {
        let words = systemd::words(&self.status.borrow(), &self.reloader.get());
        self.told.tell(event, words);
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
