//! What the suite has to know of a store.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Proxy;
use crate::{lock::lock, reload::RealtimeWatch};

/// Values at which a decoder is to panic, once each.
static PANICS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// The value that the suite has a source load, from text such as `n = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Held")]
pub struct Sample {
    /// Which of the values it is.
    pub n: u64,
}

/// What is put.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    n: u64,
}

impl From<Held> for Sample {
    fn from(Held { n }: Held) -> Self {
        let panics = {
            let mut panics = lock(&PANICS);
            panics.iter().position(|&at| at == n).map(|at| panics.swap_remove(at)).is_some()
        };
        assert!(!panics, "a decoder that panics, as the suite has it");
        Self { n }
    }
}

impl Sample {
    /// Has whoever is the next to decode `n` panic.
    pub(super) fn panics_once(n: u64) {
        lock(&PANICS).push(n);
    }
}

/// A real server of the suite's own, and sources that follow one value in it.
///
/// Each test starts one, so all of them run beside each other: private directories, port 0. Whatever
/// runs is ended when it is dropped. Its futures are waited for to their end, unless the 170 s are over that a
/// rule has.
#[async_trait]
pub trait Rig: Sized + Send + Sync + 'static {
    /// The source under test.
    type Source: RealtimeWatch<Sample, String> + Clone + Send + Sync + 'static;

    /// Starts a server with nothing in it.
    async fn start() -> Self;

    /// Returns where the server listens; the same after it was started again.
    fn address(&self) -> SocketAddr;

    /// Creates a source that reaches the server by `address`, its own or that of a proxy before it, with
    /// the right credentials.
    fn source(&self, address: SocketAddr) -> Self::Source;

    /// Puts `text` where the sources look.
    async fn put(&self, text: &str);

    /// Puts all of `texts`, one after another, as fast as it can.
    async fn put_all(&self, texts: Vec<String>) {
        for text in texts {
            self.put(&text).await;
        }
    }

    /// Removes what is there.
    async fn delete(&self);

    /// Ends the server by `SIGKILL`, and waits for its end.
    async fn kill(&self);

    /// Starts it again, with what it had.
    async fn restart(&self);

    /// Ends it, and starts it again with nothing in it.
    async fn restart_empty(&self);

    /// Creates a source that reaches the server by `address` with wrong credentials; `None` where the server
    /// asks for none.
    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Self::Source>;

    /// Creates a source that speaks TLS to a name that the server's certificate is not for, and the proxy
    /// before that server, by which it is reached; `None` where sources don't speak TLS.
    async fn with_wrong_name(&self) -> Option<(Self::Source, Proxy)>;

    /// Creates a source that speaks TLS to a server whose certificate has expired, and the proxy before that
    /// server, by which it is reached; `None` where sources don't speak TLS.
    async fn with_expired_certificate(&self) -> Option<(Self::Source, Proxy)>;

    /// Has the server answer that it has too much to do, from now on or no more; `false` where it can't.
    async fn throttle(&self, is_throttled: bool) -> bool {
        let _unheeded = is_throttled;
        false
    }

    /// Has the server tell no events, though it can be read, from now on or no more: who watches is cut off, and
    /// who tries to is not let; `false` where that can't be.
    async fn break_channel(&self, is_broken: bool) -> bool {
        let _unheeded = is_broken;
        false
    }

    /// Returns how often the server was asked, where it counts.
    async fn requests(&self) -> Option<u64> {
        None
    }

    /// Returns what must never be in a log, an error or the status; empty only where the server asks for
    /// [no credentials](Self::with_wrong_credentials).
    fn secrets(&self) -> Vec<String>;

    /// Returns how long a silent connection is trusted by the sources made here.
    fn read_deadline(&self) -> Duration;

    /// Returns how long after a network is well again the newest value may take.
    fn healing(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Returns how long the suite waits for what has to happen and has no time of its own; longer than
    /// anything takes on a busy machine.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}
