//! What a person sees while no server answers.

use hyper::{
    HeaderMap, Response, StatusCode,
    body::Body as _,
    header::{self, HeaderValue},
};

use super::{
    Problem,
    body::{self, Body},
    forward::is_of_type,
};

/// Whether a browser asks for a page that it is to show, rather than for a part of one
/// (<https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header>); it says so only to servers that it
/// trusts, as those of this machine, so others are told by what they accept.
pub(super) fn is_for_a_page(headers: &HeaderMap) -> bool {
    if let Some(destination) = headers.get("sec-fetch-dest") {
        return ["document", "iframe", "frame"].iter().any(|page| destination == page);
    }
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
        && !headers.contains_key("x-requested-with")
        && !headers.contains_key("hx-request")
}

/// Whether an answer is a page that can be changed: not encoded, no file to be saved, and not empty.
pub(super) fn is_whole(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let begins = |name, word: &str| {
        headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).is_some_and(|value| {
            value.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        })
    };
    let is_plain = !headers.contains_key(header::CONTENT_ENCODING)
        || begins(header::CONTENT_ENCODING, "identity");
    is_of_type(headers, "text/html")
        && is_plain
        && !is_wide(headers)
        && !begins(header::CONTENT_DISPOSITION, "attachment")
        && response.status() != StatusCode::PARTIAL_CONTENT
        && !response.body().is_end_stream()
}

/// Whether a page is written in what isn't like ASCII, so that a tag would have to be as well.
fn is_wide(headers: &HeaderMap) -> bool {
    let parameters = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let parameters = parameters.into_iter().flat_map(|said| said.split(';').skip(1));
    parameters.filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let value = value.trim().trim_matches('"').to_ascii_lowercase();
        name.trim().eq_ignore_ascii_case("charset")
            && ["utf-16", "unicode", "ucs-2", "iso-10646-ucs-2", "csunicode"]
                .iter()
                .any(|wide| value.starts_with(wide))
    })
}

/// Says nothing of a page any more that is true only as its server wrote it (RFC 9110, section 8.8, and
/// RFC 9530).
pub(super) fn forgets_bytes(headers: &mut HeaderMap) {
    for name in [
        "content-length",
        "etag",
        "accept-ranges",
        "content-md5",
        "digest",
        "content-digest",
        "repr-digest",
    ] {
        headers.remove(name);
    }
}

/// A page that says why there is no other.
pub(super) fn unanswered(
    service: &str,
    why: &str,
    problem: Option<&Problem>,
    tag: &str,
) -> Response<Body> {
    let (service, why) = (escaped(service), escaped(why));
    let problem = problem.map(|problem| format!("<pre>{}</pre>", escaped(&problem.to_string())));
    let problem = problem.unwrap_or_default();
    let text = format!(
        "<!doctype html><html lang=en><head>{tag}<meta charset=utf-8><title>{service} has no answer</title>\
         <meta name=viewport content='width=device-width'>\
         <style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui;margin:3rem auto;max-width:40rem;padding:0 1rem}}pre{{white-space:pre-wrap}}</style>\
         </head><body><h1>{service} has no answer</h1><p>{why}</p>{problem}</body></html>\n"
    );
    let mut response = Response::new(body::full(text));
    let headers = response.headers_mut();
    for (name, value) in
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
