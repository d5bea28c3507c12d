//! What goes wrong, told apart.

use std::time::Duration;

use hot_reload_sources::{
    Access, Secret, Store, StoreError,
    postgres::{Postgres, PostgresPlace},
};

use crate::{
    access,
    common::within,
    connected, key,
    server::{Postgresql, READER_PASSWORD},
};

async fn read(place: &impl Store) -> StoreError {
    let reading = async { place.connect().await?.read().await };
    within(reading).await.expect_err("nothing is there")
}

fn told(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!("{error} {}", cause.unwrap_or_default())
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_told() {
    let server = Postgresql::start().await;
    let url =
        |credentials: &str| format!("postgres://{credentials}@{}/postgres/a", server.address());
    let wrong = Access::new().user("reader").password(Secret::text("hunter3"));
    for (url, access) in [
        (url("reader:hunter3"), Access::new()),
        (url("reader:hunter3@%2F"), Access::new()),
        (url("reader"), wrong),
    ] {
        let place = PostgresPlace::from_url(&url, access).unwrap();
        let error = read(&place).await;
        assert!(error.is_refused(), "{error}");
        let told = format!("{} {place:?} {}", told(&error), place.name());
        assert!(!told.contains("hunter3"), "{told}");
    }
}

#[tokio::test]
async fn the_password_of_a_url_is_taken() {
    let server = Postgresql::start().await;
    let url = format!("postgres://reader:{READER_PASSWORD}@{}/postgres/a", server.address());
    let place = PostgresPlace::from_url(&url, Access::new()).unwrap();
    place.connect().await.unwrap().read().await.unwrap();
}

#[tokio::test]
async fn a_password_is_proved_without_being_sent() {
    let server = Postgresql::start().await;
    server.write_access("host all all all scram-sha-256\n");
    server.kill();
    server.run().await;
    let place = key(&server, "a");
    connected(&place).await.read().await.unwrap();
    let url = format!("postgres://reader:hunter3@{}/postgres/a", server.address());
    let error = read(&PostgresPlace::from_url(&url, Access::new()).unwrap()).await;
    assert!(error.is_refused(), "{error}");
}

#[tokio::test]
async fn what_is_missing_is_told_as_missing() {
    let server = Postgresql::start().await;
    let url = format!("postgres://{}/nowhere/a", server.address());
    let error = read(&PostgresPlace::from_url(&url, access()).unwrap()).await;
    assert!(error.is_missing() && error.to_string().contains("nowhere"), "{error}");
    server.run_sql("DELETE FROM hot_reload_state").await;
    let error = read(&key(&server, "a")).await;
    assert!(error.is_missing() && error.to_string().contains("hot_reload_state"), "{error}");
    server.run_sql("DROP TABLE hot_reload").await;
    let error = read(&key(&server, "a")).await;
    assert!(error.is_missing() && error.to_string().contains("hot_reload.sql"), "{error}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_refused() {
    let server = Postgresql::start().await;
    server.run_sql("REVOKE ALL ON hot_reload FROM reader").await;
    let error = read(&key(&server, "a")).await;
    assert!(error.is_refused() && error.to_string().contains("grant"), "{error}");
    // The connection is as good as before.
    server.run_sql("GRANT SELECT ON hot_reload TO reader").await;
    key(&server, "a").connect().await.unwrap().read().await.unwrap();
}

#[tokio::test]
async fn another_table_of_that_name_is_not_taken() {
    let server = Postgresql::start().await;
    let sql = "ALTER TABLE hot_reload ALTER COLUMN value TYPE int USING 1;
         INSERT INTO hot_reload VALUES ('a', 1)";
    server.run_sql(sql).await;
    let error = read(&key(&server, "a")).await;
    assert!(error.is_refused() && error.to_string().contains("hot_reload.sql"), "{error}");
}

#[tokio::test]
async fn too_many_connections_are_no_reason_to_hurry() {
    let server = Postgresql::start().await;
    server.run_sql("ALTER ROLE reader CONNECTION LIMIT 1").await;
    let first = key(&server, "a").connect().await.unwrap();
    let error = read(&key(&server, "a")).await;
    assert!(error.is_throttled(), "{error}");
    drop(first);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = Postgresql::start().await;
    let place = key(&server, "a");
    let mut connection = place.connect().await.unwrap();
    server.kill();
    let error = within(connection.read()).await.err().unwrap();
    assert!(error.is_unreachable(), "{error}");
    let error = read(&place).await;
    assert!(error.is_unreachable(), "{error}");
}

#[tokio::test]
async fn a_host_that_refuses_is_passed_over() {
    let server = Postgresql::start().await;
    let port = server.address().port();
    // Nobody listens there.
    let ip = server.address().ip();
    let url = format!("postgres://127.0.0.1:1,{ip}:{port}/postgres/a");
    let place = PostgresPlace::from_url(&url, access()).unwrap();
    within(place.connect()).await.unwrap().read().await.unwrap();
}

#[tokio::test]
async fn a_url_that_makes_no_sense_is_refused_unquoted() {
    for url in [
        "mysql://u:hunter2@host/db",
        "postgres://u:hunter2@host:port/db",
        "postgres://u:hunter2@host/db?sslmode=hunter2",
        "postgres://u:hunter2@host/db?sslkey=hunter2",
        "postgres://u:hunter2@host/db?hunter2=1",
        "postgres://u:hunter2@host/db?hunter2",
        "postgres://u:hunter2@host/db#hunter2",
        "postgres://u:hunter2@host/%zz/key",
        "postgres://u:hunter2@host/db/key",
    ] {
        let error = Postgres::from_url(url, Access::new()).err().unwrap();
        assert!(error.is_refused() && !error.to_string().contains("hunter2"), "{url}: {error}");
    }
    let database = "postgres://u:hunter2@host/db";
    let error = PostgresPlace::from_url(database, Access::new()).err().unwrap();
    assert!(error.is_refused() && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn names_have_no_secrets() {
    let server = Postgres::from_url(
        "postgres://u:hunter2@[::1]:1,%2Frun/db?application_name=a",
        Access::new(),
    );
    let place = server.unwrap().read_deadline(Duration::from_secs(1)).key("a");
    assert_eq!(place.name(), "postgres://[::1]:1,%2Frun:5432/db/a");
    let query = reader_of("postgres://host/db").query("SELECT 'hunter2'").channel("c");
    assert_eq!(query.name(), "postgres://host:5432/db (query, channel c)");
    assert_eq!(query.named("limits").name(), "postgres://host:5432/db (limits)");
}

#[test]
fn the_name_of_a_place_is_a_url_of_it() {
    let name = |url: &str| PostgresPlace::from_url(url, Access::new()).unwrap().name();
    for (url, want) in [
        ("postgres://u:p@h/d%2Fb/a%20b%23%40", "postgres://h:5432/d%2Fb/a%20b%23%40"),
        ("postgres://a,[::1]:1/db/f/a", "postgres://a:5432,[::1]:1/db/f/a"),
        ("postgres:///db/a?host=/run/p", "postgres://%2Frun%2Fp:5432/db/a"),
        ("postgresql://h/db/f/#set", "postgres://h:5432/db/f/#set"),
        ("postgres://h/db/#set", "postgres://h:5432/db/#set"),
    ] {
        assert_eq!((name(url), name(want)), (want.to_owned(), want.to_owned()));
    }
}

fn reader_of(url: &str) -> Postgres {
    Postgres::from_url(url, access()).unwrap()
}
