//! What the watcher does on each runtime: reads events, and looks at files when that is due.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{Follower, Watcher, platform, rounds::Rounds, table::Audits};
use crate::lock::lock;

/// What the watcher does on one runtime, for as long as anyone there follows a file.
pub(super) struct Host {
    pub(super) watcher: Arc<Watcher>,
    pub(super) schedule: Arc<Schedule>,
    tasks: [AbortHandle; 2],
}

/// The periodic looks of one runtime.
#[derive(Default)]
pub(super) struct Schedule {
    audits: Mutex<Audits>,
    changed: Notify,
}

impl Schedule {
    /// Has `follower` look at its files every `new`, where it was every `old`.
    pub(super) fn look(
        &self,
        follower: &Arc<Follower>,
        old: Option<Duration>,
        new: Option<Duration>,
    ) {
        let mut audits = lock(&self.audits);
        if let Some(old) = old {
            audits.remove(old, follower);
        }
        if let Some(new) = new
            && audits.add(new, follower, Instant::now())
        {
            self.changed.notify_one();
        }
    }
}

impl Host {
    /// Returns the host of the current runtime, started if nobody else there has it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn here() -> Arc<Self> {
        static HOSTS: Mutex<Option<HashMap<Id, Weak<Host>>>> = Mutex::new(None);
        let mut hosts = lock(&HOSTS);
        let hosts = hosts.get_or_insert_default();
        let runtime = Handle::current();
        if let Some(host) = hosts.get(&runtime.id()).and_then(Weak::upgrade) {
            return host;
        }
        let watcher = Watcher::shared();
        let schedule = Arc::<Schedule>::default();
        let events = runtime.spawn(platform::read_events(Arc::clone(&watcher)));
        let looks = runtime.spawn(keep_schedule(Arc::clone(&schedule)));
        let tasks = [events.abort_handle(), looks.abort_handle()];
        let host = Arc::new(Self { watcher, schedule, tasks });
        hosts.retain(|_, host| host.strong_count() > 0);
        hosts.insert(runtime.id(), Arc::downgrade(&host));
        host
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Looks at files when they are due.
async fn keep_schedule(schedule: Arc<Schedule>) {
    let mut rounds = Rounds::default();
    loop {
        let next = lock(&schedule.audits).next_due();
        tokio::select! {
            biased;
            () = schedule.changed.notified() => continue,
            () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
        }
        let due = lock(&schedule.audits).take_due(Instant::now());
        rounds.look(due.number(), move |n| due.audit(n).look()).await;
    }
}
