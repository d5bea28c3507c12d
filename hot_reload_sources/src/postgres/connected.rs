//! What is asked of a server, over the connection of its handle.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{future::try_join, stream};
use tokio::{sync::watch, task::JoinSet};

use super::{
    asked::Asked,
    fault,
    link::{Link, Subscription},
};
use crate::{
    again::Again,
    content::Entry,
    error::StoreError,
    store::{Changes, Connection},
};

/// The server cuts longer names, and what is sent to the whole name is not heard.
const LONGEST_CHANNEL: usize = 63;

pub(super) struct Connected {
    link: Arc<Link>,
    asked: Asked,
    /// Whether it tells of no changes only because it is a standby.
    is_deaf: bool,
}

impl Connected {
    pub(super) fn new(link: Arc<Link>, asked: Asked) -> Self {
        Self { link, asked, is_deaf: false }
    }
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let (asked, link) = (self.asked.clone(), Arc::clone(&self.link));
        if !self.is_deaf {
            return driven(async move { asked.read(&link).await }).await;
        }
        driven(async move {
            let (entry, cluster) = try_join(asked.read(&link), link.cluster()).await?;
            if cluster.is_primary {
                return Err(StoreError::unreachable("was a standby; connecting anew to be told"));
            }
            Ok(entry)
        })
        .await
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let Some(channel) = self.asked.channel() else { return Ok(None) };
        if channel.len() > LONGEST_CHANNEL {
            return Err(StoreError::refused(format!(
                "the name of channel {channel} has more than {LONGEST_CHANNEL} bytes; shorten it"
            )));
        }
        let hears = self.asked.clone();
        let subscription =
            self.link.subscribe(channel, move |payload| hears.is_told_by(payload))?;
        let (asked, link, channel) =
            (self.asked.clone(), Arc::clone(&self.link), channel.to_owned());
        // Sent one after the other, and answered in one round trip: what is read is what there was once
        // changes were told.
        let reading = async move { try_join(link.listen(&channel), asked.read(&link)).await };
        let (listens, first) = driven(reading).await?;
        self.is_deaf = !listens;
        if self.is_deaf {
            return Ok(None);
        }
        let (keep, mut kept) = watch::channel(first.clone());
        // The first is there without a change.
        kept.mark_changed();
        let mut task = JoinSet::new();
        task.spawn(follow(
            self.asked.clone(),
            Arc::clone(&self.link),
            subscription.told.clone(),
            first,
            keep,
        ));
        let watched = Watched { kept, task, _subscription: subscription };
        Ok(Some(Box::pin(stream::try_unfold(watched, |mut watched| async move {
            Ok(Some((watched.next().await?, watched)))
        }))))
    }
}

/// What was read last, of all that nobody has taken yet.
struct Watched {
    kept: watch::Receiver<Entry>,
    task: JoinSet<StoreError>,
    _subscription: Subscription,
}

impl Watched {
    async fn next(&mut self) -> Result<Entry, StoreError> {
        if self.kept.changed().await.is_err() {
            let ended = self.task.join_next().await;
            return Err(ended.and_then(Result::ok).unwrap_or_else(fault::lost));
        }
        Ok(self.kept.borrow_and_update().clone())
    }
}

/// Reads whenever something is told, until the connection is lost.
async fn follow(
    asked: Asked,
    link: Arc<Link>,
    mut told: watch::Receiver<()>,
    first: Entry,
    keep: watch::Sender<Entry>,
) -> StoreError {
    let mut again = Again::default();
    again.reads(&first);
    loop {
        if told.changed().await.is_err() {
            return fault::lost();
        }
        again.rest().await;
        told.mark_unchanged();
        let entry = match asked.read(&link).await {
            Ok(entry) => entry,
            Err(error) => return error,
        };
        again.reads(&entry);
        keep.send_replace(entry);
    }
}

/// Goes on whether it is polled or not: an answer that nobody takes holds up whatever is behind it, for
/// all who share the connection.
pub(super) async fn driven<T: Send + 'static>(
    asking: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let mut task = JoinSet::new();
    task.spawn(asking);
    match task.join_next().await {
        Some(Ok(answer)) => answer,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => Err(fault::lost()),
    }
}
