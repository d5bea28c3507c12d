//! From a request of a client to one for the process, and back.

use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::{
    body::{self, Body},
    upstream::{Streamed, Upstream},
};

/// What is of one connection only (RFC 9110, section 7.6.1), beside what `Connection` names.
const OF_A_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A request that is to be passed on.
pub(super) struct Passed {
    pub(super) head: Parts,
    pub(super) body: Incoming,
    /// The client's end, where it asks for another protocol.
    pub(super) upgrade: Option<OnUpgrade>,
}

/// Why a head is not passed on: whoever reads it next may read it otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ambiguous {
    #[error("a request of HTTP/1.1 names one host")]
    Host,
    #[error("a body comes in no other transfer coding than chunks")]
    Coding,
    #[error("it changes to a protocol that nobody has asked for")]
    Protocol,
}

/// Refuses what can't be passed on as it was meant; what is worse was refused by hyper before.
pub(super) fn check(request: &Request<Incoming>) -> Result<(), Ambiguous> {
    // See section 3.2 of RFC 9112.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Ambiguous::Host);
    }
    check_coding(request.headers())
}

/// Makes a request ready for HTTP/1.1.
pub(super) fn passed(mut request: Request<Incoming>) -> Passed {
    let protocol = protocol(request.headers()).cloned();
    let upgrade = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let headers = &mut head.headers;
    without_connection(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    if let Some(host) = head.uri.authority().and_then(|host| host.as_str().parse().ok()) {
        headers.insert(header::HOST, host);
    }
    // HTTP/1.0 knows none.
    headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    if head.version == Version::HTTP_2 {
        one_cookie(headers);
    }
    head.uri = Uri::from(path(&head.uri));
    head.version = Version::HTTP_11;
    Passed { head, body, upgrade }
}

/// Has a page come whole, and in no encoding: it is to be changed.
pub(super) fn asks_plainly(headers: &mut HeaderMap) {
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // A browser that has it already has it with what was true then.
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
}

/// Makes an answer ready for the client, if it is one.
pub(super) fn returned(
    response: Response<Streamed>,
    version: Version,
    upgrade: Option<OnUpgrade>,
    upstream: &Upstream,
) -> Result<Response<Body>, Ambiguous> {
    let mut response = response;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let ours = upgrade.ok_or(Ambiguous::Protocol)?;
        let theirs = hyper::upgrade::on(&mut response);
        tokio::spawn(converse(ours, theirs, upstream.cut()));
        return Ok(response.map(|_over| body::empty()));
    }
    check_coding(response.headers())?;
    without_connection(response.headers_mut());
    // The version is that of the client's connection.
    *response.version_mut() = version;
    let is_endless = is_of_type(response.headers(), "text/event-stream");
    Ok(response.map(|streamed| streamed.into_body(is_endless)))
}

/// Any other coding than chunks would be lost, as the body goes on in chunks of its own.
fn check_coding(headers: &HeaderMap) -> Result<(), Ambiguous> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.all(is_chunked) { Ok(()) } else { Err(Ambiguous::Coding) }
}

/// What is asked for, without what has a browser take a style sheet anew.
fn path(uri: &Uri) -> PathAndQuery {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let plain = match whole.rsplit_once("__server-dev=") {
        Some((plain, mark)) if mark.bytes().all(|byte| byte.is_ascii_digit()) => {
            plain.strip_suffix(['?', '&']).unwrap_or(whole)
        }
        _ => whole,
    };
    plain.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

/// Whether the body is of such a media type.
pub(super) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let said = said.and_then(|said| said.split(';').next());
    said.is_some_and(|said| said.trim().eq_ignore_ascii_case(media_type))
}

/// Passes bytes on, either way, until both have said their last.
async fn converse(ours: OnUpgrade, theirs: OnUpgrade, cut: impl Future<Output = ()>) {
    let both = async {
        let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
        let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
        // Whoever is at either end knows better how it went.
        let _ = copy_bidirectional(&mut ours, &mut theirs).await;
    };
    tokio::select! {
        () = both => {}
        () = cut => {}
    }
}

/// The other protocol that a request asks for. HTTP/2 is none: a client that begins with HTTP/1.1 has to go on
/// with that.
fn protocol(headers: &HeaderMap) -> Option<&HeaderValue> {
    let asks = connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|protocol| asks && *protocol != "h2c")
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn without_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        connection_options(headers).filter_map(|option| option.parse().ok()).collect();
    // Of two lengths the chunks are right (RFC 9112, section 6.3).
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    // Whoever names the host as well is still asked for one.
    let named = named.iter().filter(|name| **name != header::HOST);
    for name in named.chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
}

/// HTTP/2 may send a header of cookies in pieces (RFC 9113, section 8.2.3).
fn one_cookie(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() > 1
        && let Ok(one) = HeaderValue::from_bytes(&pieces.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        });
        pairs.collect()
    }

    #[test]
    fn takes_away_what_is_of_one_connection() {
        let mut map = headers(&[
            ("connection", "close, X-Hop, Host"),
            ("host", "a"),
            ("content-length", "3"),
            ("connection", "Keep-Alive"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("x-end", "2"),
        ]);
        without_connection(&mut map);
        assert_eq!(map, headers(&[("host", "a"), ("te", "trailers"), ("x-end", "2")]));
    }

    #[test]
    fn knows_which_protocol_is_asked_for() {
        let asks = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert_eq!(protocol(&headers(&asks)).unwrap(), "websocket");
        assert_eq!(protocol(&headers(&asks[1..])), None);
        assert_eq!(protocol(&headers(&[asks[0], ("upgrade", "h2c")])), None);
    }

    #[test]
    fn asks_for_what_the_page_has_asked_for() {
        for (asked, passed) in [
            ("/a.css?__server-dev=7", "/a.css"),
            ("/a.css?v=%20+1&__server-dev=7", "/a.css?v=%20+1"),
            ("/a.css?__server-dev=7x", "/a.css?__server-dev=7x"),
            ("/a?not__server-dev=7", "/a?not__server-dev=7"),
            ("http://localhost:1", "/"),
            ("*", "*"),
        ] {
            assert_eq!(path(&asked.parse().unwrap()), passed, "{asked}");
        }
    }

    #[test]
    fn puts_the_pieces_of_cookies_together() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        one_cookie(&mut map);
        assert_eq!(map, headers(&[("cookie", "a=1; b=2")]));
    }
}
