//! Where a running loop puts what it found.

#[cfg(feature = "file-reloader")]
use std::sync::Arc;

use crate::{channel::ReloaderSender, status::Status};

/// Takes note of how the service is doing.
pub(crate) trait Report {
    fn report(&self, change: &mut dyn FnMut(&mut Status));
}

/// Why the source could not be loaded.
#[cfg(feature = "file-reloader")]
pub(crate) struct Failure {
    pub(crate) words: Arc<str>,
    /// There is nothing to load, rather than something bad.
    pub(crate) is_missing: bool,
}

/// What publishing does to the status.
pub(crate) type Change<'a> = &'a mut (dyn FnMut(&mut Status, Option<u64>) + Send);

/// Takes the values.
pub(crate) trait Sink<V>: Report {
    /// Resolves once nobody is left to take anything.
    fn closed(&self) -> impl Future<Output = ()>;

    /// Passes `value` on, unless it is what the other side has already, together with a change of
    /// the status, which is told the generation if there is a new one.
    fn publish(&self, value: V, change: Change<'_>) -> impl Future<Output = ()>;

    /// Passes on that the source could not be loaded.
    #[cfg(feature = "file-reloader")]
    fn failed(&self, failure: Failure) -> impl Future<Output = ()>;
}

/// Publishes to the receivers of a service.
pub(crate) struct Publish<'a, V> {
    pub(crate) sender: &'a ReloaderSender<V>,
    /// Publishes a value that equals the last as well.
    pub(crate) force: bool,
}

impl<V> Report for Publish<'_, V> {
    fn report(&self, change: &mut dyn FnMut(&mut Status)) {
        self.sender.set_status(change);
    }
}

impl<V: Eq> Sink<V> for Publish<'_, V> {
    fn closed(&self) -> impl Future<Output = ()> {
        self.sender.closed()
    }

    async fn publish(&self, value: V, change: Change<'_>) {
        if !self.force && self.sender.holds(&value) {
            return self.sender.set_status(|status| change(status, None));
        }
        // Refused only when the last receiver has just gone, which `closed` reports next.
        let _gone = self.sender.send_with(Some(value), |status, number| {
            status.generation = number;
            change(status, Some(number));
        });
    }

    #[cfg(feature = "file-reloader")]
    async fn failed(&self, _failure: Failure) {
        // Receivers keep what they had; the status has the reason.
    }
}
