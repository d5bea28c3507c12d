//! What a read takes, and what it does not.

use std::time::Duration;

use hot_reload_sources::{
    Access, Entry, Store, StoreError,
    http::{Http, HttpPlace},
};

use crate::{
    common::within,
    scripted::{Scripted, Step, answer},
};

fn place(server: &Scripted) -> HttpPlace {
    Http::from_url(&server.url(), Access::new()).unwrap().get("/value").unwrap()
}

async fn read(place: &HttpPlace) -> Result<Entry, StoreError> {
    within(async { place.connect().await?.read().await }).await
}

async fn fails(place: &HttpPlace) -> StoreError {
    match read(place).await {
        Ok(_) => panic!("{place:?} was taken"),
        Err(error) => error,
    }
}

/// The error and all its causes.
fn words(error: &StoreError) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        words = format!("{words}: {cause}");
        next = cause.source();
    }
    words
}

#[tokio::test]
async fn what_may_not_be_whole_is_not_taken() {
    for (answer, want) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nn = 1", "cut off"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nn = 1\r\n", "cut off"),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nn = 1", "without its length"),
        ("HTTP/1.0 200 OK\r\n\r\nn = 1", "without its length"),
        ("HTTP/1.1 206 Partial\r\ncontent-length: 5\r\n\r\nn = 1", "206"),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nn = 1", "encoded"),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n", "event stream"),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "nothing was there"),
        ("HTTP/1.1 200", "lost"),
        ("", "lost"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "lost"),
    ] {
        let server = Scripted::always(answer).await;
        let told = words(&fails(&place(&server)).await);
        assert!(told.contains(want), "{answer}: {told}");
    }
}

#[tokio::test]
async fn a_status_is_told_as_what_it_means() {
    type Is = fn(&StoreError) -> bool;
    for (status, headers, is, want) in [
        ("429 Too Many", "retry-after: 3\r\n", StoreError::is_throttled as Is, "429"),
        ("503 Unavailable", "retry-after: 3\r\n", StoreError::is_throttled, "503"),
        ("503 Unavailable", "", StoreError::is_throttled, "503"),
        ("502 Bad", "", StoreError::is_throttled, "502"),
        ("500 Oh", "retry-after: 3\r\n", StoreError::is_throttled, "500"),
        ("408 Slow", "", StoreError::is_unreachable, "408"),
        ("401 Who", "", StoreError::is_refused, "mend the token"),
        ("403 No", "", StoreError::is_refused, "grant it"),
        ("400 What", "", StoreError::is_refused, "400"),
        ("302 There", "", StoreError::is_refused, "302"),
    ] {
        let server = Scripted::start(move |_| answer(status, headers, "sorry, hunter2")).await;
        let error = fails(&place(&server)).await;
        let told = words(&error);
        assert!(is(&error) && told.contains(want), "{status}: {error:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    for status in ["404 Not Found", "410 Gone"] {
        let server = Scripted::start(move |_| answer(status, "", "no")).await;
        assert!(read(&place(&server)).await.unwrap() == Entry::gone(), "{status}");
    }
}

#[tokio::test]
async fn more_than_the_limit_is_not_read() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for begin in [endless, "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n"] {
        let server = Scripted::start(move |_| {
            let piece = Step::Drip("a\r\n0123456789\r\n", Duration::ZERO);
            vec![Step::Send(begin.into()), piece]
        })
        .await;
        let told = fails(&place(&server).max_size(1000)).await.to_string();
        assert!(told.contains("more than 1000 bytes; raise max_size"), "{told}");
    }
}

#[tokio::test]
async fn a_body_has_a_deadline() {
    let begin = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    for is_silent in [false, true] {
        let server = Scripted::start(move |_| {
            let then =
                if is_silent { Step::Hang } else { Step::Drip("a", Duration::from_millis(20)) };
            vec![Step::Send(begin.into()), then]
        })
        .await;
        let http = Http::from_url(&server.url(), Access::new()).unwrap();
        let place = http.read_deadline(Duration::from_millis(400)).get("/value").unwrap();
        assert_eq!(place.read_deadline(), Duration::from_millis(400));
        let told = words(&fails(&place).await);
        assert!(told.contains("no answer within"), "{told}");
    }
}

#[tokio::test]
async fn a_place_that_is_told_of_changes_wants_no_answer_of_a_cache() {
    let server = Scripted::start(|_| answer("200 OK", "x-consul-index: 1\r\n", "n = 1")).await;
    let place = || place(&server);
    for (place, want) in [
        (place(), false),
        (place().events("/events").unwrap(), true),
        (place().events_as_hints("/events").unwrap(), true),
        (place().long_poll(), true),
    ] {
        read(&place).await.unwrap();
        let asked = server.requests().pop().unwrap();
        assert_eq!(asked.contains("cache-control: no-cache"), want, "{asked}");
    }
}

#[tokio::test]
async fn who_tells_a_date_is_asked_by_it_once_that_is_sure() {
    let modified = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (date, is_asked) in [
        ("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false),
        ("date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", true),
        ("", false),
    ] {
        let headers = format!("{modified}{date}");
        let server = Scripted::start(move |head| {
            if head.contains("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT") {
                return vec![Step::Send("HTTP/1.1 304 Not Modified\r\n\r\n".into())];
            }
            answer("200 OK", &headers, "n = 1")
        })
        .await;
        let place = place(&server);
        for _ in 0..2 {
            assert!(read(&place).await.unwrap() == Entry::one("n = 1"));
        }
        let second = &server.requests()[1];
        assert_eq!(second.contains("if-modified-since"), is_asked, "{date}: {second}");
    }
}

#[tokio::test]
async fn redirects_end() {
    let server = Scripted::start(|head| {
        let location = match head.split(' ').nth(1).unwrap() {
            "/value" => "/there/a",
            "/there/a" => "b?c",
            "/there/b?c" => return answer("200 OK", "etag: \"1\"\r\n", "n = 1"),
            _ => "/loop",
        };
        answer("307 There", &format!("location: {location}\r\n"), "")
    })
    .await;
    let http = Http::from_url(&server.url(), Access::new()).unwrap();
    assert!(read(&http.get("/value").unwrap()).await.unwrap() == Entry::one("n = 1"));
    let told = fails(&http.get("/loop").unwrap()).await.to_string();
    assert!(told.contains("more than 5 redirects"), "{told}");
}

#[tokio::test]
async fn a_tag_is_only_sent_to_where_it_is_from() {
    let server = Scripted::start(|head| {
        if head.contains("/value") {
            let location = if head.contains("if-none-match") { "/b" } else { "/a" };
            return answer("302 There", &format!("location: {location}\r\n"), "");
        }
        answer("200 OK", "etag: \"1\"\r\n", "n = 1")
    })
    .await;
    let place = place(&server);
    for _ in 0..2 {
        assert!(read(&place).await.unwrap() == Entry::one("n = 1"));
    }
    let asked: Vec<bool> =
        server.requests().iter().map(|head| head.contains("if-none-match")).collect();
    assert_eq!(asked, [false, false, false, true]);
}
