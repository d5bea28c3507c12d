//! Who hears what comes on which channel.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::lock::lock;

type Hears = Box<dyn Fn(&str) + Send>;

/// Those who wait for notifications, by channel; none once the connection has ended.
#[derive(Clone)]
pub(super) struct Subscribers(Arc<Mutex<Option<Channels>>>);

#[derive(Default)]
struct Channels {
    next_id: u64,
    hearing: HashMap<String, HashMap<u64, Hears>>,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Channels::default()))))
    }
}

impl Subscribers {
    pub(super) fn add(&self, channel: &str, hears: Hears) -> Option<u64> {
        self.with(|channels| {
            channels.next_id += 1;
            let id = channels.next_id;
            channels.hearing.entry(channel.to_owned()).or_default().insert(id, hears);
            id
        })
    }

    /// Calls `unlisten` if nobody hears `channel` any more, before anybody else can begin to.
    pub(super) fn remove(&self, channel: &str, id: u64, unlisten: impl FnOnce()) {
        self.with(|channels| {
            let Some(hearing) = channels.hearing.get_mut(channel) else { return };
            hearing.remove(&id);
            if hearing.is_empty() {
                channels.hearing.remove(channel);
                unlisten();
            }
        });
    }

    pub(super) fn tell(&self, channel: &str, payload: &str) {
        self.with(|channels| {
            for hears in channels.hearing.get(channel).into_iter().flat_map(HashMap::values) {
                hears(payload);
            }
        });
    }

    pub(super) fn close(&self) {
        *lock(&self.0) = None;
    }

    fn with<R>(&self, act: impl FnOnce(&mut Channels) -> R) -> Option<R> {
        lock(&self.0).as_mut().map(act)
    }
}
