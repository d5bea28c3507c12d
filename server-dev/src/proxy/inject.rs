//! Puts a script into a page as it streams through: right after the tag of its head, or before its
//! first element where it writes none.

mod scan;

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Bytes, Frame},
};

use self::scan::{Found, Scan};
use super::body::Body;

/// Has `snippet` come in at its place in `page`; every other byte stays, and none waits for more than the
/// name of a tag.
pub(super) fn injected(page: Body, snippet: String) -> Body {
    Injected { page, snippet: Some(snippet), scan: Scan::default(), held: Vec::new(), last: None }
        .boxed_unsync()
}

struct Injected {
    page: Body,
    /// Until it has come in.
    snippet: Option<String>,
    scan: Scan,
    /// The beginning of a tag of which the name has not come yet.
    held: Vec<u8>,
    /// What follows after the end of a page that had no element.
    last: Option<HeaderMap>,
}

impl Injected {
    /// What of `bytes` may pass, with the snippet if its place is in it.
    fn pass(&mut self, bytes: Bytes) -> Bytes {
        if self.snippet.is_none() {
            return bytes;
        }
        let bytes = if self.held.is_empty() {
            bytes
        } else {
            [mem::take(&mut self.held).as_slice(), &bytes].concat().into()
        };
        match self.scan.scan(&bytes) {
            Found::Nothing => bytes,
            Found::Never => {
                self.snippet = None;
                bytes
            }
            Found::Maybe(at) => {
                self.held = bytes[at..].to_vec();
                bytes.slice(..at)
            }
            Found::Place(at) => {
                let snippet = self.snippet.take().unwrap_or_default();
                [&bytes[..at], snippet.as_bytes(), &bytes[at..]].concat().into()
            }
        }
    }

    /// What is left at the end of a page that had no element.
    fn rest(&mut self) -> Option<Bytes> {
        let snippet = self.snippet.take()?;
        let mut rest = mem::take(&mut self.held);
        rest.extend_from_slice(snippet.as_bytes());
        Some(rest.into())
    }
}

impl hyper::body::Body for Injected {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            if let Some(last) = self.last.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(last))));
            }
            let Some(frame) = ready!(Pin::new(&mut self.page).poll_frame(cx)) else {
                return Poll::Ready(self.rest().map(|rest| Ok(Frame::data(rest))));
            };
            match frame?.into_data().map_err(Frame::into_trailers) {
                Ok(bytes) => {
                    let bytes = self.pass(bytes);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Err(Ok(trailers)) => {
                    self.last = Some(trailers);
                    if let Some(rest) = self.rest() {
                        return Poll::Ready(Some(Ok(Frame::data(rest))));
                    }
                }
                // There are no other frames yet.
                Err(Err(_another)) => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.snippet.is_none() && self.last.is_none() && self.page.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    /// What becomes of a page that comes in these pieces; the snippet is `¶`.
    fn became(pieces: &[&[u8]]) -> String {
        let pieces: Vec<Result<_, Infallible>> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        let page = StreamBody::new(stream::iter(pieces)).map_err(|never| match never {});
        let page = injected(page.boxed_unsync(), "¶".to_owned());
        let bytes = page.collect().now_or_never().unwrap().unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    const PAGES: [&str; 17] = [
        "<!doctype html><html lang=en><head>¶<title>a</title></head><body></body></html>",
        "<!DOCTYPE html>\n<HTML>\n<HEAD data-a='>' b=\"<p>\">¶<meta charset=utf-8>",
        "<head a=b>¶<p>",
        "<head a=it's>¶<p>",
        "<head a=\n'x>y'\n/>¶<p>",
        "<!doctype html>¶<title>no head</title><p>text",
        "<html>¶<body>no head</body></html>",
        "¶<header>no head</header>",
        "¶<h>short</h>",
        "<!-- <head> --> <!--> <!-- a -- b > c --><html a=\"<head>\"><head>¶</head>",
        "<!---->¶<p>",
        "<!-- a --!>¶<p>",
        "<?xml version='1.0'?><!DOCTYPE html SYSTEM \"a-b\">¶<p>",
        "a < b << c <1 </p>¶<p>",
        "\u{feff}<html><head>¶",
        "only text, and a tag that has no end <he¶",
        "¶",
    ];

    #[test]
    fn comes_in_after_the_head_or_before_the_first_element() {
        for wanted in PAGES {
            let page = wanted.replace('¶', "");
            assert_eq!(became(&[page.as_bytes()]), wanted);
        }
    }

    #[test]
    fn comes_in_at_the_same_place_however_the_page_is_cut() {
        for wanted in PAGES {
            let page = wanted.replace('¶', "");
            let bytes: Vec<_> = page.as_bytes().chunks(1).collect();
            assert_eq!(became(&bytes), wanted);
            for at in 0..page.len() {
                let (one, two) = page.as_bytes().split_at(at);
                assert_eq!(became(&[one, two]), wanted, "cut at {at}");
            }
        }
    }

    #[test]
    fn holds_back_no_more_than_the_name_of_a_tag() {
        let mut injected = Injected {
            page: super::super::body::empty(),
            snippet: Some("¶".to_owned()),
            scan: Scan::default(),
            held: Vec::new(),
            last: None,
        };
        assert_eq!(injected.pass("text <ht".into()), "text ");
        assert_eq!(injected.pass("ml lang=".into()), "<html lang=");
        assert_eq!(injected.pass("'en'>".into()), "'en'>");
    }
}
