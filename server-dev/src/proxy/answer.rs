//! What a request comes to: the answer of the process that is ready, once there is one.

use std::{mem, net::IpAddr, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use tokio::time::Instant;

use super::{
    Doing, Proxy,
    body::{self, Body},
    forward::{self, Ambiguous, Passed},
    inject::injected,
    page::{self, is_for_a_page},
    policy::{self, Needs},
    site::Version,
    upstream::NotSent,
};

/// Why nobody answers.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{} requests wait for the server already", super::MAX_WAITING)]
    Crowd,
    #[error("the server was not ready within {0:?}: {1}")]
    Late(Duration, Doing),
    #[error("the server does not run: {0}")]
    Down(Doing),
    #[error("the server has not answered: {0}")]
    Lost(String),
    #[error("the request breaks off")]
    Torn,
    #[error("server-dev is about to end")]
    Over,
}

impl Unanswered {
    fn status(&self) -> StatusCode {
        match self {
            Self::Lost(_) => StatusCode::BAD_GATEWAY,
            Self::Torn => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Proxy {
    /// Answers a request that came in at the address `bound`.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        bound: IpAddr,
    ) -> Response<Body> {
        if let Err(refused) = self.guard.admit(bound, request.uri(), request.headers()) {
            return plain(StatusCode::FORBIDDEN, &refused);
        }
        if let Err(why) = forward::check(&request) {
            let status = match why {
                Ambiguous::Coding => StatusCode::NOT_IMPLEMENTED,
                Ambiguous::Host | Ambiguous::Protocol => StatusCode::BAD_REQUEST,
            };
            return plain(status, &why);
        }
        if request.method() == Method::CONNECT {
            return plain(StatusCode::METHOD_NOT_ALLOWED, &"this is no proxy for other servers");
        }
        if let Some(response) = self.own(&request) {
            return response;
        }
        let is_page = is_for_a_page(request.headers());
        match self.pass_on(request, is_page).await {
            Ok(response) => response,
            Err(why) => self.unanswered(&why, is_page),
        }
    }

    /// Has a process answer, the next one where one doesn't take the request.
    async fn pass_on(
        &self,
        request: Request<Incoming>,
        is_page: bool,
    ) -> Result<Response<Body>, Unanswered> {
        let spoken = request.version();
        let Passed { mut head, mut body, mut upgrade } = forward::passed(request);
        let until = Instant::now() + self.patience;
        // One that was found not to take it; another is waited for, for a while.
        let mut refused = None;
        if is_page {
            forward::asks_plainly(&mut head.headers);
        }
        let has_body = head.method != Method::HEAD;
        loop {
            let (upstream, version) = self.ready(refused.as_ref(), until, is_page).await?;
            match upstream.send(head, body).await {
                Ok(response) => {
                    let mut response =
                        forward::returned(response, spoken, upgrade.take(), &upstream)
                            .map_err(|why| Unanswered::Lost(why.to_string()))?;
                    if is_page && has_body && page::is_whole(&response) {
                        self.follow(&mut response, version);
                    }
                    return Ok(response);
                }
                Err(NotSent::Unsent(request, _why)) => (head, body) = *request,
                // What the client sends has ended too early.
                Err(NotSent::Lost(error)) if error.is_user() => return Err(Unanswered::Torn),
                Err(NotSent::Lost(error)) => return Err(Unanswered::Lost(error.to_string())),
            }
            refused = Some(upstream);
        }
    }

    /// Says why there is no answer; a page that says so follows what becomes of it as any other.
    fn unanswered(&self, why: &Unanswered, is_page: bool) -> Response<Body> {
        let mut response = if is_page {
            let version = self.site.get().unwrap_or_default().version;
            page::unanswered(&self.name, why, &self.tag(version, &Needs::Nothing))
        } else {
            plain(why.status(), why)
        };
        *response.status_mut() = why.status();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// Has a page follow what becomes of it.
    fn follow(&self, response: &mut Response<Body>, version: Version) {
        let Some(needs) = policy::needs(response.headers()) else { return };
        page::forgets_bytes(response.headers_mut());
        let page = mem::take(response.body_mut());
        *response.body_mut() = injected(page, self.tag(version, &needs));
    }
}

/// An answer of a line.
pub(super) fn plain(status: StatusCode, text: &impl ToString) -> Response<Body> {
    let mut response = Response::new(body::full(text.to_string() + "\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
