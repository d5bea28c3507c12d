//! Long polls that are not as they should be.

use std::time::Duration;

use hot_reload::{Mechanism, ReloaderOptions};
use hot_reload_sources::{
    Access, Store,
    http::{Http, HttpPlace},
};
use tokio::time::sleep;

use crate::{
    follow::{becomes, follow, http, until},
    scripted::{Scripted, Step, answer},
    server::{Server, Tls},
};

const SHORT: Duration = Duration::from_millis(50);

fn place(server: &Scripted) -> HttpPlace {
    Http::from_url(&server.url(), Access::new()).unwrap().get("/value?raw").unwrap().long_poll()
}

#[tokio::test]
async fn an_index_that_goes_backwards_begins_anew() {
    let server = Server::start(Tls::None).await;
    for n in 0..5 {
        server.put(&n.to_string());
    }
    let place = http(&server).get("/value").unwrap().long_poll().silence(Duration::from_secs(2));
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "4").await;
    server.restores(2, "of a snapshot");
    becomes(&mut text, "of a snapshot").await;
    server.put("after it");
    becomes(&mut text, "after it").await;
}

#[tokio::test]
async fn one_reads_what_another_of_the_same_place_has_read_before() {
    let server = Server::start(Tls::None).await;
    server.put("first");
    let source = http(&server).get("/value").unwrap().long_poll().text();
    let mut texts: Vec<_> =
        (0..5).map(|_| follow(source.clone(), ReloaderOptions::realtime())).collect();
    for n in 0..20 {
        let want = n.to_string();
        server.put(&want);
        for text in &mut texts {
            becomes(text, &want).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_never_waits_is_not_asked_all_the_time() {
    for index in ["0", "1", "7"] {
        let headers = format!("x-consul-index: {index}\r\n");
        let server = Scripted::start(move |_| answer("200 OK", &headers, "n = 1")).await;
        let mut text = follow(place(&server).text(), ReloaderOptions::realtime());
        becomes(&mut text, "n = 1").await;
        sleep(Duration::from_secs(2)).await;
        let requests = server.requests();
        assert!((3..=8).contains(&requests.len()), "{index}: {}", requests.len());
        let known = index.parse::<u64>().unwrap().max(1);
        let want = format!("GET /value?raw&index={known}&wait=22500ms HTTP/1.1");
        assert!(requests[2].starts_with(&want), "{}", requests[2]);
    }
}

#[tokio::test]
async fn a_value_that_churns_is_asked_for_ten_times_a_second() {
    let index = std::sync::atomic::AtomicU64::new(1);
    let server = Scripted::start(move |_| {
        let index = index.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        answer("200 OK", &format!("x-consul-index: {index}\r\n"), &index.to_string())
    })
    .await;
    let mut text = follow(place(&server).text(), ReloaderOptions::realtime());
    becomes(&mut text, "5").await;
    sleep(Duration::from_secs(2)).await;
    let requests = server.requests().len();
    assert!((10..=40).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_asked_anew() {
    let server = Scripted::start(|head| {
        if head.contains("index=") {
            return vec![Step::Hang];
        }
        answer("200 OK", "x-consul-index: 3\r\n", "n = 1")
    })
    .await;
    let place = place(&server).silence(Duration::from_millis(400));
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "n = 1").await;
    server.is_asked(6).await;
}

#[tokio::test]
async fn an_answer_without_an_index_has_it_polled() {
    let server = Scripted::start(|_| answer("200 OK", "", "n = 1")).await;
    let options = ReloaderOptions::realtime().backoff(SHORT, SHORT);
    let mut text = follow(place(&server).text(), options);
    becomes(&mut text, "n = 1").await;
    let status = until(&text, |status| status.mechanism.is_some()).await;
    let Some(Mechanism::Degraded(told)) = &status.mechanism else { panic!("{status:?}") };
    assert!(told.contains("without the header of the index"), "{told}");
}

#[tokio::test]
async fn other_names_may_be_given_to_the_parts() {
    let server = Scripted::start(|head| {
        if head.contains("version=3") {
            return vec![Step::Hang];
        }
        answer("200 OK", "x-version: 3\r\n", "n = 1")
    })
    .await;
    let place = place(&server).long_poll_by("X-Version", "version", "timeout").unwrap();
    let mut text = follow(place.text(), ReloaderOptions::realtime());
    becomes(&mut text, "n = 1").await;
    server.is_asked(2).await;
    let want = "GET /value?raw&version=3&timeout=22500ms HTTP/1.1";
    assert!(server.requests()[1].starts_with(want), "{}", server.requests()[1]);
    assert!(place_error().contains("no name of a header"));
}

fn place_error() -> String {
    let http = Http::from_url("http://host", Access::new()).unwrap();
    http.get("/").unwrap().long_poll_by("X Version", "a", "b").unwrap_err().to_string()
}
