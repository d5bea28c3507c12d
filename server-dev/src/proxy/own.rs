//! What the proxy answers by itself.

use std::sync::Arc;

use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    Proxy,
    answer::plain,
    body::{self, Body},
    events::events,
    policy::Needs,
    site::Version,
};

/// Below it are its own paths.
const PREFIX: &str = "/__server-dev/";
const CLIENT: &str = include_str!("client.js");

impl Proxy {
    /// Answers what is for itself.
    pub(super) fn own(self: &Arc<Self>, request: &Request<Incoming>) -> Option<Response<Body>> {
        let name = request.uri().path().strip_prefix(PREFIX)?;
        if is_of_another_site(request.headers()) {
            return Some(plain(StatusCode::FORBIDDEN, &"only pages of this server are told"));
        }
        Some(match name {
            "client.js" => script(),
            "events" => events(self),
            _ => plain(StatusCode::NOT_FOUND, &"there are client.js and events"),
        })
    }

    /// The tag that has a page of such a version follow what becomes of it.
    pub(super) fn tag(&self, version: Version, needs: &Needs) -> String {
        let nonce = match needs {
            Needs::Nothing => String::new(),
            Needs::Nonce(nonce) => format!(" nonce=\"{nonce}\""),
        };
        let (page, styles) = (self.page(version), version.styles);
        format!(
            "<script async src=\"{PREFIX}client.js\"{nonce} data-page=\"{page}\" data-styles=\"{styles}\"></script>"
        )
    }
}

fn script() -> Response<Body> {
    let mut response = Response::new(body::full(CLIENT));
    let headers = response.headers_mut();
    for (name, value) in
        [(header::CONTENT_TYPE, "text/javascript"), (header::CACHE_CONTROL, "no-cache")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}
