//! What pages are told: all that there is to know now, and again whenever it is otherwise.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Response,
    body::{Bytes, Frame},
    header::{self, HeaderValue},
};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::{Doing, Problem, Proxy, Site, body::Body, site::Version};

/// How often a page hears that somebody is there; after three times that it asks anew, see `client.js`.
const BEAT: Duration = Duration::from_secs(5);
const BEAT_TEXT: &str = "event: beat\ndata:\n\n";

/// What a page is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Picture {
    /// Of which service it is.
    service: String,
    /// Which page it would be, were it loaded now.
    page: String,
    /// How often the style sheets have changed.
    styles: u64,
    /// Whether it would be answered.
    ready: bool,
    doing: Doing,
    problem: Option<Problem>,
}

/// What one reader is told.
struct Feed {
    proxy: Arc<Proxy>,
    site: hot_reload::ReloaderReceiver<Site, String>,
    told: Option<Picture>,
    beat: Instant,
}

/// Answers with a stream of events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
pub(super) fn events(proxy: &Arc<Proxy>) -> Response<Body> {
    let feed = Feed {
        proxy: Arc::clone(proxy),
        site: proxy.site.clone(),
        told: None,
        beat: Instant::now() + BEAT,
    };
    let texts = stream::unfold(feed, |mut feed| async {
        let text = feed.next().await?;
        Some((Ok(Frame::data(Bytes::from(text))), feed))
    });
    let mut response = Response::new(StreamBody::new(texts).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Feed {
    /// Waits for what comes next; `None` is the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            let site = self.site.get().unwrap_or_default();
            let picture = Picture {
                service: self.proxy.name.clone(),
                page: self.proxy.page(site.version),
                styles: site.version.styles,
                ready: site.upstream.is_some(),
                doing: site.doing,
                problem: site.problem,
            };
            if self.told.as_ref() != Some(&picture) {
                // It is made of texts and numbers.
                let data = serde_json::to_string(&picture).ok()?;
                self.told = Some(picture);
                self.beat = Instant::now() + BEAT;
                return Some(format!("data: {data}\n\n"));
            }
            tokio::select! {
                biased;
                () = self.proxy.over.cancelled() => return None,
                changed = self.site.changed() => changed.ok()?,
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + BEAT;
                    return Some(BEAT_TEXT.to_owned());
                }
            }
        }
    }
}

impl Proxy {
    /// What a page is called that is of such a version, of this run.
    pub(super) fn page(&self, version: Version) -> String {
        let Version { generation, reloads, .. } = version;
        format!("{}.{generation}.{reloads}", self.run)
    }
}
