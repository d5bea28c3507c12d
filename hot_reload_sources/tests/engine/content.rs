//! What is no good is held back and said, and asks nothing of the store.

use std::collections::BTreeMap;

use hot_reload::{Health, ReloaderOptions, Status};
use hot_reload_sources::{Entry, Revision, Store, StoreError};
use tokio::time::sleep;

use super::{
    Followed, HOUR,
    common::fake::{Fake, one},
};

async fn is_held(entry: Entry, want: &str) -> Status {
    let store = Fake::new(one("good", 1));
    let source = store.clone().text().max_size(100);
    let followed = Followed::from(source, ReloaderOptions::realtime(), |service| service);
    followed.expect("good").await;
    store.put(entry);
    let status = followed.until_health(Health::Retrying).await;
    assert!(status.last_error.as_deref().unwrap().contains(want), "{status:?}");
    sleep(HOUR).await;
    assert_eq!((store.connects(), store.reads()), (1, 0));
    assert_eq!(followed.receiver.get().as_deref(), Some("good"));

    store.put(one("mended", 9));
    followed.expect("mended").await;
    followed.until_health(Health::Fresh).await;
    status
}

fn second(entry: Entry) -> Entry {
    entry.at(Revision::new("fake", 2))
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_serves_on() {
    is_held(second(Entry::gone()), "fake://store/key: nothing there").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_empty_is_held_back() {
    is_held(one("", 2), "empty").await;
    is_held(one(" \n", 2), "empty").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_held_back() {
    is_held(one(&"x".repeat(101), 2), "101 bytes, of which at most 100").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_text_is_held_back() {
    is_held(second(Entry::one(vec![0xff])), "not UTF-8").await;
}

#[tokio::test(start_paused = true)]
async fn a_set_in_the_place_of_a_value_is_held_back() {
    let set = BTreeMap::from([("a".to_owned(), "1".into())]);
    is_held(second(Entry::set(set)), "a set of values").await;
}

/// Once a store had to make up content that nobody would take, or to end the watch.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_value_is_said_in_its_own_words_and_followed_until_it_is_mended() {
    let list = || Entry::invalid(StoreError::invalid("a list, where a string is expected"));
    is_held(second(list()), "fake://store/key: a list, where a string is expected").await;

    let store = Fake::new(list());
    let any = store.clone().with(|_, content| Ok(format!("{content:?}")));
    let told = any.watch().await.err().unwrap().to_string();
    assert!(told.contains("a list"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn empty_is_taken_where_it_is_meant() {
    let store = Fake::new(one("good", 1));
    let source = store.clone().text().allow_empty(true);
    let followed = Followed::from(source, ReloaderOptions::realtime(), |service| service);
    followed.expect("good").await;
    store.put(one("", 2));
    followed.expect("").await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_empty_is_held_back() {
    let full = BTreeMap::from([("a".to_owned(), "true".into())]);
    let store = Fake::new(Entry::set(full));
    let mut flags = store.clone().each_json::<bool>().watch().await.unwrap();
    flags.changed().await.unwrap();
    store.put(Entry::set(BTreeMap::new()));
    let mut statuses = flags.watch_status();
    let status = statuses.wait_for(|status| status.health == Health::Retrying).await.unwrap();
    assert!(status.last_error.unwrap().contains("empty"));
    assert!(flags.get().unwrap()["a"]);
}

/// Once it was waited for without end.
#[tokio::test(start_paused = true)]
async fn what_goes_before_it_is_followed_is_an_error() {
    let store = Fake::new(one("good", 1));
    let gone = store.clone();
    let source = store.with(move |_, content| {
        gone.put_silently(Entry::gone());
        Ok(format!("{content:?}"))
    });
    let told = source.watch().await.err().unwrap().to_string();
    assert!(told.contains("nothing there"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_parse_error_names_the_place_and_the_line() {
    let store = Fake::new(one("n = 1\n", 1));
    let source = store.clone().toml::<BTreeMap<String, u32>>();
    let numbers = source.watch().await.unwrap();
    store.put(one("n = 1\nm = 'x'\n", 2));
    let mut statuses = numbers.watch_status();
    let status = statuses.wait_for(|status| status.health == Health::Retrying).await.unwrap();
    let at = status.last_error_at.unwrap().to_string();
    assert_eq!(at, "fake://store/key:2:5");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_a_set_that_does_not_parse_is_named() {
    let set = BTreeMap::from([("a".to_owned(), "1".into()), ("b".to_owned(), "?".into())]);
    let store = Fake::new(Entry::set(set));
    let told = store.clone().each_json::<u32>().watch().await.err().unwrap().to_string();
    assert!(told.starts_with("fake://store/keyb:1:1: "), "{told}");
}

/// Once it was read ten times a second until the typo was mended.
#[cfg(feature = "layers")]
#[tokio::test(start_paused = true)]
async fn a_layer_of_text_that_is_no_good_is_read_ever_more_seldom() {
    use hot_reload::{ReloaderService, file_reloader::Toml};
    use hot_reload_sources::layers::{Layer, Layers};

    for options in [ReloaderOptions::realtime(), ReloaderOptions::hybrid()] {
        let store = Fake::new(one("rps = ", 1));
        let layer = Layer::text::<Toml, _, _, _>("flags", store.clone().text());
        let layers = Layers::<BTreeMap<String, u32>>::new().with(layer);
        let (service, limits) = ReloaderService::from_reloader(layers, options);
        tokio::spawn(async move { service.start_with_realtime().await });
        sleep(std::time::Duration::from_secs(60)).await;
        assert!(store.reads() < 30, "{}", store.reads());
        store.put(one("rps = 5", 2));
        sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(limits.get().unwrap()["rps"], 5);
    }
}

/// Once it was forgotten with the panic, and the status said that all was well.
#[tokio::test(start_paused = true)]
async fn a_value_whose_parser_panics_is_not_forgotten() {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    static PANICS: AtomicBool = AtomicBool::new(true);
    let store = Fake::new(one("one", 1));
    let source = store.clone().with(|_, _| {
        assert!(!PANICS.load(SeqCst), "a parser that panics");
        Ok("parsed".to_owned())
    });
    let followed = Followed::from(source, ReloaderOptions::realtime(), |service| service);
    followed.until_health(Health::Retrying).await;
    sleep(HOUR).await;
    let status = followed.receiver.status();
    assert!(status.last_error.unwrap().contains("a parser that panics"));
    PANICS.store(false, SeqCst);
    followed.expect("parsed").await;
}
