//! The keys of a terminal.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{machine::Need, report::Report, terminal::Key};

/// Does what keys ask for.
pub(crate) struct Keyboard {
    pub(crate) report: Arc<Report>,
    pub(crate) ask: broadcast::Sender<Need>,
    pub(crate) over: CancellationToken,
}

impl Keyboard {
    pub(crate) async fn attend(self, mut keys: mpsc::UnboundedReceiver<Key>) {
        while let Some(key) = keys.recv().await {
            match key {
                // Nobody receives it once all services have ended, and then there is nothing to do.
                Key::Restart => drop(self.ask.send(Need::Restart)),
                Key::Build => drop(self.ask.send(Need::Build)),
                Key::Clear => self.report.clear(),
                Key::Help => self.report.help(),
                Key::Quit => self.over.cancel(),
            }
        }
    }
}
