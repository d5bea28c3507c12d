//! The connection that all places of a handle share.

use std::time::Duration;

use futures_util::StreamExt;
use hot_reload_sources::{Changes, Connection, Entry, Store, postgres::PostgresPlace};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_postgres::Client;

use crate::{access, common::within, key, reader, server::Postgresql, until};

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
        receivers.push(places.table_key(n.to_string()).text().watch().await.unwrap());
    }
    assert_eq!(connections(&owner).await, 1);
    owner.batch_execute("UPDATE hot_reload SET value = 'two'").await.unwrap();
    for receiver in &mut receivers {
        until(receiver, &"two".to_owned()).await;
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
    let (_first, first) = watch(&places.table_key("a")).await;
    let (_second, second) = watch(&places.table_key("b")).await;
    drop(first);
    assert!(connection.read().await.unwrap() == Entry::one("hot_reload"));
    drop(second);
    assert!(connection.read().await.unwrap() == Entry::gone());
    let (_third, _changes) = watch(&places.table_key("b")).await;
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
async fn what_was_restored_is_not_older_than_what_it_has_lost() {
    let server = Postgresql::start().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'kept')").await;
    server.kill();
    server.back_up();
    for is_promoted in [false, true] {
        server.run().await;
        for n in 0..10 {
            let lost = format!("UPDATE hot_reload SET value = 'lost {n}'");
            server.run_sql(&lost).await;
        }
        let mut a = key(&server, "a").text().watch().await.unwrap();
        until(&mut a, &"lost 9".to_owned()).await;
        server.kill();
        server.restore();
        if is_promoted {
            server.write_standby();
        }
        server.run().await;
        if is_promoted {
            server.run_sql("SELECT pg_promote()").await;
        }
        until(&mut a, &"kept".to_owned()).await;
        server.run_sql("UPDATE hot_reload SET value = 'newer'").await;
        until(&mut a, &"newer".to_owned()).await;
        server.kill();
        server.restore();
    }
}

#[tokio::test]
async fn statements_survive_what_discards_them() {
    let server = Postgresql::start().await;
    let places = reader(&server);
    let mut connection = places.table_key("a").connect().await.unwrap();
    connection.read().await.unwrap();
    let mut discarding = places.query("SELECT 'a'").connect().await.unwrap();
    discarding.read().await.unwrap();
    // Refused in a query, but a pooler does it behind the client's back.
    let _refused = places.query("DEALLOCATE ALL").connect().await.unwrap().read().await;
    connection.read().await.unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_given_up_within_the_deadline() {
    let server = Postgresql::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = server.address();
    let proxy = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(upstream).await.unwrap();
        // Passed on until it is told to hold everything back; nothing is ever closed.
        let passing = copy_bidirectional(&mut near, &mut far);
        let _ = tokio::time::timeout(Duration::from_millis(1500), passing).await;
        sleep(Duration::from_secs(60)).await;
        drop((near, far));
    });
    let deadline = Duration::from_secs(1);
    let url = format!("postgres://{address}/postgres");
    let places = hot_reload_sources::postgres::Postgres::from_url(&url, access()).unwrap();
    let (_connection, mut changes) = watch(&places.read_deadline(deadline).table_key("a")).await;
    // While it answers it is kept, however long nothing changes.
    let begun = Instant::now();
    let ended = within(changes.next()).await.unwrap();
    assert!(ended.err().unwrap().is_unreachable());
    let took = begun.elapsed();
    assert!(took > deadline && took < Duration::from_millis(1500) + deadline * 2, "{took:?}");
    proxy.abort();
}
