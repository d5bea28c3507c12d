//! A load, which may be given up for a newer version of the file.

use std::{pin::pin, sync::Arc, time::Duration};

use super::{Looker, attempt::Readable};
use crate::{
    at_once::at_once,
    file_reloader::{
        error::FileError,
        load::{Load, Loaded},
    },
};

/// How often a slow load asks whether the file has been written anew.
const NEWS: Duration = Duration::from_millis(20);
/// A load that has taken longer than this is given up when the file is written anew.
pub(super) const PREEMPTED_AFTER: Duration = Duration::from_secs(1);

impl<L> Looker<L> {
    /// Loads; `None` where a newer version has arrived while a slow load was at it.
    pub(super) async fn load<V>(&mut self, found: &Readable) -> Option<Result<Loaded<V>, FileError>>
    where
        L: Load<V>,
    {
        let preemptible = !std::mem::take(&mut self.preempted);
        let path = &self.site.paths()[0];
        if let Some(loaded) = self.loader.load_at_once(path, &found.main, || {}) {
            return Some(loaded);
        }
        let mut load = pin!(self.loader.load(path, Arc::clone(&found.main)));
        if let Some(loaded) = at_once(load.as_mut()).await {
            return Some(loaded);
        }
        tokio::select! {
            biased;
            loaded = &mut load => return Some(loaded),
            () = tokio::time::sleep(PREEMPTED_AFTER), if preemptible => {}
        }
        loop {
            tokio::select! {
                biased;
                loaded = &mut load => return Some(loaded),
                () = tokio::time::sleep(NEWS) => {
                    if self.follower.bell.news() != found.news {
                        // Once only, so that a slow loader is not starved by a busy writer.
                        self.preempted = true;
                        return None;
                    }
                }
            }
        }
    }
}
