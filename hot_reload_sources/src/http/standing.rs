//! Whether an event stream can be taken at its word.

use bytes::Bytes;

/// How what a stream says stands to what was read beside it.
///
/// Neither has a revision. A read may be ahead of the stream, by events that are still on their way;
/// taken at their word, they would replace what is newer. So it is only trusted once it has said what
/// the last read has.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The last read; `None` where there was nothing.
    found: Option<Bytes>,
    said: Option<Bytes>,
    is_trusted: bool,
    begun: u64,
    ended: u64,
}

impl Standing {
    /// Notes that a read begins; returns which one it is.
    pub(super) fn begins(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// Notes what the read `begun` has found; whether no later one has ended before.
    pub(super) fn finds(&mut self, begun: u64, found: Option<Bytes>) -> bool {
        if begun < self.ended {
            return false;
        }
        self.ended = begun;
        self.is_trusted = found.is_some() && found == self.said;
        self.found = found;
        true
    }

    /// Notes what the stream says; whether that can be taken.
    pub(super) fn says(&mut self, data: Bytes) -> bool {
        self.is_trusted |= self.found.as_ref() == Some(&data);
        self.said = Some(data);
        self.is_trusted
    }

    /// Notes what the stream says while a read is under way, which tells nothing of which is newer.
    pub(super) fn says_meanwhile(&mut self, data: Option<Bytes>) {
        self.is_trusted = false;
        self.said = data;
    }
}

/// Returns `body` as an event would have it, which has no carriage return, and of whose newlines at the end
/// servers leave out one, or none.
pub(super) fn as_event(body: &Bytes) -> Bytes {
    if body.contains(&b'\r') {
        let mut lines = Vec::with_capacity(body.len());
        let mut rest = body.iter().peekable();
        while let Some(&byte) = rest.next() {
            match byte {
                b'\r' => {
                    rest.next_if_eq(&&b'\n');
                    lines.push(b'\n');
                }
                _ => lines.push(byte),
            }
        }
        return as_event(&lines.into());
    }
    let end = body.iter().rposition(|&byte| byte != b'\n').map_or(0, |last| last + 1);
    body.slice(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_trusted_once_it_has_said_what_was_read() {
        enum Step {
            Finds(&'static str),
            Says(&'static str, bool),
            Meanwhile(&'static str),
        }
        use Step::{Finds, Meanwhile, Says};
        for (case, steps) in [
            ("says it", vec![Finds("a"), Says("a", true), Says("b", true), Says("a", true)]),
            ("is behind", vec![Finds("c"), Says("a", false), Says("b", false), Says("c", true)]),
            ("was heard before", vec![Meanwhile("a"), Finds("a"), Says("b", true)]),
            ("an audit is ahead", vec![Finds("a"), Says("a", true), Finds("c"), Says("b", false)]),
            ("an audit agrees", vec![Finds("a"), Says("a", true), Finds("a"), Says("b", true)]),
            ("nothing there", vec![Finds(""), Says("a", false), Finds("a"), Says("b", true)]),
            (
                "a read is under way",
                vec![Finds("a"), Says("b", false), Meanwhile("a"), Finds("b"), Says("c", false)],
            ),
        ] {
            let mut standing = Standing::default();
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Finds(text) => {
                        let begun = standing.begins();
                        let found = Some(Bytes::from(text)).filter(|text| !text.is_empty());
                        assert!(standing.finds(begun, found));
                    }
                    Says(text, want) => {
                        assert_eq!(standing.says(text.into()), want, "{case}, step {at}");
                    }
                    Meanwhile(text) => standing.says_meanwhile(Some(text.into())),
                }
            }
        }
    }

    #[test]
    fn a_read_that_a_later_one_overtook_tells_nothing() {
        let mut standing = Standing::default();
        let (first, second) = (standing.begins(), standing.begins());
        assert!(standing.finds(second, Some("b".into())));
        assert!(!standing.finds(first, Some("a".into())));
        assert!(standing.says("b".into()));
    }

    #[test]
    fn a_body_is_as_an_event_would_have_it() {
        for (body, want) in
            [("a", "a"), ("a\n", "a"), ("a\n\n", "a"), ("\n", ""), ("a\r\nb\rc\r\n", "a\nb\nc")]
        {
            assert_eq!(as_event(&body.into()), want, "{body:?}");
        }
    }
}
