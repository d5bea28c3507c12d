//! What systemd is told of a daemon (`sd_notify(3)`).

use std::{future::pending, time::Duration};

use hot_reload::Status;
use sd_notify::NotifyState;
use tokio::time::{Instant, Interval, interval_at};
use tracing::warn;

use crate::status::ServerStatus;

/// How often a drain that goes on asks for more time, and how much: systemd gives up on one that has
/// asked for nothing within its own limit (`EXTEND_TIMEOUT_USEC`).
const MORE_TIME: Duration = Duration::from_secs(5);

/// What systemd has been told of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing, as it serves nothing yet.
    Nothing,
    /// Nothing, as systemd listens to the process that it takes the place of.
    Waiting,
    /// That it is ready, and these words.
    Ready(String),
}

/// What happens to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// There may be other words to show.
    Changed,
    /// The process that it takes the place of has let go.
    Relieved,
    /// It loads its configuration since it was told to.
    Reloads,
    /// That is over, whatever came of it.
    HasReloaded,
    /// It is alive, and it is time to say so.
    IsAlive,
}

/// What is told at once.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    MainProcess(u32),
    Ready(String),
    Status(String),
    Reloading,
    Alive,
}

impl Told {
    /// Tells whatever there is to tell of `event`, by the [`words`] of now.
    pub(crate) fn tell(&mut self, event: Event, words: Option<String>) {
        let (next, notices) = self.next(event, words);
        for notice in notices {
            notice.send();
        }
        *self = next;
    }

    /// Decides what is told; there are no `words` before the server serves.
    fn next(&self, event: Event, words: Option<String>) -> (Self, Vec<Notice>) {
        let ready = |words: String| (Self::Ready(words.clone()), Notice::Ready(words));
        match (self, event, words) {
            (Self::Waiting, Event::Relieved, Some(words)) => {
                let (next, ready) = ready(words);
                (next, vec![Notice::MainProcess(std::process::id()), ready])
            }
            (Self::Waiting, ..) => (Self::Waiting, vec![]),
            (told, Event::IsAlive, _) => (told.clone(), vec![Notice::Alive]),
            (Self::Nothing, Event::Changed, Some(words))
            | (Self::Ready(_), Event::HasReloaded, Some(words)) => {
                let (next, ready) = ready(words);
                (next, vec![ready])
            }
            (Self::Ready(shown), Event::Changed, Some(words)) if words != *shown => {
                (Self::Ready(words.clone()), vec![Notice::Status(words)])
            }
            (Self::Ready(_), Event::Reloads, _) => (self.clone(), vec![Notice::Reloading]),
            (told, ..) => (told.clone(), vec![]),
        }
    }
}

impl Notice {
    fn send(&self) {
        match self {
            // The time since the process before was alive counts for the new one.
            Self::MainProcess(id) => send(&[NotifyState::MainPid(*id), NotifyState::Watchdog]),
            Self::Ready(words) => send(&[NotifyState::Ready, NotifyState::Status(words)]),
            Self::Status(words) => send(&[NotifyState::Status(words)]),
            // As `Type=notify-reload` has it (systemd.service(5)): in one datagram with the time, by the
            // clock that nobody sets.
            Self::Reloading => match NotifyState::monotonic_usec_now() {
                Ok(now) => send(&[NotifyState::Reloading, now]),
                Err(error) => warn!(%error, "systemd can't be told of the reload"),
            },
            Self::Alive => send(&[NotifyState::Watchdog]),
        }
    }
}

/// Tells that process `id` goes on in the place of this one.
pub(crate) fn tell_successor(id: u32) {
    Notice::MainProcess(id).send();
}

/// Tells that the server is about to drain.
pub(crate) fn tell_stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("waiting for requests under way")]);
}

/// Asks for more time, for as long as it is polled.
pub(crate) async fn ask_for_time() {
    let more = u32::try_from((2 * MORE_TIME).as_micros()).unwrap_or(u32::MAX);
    let mut again = interval_at(Instant::now(), MORE_TIME);
    loop {
        again.tick().await;
        send(&[NotifyState::ExtendTimeoutUsec(more)]);
    }
}

/// When systemd wants to hear that the server is alive, if at all.
pub(crate) struct Watchdog(Option<Interval>);

impl Watchdog {
    pub(crate) fn from_env() -> Self {
        // At half of its limit, as sd_watchdog_enabled(3) has it.
        let interval = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let interval = interval.filter(|interval| !interval.is_zero());
        Self(interval.map(|interval| interval_at(Instant::now() + interval, interval)))
    }

    pub(crate) async fn is_due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => pending().await,
        }
    }
}

/// What systemd shows of a server, once it serves; of what is wrong, the place and no word of it.
pub(crate) fn words(server: &ServerStatus, reloader: &Status) -> Option<String> {
    let generation = Some(server.generation).filter(|generation| *generation > 0)?;
    let serving = format!("serving generation {generation}");
    Some(if reloader.pinned.is_some() {
        format!("{serving}, gone back to")
    } else if let Some(refusal) = &server.refusal {
        format!("{serving}; {} is refused, see the log", refusal.generation)
    } else if reloader.last_error.is_none() {
        serving
    } else {
        match (&reloader.last_error_at, &reloader.source) {
            (Some(at), _) => format!("{serving}; {at} is wrong, see the log"),
            (None, Some(source)) => format!("{serving}; {source} is of no use, see the log"),
            (None, None) => format!("{serving}; the source is of no use, see the log"),
        }
    })
}

/// Tells systemd, if that has started the process (`NOTIFY_SOCKET`).
fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd can't be told");
    }
}

#[cfg(test)]
mod tests {
    use super::{Event::*, Told::*, *};

    #[test]
    fn systemd_is_told_what_it_listens_to() {
        let ready = |words: &str| Ready(words.to_owned());
        let is_ready = |words: &str| Notice::Ready(words.to_owned());
        let main = Notice::MainProcess(std::process::id());
        for (told, event, words, next, notices) in [
            (Nothing, Changed, None, Nothing, vec![]),
            (Nothing, Changed, Some("1"), ready("1"), vec![is_ready("1")]),
            // It was once said to be ready before it served.
            (Nothing, Reloads, None, Nothing, vec![]),
            (Nothing, HasReloaded, None, Nothing, vec![]),
            (Nothing, IsAlive, None, Nothing, vec![Notice::Alive]),
            (Waiting, Changed, None, Waiting, vec![]),
            (Waiting, Changed, Some("1"), Waiting, vec![]),
            // Once shown already, so that the new main process never said that it was ready.
            (Waiting, HasReloaded, Some("1"), Waiting, vec![]),
            (Waiting, IsAlive, Some("1"), Waiting, vec![]),
            (Waiting, Relieved, Some("1"), ready("1"), vec![main, is_ready("1")]),
            (ready("1"), Changed, Some("1"), ready("1"), vec![]),
            (ready("1"), Changed, Some("2"), ready("2"), vec![Notice::Status("2".to_owned())]),
            (ready("1"), Reloads, Some("1"), ready("1"), vec![Notice::Reloading]),
            (ready("1"), HasReloaded, Some("1"), ready("1"), vec![is_ready("1")]),
            (ready("1"), HasReloaded, Some("2"), ready("2"), vec![is_ready("2")]),
            (ready("1"), IsAlive, Some("1"), ready("1"), vec![Notice::Alive]),
        ] {
            let got = told.next(event, words.map(str::to_owned));
            assert_eq!(got, (next, notices), "{told:?}, {event:?}, {words:?}");
        }
    }
}
