//! Event streams that are not as they should be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use hot_reload::{Mechanism, ReloaderOptions};
use hot_reload_sources::{
    Access, Store,
    http::{Http, HttpPlace},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    common::within,
    follow::{becomes, follow, http, until},
    scripted::{EVENT_STREAM, Scripted, Step, answer},
    server::{Server, Tls},
};

const SILENCE: Duration = Duration::from_millis(600);
const SHORT: Duration = Duration::from_millis(50);

/// A server of one value that never changes, and of these events.
async fn server(events: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |head| {
        if !head.starts_with("GET /events ") {
            return answer("200 OK", "", "read");
        }
        let mut steps = events();
        steps.insert(0, Step::Send(EVENT_STREAM.into()));
        steps
    })
    .await
}

fn place(server: &Scripted) -> HttpPlace {
    let http = Http::from_url(&server.url(), Access::new()).unwrap();
    http.get("/value").unwrap().events("/events").unwrap().silence(SILENCE)
}

fn streams(server: &Scripted) -> usize {
    server.requests().iter().filter(|head| head.starts_with("GET /events ")).count()
}

#[tokio::test]
async fn comments_keep_a_stream_and_halves_of_events_do_not() {
    for (piece, is_kept) in [(":\n", true), (":\n\n", true), ("data: a\n", false), ("x", false)] {
        let server = server(move || vec![Step::Drip(piece, SHORT)]).await;
        let mut text = follow(place(&server).text(), ReloaderOptions::realtime());
        becomes(&mut text, "read").await;
        sleep(SILENCE * 3).await;
        assert_eq!(streams(&server) == 1, is_kept, "{piece:?}: {}", streams(&server));
    }
}

#[tokio::test]
async fn an_older_event_never_lands_on_a_newer_read() {
    let late = "data: old\n\ndata: older\n\ndata: read\n\ndata: new\n\n";
    let server = server(move || {
        let late = late.split_inclusive("\n\n").flat_map(|event| {
            // Each is read and taken by itself.
            [Step::Pause(SHORT), Step::Send(event.into())]
        });
        late.chain([Step::Hang]).collect()
    })
    .await;
    let mut text = follow(place(&server).silence(SILENCE * 50).text(), ReloaderOptions::realtime());
    let mut seen = Vec::new();
    within(async {
        while seen.last().map(String::as_str) != Some("new") {
            text.changed().await.unwrap();
            seen.extend(text.get());
        }
    })
    .await;
    assert_eq!(seen, ["read", "new"]);
}

#[tokio::test]
async fn events_of_other_types_are_passed_over() {
    for (name, want) in [(None, "b"), (Some("ping"), "a")] {
        let events =
            ["event: ping\ndata: read\n\ndata: read\n\n", "event: ping\ndata: a\n\ndata: b\n\n"];
        let server = server(move || {
            let events = events.map(|events| [Step::Pause(SILENCE), Step::Send(events.into())]);
            events.into_iter().flatten().chain([Step::Hang]).collect()
        })
        .await;
        let http = Http::from_url(&server.url(), Access::new()).unwrap();
        let mut place = http.get("/value").unwrap().silence(SILENCE * 50);
        if let Some(name) = name {
            place = place.event_name(name);
        }
        let place = place.events("/events").unwrap();
        let mut text = follow(place.text(), ReloaderOptions::realtime());
        becomes(&mut text, want).await;
    }
}

#[tokio::test]
async fn a_server_says_when_to_come_back() {
    let server = server(|| vec![Step::Send("retry: 1000\n\n".into())]).await;
    let mut text = follow(place(&server).text(), ReloaderOptions::realtime());
    becomes(&mut text, "read").await;
    let begun = Instant::now();
    within(async {
        while streams(&server) < 3 {
            sleep(SHORT).await;
        }
    })
    .await;
    assert!(begun.elapsed() > Duration::from_millis(1900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_comes_back_says_what_was_last_heard() {
    let server = Server::start(Tls::None).await;
    server.put("first");
    let place = http(&server).get("/value").unwrap().events("/events").unwrap();
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "first").await;
    for value in ["second", "third", "fourth"] {
        server.put(value);
        becomes(&mut text, value).await;
    }
    server.kill().await;
    server.put("fifth");
    server.run().await;
    becomes(&mut text, "fifth").await;
    // What came last is only had once the next is asked for.
    let last_ids = server.state.last_ids.lock().unwrap().clone();
    assert!(
        last_ids.iter().all(|id| id == "5" || id == "4") && !last_ids.is_empty(),
        "{last_ids:?}"
    );
}

#[tokio::test]
async fn an_id_that_is_empty_is_not_said() {
    let server = server(|| vec![Step::Send("id: 7\n\nid:\ndata: x\n\n".into())]).await;
    let mut text = follow(place(&server).text(), ReloaderOptions::realtime());
    becomes(&mut text, "read").await;
    server.is_asked(9).await;
    let said = server.requests().into_iter().find(|head| head.contains("last-event-id"));
    assert_eq!(said, None);
}

#[tokio::test]
async fn hints_of_what_is_no_change_are_looked_after_ever_more_seldom() {
    let server = server(|| vec![Step::Drip("data: another\n\n", Duration::from_millis(1))]).await;
    let http = Http::from_url(&server.url(), Access::new()).unwrap();
    let place = http.get("/value").unwrap().events_as_hints("/events").unwrap();
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "read").await;
    sleep(Duration::from_secs(2)).await;
    let reads = server.requests().len() - streams(&server);
    assert!((2..50).contains(&reads), "{reads}");
}

#[tokio::test]
async fn a_read_that_is_answered_by_a_fault_leaves_the_stream_as_it_is() {
    for status in ["500 Oh", "502 Bad", "503 Later", "504 Late"] {
        let reads = AtomicUsize::new(0);
        let server = Scripted::start(move |head| {
            if head.starts_with("GET /events ") {
                let stream = Step::Send(EVENT_STREAM.into());
                return vec![stream, Step::Drip(":\n\n", SHORT)];
            }
            match reads.fetch_add(1, Ordering::SeqCst) {
                n @ (0 | 5..) => answer("200 OK", "", &n.to_string()),
                _ => answer(status, "", "sorry"),
            }
        })
        .await;
        let options = ReloaderOptions::hybrid().poll_interval(SHORT * 2).backoff(SHORT, SHORT);
        let mut text = follow(place(&server).text(), options);
        becomes(&mut text, "0").await;
        becomes(&mut text, "6").await;
        assert_eq!(streams(&server), 1, "{status}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_ends_the_stream() {
    let server = server(|| vec![Step::Drip("data: 0123456789\n", Duration::ZERO)]).await;
    let place = place(&server).max_size(10_000).silence(SILENCE * 50);
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "read").await;
    within(async {
        while streams(&server) < 3 {
            sleep(SHORT).await;
        }
    })
    .await;
    assert_eq!(text.get().as_deref(), Some("read"));
}

#[tokio::test]
async fn a_place_without_events_leaves_the_others_their_connection() {
    let server = Server::start(Tls::Server).await;
    server.put("first");
    let http = http(&server);
    let get = || http.get("/value").unwrap();
    let mut kept = within(get().connect()).await.unwrap();
    within(kept.read()).await.unwrap();
    for place in [get().events("/value").unwrap(), get().events("/nothing").unwrap()] {
        let told = within(async { place.connect().await?.watch().await }).await.err().unwrap();
        assert!(told.is_refused(), "{told}");
    }
    assert!(within(async { get().max_size(1).connect().await?.read().await }).await.is_err());
    let waiting = get().long_poll();
    let changes = within(async { waiting.connect().await?.watch().await }).await;
    let mut changes = changes.unwrap().unwrap();
    within(changes.next()).await.unwrap().unwrap();
    assert!(timeout(SHORT, changes.next()).await.is_err(), "it has told all");
    drop(changes);
    within(kept.read()).await.unwrap();
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_has_no_events_is_polled() {
    for (status, headers, want) in [
        ("204 No Content", "", "no events"),
        ("404 Not Found", "", "nothing at the URL of events"),
        ("200 OK", "content-type: text/html\r\n", "no event stream"),
        ("403 No", "", "403"),
    ] {
        let reads = Arc::new(AtomicUsize::new(0));
        let server = Scripted::start(move |head| {
            if head.starts_with("GET /events ") {
                return answer(status, headers, "");
            }
            answer("200 OK", "", &reads.fetch_add(1, Ordering::SeqCst).to_string())
        })
        .await;
        let options = ReloaderOptions::realtime().backoff(SHORT, SHORT);
        let mut text = follow(place(&server).text(), options);
        becomes(&mut text, "5").await;
        let status = until(&text, |status| status.mechanism.is_some()).await;
        let Some(Mechanism::Degraded(told)) = &status.mechanism else { panic!("{status:?}") };
        assert!(told.contains(want), "{told}");
    }
}
