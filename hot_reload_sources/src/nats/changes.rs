//! A consumer, which is sent every change of a place, and first what is there.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{
    HeaderValue, Message, StatusCode, Subject, Subscriber,
    jetstream::{
        self,
        consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy, push},
    },
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::{
    bucket::{API, Bucket},
    fault,
    history::History,
    known::Known,
    link::Link,
    place::Keys,
};
use crate::{content::Entry, error::StoreError, lock::lock, store::Changes};

/// One that is late is no reason to give a connection up.
const HEARTBEATS_IN_DEADLINE: u32 = 4;
/// Servers refuse to send more of them.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(100);
/// In a row, although each was answered, and the first of them before the time of one; an answer may cross
/// with the next.
const STALLED_IN_A_ROW: u32 = 3;
/// More than that is told in several entries.
const MOST_AT_ONCE: usize = 1024;
const LAST_CONSUMER: &str = "Nats-Last-Consumer";
const LAST_STREAM: &str = "Nats-Last-Stream";
const STALLED: &str = "Nats-Consumer-Stalled";

/// What the server waits for before it sends more.
struct Stalled {
    /// When it was answered first.
    since: Instant,
    heartbeats: u32,
}

/// What a consumer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// What there is at this moment, for which flow control is hardly ever needed.
    Look,
    Changes,
}

/// A watch that has begun.
pub(super) struct Watching {
    link: Arc<Link>,
    subscriber: Subscriber,
    known: Arc<Mutex<Known>>,
    /// What the subjects of the bucket begin with.
    subjects: String,
    filter: String,
    /// How many messages tell what was there when it began.
    initial: u64,
    /// How many have come.
    delivered: u64,
    is_caught_up: bool,
    heard: Instant,
    stalled: Option<Stalled>,
    heartbeat: Duration,
    deadline: Duration,
}

impl Watching {
    /// Begins to watch, by a consumer.
    ///
    /// It is the ordered consumer of the clients, without its making itself anew by and by: whatever is
    /// wrong with it ends it.
    pub(super) async fn begin(
        bucket: Bucket,
        keys: Keys,
        history: Arc<History>,
        deadline: Duration,
        goal: Goal,
    ) -> Result<Self, StoreError> {
        let link = Arc::clone(&bucket.link);
        let heartbeat = (deadline / HEARTBEATS_IN_DEADLINE).max(SHORTEST_HEARTBEAT);
        let filter = bucket.filter(&keys);
        let (subscriber, info) =
            link.persists(|| create(&bucket, &filter, heartbeat, goal)).await?;
        Ok(Self {
            initial: info.num_pending + info.delivered.consumer_sequence,
            known: Arc::new(Mutex::new(Known::new(keys, bucket.epoch.clone(), history))),
            link,
            subscriber,
            subjects: bucket.subjects,
            filter,
            delivered: 0,
            is_caught_up: false,
            heard: Instant::now(),
            stalled: None,
            heartbeat,
            deadline,
        })
    }

    /// Waits until all that is there has been told.
    pub(super) async fn catches_up(&mut self) -> Result<(), StoreError> {
        self.is_caught_up |= self.initial == 0;
        while !self.is_caught_up {
            self.step().await?;
        }
        Ok(())
    }

    pub(super) fn known(&self) -> Arc<Mutex<Known>> {
        Arc::clone(&self.known)
    }

    /// What the subjects of its keys, and maybe of others, have in common.
    pub(super) fn filter(&self) -> String {
        self.filter.clone()
    }

    pub(super) fn entry(&self) -> Entry {
        lock(&self.known).entry()
    }

    /// What is there now, and then every change, until something is wrong.
    pub(super) fn into_changes(self) -> Changes {
        let first = self.entry();
        let changes = stream::try_unfold(self, async |mut watching| {
            Ok(Some((watching.changed().await?, watching)))
        });
        Box::pin(stream::once(async { Ok(first) }).chain(changes))
    }

    async fn changed(&mut self) -> Result<Entry, StoreError> {
        while !self.step().await? {}
        // Of what has come at once, only the last is of use.
        for _ in 0..MOST_AT_ONCE {
            match self.subscriber.next().now_or_never() {
                Some(message) => {
                    let _ = self.takes(message).await?;
                }
                None => break,
            }
        }
        Ok(self.entry())
    }

    /// Waits for a message; whether it tells of a change.
    async fn step(&mut self) -> Result<bool, StoreError> {
        let silence = self.deadline.saturating_sub(self.heard.elapsed());
        match timeout(silence.min(self.heartbeat), self.subscriber.next()).await {
            Ok(message) => self.takes(message).await,
            Err(_) if !self.link.is_alive() => Err(fault::lost("the connection is lost")),
            Err(_) if self.heard.elapsed() >= self.deadline => {
                Err(fault::lost("nothing was heard of the watch for longer than the read deadline"))
            }
            Err(_) => Ok(false),
        }
    }

    async fn takes(&mut self, message: Option<Message>) -> Result<bool, StoreError> {
        let message = message.ok_or_else(|| fault::lost("the connection is lost"))?;
        self.heard = Instant::now();
        if let Some(status) = message.status {
            return self.heeds(status, message).await;
        }
        let message = jetstream::Message { message, context: self.link.jetstream.clone() };
        let info = message.info();
        let info = info.map_err(|_| fault::lost("the watch was sent something else"))?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        if info.consumer_sequence != self.delivered + 1 {
            return Err(fault::lost("changes were lost on the way"));
        }
        self.delivered += 1;
        self.stalled = None;
        self.is_caught_up |= self.delivered >= self.initial || pending == 0;
        let message = message.message;
        let subject = message.subject.clone();
        if let Some(key) = subject.strip_prefix(&*self.subjects) {
            lock(&self.known).takes(key, sequence, message);
        }
        Ok(true)
    }

    /// Takes a message of the server itself; whether something else is newest by now.
    async fn heeds(&mut self, status: StatusCode, message: Message) -> Result<bool, StoreError> {
        if status != StatusCode::IDLE_HEARTBEAT {
            return Err(fault::lost("the server has ended the watch"));
        }
        let headers = message.headers.unwrap_or_default();
        let header = |name: &str| headers.get(name).map(HeaderValue::as_str);
        // Those of a server that waits have it too.
        let last = header(LAST_CONSUMER);
        if last.is_some_and(|last| last.parse() != Ok(self.delivered)) {
            return Err(fault::lost("changes were lost on the way"));
        }
        let stalled = header(STALLED).map(Subject::from);
        let is_stalled = stalled.is_some();
        // It wants to know how far it is ahead.
        if let Some(asked) = message.reply.or(stalled) {
            let sent = self.link.client.publish(asked, Bytes::new()).await;
            sent.map_err(|_| fault::lost("the connection is lost"))?;
        }
        if is_stalled {
            self.stalls()?;
            return Ok(false);
        }
        if last.is_some() {
            self.stalled = None;
            // Sent only when there is nothing else to send.
            self.is_caught_up = true;
        }
        let passed = header(LAST_STREAM).and_then(|passed| passed.parse().ok());
        Ok(passed.is_some_and(|passed| lock(&self.known).passes(passed)))
    }

    /// Has answered a heartbeat which says that the server waits for that. It would wait, and send nothing
    /// else, for ever.
    fn stalls(&mut self) -> Result<(), StoreError> {
        let stalled = self.stalled.get_or_insert(Stalled { since: Instant::now(), heartbeats: 0 });
        stalled.heartbeats += 1;
        if stalled.heartbeats >= STALLED_IN_A_ROW && stalled.since.elapsed() >= self.heartbeat {
            return Err(fault::lost(
                "the server takes no answer to its flow control; grant $JS.FC, and import it where JetStream \
                 is in another account",
            ));
        }
        Ok(())
    }
}

/// Has the server make a consumer of what `filter` lets through.
async fn create(
    bucket: &Bucket,
    filter: &str,
    heartbeat: Duration,
    goal: Goal,
) -> Result<(Subscriber, consumer::Info), StoreError> {
    let link = &bucket.link;
    let inbox = link.client.new_inbox();
    // Before the consumer, so that nothing of it is missed.
    let subscriber = link.client.subscribe(inbox.clone()).await;
    let subscriber = subscriber.map_err(|_| fault::lost("the connection is lost"))?;
    let name = inbox.rsplit('.').next().unwrap_or(&inbox).to_owned();
    let stream = format!("KV_{}", bucket.name);
    let subject = format!("{API}.CONSUMER.CREATE.{stream}.{name}.{filter}");
    // An answer to flow control that nobody waits for: who may not give one is told so now, and not when the
    // server wants the first, maybe after months.
    let flow = format!("$JS.FC.{stream}.{name}.0");
    let config = push::Config {
        deliver_subject: inbox.clone(),
        // With a name, the right to make one can be given for some keys alone.
        name: Some(name),
        description: Some("hot_reload".to_owned()),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::None,
        replay_policy: ReplayPolicy::Instant,
        filter_subject: filter.to_owned(),
        flow_control: true,
        idle_heartbeat: heartbeat,
        memory_storage: true,
        num_replicas: 1,
        ..push::Config::default()
    };
    let mut asked = vec![&*subject, &inbox];
    if goal == Goal::Changes {
        // If it can't be sent, nor can what is asked next.
        let _ = link.client.publish(flow.clone(), Bytes::new()).await;
        asked.push(&flow);
    }
    let made = link.asks(&asked, link.jetstream.create_consumer_on_stream(config, stream)).await?;
    let made = made.map_err(|error| fault::consumer(error, &bucket.name))?;
    Ok((subscriber, made.cached_info().clone()))
}
