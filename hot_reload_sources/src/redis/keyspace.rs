//! Keyspace notifications, where there is no client tracking.

use std::sync::Arc;

use ::redis::{Value, aio::PubSubSink, cmd, from_redis_value};
use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::{
    Settings,
    dial::Server,
    fault,
    link::{Link, beat},
    news::News,
};
use crate::error::StoreError;

/// A connection of its own, since by RESP2 one that has subscribed can't ask.
pub(super) struct Keyspace {
    sink: PubSubSink,
    prefix: String,
    _tasks: JoinSet<()>,
}

impl Keyspace {
    pub(super) async fn connect(
        link: &Link,
        server: &Server,
        news: &Arc<News>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        // At once: from far away each of them takes its time.
        let ((), subscriber) = tokio::try_join!(check(link), server.subscriber())?;
        let (sink, mut messages) = subscriber.split();
        let prefix = format!("__keyspace@{}__:", server.db);
        let hear = {
            let (news, prefix) = (Arc::clone(news), prefix.clone());
            async move {
                while let Some(message) = messages.next().await {
                    if let Some(key) = message.get_channel_name().strip_prefix(&prefix) {
                        news.changed(key);
                    }
                }
                news.lose();
            }
        };
        let beat = beat(Arc::clone(news), settings.read_deadline, {
            let sink = sink.clone();
            move || {
                let mut sink = sink.clone();
                async move { sink.ping::<Value>().await.map(drop) }
            }
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(hear);
        tasks.spawn(beat);
        Ok(Self { sink, prefix, _tasks: tasks })
    }

    pub(super) async fn follow(&self, key: &str) -> Result<(), StoreError> {
        let channel = format!("{}{key}", self.prefix);
        let subscribed = self.sink.clone().subscribe(&channel).await;
        subscribed.map_err(|error| fault::of(&error, &format!("SUBSCRIBE {channel}")))
    }
}

/// Tells if the server is known to send none; one that does not let us know may.
async fn check(link: &Link) -> Result<(), StoreError> {
    let mut get = cmd("CONFIG");
    get.arg("GET").arg("notify-keyspace-events");
    let flags = match link.ask(&get, "CONFIG GET").await {
        Ok(answer) => from_redis_value::<Vec<(String, String)>>(answer).ok(),
        Err(error) if error.is_refused() => None,
        Err(error) => return Err(error),
    };
    match flags.as_deref() {
        Some([(_, flags)]) if !are_enough(flags) => Err(StoreError::refused(
            "the server sends no keyspace notifications; set notify-keyspace-events to KA there",
        )),
        _ => Ok(()),
    }
}

/// Keyspace events of everything that a string or a hash may come to.
fn are_enough(flags: &str) -> bool {
    let has = |flag: char| flags.contains(flag);
    has('K') && (has('A') || ['g', '$', 'h', 'x', 'e'].into_iter().all(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_change_have_to_be_told() {
        for (flags, want) in [
            ("", false),
            ("AK", true),
            ("A", false),
            ("Kg$hxe", true),
            ("Kg$", false),
            ("AKE", true),
        ] {
            assert_eq!(are_enough(flags), want, "{flags}");
        }
    }
}
