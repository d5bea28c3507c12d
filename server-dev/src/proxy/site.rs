//! What there is to be seen of a service from outside, as a value of [`hot_reload`].

use std::fmt;

use async_trait::async_trait;
use hot_reload::{RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, WatchEvent};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{Problem, Upstream};

/// Which process answers, and what pages are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// The process that is ready; none before the first, and after one has ended by itself.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) version: Version,
    pub(crate) doing: Doing,
    /// Until it is mended.
    pub(crate) problem: Option<Problem>,
}

/// Of what a page is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// The number of the process that is ready, or was last.
    pub(crate) generation: u64,
    /// How often it was asked to be loaded anew beside.
    pub(crate) reloads: u64,
    /// How often its style sheets have changed.
    pub(crate) styles: u64,
}

/// What is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Doing {
    /// Nothing was under way yet: the files are read first.
    #[default]
    NotBegun,
    /// Nothing before the next change.
    Nothing,
    Building,
    Starting,
    /// It has ended by itself, and is started again in a while.
    Backoff,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBegun => "its files are being read",
            Self::Nothing => "only a change starts it",
            Self::Building => "it is being built",
            Self::Starting => "it starts",
            Self::Backoff => "it has ended, and is started again in a while",
        })
    }
}

/// Where a runner says what has become of its service: a source that pushes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publisher(watch::Sender<Site>);

impl Publisher {
    /// Says what is under way.
    pub(crate) fn set_doing(&self, doing: Doing) {
        self.update(|site| site.doing = doing);
    }

    /// Changes what is to be seen, in one step.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Site)) {
        self.0.send_if_modified(|site| {
            let before = site.clone();
            change(site);
            *site != before
        });
    }
}

#[async_trait]
impl Reload<Site, String> for Publisher {
    type Source = Publisher;

    async fn new(publisher: &Publisher) -> ReloadResult<Self, Site, String> {
        Ok(publisher.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<Site>, Site, String> {
        Ok(Some(self.0.borrow().clone()))
    }
}

#[async_trait]
impl RealtimeWatch<Site, String> for Publisher {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Site>, Site, String> {
        let mut changes = self.0.subscribe();
        let (tx, rx) = mpsc::channel(1);
        let passing_on = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let site = changes.borrow_and_update().clone();
                if tx.send(WatchEvent::Changed(site)).await.is_err() {
                    return;
                }
            }
        });
        Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(AbortOnDropHandle::new(passing_on))))
    }
}
