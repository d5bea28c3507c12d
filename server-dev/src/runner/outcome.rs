//! How what was under way has ended, as an event of the machine.

use std::{io, process::ExitStatus, time::Duration};

use super::{
    Work,
    build::Outcome,
    heard::LastWords,
    own_writes,
    start::{NotReady, ReadyProcess},
};
use crate::{
    machine::{Event, Exit},
    proxy::ProblemKind,
    report::{Told, milliseconds},
};

/// A server that ended within this after it was ready has crashed; after it, it had worked.
const CRASH_WINDOW: Duration = Duration::from_secs(5);

/// The end of a process that served.
pub(super) struct Exited {
    pub(super) pid: u32,
    pub(super) status: String,
    pub(super) said: LastWords,
}

impl Work {
    pub(super) fn has_built(&mut self, outcome: Outcome) -> Event {
        match outcome {
            Outcome::Built { took, built } => {
                if let Some(took) = took {
                    self.tell(Told::Built { milliseconds: milliseconds(took) });
                }
                self.built = built;
                self.unbuilt = None;
                Event::Built
            }
            Outcome::Failed { reason, said } => {
                self.saved = None;
                self.publish_problem(ProblemKind::Build, &reason, &said);
                self.tell(Told::BuildFailed {
                    reason,
                    serves: self.machine.serves,
                    again_in_milliseconds: self.machine.pause_after_failure().map(milliseconds),
                    diagnostics: said.diagnostics,
                });
                Event::BuildFailed
            }
        }
    }

    pub(super) fn has_started(&mut self, ready: Result<ReadyProcess, NotReady>) -> Event {
        self.own_writes.is_over(own_writes::now());
        self.start_is_over();
        match ready {
            Ok(ready) => {
                self.ready = Some(ready);
                Event::Ready
            }
            Err(reason) => {
                self.saved = None;
                let said = self.heard.take().map(|heard| reason.said(&heard)).unwrap_or_default();
                let reason = reason.to_string();
                self.publish_problem(ProblemKind::Start, &reason, &said);
                self.tell(Told::NotReady {
                    reason,
                    serves: self.machine.serves,
                    again_in_milliseconds: self.machine.pause_after_failure().map(milliseconds),
                    diagnostics: said.diagnostics,
                });
                Event::StartFailed
            }
        }
    }

    /// `after` so long.
    pub(super) fn has_exited(&mut self, status: io::Result<ExitStatus>, after: Duration) -> Event {
        let exit = match &status {
            Ok(status) if status.success() => Exit::Done,
            _ if after < CRASH_WINDOW => Exit::Soon,
            _ => Exit::Late,
        };
        self.exited = self.serving.take().map(|serving| Exited {
            pid: serving.running.pid(),
            status: in_words(status),
            said: match &serving.heard {
                // What it has written was no complaint.
                Some(heard) if exit != Exit::Done => heard.said(),
                _ => LastWords::default(),
            },
        });
        Event::Exited(exit)
    }
}

pub(super) fn in_words(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
