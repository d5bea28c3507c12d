//! What has to succeed before a program is started.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Job, Work, environment};
use crate::{
    cargo::{Built, CargoRun, Message},
    config::Words,
    exec::Wish,
    process::{Line, Program},
    report::Told,
};

/// How a build ended.
pub(super) enum Outcome {
    Built {
        /// `None` where there was nothing to build.
        took: Option<Duration>,
        built: Option<Built>,
    },
    Failed(String),
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
        let (lines, end, hears) = (self.lines.clone(), self.end(), off.clone());
        if let Some(words) = &words {
            self.tell(&Told::Building { command: words.to_string() });
        }
        let task = tokio::spawn(async move {
            let Some(words) = words else { return Outcome::Built { took: None, built: None } };
            let env = match environment::of_build(&runner.service) {
                Ok(env) => env,
                Err(error) => return Outcome::Failed(error.to_string()),
            };
            let program = Program {
                words: words.clone(),
                directory: runner.service.directory.clone(),
                env,
                descriptors: Vec::new(),
                wish: Wish { listen_pid: false },
            };
            let began = Instant::now();
            let (sender, read) = match &cargo {
                Some(_) => {
                    let (sender, from_cargo) = mpsc::channel(64);
                    (sender, Some(tokio::spawn(read(from_cargo, lines))))
                }
                None => (lines, None),
            };
            let mut running = match program.start(&end, &sender) {
                Ok(running) => running,
                Err(error) => return Outcome::Failed(error.to_string()),
            };
            drop(sender);
            let status = tokio::select! {
                biased;
                status = running.ended() => status,
                () = hears.cancelled() => running.end().await,
            };
            let built = match read {
                Some(read) => read.await.unwrap_or_default(),
                None => Vec::new(),
            };
            match status {
                Ok(status) if status.success() => {
                    Outcome::Built { took: Some(began.elapsed()), built: only(built) }
                }
                Ok(status) => Outcome::Failed(format!("{}: {status}", words.program())),
                Err(error) => Outcome::Failed(error.to_string()),
            }
        });
        self.building = Some(Job { off, task });
    }

    /// The command of the program, once built.
    pub(super) fn command(&self) -> Words {
        let found = self.cargo.as_ref().zip(self.built.as_ref());
        found
            .and_then(|(cargo, built)| CargoRun::command(cargo, built))
            .unwrap_or_else(|| self.runner.service.command.clone())
    }
}

/// Of several programs, cargo alone knows which it would run.
fn only(mut built: Vec<Built>) -> Option<Built> {
    built.pop().filter(|_| built.is_empty())
}

/// Shows what cargo has to show, and returns the programs that it has built.
async fn read(mut from: mpsc::Receiver<Line>, to: mpsc::Sender<Line>) -> Vec<Built> {
    let mut built = Vec::new();
    while let Some(line) = from.recv().await {
        let lines = match Message::read(&line.text).filter(|_| !line.is_error) {
            Some(Message::CompilerMessage { message }) => {
                let rendered = message.rendered.unwrap_or_default();
                let line = |text: &str| Line { is_error: true, text: text.into() };
                rendered.trim_end().lines().map(line).collect()
            }
            Some(message) => {
                built.extend(message.built());
                continue;
            }
            None => vec![line],
        };
        for line in lines {
            if to.send(line).await.is_err() {
                return built;
            }
        }
    }
    built
}
