//! A place that is connected: looked at, or watched.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{
    bucket::Bucket,
    changes::{Watching, lock},
    fault,
    known::Known,
    link::Link,
    place::{Keys, NatsPlace},
};
use crate::{
    content::Entry,
    error::StoreError,
    store::{Changes, Connection},
};

/// A connection, for one place.
pub(super) struct Connected {
    place: NatsPlace,
    link: Arc<Link>,
    watched: Option<Watched>,
}

/// What can be told of a watch beside it.
struct Watched {
    known: Arc<Mutex<Known>>,
    filter: String,
}

impl Connected {
    pub(super) fn new(place: NatsPlace, link: Arc<Link>) -> Self {
        Self { place, link, watched: None }
    }

    /// Reads what is there without a watch.
    async fn looks(&self) -> Result<Entry, StoreError> {
        let NatsPlace { bucket, keys, history, .. } = &self.place;
        if let Keys::One(key) = keys {
            let bucket = Bucket::open(&self.link, bucket, history).await?;
            if let Some((sequence, message)) = bucket.last(key).await? {
                let mut known = Known::new(keys.clone(), bucket.epoch.clone(), Arc::clone(history));
                known.takes(key, sequence, message);
                return Ok(known.entry());
            }
        }
        // Sets, and what is not there or can't be had otherwise, are told by a consumer of this moment.
        Ok(self.begins().await?.entry())
    }

    /// Begins to watch, and waits until all that is there has been told.
    async fn begins(&self) -> Result<Watching, StoreError> {
        let NatsPlace { nats, bucket, keys, history } = &self.place;
        let bucket = Bucket::open(&self.link, bucket, history).await?;
        let mut watching =
            Watching::begin(bucket, keys.clone(), Arc::clone(history), nats.read_deadline).await?;
        watching.catches_up().await?;
        Ok(watching)
    }
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let Some(Watched { known, filter }) = &self.watched else {
            return self.looks().await;
        };
        // A watch that has lost nothing knows all there is, save for what went without a word.
        let NatsPlace { bucket, history, .. } = &self.place;
        let before = lock(known).latest();
        let bucket = Bucket::open_with_keys(&self.link, bucket, history, filter).await?;
        let mut known = lock(known);
        if bucket.epoch != *known.epoch() || bucket.last < before {
            return Err(fault::lost("the bucket is another one than before"));
        }
        if let Some(keys) = bucket.keys() {
            known.keeps(&keys, bucket.last);
        }
        Ok(known.entry())
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let watching = self.begins().await?;
        self.watched = Some(Watched { known: watching.known(), filter: watching.filter() });
        Ok(Some(watching.into_changes()))
    }
}
