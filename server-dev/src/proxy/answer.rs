//! What a request comes to: the answer of the process that is ready, once there is one.

use std::{mem, net::IpAddr, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Doing, Proxy, Site, Upstream,
    body::{self, Body},
    forward::{self, Ambiguous, Passed},
    inject::injected,
    page::{self, is_for_a_page},
    policy::{self, Needs},
    site::Version,
    upstream::NotSent,
};

/// How long a process that refuses a connection is left alone; it may have ended, of which its runner
/// hears at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Why nobody answers.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{} requests wait for the server already", super::WAITING)]
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
            let (upstream, version) = match self.ready(refused.as_ref(), until, is_page).await {
                Ok(found) => found,
                Err(why) => return self.unanswered(&why, is_page),
            };
            match upstream.send(head, body).await {
                Ok(response) => {
                    let returned = forward::returned(response, spoken, upgrade.take(), &upstream);
                    let mut response = match returned {
                        Ok(response) => response,
                        Err(why) => {
                            return self.unanswered(&Unanswered::Lost(why.to_string()), is_page);
                        }
                    };
                    if is_page && has_body && page::is_whole(&response) {
                        self.follow(&mut response, version);
                    }
                    return response;
                }
                Err(NotSent::Unsent(request, _why)) => (head, body) = *request,
                // What the client sends has ended too early.
                Err(NotSent::Lost(error)) if error.is_user() => {
                    return self.unanswered(&Unanswered::Torn, is_page);
                }
                Err(NotSent::Lost(error)) => {
                    return self.unanswered(&Unanswered::Lost(error.to_string()), is_page);
                }
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

    /// Waits for a process that is ready, for as long as one may come; `refused` is tried again only
    /// after a while.
    async fn ready(
        &self,
        refused: Option<&Upstream>,
        until: Instant,
        is_page: bool,
    ) -> Result<(Upstream, Version), Unanswered> {
        let is_it = |site: &Site| site.upstream.is_some() && site.upstream.as_ref() != refused;
        if let Some(site) = self.site.snapshot().filter(|site| is_it(site))
            && let Some(upstream) = &site.upstream
        {
            return Ok((upstream.clone(), site.version));
        }
        let Ok(_place) = self.waiting.try_acquire() else { return Err(Unanswered::Crowd) };
        let mut site = self.site.clone();
        // A person who waits for a page is told at once that only a change helps.
        let is_down = |site: &Site| {
            is_page && site.upstream.is_none() && site.doing == Doing::Nothing && site.has_begun
        };
        let later = async {
            match refused {
                Some(_) => sleep(CONNECT_PAUSE).await,
                None => std::future::pending().await,
            }
        };
        let found = tokio::select! {
            biased;
            () = self.over.cancelled() => return Err(Unanswered::Over),
            found = timeout_at(until, site.wait_for(|site| is_it(site) || is_down(site))) => found,
            () = later => match refused {
                Some(refused) => {
                    return Ok((refused.clone(), site.get().unwrap_or_default().version));
                }
                None => return Err(Unanswered::Over),
            }
        };
        match found {
            Ok(Ok(site)) => match &site.upstream {
                Some(upstream) => Ok((upstream.clone(), site.version)),
                None => Err(Unanswered::Down(site.doing)),
            },
            // The service of the value ends with the runner.
            Ok(Err(_ended)) => Err(Unanswered::Over),
            Err(_elapsed) => {
                let doing = site.get().unwrap_or_default().doing;
                Err(Unanswered::Late(self.patience, doing))
            }
        }
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
