//! What has to succeed before a program is started.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Job, Work, environment,
    heard::{Heard, LastWords},
};
use crate::{
    cargo::{Built, CargoRun, Message},
    config::Words,
    diagnostics::{self, Diagnostic, Severity},
    process::{End, LONGEST_LINE, Line, Output, Program},
    report::Told,
};

/// How long a build that is called off may take to end: the next one waits for it.
const GRACE: Duration = Duration::from_secs(2);
/// A message of cargo is a line, and holds all that a macro was expanded to; of a longer one nothing is
/// understood.
const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// As after `cargo run --help`, or where a `runner` of the command line's own was run.
const NO_PROGRAM: &str = "cargo has run no program; a `--config` of a runner has to be left out";

/// How a build ended.
pub(super) enum Outcome {
    Built {
        /// `None` where there was nothing to build.
        took: Option<Duration>,
        built: Option<Built>,
    },
    Failed {
        reason: String,
        said: LastWords,
    },
}

impl Outcome {
    /// Nothing has been run, or nobody knows how it ended.
    pub(super) fn failed(reason: &impl ToString) -> Self {
        Self::Failed { reason: reason.to_string(), said: LastWords::default() }
    }
}

impl Work {
    /// Builds beside; whatever was called off has ended by then.
    pub(super) fn build(&mut self) {
        let off = CancellationToken::new();
        let (cargo, runner) = (self.cargo.clone(), Arc::clone(&self.runner));
        let words = match &cargo {
            Some(cargo) => Some(cargo.build.clone()),
            None => runner.service.build.clone(),
        };
        let hears = off.clone();
        let end = End { grace: self.runner.service.grace.min(GRACE), ..self.end() };
        let before = self.called_off.take();
        if let Some(words) = &words {
            // What of `cargo run` is only for programs is nothing to be read.
            let shown = cargo.as_ref().map_or(words, |_| &runner.service.command);
            self.tell(Told::Building { command: shown.to_string() });
        }
        let task = tokio::spawn(async move {
            let Some(words) = words else { return Outcome::Built { took: None, built: None } };
            let mut env = match environment::of_build(&runner.service, runner.report.is_coloured())
            {
                Ok(env) => env,
                Err(error) => return Outcome::failed(&error),
            };
            env.extend(cargo.iter().flat_map(CargoRun::variables));
            let program = Program {
                words: words.clone(),
                directory: runner.service.directory.clone(),
                env: env.clone(),
                descriptors: Vec::new(),
                listen_pid: false,
                notify_socket: None,
                reads: false,
            };
            if let Some(before) = before {
                // Two at once would write to the same files.
                let _ = before.await;
            }
            if hears.is_cancelled() {
                return Outcome::failed(&"it was called off");
            }
            let began = Instant::now();
            let output = Arc::new(Read {
                is_cargo: cargo.is_some(),
                heard: Heard::new(runner),
                built: Mutex::default(),
                told: Mutex::default(),
            });
            let mut running = match program.start(&end, &output) {
                Ok(running) => running,
                Err(error) => return Outcome::failed(&error),
            };
            let status = tokio::select! {
                biased;
                status = running.ended() => status,
                () = hears.cancelled() => running.end().await,
            };
            match status {
                Ok(status) if status.success() => match output.built().take() {
                    None if cargo.is_some() => Outcome::failed(&NO_PROGRAM),
                    built => Outcome::Built {
                        took: Some(began.elapsed()),
                        built: built.map(|built| built.without(&env)),
                    },
                },
                Ok(status) => Outcome::Failed {
                    reason: format!("{}: {status}", words.program()),
                    said: output.said(),
                },
                Err(error) => Outcome::failed(&error),
            }
        });
        self.building = Some(Job { off, task });
    }

    /// The command of the program, once built.
    pub(super) fn command(&self) -> Words {
        let built = self.built.as_ref().and_then(Built::command);
        built.unwrap_or_else(|| self.runner.service.command.clone())
    }
}

/// Shows what a build writes, and keeps which program it has built, and what it says of the source.
struct Read {
    is_cargo: bool,
    heard: Heard,
    built: Mutex<Option<Built>>,
    /// By the compiler, through cargo.
    told: Mutex<Vec<Diagnostic>>,
}

impl Read {
    fn built(&self) -> MutexGuard<'_, Option<Built>> {
        // It is set, or taken.
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Vec<Diagnostic>> {
        // It is pushed to, or taken from.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the compiler says, or, where it was never run, what else was written.
    fn said(&self) -> LastWords {
        let LastWords { diagnostics, text } = self.heard.said();
        let mut told = std::mem::take(&mut *self.told());
        if told.iter().all(|diagnostic| diagnostic.severity != Severity::Error) {
            told.extend(diagnostics);
        }
        LastWords { diagnostics: diagnostics::sorted(told), text }
    }
}

impl Output for Read {
    async fn line(&self, line: Line) {
        if self.is_cargo && line.is_error && CargoRun::is_of_runner(&line.text) {
            return;
        }
        let is_message = self.is_cargo && !line.is_error;
        match Message::read(&line.text).filter(|_| is_message) {
            Some(Message::CompilerMessage { message }) => {
                self.told().extend(diagnostics::of_message(&message));
                for text in message.rendered.unwrap_or_default().trim_end().lines() {
                    self.heard.rendered(Line { is_error: true, text: text.into() }).await;
                }
            }
            Some(Message::Built(built)) => *self.built() = Some(built),
            Some(Message::Other) => {}
            // What others write there is cut as it is elsewhere.
            None => {
                for piece in line.pieces() {
                    self.heard.line(piece).await;
                }
            }
        }
    }

    fn left(&self, pids: Vec<u32>) {
        self.heard.left(pids);
    }

    fn longest_line(&self, is_error: bool) -> usize {
        if self.is_cargo && !is_error { LONGEST_MESSAGE } else { LONGEST_LINE }
    }
}
