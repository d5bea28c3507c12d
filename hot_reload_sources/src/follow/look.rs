//! A store as the loop of a service sees it.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hot_reload::{Follow, Hint, Look, Mechanism, Patience, ReloadResult};
use tokio::time::Instant;

use super::{
    FollowStore, Step,
    channel::{Do, Known, Seen},
    open::{Unopened, is_outlived},
};
use crate::{error::Kind, in_time::no_answer};

/// A look connects, watches and reads, each within the read deadline.
const STEPS: u32 = 3;
/// That of the service, which is there for whatever has none of its own.
const SHORTEST_LOOK: Duration = Duration::from_secs(60);

impl<V> Follow<V, String> for FollowStore<V> {
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        if self.poll_changes(cx).is_pending() {
            ready!(self.poll_channel(cx));
        }
        Poll::Ready(Hint::Finished)
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, String>> {
        loop {
            match &mut self.step {
                Some(Step::Opening(opening)) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.step = None;
                    return Poll::Ready(match opened {
                        Ok(opened) => self.opened(opened),
                        Err(Unopened::Failed(error)) => self.fail(error),
                        Err(Unopened::Unwatched(error)) => {
                            self.channel = self.off(&error);
                            self.fail(error)
                        }
                    });
                }
                Some(Step::Reading(reading)) => {
                    let (connection, read) = ready!(reading.as_mut().poll(cx));
                    self.step = None;
                    match read {
                        Ok(entry) => {
                            self.connection = Some(connection);
                            if let Some(entry) = self.has_read(entry, cx) {
                                return Poll::Ready(self.take(entry));
                            }
                        }
                        Err(error) => {
                            if is_outlived(&error) {
                                self.connection = Some(connection);
                            } else {
                                self.disconnect();
                            }
                            // What was pushed meanwhile is none the worse.
                            self.order.read_fails();
                            let failed = self.fail(error);
                            if !self.order.has_arrived() {
                                return Poll::Ready(failed);
                            }
                        }
                    }
                }
                None => {
                    let now = Instant::now();
                    let seen = Seen {
                        is_connected: self.connection.is_some(),
                        channel: if self.is_realtime {
                            self.channel.known(now)
                        } else {
                            Known::Off
                        },
                        has_arrived: self.order.has_arrived(),
                        must_read: self.must_read,
                        is_due: self.audit_at.is_some_and(|at| at <= now),
                        is_resting: self.not_before.is_some_and(|at| at > now),
                    };
                    match seen.next() {
                        Do::Take => {
                            if let Some(entry) = self.order.take_arrived() {
                                return Poll::Ready(self.take(entry));
                            }
                        }
                        Do::Watch => self.step = Some(self.open(true)),
                        Do::Open => self.step = Some(self.open(false)),
                        Do::Read => {
                            self.step =
                                self.connection.take().map(|connection| self.read(connection));
                        }
                        Do::Rest => return Poll::Ready(self.value_of_newest()),
                    }
                }
            }
        }
    }

    fn abandon_look(&mut self) {
        let Some(step) = self.step.take() else { return };
        // The connection was with it.
        self.disconnect();
        // It may have been the watch that hung: the next look does without.
        if matches!(step, Step::Opening(_)) && self.is_realtime && !self.channel.is_off() {
            self.channel = self.off(&no_answer(self.source.store.read_deadline()));
        }
        self.rest_after(Kind::Unreachable);
    }

    fn must_load(&mut self) {
        self.must_read = true;
        self.not_before = None;
    }

    fn look_again_after(&self) -> Option<Duration> {
        let now = Instant::now();
        let due = match self.not_before {
            _ if self.is_unclear => Some(now + self.pace.floor()),
            Some(not_before) if self.must_read => Some(not_before),
            _ => self.audit_at,
        };
        Some(due?.max(self.not_before.unwrap_or(now)).saturating_duration_since(now))
    }

    fn pause(&mut self) -> Option<Duration> {
        let left = self.not_before?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn load_timeout(&self) -> Duration {
        // One that the deadlines leave time for.
        SHORTEST_LOOK.max(self.source.store.read_deadline().saturating_mul(STEPS + 1))
    }

    fn name(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.source.name))
    }

    fn mechanism(&self) -> Mechanism {
        let polls = self.poll_interval.is_some();
        if self.is_realtime { self.channel.mechanism(polls) } else { Mechanism::Polling }
    }
}
