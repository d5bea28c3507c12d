//! What the system says of a tree, which is only a hint to look; and looks where it says nothing.

use std::{future::pending, time::Duration};

use hot_reload::{RealtimeWatchHandle, WatchEvent};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, spawn_blocking},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    Edits, Tree,
    arm::Arm,
    index::Watcher,
    inotify::{NoWatch, Watches},
    links::Links,
    noted::Noted,
};
use crate::never::or_never;

/// A look is followed by a pause of at least so many times its length: polling takes at most a tenth of a
/// processor.
const PAUSE_FACTOR: u32 = 9;
/// Watches that were refused are asked for again after this long: whoever had them may have ended.
const RETRY_INOTIFY_AFTER: Duration = Duration::from_secs(60);

/// A tree that is watched.
struct Watch {
    watches: Option<Watches>,
    links: Links,
    /// Why there are none.
    refused: Option<NoWatch>,
    /// When everything was looked at last, and how long that took.
    looked: Option<(Instant, Duration)>,
    /// When watches are asked for anew.
    again: Instant,
    tree: Tree,
}

/// Ends the task that follows a tree, once nobody listens.
struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches every folder of a tree, and looks at what is hinted at from here on.
pub(super) async fn start(tree: Tree) -> Result<RealtimeWatchHandle<Edits>, String> {
    let mut watch = Watch {
        watches: None,
        links: Links::default(),
        refused: None,
        looked: None,
        again: Instant::now(),
        tree,
    };
    watch.connect();
    // Each folder is watched before it is read, so nothing is missed in between.
    let (watch, _) = look(watch, Noted::all()).await?;
    let (tx, rx) = mpsc::channel(1);
    let following = tokio::spawn(follow(watch, tx));
    Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(Following(following.abort_handle()))))
}

async fn follow(mut watch: Watch, tx: mpsc::Sender<WatchEvent<Edits>>) {
    loop {
        let learned = watch.tree.clone();
        spawn_blocking(move || learned.learn());
        let noted = watch.hinted().await;
        let before = watch.tree.number();
        // A panic ends this watch; the service then begins another.
        let Ok((back, edits)) = settled(watch, noted).await else { return };
        watch = back;
        if watch.tree.number() != before && tx.send(WatchEvent::Changed(edits)).await.is_err() {
            return;
        }
    }
}

/// Looks at what was noted; where that was found without a hint, until it stays as it is.
async fn settled(watch: Watch, noted: Noted) -> Result<(Watch, Edits), String> {
    let (settle, latest) = (watch.tree.0.settle, Instant::now() + watch.tree.ceiling());
    let (is_hinted, mut before) = (noted.hints > 0, watch.tree.number());
    let (mut watch, mut edits) = look(watch, noted).await?;
    while !is_hinted && watch.tree.number() != before && Instant::now() < latest {
        before = watch.tree.number();
        sleep(settle).await;
        (watch, edits) = look(watch, Noted::all()).await?;
    }
    Ok((watch, edits))
}

async fn look(mut watch: Watch, noted: Noted) -> Result<(Watch, Edits), String> {
    let looked = spawn_blocking(move || {
        let edits = watch.look(&noted);
        (watch, edits)
    });
    looked.await.map_err(|error| error.to_string())
}

impl Watch {
    /// Asks for watches, unless they are not wanted.
    fn connect(&mut self) {
        if self.tree.0.poll.is_some() {
            return;
        }
        match Watches::new() {
            Ok(watches) => (self.watches, self.refused) = (Some(watches), None),
            Err(error) => self.give_up(error),
        }
    }

    fn give_up(&mut self, error: NoWatch) {
        // A part of them tells of a part only, and others may need them.
        (self.watches, self.links) = (None, Links::default());
        self.refused = Some(error);
        self.again = Instant::now() + RETRY_INOTIFY_AFTER;
    }

    /// Waits until something may have changed, and has come to rest.
    async fn hinted(&mut self) -> Noted {
        let mut noted = Noted::default();
        while noted.is_empty() {
            let time = or_never(self.next_look().map(sleep_until));
            tokio::select! {
                biased;
                () = self.read(&mut noted) => {}
                () = time => noted.is_all = true,
            }
        }
        let settle = self.tree.0.settle;
        let latest = Instant::now() + self.tree.ceiling();
        while noted.hints > 0 {
            let before = noted.hints;
            let quiet = latest.min(Instant::now() + settle);
            // What doesn't count doesn't have others wait.
            let noise = async {
                while noted.hints == before {
                    self.read(&mut noted).await;
                }
            };
            if timeout_at(quiet, noise).await.is_err() {
                break;
            }
        }
        noted
    }

    /// When everything is looked at, where not every change is told.
    fn next_look(&self) -> Option<Instant> {
        let poll = self.tree.mechanism().poll?;
        let next = self.looked.map(|(looked, took)| looked + poll.max(took * PAUSE_FACTOR));
        Some(next.unwrap_or_else(Instant::now))
    }

    /// Waits for hints, of which none may count.
    ///
    /// Cancel safe.
    async fn read(&mut self, noted: &mut Noted) {
        let Some(watches) = &mut self.watches else { return pending().await };
        let (filter, links) = (&self.tree.0.filter, &self.links);
        if let Err(error) = watches.read(|hint| noted.take_note(hint, filter, links)).await {
            self.give_up(error);
            noted.is_all = true;
        }
    }

    fn look(&mut self, noted: &Noted) -> Edits {
        let asks_again = self.refused.is_some() && self.again <= Instant::now();
        if asks_again {
            self.connect();
        }
        let start = Instant::now();
        let mut arm = Arm { watches: self.watches.as_mut(), links: &mut self.links, failed: None };
        let edits = if noted.is_all || asks_again {
            let edits = self.tree.look(&mut arm);
            for above in self.tree.0.filter.above_roots() {
                arm.entered(above);
            }
            self.looked = Some((Instant::now(), start.elapsed()));
            edits
        } else {
            self.tree.look_at(&noted.paths, &mut arm)
        };
        if let Some(error) = arm.failed {
            self.give_up(error);
        }
        self.tree.set_mechanism(self.refused.as_ref());
        edits
    }
}
