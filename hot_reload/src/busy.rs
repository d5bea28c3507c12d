//! A turn that only one may have at a time, and that nobody waits for.

use std::ops::Deref;

#[cfg(hot_reload_loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(hot_reload_loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody is at work.
#[derive(Debug, Default)]
pub(crate) struct Busy(AtomicBool);

impl Busy {
    /// Begins to work, until what is returned is dropped; `None` while another is at it.
    pub(crate) fn begin<B: Deref<Target = Self>>(this: B) -> Option<AtWork<B>> {
        // Acquire and release: whoever comes next sees what this one has done.
        let was_busy = this.0.swap(true, Ordering::Acquire);
        (!was_busy).then(|| AtWork(this))
    }
}

/// Keeps others from beginning.
pub(crate) struct AtWork<B: Deref<Target = Busy>>(B);

impl<B: Deref<Target = Busy>> Drop for AtWork<B> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Every interleaving that the memory model allows, as `RUSTFLAGS="--cfg hot_reload_loom"` tries them.
#[cfg(all(test, hot_reload_loom))]
mod tests {
    use loom::{
        sync::{Arc, atomic::AtomicUsize},
        thread,
    };

    use super::*;

    #[test]
    fn one_at_a_time_and_each_sees_what_was_done_before() {
        loom::model(|| {
            let (busy, done) = (Arc::new(Busy::default()), Arc::new(AtomicUsize::new(0)));
            let work = |busy: Arc<Busy>, done: Arc<AtomicUsize>| {
                Busy::begin(busy).map_or(0, |_at_work| {
                    // Lost if another is at it, or what another did is not seen.
                    done.store(done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    1
                })
            };
            let other = thread::spawn({
                let (busy, done) = (Arc::clone(&busy), Arc::clone(&done));
                move || work(Arc::clone(&busy), Arc::clone(&done)) + work(busy, done)
            });
            let begun = work(Arc::clone(&busy), Arc::clone(&done)) + other.join().unwrap();
            assert!(begun > 0);
            assert_eq!(done.load(Ordering::Relaxed), begun);
        });
    }
}
