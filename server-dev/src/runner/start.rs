//! From a program to a process that is ready.

use std::{io, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Job, Runner, Work, environment,
    heard::{Heard, LastWords},
    own_writes,
};
use crate::{
    config::{ProxyMode, Ready},
    process::{Program, Running},
    proxy::Upstream,
    ready::{self, LastLook, MainProcess, Notified, Private, Sign},
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
    #[error(
        "it has ended: {0}: an address is in use; if it is HOST and PORT, which server-dev holds, it binds a port \
         of its own: add --proxy, or `proxy = \"port\"` to the file"
    )]
    Bound(ExitStatus),
    #[error("it was not ready within {0:?}{1}; see `ready` and `ready_timeout`")]
    Late(Duration, LastLook),
    #[error(
        "nothing listened at HOST and PORT within {0:?}; a server that takes them as arguments is started by \
         sh -c 'exec … --port $PORT', and `proxy = \"socket\"` passes it a socket"
    )]
    Silent(Duration),
    #[error(
        "it was not seen to wait at its socket, descriptor 3, within {0:?}; a server that binds HOST and PORT \
         itself is run with --proxy, and one that waits in a way of its own says READY=1, or how long it takes: \
         `ready = \"2s\"`"
    )]
    Unseen(Duration),
    #[error("it was called off")]
    CalledOff,
}

impl NotReady {
    /// What the process has to say about it.
    pub(super) fn said(&self, heard: &Heard) -> LastWords {
        match self {
            Self::Ended(_) | Self::Bound(_) => heard.said(),
            Self::Late(..) | Self::Silent(_) | Self::Unseen(_) => heard.said_of_places(),
            Self::Start(_) | Self::Environment(_) | Self::CalledOff => LastWords::default(),
        }
    }
}

/// A process that is ready.
pub(super) struct ReadyProcess {
    pub(super) running: Running,
    pub(super) notified: Notified,
    /// Seen at its sockets.
    pub(super) main: Option<MainProcess>,
    pub(super) upstream: Option<Upstream>,
    pub(super) by: Sign,
    pub(super) took: Duration,
}

impl Work {
    /// Starts the program beside what serves.
    pub(super) fn start(&mut self) {
        let off = CancellationToken::new();
        let hears = off.clone();
        let (runner, built, command) =
            (Arc::clone(&self.runner), self.built.clone(), self.command());
        let end = self.end();
        // Whoever else is at the sockets may rely on not having to wait there.
        let is_alone = self.serving.is_none() && self.stopping.is_none();
        let output = Arc::new(Heard::new(Arc::clone(&runner)));
        self.heard = Some(Arc::clone(&output));
        // It reads what was saved by now.
        self.owes_signal = false;
        self.own_writes.begins(own_writes::now());
        if let Some(put_off) = &mut self.put_off {
            put_off.until = None;
        }
        let task = tokio::spawn(async move {
            let service = &runner.service;
            let began = Instant::now();
            let notified = Notified::new(&runner.notify)?;
            let ListensAt { sockets, private } = ListensAt::of(&runner)?;
            if is_alone {
                sockets.have_it_wait()?;
            }
            let env = environment::of_server(
                service,
                &sockets,
                private.map(Private::address),
                built.as_ref(),
                runner.report.is_coloured(),
            )?;
            let program = Program {
                words: command,
                directory: service.directory.clone(),
                env,
                descriptors: sockets.handles()?,
                listen_pid: service.listen_pid && !sockets.is_empty(),
                notify_socket: notified.name().map(Path::to_owned),
                reads: runner.input.is_some(),
            };
            let inodes = sockets.inodes()?;
            let mut running = program.start(&end, &output)?;
            let group = running.group;
            // From here on it alone holds what was made for it.
            drop(sockets);
            let last = LastLook::default();
            let why = tokio::select! {
                biased;
                status = running.ended() => {
                    // At a port that is its own it is in the way of somebody else.
                    let is_held = !inodes.is_empty() && !matches!(private, Some(Private::Port(_)));
                    return Err(if is_held && output.names_a_used_address() {
                        NotReady::Bound(status?)
                    } else {
                        NotReady::Ended(status?)
                    });
                }
                () = hears.cancelled() => NotReady::CalledOff,
                (by, main) = ready::wait(&notified, &service.ready, group, &inodes, private, &last) => {
                    let upstream = private.map(|private| Upstream::new(private.address()));
                    let took = began.elapsed();
                    return Ok(ReadyProcess { running, notified, main, upstream, by, took });
                }
                () = sleep(*service.ready_timeout) => match (private, &service.ready) {
                    (Some(Private::Port(_)), Ready::Auto) => {
                        NotReady::Silent(*service.ready_timeout)
                    }
                    (_, Ready::Auto) => NotReady::Unseen(*service.ready_timeout),
                    _ => NotReady::Late(*service.ready_timeout, last),
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
struct ListensAt {
    sockets: Sockets,
    private: Option<Private>,
}

impl ListensAt {
    fn of(runner: &Runner) -> io::Result<Self> {
        let mut sockets = runner.sockets.again()?;
        let private = match (&runner.behind, runner.service.proxy) {
            (Some(_), Some(ProxyMode::Port)) => Some(Private::Port(unused_port()?)),
            (Some(behind), Some(ProxyMode::Socket)) => {
                Some(Private::Socket(sockets.put_private(&behind.front)?))
            }
            _ => None,
        };
        Ok(Self { sockets, private })
    }
}
