//! Which keys have changed, for those who follow them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::watch;

use super::fault;
use crate::{error::StoreError, lock::lock};

/// What one connection tells to all who follow a key by it, until it is lost.
///
/// Marks and no messages: what changes a hundred times before anybody looks is one mark.
#[derive(Debug)]
pub(super) struct News {
    marks: Mutex<HashMap<String, watch::Sender<()>>>,
    is_lost: watch::Sender<bool>,
}

impl Default for News {
    fn default() -> Self {
        Self { marks: Mutex::default(), is_lost: watch::Sender::new(false) }
    }
}

impl News {
    /// Returns what tells of changes of `key` from now on.
    pub(super) fn follow(self: &Arc<Self>, key: &str) -> Result<Mark, StoreError> {
        let mut marks = self.marks();
        // Told while the marks are held, so that none is added after all were taken away.
        if self.is_lost() {
            return Err(fault::lost());
        }
        let sender = marks.entry(key.to_owned()).or_default();
        Ok(Mark { receiver: sender.subscribe(), key: key.to_owned(), news: Arc::clone(self) })
    }

    /// Tells of a change of `key`.
    pub(super) fn changed(&self, key: &str) {
        if let Some(mark) = self.marks().get(key) {
            mark.send_replace(());
        }
    }

    /// Tells that any key may have changed.
    pub(super) fn all_changed(&self) {
        for mark in self.marks().values() {
            mark.send_replace(());
        }
    }

    /// Tells that nothing more is to be heard.
    pub(super) fn lose(&self) {
        let mut marks = self.marks();
        self.is_lost.send_replace(true);
        marks.clear();
    }

    pub(super) fn is_lost(&self) -> bool {
        *self.is_lost.borrow()
    }

    /// Waits until it is lost.
    pub(super) async fn lost(&self) -> StoreError {
        // The sender is in `self`: it does not go meanwhile.
        let _ = self.is_lost.subscribe().wait_for(|is_lost| *is_lost).await;
        fault::lost()
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        lock(&self.marks)
    }
}

/// Tells of changes of one key.
#[derive(Debug)]
pub(super) struct Mark {
    receiver: watch::Receiver<()>,
    key: String,
    news: Arc<News>,
}

impl Mark {
    /// Waits for a change since the last that was told.
    pub(super) async fn changed(&mut self) -> Result<(), StoreError> {
        self.receiver.changed().await.map_err(|_| fault::lost())
    }

    pub(super) fn is_told_by(&self, news: &Arc<News>) -> bool {
        Arc::ptr_eq(&self.news, news)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut marks = self.news.marks();
        if marks.get(&self.key).is_some_and(|mark| mark.receiver_count() == 1) {
            marks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_change_is_told_to_whoever_follows_the_key() {
        let news = Arc::new(News::default());
        let mut a = news.follow("a").unwrap();
        let mut also_a = news.follow("a").unwrap();
        let mut b = news.follow("b").unwrap();
        for _ in 0..3 {
            news.changed("a");
        }
        for mark in [&mut a, &mut also_a] {
            assert!(mark.changed().now_or_never().unwrap().is_ok());
            assert!(mark.changed().now_or_never().is_none(), "three changes are one mark");
        }
        assert!(b.changed().now_or_never().is_none());
        news.all_changed();
        assert!(a.changed().now_or_never().is_some() && b.changed().now_or_never().is_some());
    }

    #[test]
    fn nobody_waits_for_a_connection_that_is_lost() {
        let news = Arc::new(News::default());
        let mut mark = news.follow("a").unwrap();
        assert!(news.lost().now_or_never().is_none());
        news.lose();
        assert!(mark.changed().now_or_never().unwrap().unwrap_err().is_unreachable());
        assert!(news.lost().now_or_never().is_some());
        assert!(news.follow("a").is_err());
    }

    #[test]
    fn nothing_remains_of_whoever_lets_go() {
        let news = Arc::new(News::default());
        let (one, other) = (news.follow("a").unwrap(), news.follow("a").unwrap());
        drop(one);
        assert_eq!(news.marks().len(), 1);
        drop(other);
        assert_eq!(news.marks().len(), 0);
    }
}
