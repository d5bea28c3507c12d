//! From a program to a process that is ready.

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Job, Ready, Work, environment};
use crate::{
    exec::Wish,
    process::Program,
    ready::{Notified, Sign},
    report::Told,
};

/// Why a new process doesn't serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    #[error("it can't be started: {0}")]
    Start(#[from] io::Error),
    #[error(transparent)]
    Environment(#[from] environment::BadEnvironment),
    #[error("it has ended: {0}")]
    Ended(ExitStatus),
    #[error("it was not ready within {0:?}; see `ready` and `ready_timeout`")]
    Late(Duration),
    #[error("it was called off")]
    CalledOff,
}

impl Work {
    /// Starts the program beside what serves; where two can't run at once, after all others have
    /// ended.
    pub(super) fn start(&mut self) {
        let off = CancellationToken::new();
        let hears = off.clone();
        let (runner, built, command) =
            (Arc::clone(&self.runner), self.built.clone(), self.command());
        let end = self.end();
        let before = (!runner.service.overlap).then(|| self.leaving.clone());
        let task = tokio::spawn(async move {
            let service = &runner.service;
            if let Some(before) = before {
                before.close();
                tokio::select! {
                    biased;
                    () = hears.cancelled() => return Err(NotReady::CalledOff),
                    () = before.wait() => {}
                }
                before.reopen();
            }
            let began = Instant::now();
            let notified = Notified::new()?;
            let env = environment::of_server(service, &runner.sockets, &notified, built.as_ref())?;
            let program = Program {
                words: command,
                directory: service.directory.clone(),
                env,
                descriptors: runner.sockets.handles()?,
                wish: Wish { listen_pid: service.listen_pid && !runner.sockets.is_empty() },
                reads: runner.input.is_some(),
            };
            let inodes = runner.sockets.inodes()?;
            let mut running = program.start(&end, &runner)?;
            runner.report.tell(&runner.name, Told::Starting { pid: running.pid() });
            let group = running.group;
            let why = tokio::select! {
                biased;
                status = running.ended() => return Err(NotReady::Ended(status?)),
                () = hears.cancelled() => NotReady::CalledOff,
                sign = notified.wait(&service.ready, group, &inodes) => {
                    return Ok(Ready { running, notified, by: words(sign), took: began.elapsed() });
                }
                () = sleep(service.ready_timeout) => NotReady::Late(service.ready_timeout),
            };
            // How it ends is no news any more.
            let _ = running.end().await;
            Err(why)
        });
        self.starting = Some(Job { off, task });
    }
}

fn words(sign: Sign) -> &'static str {
    match sign {
        Sign::Notified => "it said READY=1",
        Sign::Accepts => "it waits for connections",
        Sign::Delay => "it has run for as long as was asked for",
        Sign::Alive => "it is alive",
    }
}
