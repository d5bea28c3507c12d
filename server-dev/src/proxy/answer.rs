//! What a request comes to: the answer of the process that is ready, once there is one.

use std::{mem, net::IpAddr, sync::Arc};

use hyper::{
    Method, Request, Response, StatusCode, Version as Protocol,
    body::Incoming,
    header::{self, HeaderValue},
};
use tokio::time::Instant;

use super::{
    Proxy,
    body::{self, Body},
    forward::{self, Ambiguous, Passed},
    inject::injected,
    page, policy,
    site::Version,
    unanswered::{AnswerForm, Unanswered},
    upstream::NotSent,
};

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
        let form = AnswerForm::asked_for(request.headers());
        match self.pass_on(request, form == AnswerForm::Page).await {
            Ok(response) => response,
            Err(why) => self.unanswered(&why, form),
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
            match upstream.send(head, body, spoken == Protocol::HTTP_2).await {
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
