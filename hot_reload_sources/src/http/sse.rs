//! Server-sent events, decoded as [the standard] has it.
//!
//! Data is kept as bytes, since it is content like that of a file, and what is kept of an event that
//! is not over is limited.
//!
//! [the standard]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use std::{collections::VecDeque, mem, time::Duration};

use bytes::Bytes;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What stands between two empty lines.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type, where that is not `message`.
    pub(super) name: Option<String>,
    /// `None` where it has no such field.
    pub(super) data: Option<Bytes>,
    pub(super) id: Option<String>,
    pub(super) retry: Option<Duration>,
}

/// An event is larger than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Decodes a stream that comes in pieces.
#[derive(Debug)]
pub(super) struct Decoder {
    limit: usize,
    line: Vec<u8>,
    event: Event,
    data: Vec<u8>,
    is_first: bool,
    is_comment: bool,
    /// A line feed that follows belongs to the same end of line.
    after_return: bool,
}

impl Decoder {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Event::default(),
            data: Vec::new(),
            is_first: true,
            is_comment: false,
            after_return: false,
        }
    }

    /// Adds the events that `piece` completes to `events`; returns whether it shows that the server
    /// is well: by an event that is whole, or a comment between two of them.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<bool, TooLarge> {
        let mut rest = piece;
        let mut is_life = false;
        while !rest.is_empty() {
            if mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = &rest[..end.unwrap_or(rest.len())];
            self.is_comment |= self.line.is_empty() && part.starts_with(b":");
            if !self.is_comment {
                self.line.extend_from_slice(part);
            }
            if self.line.len() + self.data.len() > self.limit {
                return Err(TooLarge);
            }
            let Some(end) = end else { break };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            is_life |= self.ends_line(events);
        }
        Ok(is_life)
    }

    fn ends_line(&mut self, events: &mut VecDeque<Event>) -> bool {
        if mem::take(&mut self.is_comment) {
            self.is_first = false;
            return !self.is_within();
        }
        let line = mem::take(&mut self.line);
        let mut text = line.as_slice();
        if mem::take(&mut self.is_first) {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        let is_event = text.is_empty() && self.is_within();
        if is_event {
            let mut data = mem::take(&mut self.data);
            // Each line of data has added a line feed; the last is no part of it.
            self.event.data = data.pop().map(|_| data.into());
            events.push_back(mem::take(&mut self.event));
        } else if !text.is_empty() {
            self.takes_field(text);
        }
        self.line = line;
        self.line.clear();
        is_event
    }

    /// Whether a field of an event was read that is not over.
    fn is_within(&self) -> bool {
        !self.data.is_empty() || self.event != Event::default()
    }

    fn takes_field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.event.name = Some(text(value)).filter(|name| name != "message"),
            b"id" if !value.contains(&0) => self.event.id = Some(text(value)),
            b"retry" => self.event.retry = milliseconds(value).or(self.event.retry),
            _ => {}
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    let digits =
        std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit))?;
    digits.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Event {
        Event { data: Some(text.to_owned().into()), ..Event::default() }
    }

    fn decode(pieces: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::new(1024);
        let mut events = VecDeque::new();
        for piece in pieces {
            decoder.feed(piece, &mut events).unwrap();
        }
        events.into()
    }

    #[test]
    fn events_are_as_the_standard_has_them() {
        let named = |name: &str, event: Event| Event { name: Some(name.to_owned()), ..event };
        let retry = |ms| Event { retry: Some(Duration::from_millis(ms)), ..Event::default() };
        let id = |id: &str, event: Event| Event { id: Some(id.to_owned()), ..event };
        for (stream, want) in [
            ("data: a\n\n", vec![data("a")]),
            ("data:a\n\ndata:  b\n\n", vec![data("a"), data(" b")]),
            ("data: a = 1\ndata: b = 2\n\n", vec![data("a = 1\nb = 2")]),
            ("data: a\ndata\ndata:\n\n", vec![data("a\n\n")]),
            ("data: a\r\rdata: b\r\n\r\n", vec![data("a"), data("b")]),
            ("\u{feff}data: a\n\n", vec![data("a")]),
            ("event: gone\ndata: a\n\n", vec![named("gone", data("a"))]),
            ("event: message\ndata: a\n\n", vec![data("a")]),
            ("id: 7\ndata: a\n\n", vec![id("7", data("a"))]),
            ("id: 7\0\ndata: a\n\n", vec![data("a")]),
            ("data\n\n", vec![data("")]),
            ("id: 7\n\n", vec![id("7", Event::default())]),
            ("retry: 250\n\n", vec![retry(250)]),
            ("retry: soon\ndata: a\n\n", vec![data("a")]),
            (": still here\n\n:\n\n", vec![]),
            ("unknown: a\nfield\n\n", vec![]),
            ("data: a\n: between\ndata: b\n\n", vec![data("a\nb")]),
            ("data: cut off\n", vec![]),
        ] {
            let stream = stream.as_bytes();
            assert_eq!(decode(&[stream]), want, "{}", stream.escape_ascii());
            for at in 0..stream.len() {
                let (before, behind) = stream.split_at(at);
                assert_eq!(decode(&[before, behind]), want, "{} {at}", stream.escape_ascii());
            }
        }
    }

    #[test]
    fn only_what_is_whole_shows_life() {
        let mut decoder = Decoder::new(1024);
        let mut events = VecDeque::new();
        for (piece, want) in [
            (": still", false),
            (" here\n", true),
            ("data: a", false),
            ("\n", false),
            (":\n", false),
            ("\n", true),
            ("\n", false),
            (":\n\n", true),
        ] {
            let is_life = decoder.feed(piece.as_bytes(), &mut events).unwrap();
            assert_eq!(is_life, want, "{piece:?}");
        }
    }

    #[test]
    fn an_event_is_limited_and_a_stream_is_not() {
        let mut events = VecDeque::new();
        for endless in ["x", "data: x\n", "data: x"] {
            let mut decoder = Decoder::new(1024);
            let mut pieces = std::iter::repeat_n(endless.as_bytes(), 1025);
            let is_limited = pieces.any(|piece| decoder.feed(piece, &mut events).is_err());
            assert!(is_limited, "{endless}");
        }
        let mut decoder = Decoder::new(1024);
        for well in [": still here", ":\n", "data: x\n\n", "unknown: x\n"] {
            for _ in 0..1025 {
                assert!(decoder.feed(well.as_bytes(), &mut events).is_ok(), "{well}");
            }
            decoder.feed(b"\n\n", &mut events).unwrap();
        }
    }
}
