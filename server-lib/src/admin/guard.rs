//! Who is let through.

use axum::{
    extract::Request,
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::host;

/// What a request that changes something has to have: no page of another site can send it without
/// asking first, which nobody here answers (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
const HEADER: &str = "x-requested-by";

/// Lets nobody through whom a web page of another site may have sent.
pub(super) async fn guarded(request: Request, next: Next) -> Response {
    match admit(&request) {
        Ok(()) => next.run(request).await,
        Err((code, why)) => (code, format!("{why}\n")).into_response(),
    }
}

/// Whether a request is let through, or why not.
///
/// By a name that was made to lead here (DNS rebinding) the page of another site would be of the
/// same origin, so only names that nobody can point elsewhere are taken.
fn admit(request: &Request) -> Result<(), (StatusCode, &'static str)> {
    let forbidden = |why| Err((StatusCode::FORBIDDEN, why));
    let headers = request.headers();
    let Ok(host) = host::of(request) else {
        return Err((StatusCode::BAD_REQUEST, "say once which host is asked"));
    };
    let host = host.unwrap_or("localhost");
    if !is_local(host) {
        return forbidden("ask by the name of localhost, or by a loopback address");
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?"));
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from == host);
    if origin.is_some_and(|origin| !is_own(origin)) {
        return forbidden("pages of other sites have no business here");
    }
    let changes = *request.method() != Method::GET && *request.method() != Method::HEAD;
    if changes && !headers.contains_key(HEADER) {
        return forbidden("send the header X-Requested-By, with any value, to change something");
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
    use axum::body::Body;

    use super::*;

    #[test]
    fn lets_nobody_through_whom_another_site_may_have_sent() {
        let get = Method::GET;
        let post = Method::POST;
        for (method, target, headers, want) in [
            (&get, "/", &[("host", "127.0.0.1:9000")][..], 200),
            (&get, "/", &[("host", "[::1]:9000")], 200),
            (&get, "/", &[("host", "localhost")], 200),
            (&get, "/", &[], 400),
            (&get, "/", &[("host", "localhost"), ("host", "rebound.example")], 400),
            (&get, "/", &[("host", "rebound.example:9000")], 403),
            (&get, "/", &[("host", "127.0.0.1.example")], 403),
            (&get, "http://rebound.example/", &[("host", "localhost")], 403),
            (&get, "http://localhost:9@rebound.example/", &[("host", "localhost")], 403),
            (&get, "http://localhost:9/", &[("host", "rebound.example")], 200),
            (&get, "/", &[("host", "localhost:9"), ("origin", "http://localhost:9")], 200),
            (&get, "/", &[("host", "localhost:9"), ("origin", "http://localhost:10")], 403),
            (&get, "/", &[("host", "localhost"), ("origin", "null")], 403),
            (&post, "/", &[("host", "localhost")], 403),
            (&post, "/", &[("host", "localhost"), ("x-requested-by", "me")], 200),
        ] {
            let request = Request::builder().method(method).uri(target);
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value));
            let request = request.body(Body::empty()).unwrap();
            let code = admit(&request).map_or_else(|(code, _why)| code.as_u16(), |()| 200);
            assert_eq!(code, want, "{method} {target} {headers:?}");
        }
    }
}
