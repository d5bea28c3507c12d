//! What follows a value that changes.

use std::{sync::atomic::Ordering, time::Duration};

use hot_reload::ReloaderOptions;
use hot_reload_sources::Store;

use crate::{
    common::within,
    follow::{becomes, follow, http},
    server::{Server, Tls},
};

#[tokio::test]
async fn a_change_is_pushed_by_each_channel() {
    for tls in [Tls::None, Tls::Server] {
        let server = Server::start(tls).await;
        let get = || http(&server).get("/value").unwrap();
        for place in [
            get().events("/events").unwrap(),
            get().events_as_hints("/events").unwrap(),
            get().long_poll(),
            http(&server).consul_kv("prod/a").unwrap(),
        ] {
            server.put("first");
            let mut text = follow(place.text(), ReloaderOptions::realtime());
            for want in ["first", "second", "third", "first"] {
                server.put(want);
                becomes(&mut text, want).await;
            }
        }
    }
}

#[tokio::test]
async fn an_event_that_carries_the_value_needs_no_read() {
    let server = Server::start(Tls::None).await;
    server.put("first");
    let place = http(&server).get("/value").unwrap().events("/events").unwrap();
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "first").await;
    // The first event may be older than what was read, which only a read can tell.
    server.put("second\n");
    becomes(&mut text, "second").await;
    let before = server.state.requests.load(Ordering::SeqCst);
    // A newline at the end is in the events of some servers, and not in those of others.
    for (n, end) in (0..20).flat_map(|n| ["", "\n"].map(|end| (n, end))) {
        let want = format!("n = {n}{end:?}\nm = {n}");
        server.put(&format!("{want}{end}"));
        becomes(&mut text, &want).await;
    }
    assert_eq!(server.state.requests.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_look_at_what_is_there_already_transfers_nothing() {
    let server = Server::start(Tls::Server).await;
    server.put("first");
    let place = http(&server).get("/value").unwrap();
    let options = ReloaderOptions::polling().poll_interval(Duration::from_millis(20));
    let mut text = follow(place.text(), options);
    becomes(&mut text, "first").await;
    let before = server.state.requests.load(Ordering::SeqCst);
    within(async {
        while server.state.requests.load(Ordering::SeqCst) < before + 5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(server.state.bodies.load(Ordering::SeqCst), 1);
    server.put("second");
    becomes(&mut text, "second").await;
}
