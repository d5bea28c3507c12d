//! How changes of a place are noticed, and how a URL says so.

use reqwest::header::HeaderName;
use url::{Url, form_urlencoded};

use super::{join, malformed};
use crate::error::StoreError;

/// How changes are noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Channel {
    None,
    Events(Events),
    LongPoll(LongPoll),
}

/// An event stream, and what its events are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Events {
    pub(super) url: Url,
    pub(super) are_hints: bool,
}

/// What a server calls the parts of a long poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LongPoll {
    pub(super) header: HeaderName,
    pub(super) index: String,
    pub(super) wait: String,
}

impl Channel {
    /// Returns what the fragment of `url` says, such as `#watch=sse&events=/changes`.
    pub(super) fn of(url: &Url) -> Result<Self, StoreError> {
        let (mut watch, mut events) = (None, None);
        let fragment = url.fragment().unwrap_or_default();
        for (key, value) in form_urlencoded::parse(fragment.as_bytes()) {
            match &*key {
                "watch" => watch = Some(value),
                "events" => events = Some(value),
                // It is not quoted: it could be the rest of a password.
                _ => return Err(malformed("a fragment that is none of #watch and &events")),
            }
        }
        let at = events.as_deref().unwrap_or_default();
        match watch.as_deref() {
            Some("sse") => Events::at(url, at, false).map(Self::Events),
            Some("sse-hints") => Events::at(url, at, true).map(Self::Events),
            _ if events.is_some() => {
                Err(malformed("&events is for #watch=sse and #watch=sse-hints"))
            }
            Some("long-poll") => Ok(Self::LongPoll(LongPoll::of_consul())),
            None => Ok(Self::None),
            Some(_) => Err(malformed("#watch is none of sse, sse-hints, long-poll")),
        }
    }
}

impl Events {
    /// Creates those at `url`, which may be relative to `place`.
    pub(super) fn at(place: &Url, url: &str, are_hints: bool) -> Result<Self, StoreError> {
        let mut url = join(place, url)?;
        url.set_fragment(None);
        Ok(Self { url, are_hints })
    }
}

impl LongPoll {
    pub(super) fn of_consul() -> Self {
        let header = HeaderName::from_static("x-consul-index");
        Self { header, index: "index".into(), wait: "wait".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_says_how_changes_are_noticed() {
        let events =
            |url: &str, are_hints| Channel::Events(Events { url: url.parse().unwrap(), are_hints });
        for (fragment, want) in [
            ("", Channel::None),
            ("#watch=sse", events("https://host/a/b.toml?c", false)),
            ("#watch=sse-hints&events=changes", events("https://host/a/changes", true)),
            ("#events=%2Fchanges&watch=sse", events("https://host/changes", false)),
            ("#watch=long-poll", Channel::LongPoll(LongPoll::of_consul())),
        ] {
            let url = format!("https://host/a/b.toml?c{fragment}").parse().unwrap();
            assert_eq!(Channel::of(&url).unwrap(), want, "{fragment}");
        }
    }
}
