//! What a place remembers from one connection to the next.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    DATE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use url::Url;

use super::request::Answer;
use crate::content::Revision;

/// A date is in whole seconds, and what was written within the one that is passing may be written again
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2)).
const SURE_OF_DATE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Memory {
    pub(super) last: Option<Cached>,
    pub(super) last_event: Option<HeaderValue>,
    pub(super) position: Position,
}

/// A value, and how to ask whether it is still that.
#[derive(Clone)]
pub(super) struct Cached {
    pub(super) body: Bytes,
    pub(super) index: Option<u64>,
    /// Where it is from: the same validator means another thing elsewhere.
    url: Url,
    validator: Validator,
}

#[derive(Clone)]
enum Validator {
    Tag(HeaderValue),
    Date(HeaderValue),
}

impl Cached {
    /// `None` where the answer has nothing to ask by.
    pub(super) fn new(answer: &Answer) -> Option<Self> {
        let tag = answer.header(&ETAG).cloned().map(Validator::Tag);
        let validator = tag.or_else(|| dated(answer).map(Validator::Date))?;
        Some(Self { body: Bytes::new(), index: None, url: answer.url.clone(), validator })
    }

    pub(super) fn with(self, body: Bytes, index: Option<u64>) -> Self {
        Self { body, index, ..self }
    }

    pub(super) fn is_of(&self, url: &Url) -> bool {
        self.url == *url
    }

    /// Adds to a request for `url` that only another value is wanted.
    pub(super) fn asks(&self, url: &Url, headers: &mut HeaderMap) {
        if self.is_of(url) {
            match &self.validator {
                Validator::Tag(tag) => headers.insert(IF_NONE_MATCH, tag.clone()),
                Validator::Date(date) => headers.insert(IF_MODIFIED_SINCE, date.clone()),
            };
        }
    }
}

/// Returns when it was modified, where that is long enough ago to be sure of it.
fn dated(answer: &Answer) -> Option<HeaderValue> {
    let moment = |name| httpdate::parse_http_date(answer.header(name)?.to_str().ok()?).ok();
    let age = moment(&DATE)?.duration_since(moment(&LAST_MODIFIED)?).ok()?;
    answer.header(&LAST_MODIFIED).filter(|_| age >= SURE_OF_DATE).cloned()
}

/// How far the index of a server was seen to be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// How often it went backwards.
    epoch: u64,
    pub(super) index: u64,
}

impl Position {
    /// Takes `index`, from the answer to what was asked at `asked`; `None` where only another request
    /// can tell where it stands.
    ///
    /// An answer that was on its way while the index moved on is older, and no more. One to a request
    /// that was sent when the index was known to be higher tells that it went backwards, and is believed
    /// when it is the second in a row.
    pub(super) fn takes(&mut self, index: u64, asked: Self, is_second: bool) -> Option<Revision> {
        if asked.epoch != self.epoch {
            return None;
        }
        if index < asked.index {
            if !is_second {
                return None;
            }
            *self = Self { epoch: self.epoch + 1, index };
        }
        self.index = self.index.max(index);
        Some(Revision::new(self.epoch, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_goes_backwards_begins_anew_and_one_that_is_late_does_not() {
        let mut position = Position::default();
        let first = position.takes(7, Position::default(), false).unwrap();
        let at_seven = position;
        let late = position.takes(5, Position::default(), false).unwrap();
        assert!(late.is_older_than(first));
        assert_eq!(position.takes(3, at_seven, false), None);
        assert_eq!(position, at_seven);
        let anew = position.takes(3, at_seven, true).unwrap();
        assert!(!anew.is_older_than(first));
        assert_eq!(position.index, 3);
        // It was on its way while the index went backwards.
        assert_eq!(position.takes(8, at_seven, true), None);
    }
}
