//! One request and its answer: where it may lead, and who is told what.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Response, StatusCode, Version,
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
        LOCATION, TRANSFER_ENCODING,
    },
};
use tokio::time::timeout;
use url::Url;

use super::{Http, client::Pool, fault};
use crate::error::StoreError;

/// A server moves once, a proxy before it once more; what goes on is a loop.
const MOST_REDIRECTS: usize = 5;

/// What is asked by a pool, which is doubted where an answer is waited for when this is dropped, as at a
/// deadline.
pub(super) struct Request {
    pool: Arc<Pool>,
    /// Whether the server may take its time, so that it is no sign of anything if nobody waits any more.
    is_patient: bool,
    is_waiting: bool,
}

/// An answer whose body is not read yet.
pub(super) struct Answer {
    /// Who it is from, after all redirects.
    pub(super) url: Url,
    response: Response,
    request: Request,
}

impl Http {
    /// Asks `url`; `headers` says what to add for whichever URL that leads to.
    pub(super) async fn ask(
        &self,
        mut request: Request,
        url: &Url,
        headers: impl Fn(&Url) -> HeaderMap + Send,
    ) -> Result<Answer, StoreError> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.check_certificate_for(&url)?;
            let builder = request.pool.client.get(url.clone()).headers(headers(&url));
            let builder = builder.header(ACCEPT_ENCODING, "identity");
            let authorized = self.authorize(builder, &url).await?;
            request.begins();
            let sent = authorized.send().await;
            request.ends();
            let response = match sent {
                Ok(response) => response,
                Err(error) => {
                    // Those that stand are none the worse for one that can't be made.
                    if !error.is_connect() {
                        request.pool.doubt();
                    }
                    let error = fault::lost(error);
                    if error.is_refused() {
                        self.clients.refused(&request.pool, &self.access).await;
                    }
                    return Err(error);
                }
            };
            let Some(next) = redirect(&response, &url)? else {
                // A client of the user's own may have followed redirects itself.
                check_redirect(&url, response.url())?;
                let url = response.url().clone();
                return Ok(Answer { url, response, request });
            };
            url = next;
        }
        Err(StoreError::refused(format!(
            "more than {MOST_REDIRECTS} redirects; use the URL where they should end"
        )))
    }
}

impl Request {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, is_patient: false, is_waiting: false }
    }

    /// Creates one that the server answers when it wants to.
    pub(super) fn patient(pool: Arc<Pool>) -> Self {
        Self { pool, is_patient: true, is_waiting: false }
    }

    fn begins(&mut self) {
        self.is_waiting = !self.is_patient;
    }

    fn ends(&mut self) {
        self.is_waiting = false;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.is_waiting {
            self.pool.doubt();
        }
    }
}

/// Returns where a redirect leads.
fn redirect(response: &Response, from: &Url) -> Result<Option<Url>, StoreError> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) else {
        return Ok(None);
    };
    let next = location
        .to_str()
        .ok()
        .and_then(|location| from.join(location).ok())
        .filter(|next| matches!(next.scheme(), "http" | "https"))
        .ok_or_else(|| StoreError::refused("a redirect to no URL that can be followed"))?;
    check_redirect(from, &next)?;
    Ok(Some(next))
}

fn check_redirect(from: &Url, to: &Url) -> Result<(), StoreError> {
    if from.scheme() == "https" && to.scheme() != "https" {
        let host = to.host_str().unwrap_or_default();
        let told = format!("a redirect from https to http, at {host}, which is not followed");
        return Err(StoreError::refused(told));
    }
    Ok(())
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }

    pub(super) fn is_event_stream(&self) -> bool {
        self.header(&CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("text/event-stream")
        })
    }

    /// Why it is neither a value nor said to be none.
    pub(super) fn fault(&self) -> StoreError {
        fault::by_status(self.response.status(), self.response.headers())
    }

    /// Reads the body, which is whole or an error.
    pub(super) async fn body(mut self, limit: usize) -> Result<Bytes, StoreError> {
        self.check_encoding()?;
        let told = self.response.content_length();
        if self.response.version() < Version::HTTP_2
            && told.is_none()
            && self.header(&TRANSFER_ENCODING).is_none()
        {
            return Err(StoreError::invalid(
                "an answer without its length, of which a part can't be told from the whole; have \
                 the server send content-length, or chunks",
            ));
        }
        let too_large = || {
            let told = format!("more than {limit} bytes; raise max_size of the place");
            StoreError::invalid(told)
        };
        if told.is_some_and(|told| told > limit as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        self.request.begins();
        while let Some(piece) = self.response.chunk().await.map_err(fault::cut)? {
            if body.len() + piece.len() > limit {
                self.request.ends();
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        self.request.ends();
        Ok(body.freeze())
    }

    /// Whether its body is what the server has.
    pub(super) fn check_encoding(&self) -> Result<(), StoreError> {
        match self.header(&CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => Err(StoreError::invalid(
                "an encoded answer, though none was asked for; have the server send it as it is",
            )),
            _ => Ok(()),
        }
    }

    /// Returns what comes next; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn piece(&mut self, deadline: Duration) -> Result<Option<Bytes>, StoreError> {
        let piece = timeout(deadline, self.response.chunk())
            .await
            .map_err(|_| StoreError::unreachable(format!("nothing was heard for {deadline:?}")));
        let piece = piece.and_then(|piece| piece.map_err(fault::cut));
        if piece.is_err() {
            self.request.pool.doubt();
        }
        piece
    }
}
