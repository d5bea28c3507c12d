//! A place that is connected: looked at, or watched.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::Message;
use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    bucket::Bucket,
    changes::{Goal, Watching},
    fault,
    known::Known,
    link::Link,
    place::{Keys, NatsPlace},
};
use crate::{
    content::Entry,
    error::StoreError,
    lock::lock,
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
    /// Whether the key may be read, which takes a right that a watch does not.
    may_read: bool,
    awaited: Awaited,
}

/// The number of a message that was found before it was pushed, and when.
#[derive(Default)]
struct Awaited(Option<(u64, Instant)>);

impl Awaited {
    /// Takes note of one that was found; whether what was pushed has been behind for as long as `patience`.
    fn is_late(&mut self, found: u64, pushed: u64, patience: Duration, now: Instant) -> bool {
        self.0.take_if(|(awaited, _)| *awaited <= pushed);
        if found > pushed {
            self.0.get_or_insert((found, now));
        }
        self.0.is_some_and(|(_, since)| now.duration_since(since) >= patience)
    }
}

impl Connected {
    pub(super) fn new(place: NatsPlace, link: Arc<Link>) -> Self {
        Self { place, link, watched: None }
    }

    /// Reads what is there without a watch.
    async fn looks(&self) -> Result<Entry, StoreError> {
        let NatsPlace { bucket, keys, history, .. } = &self.place;
        if let Keys::One(key) = keys {
            let mut bucket = Bucket::open(&self.link, bucket, history).await?;
            if let Some((sequence, message)) = self.last(&mut bucket, key).await? {
                let mut known = Known::new(keys.clone(), bucket.epoch.clone(), Arc::clone(history));
                known.takes(key, sequence, message);
                return Ok(known.entry());
            }
        }
        // Sets, and what is not there or can't be had otherwise, are told by a consumer of this moment.
        Ok(self.begins(Goal::Look).await?.entry())
    }

    /// Reads the last message of the one key, with its number; if one that was newer is removed, `bucket` is
    /// in another epoch from here on.
    async fn last(
        &self,
        bucket: &mut Bucket,
        key: &str,
    ) -> Result<Option<(u64, Message)>, StoreError> {
        let last = bucket.last(key).await?;
        let NatsPlace { nats, history, .. } = &self.place;
        let is_older =
            last.as_ref().is_some_and(|(sequence, _)| history.finds(&bucket.epoch, *sequence));
        if is_older && history.is_older_for(nats.read_deadline) {
            // A mirror that answers in place of the bucket may lag behind for longer. By a consumer the
            // bucket itself tells what there is, of which note is taken.
            match self.begins(Goal::Look).await {
                Ok(_) => {
                    if let Some(epoch) = history.removed(&bucket.epoch) {
                        bucket.epoch = epoch;
                    }
                }
                // Then what is known stays.
                Err(error) if error.is_refused() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    /// Compares what was pushed with what there is.
    async fn compares(&self, watched: &mut Watched) -> Result<Entry, StoreError> {
        let NatsPlace { nats, bucket, keys, history } = &self.place;
        let before = lock(&watched.known).latest();
        let mut bucket =
            Bucket::open_with_keys(&self.link, bucket, history, &watched.filter).await?;
        let found = match keys {
            Keys::One(key) if watched.may_read => match self.last(&mut bucket, key).await {
                Err(error) if error.is_refused() => {
                    watched.may_read = false;
                    None
                }
                last => last?.map(|(sequence, message)| (key, sequence, message)),
            },
            _ => None,
        };
        let mut known = lock(&watched.known);
        if !bucket.epoch.is_of_stream(known.epoch()) || bucket.last < before {
            return Err(fault::lost("the bucket is another one than before"));
        }
        if let Some((key, sequence, message)) = found {
            let pushed = known.latest();
            if watched.awaited.is_late(sequence, pushed, nats.read_deadline, Instant::now()) {
                return Err(fault::lost("the watch withholds what is there"));
            }
            known.begins(&bucket.epoch);
            known.reads(key, sequence, message);
        }
        // What went without a word.
        if let Some(keys) = bucket.keys() {
            known.keeps(&keys, bucket.last);
        }
        Ok(known.entry())
    }

    /// Begins to watch, and waits until all that is there has been told.
    async fn begins(&self, goal: Goal) -> Result<Watching, StoreError> {
        let NatsPlace { nats, bucket, keys, history } = &self.place;
        let bucket = Bucket::open(&self.link, bucket, history).await?;
        let (keys, history) = (keys.clone(), Arc::clone(history));
        let mut watching = Watching::begin(bucket, keys, history, nats.read_deadline, goal).await?;
        watching.catches_up().await?;
        Ok(watching)
    }
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let Some(mut watched) = self.watched.take() else { return self.looks().await };
        // Dropped halfway, the connection is given up with it.
        let entry = self.compares(&mut watched).await;
        self.watched = Some(watched);
        entry
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let watching = self.begins(Goal::Changes).await?;
        self.watched = Some(Watched {
            known: watching.known(),
            filter: watching.filter(),
            may_read: true,
            awaited: Awaited::default(),
        });
        Ok(Some(watching.into_changes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_late_when_what_was_found_is_not_pushed_for_long() {
        let begun = Instant::now();
        let patience = Duration::from_secs(5);
        let mut awaited = Awaited::default();
        for (found, pushed, after, is_late) in [
            (7, 7, 0, false),
            (8, 7, 10, false),
            (9, 8, 20, false),
            (10, 8, 24, false),
            (10, 8, 25, true),
            (10, 10, 30, false),
        ] {
            let now = begun + Duration::from_secs(after);
            assert_eq!(awaited.is_late(found, pushed, patience, now), is_late, "{after}");
        }
    }
}
