//! What the parts of a server have in common.

use std::sync::Arc;

use crate::{changes::Changes, limits::Slots, live::Live, metrics::Metrics};

/// What is in use, what has changed and what is counted: one of each in a server.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) live: Arc<Live>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) metrics: Arc<Metrics>,
    /// Those of the application's connections.
    pub(crate) slots: Arc<Slots>,
}

impl Shared {
    /// Before any configuration, and with the recorder that is installed by now.
    pub(crate) fn new() -> Self {
        Self {
            live: Arc::default(),
            changes: Arc::default(),
            metrics: Arc::new(Metrics::of_the_recorder()),
            slots: Arc::default(),
        }
    }
}
