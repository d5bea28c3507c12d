//! A read: a conditional GET, and what it comes to with what is known from before.

use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use url::Url;

use super::{
    channel::{Channel, Events, LongPoll},
    memory::{Cached, Position},
    request::Answer,
    session::Session,
    standing::as_event,
};
use crate::{content::Entry, error::StoreError};

/// An index that is lower than it was is asked for once more, and an answer from before it was comes in
/// between at most once.
const MOST_ASKED: usize = 4;

/// What a read has found, and the index that the server told with it.
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) index: Option<u64>,
}

impl Session {
    /// Reads what is there, where it is newer than any read that was begun before.
    pub(super) async fn look(&self) -> Result<Found, StoreError> {
        loop {
            let begun = self.standing().begins();
            let (content, found) = self.read_once().await?;
            if self.standing().finds(begun, content) {
                return Ok(found);
            }
        }
    }

    async fn read_once(&self) -> Result<(Option<Bytes>, Found), StoreError> {
        let mut is_second = false;
        for _ in 0..MOST_ASKED {
            let asked = self.memory().position;
            let (content, index) = self.in_time(self.place.http.read_deadline, self.get()).await?;
            let entry = content.clone().map_or_else(Entry::gone, Entry::one);
            if let Some(entry) = self.placed(entry, index, asked, is_second) {
                return Ok((content, Found { entry, index }));
            }
            is_second = true;
        }
        Err(StoreError::unreachable("its index goes back and forth"))
    }

    /// Says where an entry stands; `None` where it has to be asked for again.
    pub(super) fn placed(
        &self,
        entry: Entry,
        index: Option<u64>,
        asked: Position,
        is_second: bool,
    ) -> Option<Entry> {
        let Some(index) = index else { return Some(entry) };
        let revision = self.memory().position.takes(index, asked, is_second)?;
        Some(entry.at(revision))
    }

    /// One conditional GET.
    async fn get(&self) -> Result<(Option<Bytes>, Option<u64>), StoreError> {
        let cached = self.memory().last.clone();
        let is_told = self.place.channel != Channel::None;
        let conditions = |url: &Url| {
            let mut headers = HeaderMap::new();
            if is_told {
                // Whoever has heard of a change is not to be told by a cache what was.
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            }
            if let Some(cached) = &cached {
                cached.asks(url, &mut headers);
            }
            headers
        };
        let answer = self.ask(&self.place.url, conditions).await?;
        let index = self.index(&answer);
        if answer.status() == 304 {
            let of_this = cached.filter(|cached| cached.is_of(&answer.url));
            let cached = of_this.ok_or_else(|| {
                StoreError::invalid("answered by 304, though nothing was there before")
            })?;
            return Ok((Some(cached.body), index.or(cached.index)));
        }
        let cached = Cached::new(&answer);
        let body = self.content(answer).await?;
        let cached = cached.zip(body.clone()).map(|(cached, body)| cached.with(body, index));
        self.memory().last = cached;
        Ok((body, index))
    }

    pub(super) async fn content(&self, answer: Answer) -> Result<Option<Bytes>, StoreError> {
        let body = match answer.status().as_u16() {
            200 if answer.is_event_stream() => {
                return Err(StoreError::invalid(
                    "an event stream, where the value is expected; give the URL of the value, and that \
                     of the stream beside it",
                ));
            }
            200 => answer.body(self.place.max_size).await?,
            204 => Bytes::new(),
            404 | 410 => return Ok(None),
            _ => return Err(answer.fault()),
        };
        let is_of_events =
            matches!(self.place.channel, Channel::Events(Events { are_hints: false, .. }));
        Ok(Some(if is_of_events { as_event(&body) } else { body }))
    }

    pub(super) fn index(&self, answer: &Answer) -> Option<u64> {
        let Channel::LongPoll(LongPoll { header, .. }) = &self.place.channel else { return None };
        answer.header(header)?.to_str().ok()?.trim().parse().ok()
    }
}
