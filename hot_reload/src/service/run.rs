//! The shell around the loop: waits, looks, publishes, and decides nothing.

use std::{
    fmt::Display,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, field::display, info, warn};

use super::{
    sink::{Report, Sink},
    state::{Event, State, Timing, next},
};
use crate::{
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Hint, Look, Mechanism, Patience},
    options::ReloaderOptions,
    panic::words,
    redact::{for_log, mask},
    status::{Health, Status},
};

/// Follows a source until nobody is left to publish to.
///
/// Dropping the future stops the service; whatever was published stays.
pub(crate) async fn run<V, S>(
    source: &mut (impl Follow<V, S> + ?Sized),
    sink: impl Sink<V>,
    options: &ReloaderOptions,
) where
    S: Display,
{
    let timing = Timing {
        settle_window: options.settle_window,
        settle_ceiling: options.settle_ceiling,
        backoff: options.backoff,
    };
    let load_timeout = options.load_timeout.unwrap_or_else(|| source.load_timeout());
    // What an earlier run has said is over.
    sink.report(&mut |status| {
        *status = Status { generation: status.generation, ..Status::default() };
    });
    let _stopped = StopGuard(&sink);
    let mut state = State::start(Instant::now(), &timing);
    loop {
        let event = match state {
            State::Done => break,
            State::Loading(round) => {
                let patience = if Instant::now() < round.ceiling {
                    Patience::Left
                } else {
                    Patience::Exhausted
                };
                tokio::select! {
                    biased;
                    () = sink.closed() => Event::NoReceivers,
                    found = look(source, patience, load_timeout) => {
                        let (mechanism, again) = (source.mechanism(), source.look_again_after());
                        let (event, news) = take(found, mechanism, again, &sink).await;
                        news.log(source.name());
                        event
                    }
                }
            }
            waiting => tokio::select! {
                biased;
                () = sink.closed() => Event::NoReceivers,
                // Before the hints, so that no storm of them holds it up.
                () = at(waiting.deadline()) => Event::Tick,
                hint = poll_fn(|cx| source.poll_hint(cx)) => match hint {
                    Hint::Touched => Event::Touched,
                    Hint::Due => Event::Due,
                    Hint::Finished => Event::Finished,
                },
            },
        };
        state = next(state, event, Instant::now(), &timing);
    }
    debug!(source = source.name(), "every receiver is gone: the service ends");
}

/// Looks once: a look that panics or hangs has failed, no more.
async fn look<V, S>(
    source: &mut (impl Follow<V, S> + ?Sized),
    patience: Patience,
    load_timeout: Duration,
) -> ReloadResult<Look<V>, V, S> {
    let look = poll_fn(|cx| {
        // What panicked is dropped, and never polled again.
        catch_unwind(AssertUnwindSafe(|| source.poll_look(cx, patience)))
            .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
    });
    let looked = timeout(load_timeout, look).await;
    source.abandon_look();
    looked.unwrap_or_else(|_| {
        Err(ReloaderError::Other(anyhow::anyhow!(
            "the load was given up on after {load_timeout:?}; a longer load_timeout gives it more"
        )))
    })
}

/// Publishes what was found, and puts it into the status.
async fn take<V, S>(
    found: ReloadResult<Look<V>, V, S>,
    mechanism: Mechanism,
    look_again: Option<Duration>,
    sink: &impl Sink<V>,
) -> (Event, News)
where
    S: Display,
{
    // The status is changed under locks that a subscriber may take as well, so what there is to
    // say is said after.
    let mut news = News::default();
    let mut is_good = |status: &mut Status, generation: Option<u64>| {
        news.note(status, &mechanism);
        news.published = generation;
        news.failures_over = std::mem::take(&mut status.failures);
        status.health = Health::Fresh;
        status.last_error = None;
    };
    let event = match found {
        Ok(Look::Unsettled(retry)) => Event::Unsettled { retry },
        Ok(Look::Unchanged) => {
            sink.report(&mut |status| is_good(status, None));
            Event::Loaded { look_again }
        }
        Ok(Look::Value(value)) => {
            sink.publish(value, &mut is_good).await;
            Event::Loaded { look_again }
        }
        Err(error) => {
            let words: Arc<str> = error.words().into();
            sink.report(&mut |status| {
                news.note(status, &mechanism);
                // Said once, not at every retry.
                if status.last_error.as_ref() != Some(&words) {
                    news.failed = Some(for_log(&error));
                }
                news.has_value = status.generation > 0;
                status.health = Health::Retrying;
                status.failures = status.failures.saturating_add(1);
                status.last_error = Some(Arc::clone(&words));
            });
            #[cfg(feature = "file-reloader")]
            if news.failed.is_some() {
                let is_missing = is_missing(&error);
                drop(error);
                sink.failed(super::Failure { words, is_missing }).await;
            }
            Event::Failed { luck: fastrand::u16(0..=1000), look_again }
        }
    };
    (event, news)
}

/// What a look has changed that is worth a line in the log.
#[derive(Default)]
struct News {
    degraded: Option<String>,
    /// Events are to be had again.
    is_restored: bool,
    failed: Option<String>,
    has_value: bool,
    failures_over: u32,
    published: Option<u64>,
}

impl News {
    /// Puts into the status how changes are noticed.
    fn note(&mut self, status: &mut Status, mechanism: &Mechanism) {
        if status.mechanism.as_ref() == Some(mechanism) {
            return;
        }
        if let Mechanism::Degraded(reason) = mechanism {
            self.degraded = Some(mask(reason));
        } else if matches!(status.mechanism, Some(Mechanism::Degraded(_))) {
            self.is_restored = true;
        }
        status.mechanism = Some(mechanism.clone());
    }

    fn log(self, source: Option<&str>) {
        let source = source.map(display);
        if let Some(reason) = self.degraded {
            warn!(source, %reason, "polling in place of events");
        }
        if self.is_restored {
            info!(source, "events are to be had again");
        }
        if let Some(reason) = self.failed {
            // A file's reason begins with its name.
            let source = source.as_ref().filter(|source| !reason.starts_with(&source.to_string()));
            if self.has_value {
                warn!(source, %reason, "the last good value keeps serving");
            } else {
                warn!(source, %reason, "there is no value yet; trying again");
            }
        }
        if self.failures_over > 0 {
            info!(source, failures = self.failures_over, "the source is good again");
        }
        if let Some(generation) = self.published {
            info!(source, generation, "published");
        }
    }
}

fn panicked<V, S>(panic: &(dyn std::any::Any + Send)) -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("the loader panicked: {}", words(panic)))
}

#[cfg(feature = "file-reloader")]
fn is_missing<V, S>(error: &ReloaderError<V, S>) -> bool {
    error.file_error().is_some_and(crate::file_reloader::FileError::is_missing)
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => pin!(sleep_until(deadline)).await,
        None => std::future::pending().await,
    }
}

/// Says in the status that the service runs no more, however its future ends.
struct StopGuard<'a, K: Report>(&'a K);

impl<K: Report> Drop for StopGuard<'_, K> {
    fn drop(&mut self) {
        self.0.report(&mut |status| status.health = Health::Stopped);
    }
}
