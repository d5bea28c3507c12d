//! Standbys, and what becomes of them.

use std::time::Duration;

use hot_reload::{Mechanism, ReloaderOptions, testing::Proxy};
use hot_reload_sources::{Entry, Store};

use crate::{
    by,
    common::{follow::followed_by, within},
    connected, key, reader,
    server::Postgresql,
    until,
};

fn often() -> ReloaderOptions {
    ReloaderOptions::hybrid().poll_interval(Duration::from_millis(100))
}

#[tokio::test]
async fn a_standby_that_lags_behind_is_older_in_every_timeline() {
    let server = Postgresql::start().await;
    server.run_sql("CHECKPOINT").await;
    server.kill();
    // The first whose number has another name in lower case.
    server.write_timeline(10);
    server.run().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'one')").await;
    server.kill();
    server.back_up();
    server.run().await;
    server.run_sql("UPDATE hot_reload SET value = 'two'").await;
    let a = reader(&server).key("a");
    let newer = a.connect().await.unwrap().read().await.unwrap();
    server.kill();
    server.restore();
    server.write_standby();
    server.run().await;
    drop(server.owner().await);
    let older = a.connect().await.unwrap().read().await.unwrap();
    assert!(older == Entry::one("one").at(older.revision().unwrap()));
    assert!(older.revision().unwrap().is_older_than(newer.revision().unwrap()));
}

#[tokio::test]
async fn what_a_standby_says_once_it_is_promoted_is_not_older_than_what_was_lost() {
    let server = Postgresql::start().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'one')").await;
    server.kill();
    server.back_up();
    server.run().await;
    for n in 0..10 {
        server.run_sql(&format!("UPDATE hot_reload SET value = 'lost {n}'")).await;
    }
    let a = reader(&server).key("a");
    let lost = a.connect().await.unwrap().read().await.unwrap().revision().unwrap();
    server.kill();
    server.restore();
    server.write_standby();
    server.run().await;
    let mut connection = connected(&a).await;
    assert!(connection.read().await.unwrap().revision().unwrap().is_older_than(lost));
    server.run_sql("SELECT pg_promote()").await;
    server.run_sql("UPDATE hot_reload SET value = 'mended'").await;
    // Promotion ends no connection.
    let mended = connection.read().await.unwrap();
    assert!(mended.content() == Entry::one("mended").content());
    assert!(!mended.revision().unwrap().is_older_than(lost));
}

#[tokio::test]
async fn a_standby_is_polled_over_the_connection_there_is() {
    let server = Postgresql::start().await;
    server.make_standby().await;
    let proxy = Proxy::start(server.address()).await;
    let query = by(proxy.address()).query("SELECT clock_timestamp()::text").channel("clock");
    let mut clock = followed_by(query.text(), often());
    for _ in 0..10 {
        within(clock.changed()).await.unwrap();
    }
    assert_eq!(proxy.accepted(), 1);
    let mut connection = connected(&key(&server, "a")).await;
    assert!(connection.watch().await.unwrap().is_none());
    connection.read().await.unwrap();
}

#[tokio::test]
async fn a_standby_that_is_promoted_is_listened_to() {
    let server = Postgresql::start().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'one')").await;
    server.make_standby().await;
    let places = reader(&server);
    let mut a = followed_by(places.key("a").text(), often());
    until(&mut a, &"one".to_owned()).await;
    let query = places.query("SELECT 'always'").channel("never");
    let always = followed_by(query.text(), often());
    server.run_sql("SELECT pg_promote()").await;
    for receiver in [&a, &always] {
        let mut status = receiver.watch_status();
        let told = status.wait_for(|now| now.mechanism == Some(Mechanism::EventsAndPolling));
        within(told).await.unwrap();
    }
    server.run_sql("UPDATE hot_reload SET value = 'two'").await;
    until(&mut a, &"two".to_owned()).await;
}
