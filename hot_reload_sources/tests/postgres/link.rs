//! The connection that all places of a handle share.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future::join_all};
use hot_reload::testing::Proxy;
use hot_reload_sources::{
    Changes, Connection, Entry, Store,
    postgres::{Postgres, PostgresPlace},
};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::{access, by, common::within, key, reader, server::Postgresql, until};

const DEADLINE: Duration = Duration::from_secs(1);

async fn connections(owner: &Client) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'";
    owner.query_one_scalar(sql, &[]).await.unwrap()
}

async fn until_connections(owner: &Client, want: i64) {
    within(async {
        while connections(owner).await != want {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn watch(place: &PostgresPlace) -> (Box<dyn Connection>, Changes) {
    let mut connection = place.connect().await.unwrap();
    let mut changes = connection.watch().await.unwrap().unwrap();
    within(changes.next()).await.unwrap().unwrap();
    (connection, changes)
}

#[tokio::test]
async fn all_places_share_one_connection_that_ends_with_the_last() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let places = reader(&server);
    let mut receivers = Vec::new();
    for n in 0..20 {
        let sql = format!("INSERT INTO hot_reload VALUES ('{n}', 'one')");
        owner.batch_execute(&sql).await.unwrap();
        receivers.push(places.key(n.to_string()).text().watch().await.unwrap());
    }
    assert_eq!(connections(&owner).await, 1);
    owner.batch_execute("UPDATE hot_reload SET value = 'two'").await.unwrap();
    for receiver in &mut receivers {
        until(receiver, &"two".to_owned()).await;
    }
    assert_eq!(connections(&owner).await, 1);
    let ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'";
    owner.batch_execute(ending).await.unwrap();
    owner.batch_execute("UPDATE hot_reload SET value = 'three'").await.unwrap();
    for receiver in &mut receivers {
        until(receiver, &"three".to_owned()).await;
    }
    assert_eq!(connections(&owner).await, 1);
    drop(receivers);
    until_connections(&owner, 0).await;
}

#[tokio::test]
async fn what_nobody_hears_any_more_is_not_listened_to() {
    let server = Postgresql::start().await;
    let places = reader(&server);
    let listening = places.query("SELECT string_agg(c, ',') FROM pg_listening_channels() AS c");
    let mut connection = listening.connect().await.unwrap();
    let (_first, first) = watch(&places.key("a")).await;
    let (_second, second) = watch(&places.key("b")).await;
    drop(first);
    assert!(connection.read().await.unwrap() == Entry::one("hot_reload"));
    drop(second);
    assert!(connection.read().await.unwrap() == Entry::gone());
    let (_third, _changes) = watch(&places.key("b")).await;
    assert!(connection.read().await.unwrap() == Entry::one("hot_reload"));
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_made_anew() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    owner.batch_execute("INSERT INTO hot_reload VALUES ('a', '0')").await.unwrap();
    let mut a = key(&server, "a").text().watch().await.unwrap();
    for n in 1..=3 {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader';
             UPDATE hot_reload SET value = '{n}'"
        );
        owner.batch_execute(&sql).await.unwrap();
        until(&mut a, &n.to_string()).await;
    }
}

#[tokio::test]
async fn a_server_that_was_killed_is_followed_again() {
    let server = Postgresql::start().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'one')").await;
    let mut a = key(&server, "a").text().watch().await.unwrap();
    server.kill();
    server.run().await;
    server.run_sql("UPDATE hot_reload SET value = 'two'").await;
    until(&mut a, &"two".to_owned()).await;
    // Revisions begin anew, and are none the older for that.
    server.kill();
    server.empty();
    server.run().await;
    server.set_up().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'three')").await;
    until(&mut a, &"three".to_owned()).await;
}

#[tokio::test]
async fn statements_survive_what_discards_them() {
    let server = Postgresql::start().await;
    let places = reader(&server);
    let mut connection = places.key("a").connect().await.unwrap();
    connection.read().await.unwrap();
    let mut discarding = places.query("SELECT 'a'").connect().await.unwrap();
    discarding.read().await.unwrap();
    // It returns no column, which is an error here; it is done all the same, as a pooler does it.
    let _no_column = places.query("DEALLOCATE ALL").connect().await.unwrap().read().await;
    connection.read().await.unwrap();
}

/// As a user of `proxy`, with a deadline of one second.
fn through(proxy: &Proxy) -> Postgres {
    by(proxy.address()).read_deadline(DEADLINE)
}

#[tokio::test]
async fn a_silent_connection_is_given_up_within_the_deadline() {
    let server = Postgresql::start().await;
    let proxy = Proxy::start(server.address()).await;
    let (_connection, mut changes) = watch(&through(&proxy).key("a")).await;
    // While it answers it is kept, however long nothing changes.
    let kept = tokio::time::timeout(DEADLINE * 2, changes.next()).await;
    assert!(kept.is_err(), "it has ended");
    proxy.black_hole();
    let begun = Instant::now();
    let ended = within(changes.next()).await.unwrap();
    assert!(ended.err().unwrap().is_unreachable());
    assert!(begun.elapsed() < DEADLINE + DEADLINE / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_works_is_not_taken_for_dead() {
    let server = Postgresql::start().await;
    let places = reader(&server).read_deadline(DEADLINE);
    let (_connection, mut changes) = watch(&places.key("a")).await;
    let asking = async {
        // A queue that takes longer than half of the deadline, of statements none of which does; and
        // again and again, so that a sign of life is asked for at any point of it.
        for round in 0..3 {
            let slow = (0..8).map(|_| async {
                let sql = "SELECT pg_sleep(0.15)::text";
                places.query(sql).connect().await.unwrap().read().await.unwrap()
            });
            within(join_all(slow)).await;
            sleep(Duration::from_millis(130 * round)).await;
        }
    };
    tokio::select! {
        () = asking => {}
        ended = changes.next() => panic!("{:?}", ended.unwrap().err()),
    }
}

#[tokio::test]
async fn what_nobody_polls_holds_up_nobody() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let insert = "INSERT INTO hot_reload SELECT 'l/' || n, repeat('x', 4000) FROM generate_series(1, 200) AS n";
    owner.batch_execute(insert).await.unwrap();
    let places = reader(&server).read_deadline(DEADLINE);
    let (_a, mut a) = watch(&places.key("a")).await;
    let (_limits, mut limits) = watch(&places.prefix("l/")).await;
    let mut reading = places.prefix("l/").connect().await.unwrap();
    let mut read = reading.read();
    assert!((&mut read).now_or_never().is_none());
    assert!(limits.next().now_or_never().is_none());
    owner.batch_execute("UPDATE hot_reload SET value = value || 'y'").await.unwrap();
    // Whoever has begun to wait for these is busy with something else.
    owner.batch_execute("INSERT INTO hot_reload VALUES ('a', 'told')").await.unwrap();
    assert!(within(a.next()).await.unwrap().unwrap().content() == Entry::one("told").content());
    let still = tokio::time::timeout(DEADLINE * 2, a.next()).await;
    assert!(still.is_err(), "the connection was given up");
    within(read).await.unwrap();
    within(limits.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_host_that_takes_connections_and_says_nothing_is_passed_over() {
    let server = Postgresql::start().await;
    let silent = Proxy::start(server.address()).await;
    silent.black_hole();
    let (near, far) = (silent.address(), server.address());
    let url = format!("postgres://{near},{far}/postgres");
    let places = Postgres::from_url(&url, access()).unwrap().read_deadline(DEADLINE / 4);
    within(async { while places.key("a").connect().await.is_err() {} }).await;
}

#[tokio::test]
async fn a_connection_is_made_though_nobody_polls_who_began_to() {
    let server = Postgresql::start().await;
    let places = reader(&server);
    let place = places.key("a");
    let mut begun = place.connect();
    assert!((&mut begun).now_or_never().is_none());
    within(places.key("b").connect()).await.unwrap();
    drop(begun);
}
