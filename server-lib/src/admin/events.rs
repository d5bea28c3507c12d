//! How the server is doing, told as it changes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{FutureExt, Stream, stream};
use serde::Serialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};

use super::{
    Admin, Asker,
    report::{Entry, Report},
};
use crate::address::Address;

/// A burst of changes is told at once: nobody reads faster.
const APART: Duration = Duration::from_millis(100);

/// How often a quiet stream shows that it is there, before anything on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// When a browser comes back, which it does also after a stream that has ended well.
const COME_BACK: Duration = Duration::from_secs(1);

/// All that is said of a server.
#[derive(Serialize)]
struct Picture {
    #[serde(flatten)]
    report: Report,
    history: Vec<Entry>,
}

/// `GET /events`: a [picture](Picture) now, and another whenever something has changed
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
///
/// Half of the connections are left to who asks for something else. It ends as soon as the server is to end or
/// another address is for this, so that it holds up nothing.
pub(super) async fn events(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, (StatusCode, &'static str)> {
    let Ok(place) = Arc::clone(&admin.readers).try_acquire_owned() else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "too many read the events already\n"));
    };
    let address = admin.server.borrow().admin_address.clone();
    let feed = Feed { admin, asker, address, told: None, is_followed: true, _place: place };
    let events = stream::unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// What one reader is told.
struct Feed {
    admin: Admin,
    asker: Asker,
    /// Where it asked; elsewhere, it is told so and no more.
    address: Option<Address>,
    /// When it was told something last.
    told: Option<Instant>,
    /// Whether the configuration's source may still have news.
    is_followed: bool,
    /// That it is one of those who may.
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// Waits for the next event; `None` is the end.
    async fn next(&mut self) -> Option<Event> {
        if let Some(told) = self.told {
            if self.admin.server.borrow().admin_address != self.address {
                return None;
            }
            self.changed().await;
            tokio::select! {
                biased;
                () = self.admin.shutdown.cancelled() => return None,
                () = sleep_until(told + APART) => {}
            }
        }
        self.told = Some(Instant::now());
        let Self { admin, asker, .. } = self;
        // Whatever has changed by now is in what is told now.
        admin.server.mark_unchanged();
        let _ = admin.reloader.changed().now_or_never();
        let picture = Picture { report: admin.report(*asker), history: admin.history() };
        let event = Event::default().retry(COME_BACK).json_data(picture);
        Some(event.expect("it is made of numbers, texts and lists"))
    }

    async fn changed(&mut self) {
        let Self { admin, is_followed, .. } = self;
        loop {
            tokio::select! {
                biased;
                () = admin.shutdown.cancelled() => return,
                changed = admin.reloader.changed(), if *is_followed => match changed {
                    Ok(_) => return,
                    Err(_ended) => *is_followed = false,
                },
                changed = admin.server.changed() => match changed {
                    Ok(()) => return,
                    // A server that is gone has nothing more to say.
                    Err(_gone) => return admin.shutdown.cancelled().await,
                },
            }
        }
    }
}
