//! Server-sent events as changes.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use futures_util::stream;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use tokio::{
    pin, select,
    time::{Instant, sleep},
};

use super::{
    place::Channel,
    request::Answer,
    session::Session,
    sse::{Decoder, Event, TooLarge},
};
use crate::{content::Entry, error::StoreError, store::Changes};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A server that asks for more is asked again all the same.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Those who were told the same are spread over this part of it.
const RETRY_SPREAD: f64 = 0.2;

/// An event stream that stands.
struct Listening {
    session: Arc<Session>,
    name: Option<String>,
    are_hints: bool,
    answer: Answer,
    decoder: Decoder,
    events: VecDeque<Event>,
    must_look: bool,
    /// Why there will be no more events.
    ended: Option<StoreError>,
    /// When the server was last seen to be well.
    life: Instant,
    /// How long it wants to be left alone once the stream has ended.
    retry: Duration,
    /// Of the events that were handed on.
    last_id: Option<HeaderValue>,
}

pub(super) async fn listen(session: Arc<Session>) -> Result<Changes, StoreError> {
    let Channel::Events { url, name, are_hints } = session.place.channel.clone() else {
        return Err(StoreError::refused("no events"));
    };
    let last_event = session.memory().last_event.clone();
    let headers = |_: &_| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(id) = &last_event {
            headers.insert(LAST_EVENT_ID, id.clone());
        }
        headers
    };
    let mut answer = session.ask(&url, headers).await?;
    match answer.status().as_u16() {
        200 if answer.is_event_stream() => answer.can_be_read()?,
        200 => return Err(StoreError::refused("no event stream at the URL of events")),
        // The standard has it that one is not to come back then.
        204 => return Err(StoreError::refused("204, no events at the URL of events")),
        404 | 410 => return Err(StoreError::refused("nothing at the URL of events")),
        _ => return Err(answer.refusal()),
    }
    answer.streams();
    let listening = Listening {
        decoder: Decoder::new(session.place.max_size),
        session,
        name,
        are_hints,
        answer,
        events: VecDeque::new(),
        must_look: true,
        ended: None,
        life: Instant::now(),
        retry: Duration::ZERO,
        last_id: None,
    };
    Ok(Box::pin(stream::unfold(Some(listening), async |listening| {
        let mut listening = listening?;
        let next = listening.next().await;
        if next.is_ok() {
            return Some((next, Some(listening)));
        }
        let pause = listening.retry.mul_f64(1.0 + RETRY_SPREAD * fastrand::f64());
        drop(listening);
        sleep(pause).await;
        Some((next, None))
    })))
}

impl Listening {
    async fn next(&mut self) -> Result<Entry, StoreError> {
        // Whoever asks for the next has the last.
        if let Some(id) = self.last_id.take() {
            self.session.memory().last_event = Some(id);
        }
        loop {
            if let Some(ended) = self.ended.take() {
                return Err(ended);
            }
            if mem::take(&mut self.must_look) {
                return self.look().await;
            }
            match self.value().await? {
                Some(data) if self.session.standing().says(data.clone()) => {
                    return Ok(Entry::one(data));
                }
                _ => self.must_look = true,
            }
        }
    }

    /// Reads what is there, even if the stream ends; what is said meanwhile has it read once more.
    async fn look(&mut self) -> Result<Entry, StoreError> {
        let session = Arc::clone(&self.session);
        let looking = session.look();
        pin!(looking);
        loop {
            select! {
                biased;
                found = &mut looking => return Ok(found?.entry),
                said = self.value(), if self.ended.is_none() => match said {
                    Ok(said) => {
                        session.standing().says_meanwhile(said);
                        self.must_look = true;
                    }
                    Err(ended) => self.ended = Some(ended),
                },
            }
        }
    }

    /// Returns the value that the next event carries; `None` where it says to look.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    async fn value(&mut self) -> Result<Option<bytes::Bytes>, StoreError> {
        loop {
            let Event { name, data, id, retry } = self.event().await?;
            self.retry = retry.map_or(self.retry, |retry| retry.min(LONGEST_RETRY));
            if let Some(id) = id.and_then(|id| id.parse().ok()) {
                self.last_id = Some(id);
            }
            if let Some(data) = data.filter(|_| name == self.name) {
                return Ok(Some(data).filter(|data| !self.are_hints && !data.is_empty()));
            }
        }
    }

    async fn event(&mut self) -> Result<Event, StoreError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let left = self.session.place.silence.saturating_sub(self.life.elapsed());
            let ended = || StoreError::unreachable("the event stream has ended");
            let piece = self.answer.piece(left).await?.ok_or_else(ended)?;
            match self.decoder.feed(&piece, &mut self.events) {
                Ok(true) => self.life = Instant::now(),
                Ok(false) => {}
                Err(TooLarge) => {
                    return Err(StoreError::invalid(format!(
                        "an event of more than {} bytes; raise max_size of the place",
                        self.session.place.max_size
                    )));
                }
            }
        }
    }
}
