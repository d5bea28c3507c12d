//! What a rule begins with.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::live::{Follow, Live};
use crate::{
    config::WatchStrategy,
    options::ReloaderOptions,
    testing::{Proxy, Rig},
};

/// Short, since who polls has to be seen to poll; and a hybrid's looks are to race its events.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// What is back is to be found within a second, whatever the source's own pauses are; and half of that
/// is left to a busy machine.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));

/// How long attempts are counted, and how many may come in that time: a backoff makes a dozen, a loop
/// thousands.
pub(super) const COUNTED: Duration = Duration::from_secs(5);
pub(super) const FEW: u64 = 50;

/// A poll interval that has not gone by when the suite has ended.
pub(super) const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// As long as a moment is, in which something is sent or not.
const MOMENT: Duration = Duration::from_millis(100);

/// A server, and a network before it.
pub(super) struct Case<R> {
    pub(super) rule: &'static str,
    pub(super) strategy: WatchStrategy,
    pub(super) rig: R,
    pub(super) proxy: Proxy,
}

impl<R: Rig> Case<R> {
    pub(super) async fn begin(rule: &'static str, strategy: WatchStrategy) -> Self {
        let rig = R::start().await;
        let proxy = Proxy::start(rig.address()).await;
        Self { rule, strategy, rig, proxy }
    }

    /// Puts 1, and has a service follow it.
    pub(super) async fn with_value(rule: &'static str, strategy: WatchStrategy) -> (Self, Live) {
        let case = Self::begin(rule, strategy).await;
        case.put(1).await;
        let mut live = case.follow();
        live.sees(1, "the first value").await;
        (case, live)
    }

    /// Puts 1, and has a service follow it as `options` say until all is well.
    pub(super) async fn settled(
        rule: &'static str,
        strategy: WatchStrategy,
        options: impl FnOnce(&Self) -> ReloaderOptions,
    ) -> (Self, Live) {
        let case = Self::begin(rule, strategy).await;
        case.put(1).await;
        let live = case.settles(options(&case)).await;
        (case, live)
    }

    /// Has another service follow 1, until all is well.
    pub(super) async fn settles(&self, options: ReloaderOptions) -> Live {
        let mut live = self.follow_as(self.rig.source(self.proxy.address()), options);
        live.sees(1, "the first value").await;
        live.says_fresh("that it is fresh").await;
        live
    }

    pub(super) async fn put(&self, n: u64) {
        self.rig.put(&text(n)).await;
    }

    /// Has a service follow the server by way of the proxy.
    pub(super) fn follow(&self) -> Live {
        self.follow_as(self.rig.source(self.proxy.address()), self.options())
    }

    pub(super) fn follow_as(&self, source: R::Source, options: ReloaderOptions) -> Live {
        self.service(source, options).start()
    }

    pub(super) fn service(&self, source: R::Source, options: ReloaderOptions) -> Follow<R::Source> {
        Follow::new(self.rule, self.rig.patience(), source, options)
    }

    pub(super) fn options(&self) -> ReloaderOptions {
        let (floor, ceiling) = BACKOFF;
        self.usual_options().poll_interval(POLL_INTERVAL).backoff(floor, ceiling)
    }

    /// As a user has them who sets nothing.
    pub(super) fn usual_options(&self) -> ReloaderOptions {
        ReloaderOptions::hybrid().strategy(self.strategy)
    }

    /// Returns what the server and the network have had of all sources up to now.
    pub(super) async fn counts(&self) -> Counts {
        Counts {
            // Nothing, where the server does not count.
            asked: self.rig.requests().await.unwrap_or_default(),
            connected: self.proxy.accepted() as u64,
            sent: self.proxy.sent(),
        }
    }

    /// Lets `time` go by, and returns in how many of its moments something was sent.
    pub(super) async fn moments(&self, time: Duration) -> u64 {
        let begun = Instant::now();
        let (mut moments, mut sent) = (0, self.proxy.sent());
        while begun.elapsed() < time {
            sleep(MOMENT).await;
            let now = self.proxy.sent();
            moments += u64::from(now > sent);
            sent = now;
        }
        moments
    }
}

/// What sources have asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) asked: u64,
    pub(super) connected: u64,
    /// In bytes.
    pub(super) sent: u64,
}

impl Counts {
    /// A server that was ended meanwhile may have counted anew.
    pub(super) fn since(self, then: Self) -> Self {
        Self {
            asked: self.asked.saturating_sub(then.asked),
            connected: self.connected.saturating_sub(then.connected),
            sent: self.sent.saturating_sub(then.sent),
        }
    }
}

/// A value, as it is put.
pub(super) fn text(n: u64) -> String {
    format!("n = {n}")
}
