//! Server-sent events as changes.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use futures_util::stream;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use tokio::{pin, select, time::Instant};

use super::{
    channel::Events,
    request::Answer,
    session::Session,
    sse::{Decoder, Event, TooLarge},
    standing::as_event,
};
use crate::{again::Again, content::Entry, error::StoreError, store::Changes};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A server that asks for more is asked again all the same.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// An event stream that stands.
struct Listening {
    session: Arc<Session>,
    kind: Events,
    answer: Answer,
    decoder: Decoder,
    events: VecDeque<Event>,
    must_look: bool,
    /// Of the looks: hints may be of something else.
    again: Again,
    /// Why there will be no more events.
    ended: Option<StoreError>,
    /// When the server was last seen to be well.
    life: Instant,
    /// How long it wants to be left alone once the stream has ended.
    retry: Duration,
    /// Of the events that were handed on.
    last_id: Option<HeaderValue>,
}

pub(super) async fn listen(session: Arc<Session>, kind: Events) -> Result<Changes, StoreError> {
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
    let answer = session.ask(&kind.url, headers).await?;
    match answer.status().as_u16() {
        200 if answer.is_event_stream() => answer.check_encoding()?,
        200 => return Err(StoreError::refused("no event stream at the URL of events")),
        // The standard has it that one is not to come back then.
        204 => return Err(StoreError::refused("204, no events at the URL of events")),
        404 | 410 => return Err(StoreError::refused("nothing at the URL of events")),
        _ => return Err(answer.fault()),
    }
    let listening = Listening {
        decoder: Decoder::new(session.place.max_size),
        session,
        kind,
        answer,
        events: VecDeque::new(),
        must_look: true,
        again: Again::default(),
        ended: None,
        life: Instant::now(),
        retry: Duration::ZERO,
        last_id: None,
    };
    Ok(Box::pin(stream::try_unfold(listening, async |mut listening| {
        let next = listening.next().await?;
        Ok(Some((next, listening)))
    })))
}

impl Listening {
    async fn next(&mut self) -> Result<Entry, StoreError> {
        // Whoever asks for the next has the last.
        if let Some(id) = self.last_id.take() {
            // One that is empty says that there is none.
            self.session.memory().last_event = Some(id).filter(|id| !id.is_empty());
        }
        loop {
            if let Some(ended) = self.ended.take() {
                return Err(ended);
            }
            if mem::take(&mut self.must_look) {
                self.again.rest().await;
                let entry = self.look().await?;
                self.again.reads(&entry);
                return Ok(entry);
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
            if let Some(data) = data.filter(|_| name == self.session.place.event_name) {
                let data = as_event(&data);
                return Ok(Some(data).filter(|data| !self.kind.are_hints && !data.is_empty()));
            }
        }
    }

    fn ended(&self) -> StoreError {
        let told = "the event stream has ended";
        match self.retry {
            Duration::ZERO => StoreError::unreachable(told),
            retry => StoreError::throttled(told, Some(retry)),
        }
    }

    async fn event(&mut self) -> Result<Event, StoreError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let left = self.session.place.silence.saturating_sub(self.life.elapsed());
            let Some(piece) = self.answer.piece(left).await? else { return Err(self.ended()) };
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
