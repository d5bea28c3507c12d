//! From a program to a process that is ready.

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Heard, Job, Ready, Runner, Said, Work, environment};
use crate::{
    config::{self, ProxyMode},
    exec::Wish,
    process::Program,
    proxy::Upstream,
    ready::{Notified, Private, Sign},
    report::Told,
    sockets::{Sockets, unused_port},
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
    #[error(
        "nothing listened at HOST and PORT within {0:?}; a server that takes them as arguments is started by \
         sh -c 'exec … --port $PORT', and `proxy = \"socket\"` passes it a socket"
    )]
    Silent(Duration),
    #[error("it was called off")]
    CalledOff,
}

impl NotReady {
    /// What the process has to say about it.
    pub(super) fn said(&self, heard: &Heard) -> Said {
        match self {
            Self::Ended(_) => heard.said(),
            Self::Late(_) | Self::Silent(_) => heard.said_of_places(),
            Self::Start(_) | Self::Environment(_) | Self::CalledOff => Said::default(),
        }
    }
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
        let output = Arc::new(Heard::new(Arc::clone(&runner)));
        self.heard = Some(Arc::clone(&output));
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
            let Given { sockets, private } = Given::of(&runner)?;
            let env = environment::of_server(
                service,
                &sockets,
                private.map(Private::address),
                &notified,
                built.as_ref(),
                runner.report.is_coloured(),
            )?;
            let program = Program {
                words: command,
                directory: service.directory.clone(),
                env,
                descriptors: sockets.handles()?,
                wish: Wish { listen_pid: service.listen_pid && !sockets.is_empty() },
                reads: runner.input.is_some(),
            };
            let inodes = sockets.inodes()?;
            let mut running = program.start(&end, &output)?;
            runner.report.tell(&runner.name, Told::Starting { pid: running.pid() });
            let group = running.group;
            // From here on it alone holds what was made for it.
            drop(sockets);
            let why = tokio::select! {
                biased;
                status = running.ended() => return Err(NotReady::Ended(status?)),
                () = hears.cancelled() => NotReady::CalledOff,
                sign = notified.wait(&service.ready, group, &inodes, private) => {
                    let upstream = private.map(|private| Upstream::new(private.address()));
                    let (by, took) = (words(sign), began.elapsed());
                    return Ok(Ready { running, notified, upstream, by, took });
                }
                () = sleep(*service.ready_timeout) => match (private, &service.ready) {
                    (Some(Private::Port(_)), config::Ready::Auto) => {
                        NotReady::Silent(*service.ready_timeout)
                    }
                    _ => NotReady::Late(*service.ready_timeout),
                },
            };
            // How it ends is no news any more.
            let _ = running.end().await;
            Err(why)
        });
        self.starting = Some(Job { off, task });
    }
}

/// What one process listens at.
struct Given {
    sockets: Sockets,
    private: Option<Private>,
}

impl Given {
    fn of(runner: &Runner) -> io::Result<Self> {
        let mut sockets = runner.sockets.again()?;
        let private = match (&runner.front, runner.service.proxy) {
            (Some(_), Some(ProxyMode::Port)) => Some(Private::Port(unused_port()?)),
            (Some(front), Some(ProxyMode::Socket)) => {
                Some(Private::Socket(sockets.put_private(front)?))
            }
            _ => None,
        };
        Ok(Self { sockets, private })
    }
}

fn words(sign: Sign) -> &'static str {
    match sign {
        Sign::Notified => "it said READY=1",
        Sign::Accepts => "it waits for connections",
        Sign::Connects => "its port takes connections",
        Sign::Answers => "it answers",
        Sign::Delay => "it has run for as long as was asked for",
        Sign::Alive => "it is alive",
    }
}
