//! Who is let through.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// What a request that changes something has to have: no page of another site can send it without
/// asking first, which nobody here answers (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
const HEADER: &str = "x-requested-by";

/// Lets nobody through whom a web page of another site may have sent.
pub(super) async fn guarded(request: Request, next: Next) -> Response {
    match admit(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}

/// Whether a request is let through, or why not.
///
/// By a name that was made to lead here (DNS rebinding) the page of another site would be of the
/// same origin, so only names that nobody can point elsewhere are taken.
fn admit(method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or("localhost");
    if !is_local(host) {
        return Err("ask by the name of localhost, or by a loopback address");
    }
    let origin = text(header::ORIGIN);
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from == host);
    if origin.is_some_and(|origin| !is_own(origin)) {
        return Err("pages of other sites have no business here");
    }
    let changes = *method != Method::GET && *method != Method::HEAD;
    if changes && !headers.contains_key(HEADER) {
        return Err("send the header X-Requested-By, with any value, to change something");
    }
    Ok(())
}

/// Whether a host, with or without a port, is this machine whoever asks.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_nobody_through_whom_another_site_may_have_sent() {
        let get = Method::GET;
        let post = Method::POST;
        for (method, headers, is_let) in [
            (&get, &[("host", "127.0.0.1:9000")][..], true),
            (&get, &[("host", "[::1]:9000")], true),
            (&get, &[("host", "localhost")], true),
            (&get, &[], true),
            (&get, &[("host", "rebound.example:9000")], false),
            (&get, &[("host", "127.0.0.1.example")], false),
            (&get, &[("host", "localhost:9"), ("origin", "http://localhost:9")], true),
            (&get, &[("host", "localhost:9"), ("origin", "http://localhost:10")], false),
            (&get, &[("host", "localhost"), ("origin", "null")], false),
            (&post, &[("host", "localhost")], false),
            (&post, &[("host", "localhost"), ("x-requested-by", "me")], true),
        ] {
            let map = headers.iter().map(|(name, value)| {
                (name.parse().unwrap(), value.parse::<axum::http::HeaderValue>().unwrap())
            });
            let map: HeaderMap =
                map.collect::<Vec<(header::HeaderName, _)>>().into_iter().collect();
            assert_eq!(admit(method, &map).is_ok(), is_let, "{method} {headers:?}");
        }
    }
}
