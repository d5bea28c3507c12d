//! What queries return, and the channels that have them run again.

use std::collections::BTreeMap;

use hot_reload_sources::{Access, Content, Entry, Store, StoreError, postgres::Postgres};
use tokio_postgres::Config;

use crate::{
    common::within,
    server::{PASSWORD, Postgresql},
    until,
};

fn owner(server: &Postgresql) -> Postgres {
    let mut config = Config::new();
    config.host_path(server.sockets()).port(server.address().port());
    config.user("owner").password(PASSWORD).dbname("postgres");
    Postgres::from_config(config, Access::new()).unwrap()
}

async fn read(server: &Postgresql, sql: &str) -> Result<Entry, StoreError> {
    owner(server).query(sql).connect().await?.read().await
}

#[tokio::test]
async fn columns_are_bytes_as_they_are() {
    let server = Postgresql::start().await;
    server.run_sql("CREATE TYPE mood AS ENUM ('calm'); CREATE DOMAIN words AS text").await;
    for (sql, want) in [
        ("SELECT 'n = 1'", &b"n = 1"[..]),
        ("SELECT 'a'::varchar", b"a"),
        (r"SELECT '\x00ff5c'::bytea", b"\x00\xff\x5c"),
        (r#"SELECT '{"a" :1}'::json"#, br#"{"a" :1}"#),
        (r#"SELECT '{"a" :1}'::jsonb"#, br#"{"a": 1}"#),
        ("SELECT 'calm'::mood", b"calm"),
        ("SELECT 'a b'::words", b"a b"),
        ("SELECT ''", b""),
    ] {
        let entry = read(&server, sql).await.unwrap();
        assert!(entry == Entry::one(want), "{sql}");
    }
}

#[tokio::test]
async fn no_row_is_nothing_and_no_pair_is_an_empty_set() {
    let server = Postgresql::start().await;
    let pair = BTreeMap::from([("a".to_owned(), "1".into())]);
    for (sql, want) in [
        ("SELECT 'a' WHERE false", Entry::gone()),
        ("SELECT NULL::text", Entry::gone()),
        ("SELECT 'a', 'b' WHERE false", Entry::set(BTreeMap::new())),
        ("VALUES ('a', '1'), ('b', NULL)", Entry::set(pair)),
    ] {
        assert!(read(&server, sql).await.unwrap() == want, "{sql}");
    }
}

#[tokio::test]
async fn what_is_no_value_is_told() {
    let server = Postgresql::start().await;
    for (sql, want) in [
        ("SELECT 1 AS n", "column n is of type int4; cast it to text"),
        ("VALUES ('a'), ('b')", "2 rows, where one is expected"),
        ("VALUES ('a', '1'), ('a', '2')", "twice"),
        ("VALUES (NULL, '1')", "a key is null"),
        ("SELECT 'a', 'b', 'c'", "3 columns"),
        ("SELECT 'a'; SELECT 'b'", "multiple commands"),
        ("SELEC", "syntax error"),
        ("", "0 columns"),
        ("SELECT 'hunter2'::int::text", "error 22P02"),
    ] {
        let told = read(&server, sql).await.err().unwrap().to_string();
        assert!(told.contains(want) && !told.contains("hunter2"), "{sql}: {told}");
    }
}

#[tokio::test]
async fn a_notification_has_the_query_run_again() {
    let server = Postgresql::start().await;
    let client = server.owner().await;
    let sql = "CREATE TABLE limits (name text, n int); INSERT INTO limits VALUES ('a', 1)";
    client.batch_execute(sql).await.unwrap();
    let places = owner(&server);
    let query = places.query("SELECT n::text FROM limits").channel("Its \"own\" channel");
    let mut n = query.text().watch().await.unwrap();
    assert_eq!(n.get().as_deref(), Some("1"));
    let sql = "UPDATE limits SET n = 2; NOTIFY \"Its \"\"own\"\" channel\"";
    client.batch_execute(sql).await.unwrap();
    until(&mut n, &"2".to_owned()).await;
}

#[tokio::test]
async fn a_query_without_a_channel_is_polled() {
    let server = Postgresql::start().await;
    let mut connection = owner(&server).query("SELECT 'a'").connect().await.unwrap();
    assert!(connection.watch().await.unwrap().is_none());
}

#[tokio::test]
async fn a_channel_that_the_server_would_cut_is_refused() {
    let server = Postgresql::start().await;
    let place = owner(&server).query("SELECT 'a'").channel("c".repeat(64));
    let error = place.connect().await.unwrap().watch().await.err().unwrap();
    assert!(error.is_refused(), "{error}");
}

#[tokio::test]
async fn a_slow_query_is_cancelled_and_the_others_go_on() {
    let server = Postgresql::start().await;
    let places = owner(&server).read_deadline(std::time::Duration::from_secs(1));
    let mut quick = places.query("SELECT 'a'").connect().await.unwrap();
    let mut slow = places.query("SELECT pg_sleep(60)::text").connect().await.unwrap();
    let error = within(slow.read()).await.err().unwrap();
    assert!(error.is_throttled(), "{error}");
    let entry = quick.read().await.unwrap();
    assert!(matches!(entry.content(), Some(Content::One(_))));
}
