//! The table, and what its triggers tell.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use hot_reload::testing::Proxy;
use hot_reload_sources::{Changes, Connection, Content, Entry, Store};

use crate::{
    by,
    common::{
        follow::{fails, followed},
        within,
    },
    key, reader,
    server::Postgresql,
    until,
};

/// What a watch has to say, without any engine in between.
async fn watch(store: &impl Store) -> (Box<dyn Connection>, Changes) {
    let mut connection = store.connect().await.unwrap();
    let mut changes = connection.watch().await.unwrap().unwrap();
    within(changes.next()).await.unwrap().unwrap();
    (connection, changes)
}

async fn next(changes: &mut Changes) -> Option<String> {
    let entry = within(changes.next()).await.unwrap().unwrap();
    text(&entry)
}

fn text(entry: &Entry) -> Option<String> {
    entry.content().map(|content| match content {
        Content::One(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Content::Set(_) => panic!("a set"),
    })
}

#[tokio::test]
async fn a_write_arrives() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    owner.batch_execute("INSERT INTO hot_reload VALUES ('a', 'one')").await.unwrap();
    let mut a = key(&server, "a").text().watch().await.unwrap();
    assert_eq!(a.get().as_deref(), Some("one"));
    owner.batch_execute("UPDATE hot_reload SET value = 'two'").await.unwrap();
    until(&mut a, &"two".to_owned()).await;
}

#[tokio::test]
async fn every_way_to_write_is_told() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let (_connection, mut changes) = watch(&key(&server, "a/b =c")).await;
    let large = "é".repeat(4000);
    for (sql, want) in [
        ("INSERT INTO hot_reload VALUES ('a/b =c', E'1\n2')", Some("1\n2")),
        ("UPDATE hot_reload SET value = ''", Some("")),
        ("UPDATE hot_reload SET key = 'other'", None),
        ("UPDATE hot_reload SET key = 'a/b =c', value = 'back'", Some("back")),
        ("UPDATE hot_reload SET value = repeat('é', 4000)", Some(&*large)),
        (
            "INSERT INTO hot_reload VALUES ('a/b =c', 'x')
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            Some("x"),
        ),
        ("DELETE FROM hot_reload", None),
        ("INSERT INTO hot_reload VALUES ('a/b =c', 'y'), ('d', 'z')", Some("y")),
        ("TRUNCATE hot_reload", None),
        ("COPY hot_reload FROM PROGRAM 'printf \"a/b =c\\tcopied\\n\"'", Some("copied")),
    ] {
        owner.batch_execute(sql).await.unwrap();
        assert_eq!(next(&mut changes).await.as_deref(), want, "{sql}");
    }
}

#[tokio::test]
async fn what_was_never_committed_is_never_seen() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let (_connection, mut changes) = watch(&key(&server, "a")).await;
    for sql in [
        "BEGIN; INSERT INTO hot_reload VALUES ('a', 'never'); ROLLBACK",
        "BEGIN; TRUNCATE hot_reload; INSERT INTO hot_reload VALUES ('a', 'draft');
         UPDATE hot_reload SET value = 'final'; COMMIT",
    ] {
        owner.batch_execute(sql).await.unwrap();
    }
    assert_eq!(next(&mut changes).await.as_deref(), Some("final"));
}

#[tokio::test]
async fn a_transaction_on_several_keys_is_seen_at_once() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    owner.batch_execute("INSERT INTO hot_reload VALUES ('l/a', '0'), ('l/b', '0')").await.unwrap();
    let mut connection = reader(&server).prefix("l/").connect().await.unwrap();
    let mut changes = connection.watch().await.unwrap().unwrap();
    let writing = async {
        for n in 1..=50 {
            let sql = format!(
                "BEGIN; UPDATE hot_reload SET value = '{n}' WHERE key = 'l/a';
                 UPDATE hot_reload SET value = '{n}' WHERE key = 'l/b'; COMMIT"
            );
            owner.batch_execute(&sql).await.unwrap();
        }
    };
    let reading = async {
        loop {
            let entry = within(changes.next()).await.unwrap().unwrap();
            let Some(Content::Set(set)) = entry.content() else { panic!("no set") };
            assert_eq!(set["a"], set["b"]);
            if set["a"] == "50" {
                return;
            }
        }
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn a_prefix_is_a_set_of_what_begins_with_it() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let sql = "INSERT INTO hot_reload VALUES ('l/a', '1'), ('l/%', '2'), ('m', '3')";
    owner.batch_execute(sql).await.unwrap();
    let limits = reader(&server).prefix("l/").each_bytes().allow_empty(true);
    let mut limits = limits.watch().await.unwrap();
    let set = |set: &[(&str, &'static str)]| -> BTreeMap<String, Bytes> {
        set.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect()
    };
    until(&mut limits, &set(&[("a", "1"), ("%", "2")])).await;
    owner.batch_execute("DELETE FROM hot_reload WHERE key = 'l/%'").await.unwrap();
    until(&mut limits, &set(&[("a", "1")])).await;
    owner.batch_execute("DELETE FROM hot_reload").await.unwrap();
    until(&mut limits, &set(&[])).await;
}

#[tokio::test]
async fn revisions_have_the_order_of_commits() {
    let server = Postgresql::start().await;
    server.run_sql("CREATE TABLE log (n serial, revision bigint)").await;
    let (_connection, mut changes) = watch(&key(&server, "a")).await;
    let writers = (0..8).map(|writer| {
        let server = &server;
        async move {
            let owner = server.owner().await;
            for n in 0..20 {
                let upsert = format!(
                    "INSERT INTO hot_reload VALUES ('a', '{writer}/{n}')
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                );
                let delete = "DELETE FROM hot_reload WHERE key = 'a'";
                let sql = if n % 5 == 4 { delete } else { &upsert };
                owner.batch_execute(sql).await.unwrap();
            }
        }
    });
    within(join_all(writers)).await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'last') ON CONFLICT (key) DO UPDATE SET value = 'last'").await;
    let mut newest = None;
    loop {
        let entry = within(changes.next()).await.unwrap().unwrap();
        let revision = entry.revision().unwrap();
        assert!(newest.is_none_or(|newest| !revision.is_older_than(newest)));
        newest = Some(revision);
        if text(&entry).as_deref() == Some("last") {
            break;
        }
    }
}

#[tokio::test]
async fn a_table_of_another_schema_does_not_answer_for_this_one() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    owner.batch_execute("INSERT INTO hot_reload VALUES ('a', 'ours')").await.unwrap();
    let (_connection, mut changes) = watch(&key(&server, "a")).await;
    let table = hot_reload_sources::postgres::TABLE_SQL;
    let other = format!("CREATE SCHEMA other; SET search_path = other; {table}");
    owner.batch_execute(&other).await.unwrap();
    owner.batch_execute("INSERT INTO hot_reload VALUES ('a', 'theirs')").await.unwrap();
    assert_eq!(next(&mut changes).await.as_deref(), Some("ours"));
}

#[tokio::test]
async fn a_writer_needs_rights_on_the_table_alone() {
    let server = Postgresql::start().await;
    let sql = "CREATE ROLE writer; GRANT SELECT, INSERT, UPDATE, DELETE ON hot_reload TO writer;
         SET ROLE writer; INSERT INTO hot_reload VALUES ('a', 'one')";
    server.run_sql(sql).await;
    let a = key(&server, "a").text().watch().await.unwrap();
    assert_eq!(a.get().as_deref(), Some("one"));
}

#[tokio::test]
async fn a_burst_ends_at_the_last() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    owner.batch_execute("INSERT INTO hot_reload VALUES ('a', '0')").await.unwrap();
    let mut a = key(&server, "a").text().watch().await.unwrap();
    let burst = "DO $$ BEGIN FOR n IN 1..10000 LOOP
         UPDATE hot_reload SET value = n::text; COMMIT; END LOOP; END $$";
    within(owner.batch_execute(burst)).await.unwrap();
    until(&mut a, &"10000".to_owned()).await;
}

#[tokio::test]
async fn what_is_larger_than_is_read_is_told_until_it_is_mended_and_never_sent() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let large = "INSERT INTO hot_reload VALUES ('l/a', repeat('é', 500000)), ('l/bc', '12')";
    owner.batch_execute(large).await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let places = by(proxy.address());
    let (one, all) = (places.key("l/a").max_size(4), places.prefix("l/").max_size(9));
    // Longer than anybody waits, for such a value.
    proxy.throttle(10_000);
    for (place, size) in [(&one, 1_000_000), (&all, 1_000_005)] {
        let entry = within(place.connect().await.unwrap().read()).await.unwrap();
        let told = entry.error().unwrap().to_string();
        assert!(told.contains(&format!("{size} bytes")) && told.contains("max_size"), "{told}");
    }
    proxy.pass();
    let (mut one, mut all) = (followed(one.text()), followed(all.each_bytes()));
    tokio::join!(fails(&one, "max_size"), fails(&all, "max_size"));
    owner.batch_execute("UPDATE hot_reload SET value = 'éé' WHERE key = 'l/a'").await.unwrap();
    until(&mut one, &"éé".to_owned()).await;
    let fits = [("a".to_owned(), "éé".into()), ("bc".to_owned(), "12".into())];
    until(&mut all, &BTreeMap::from(fits)).await;
    owner.batch_execute("UPDATE hot_reload SET value = '123' WHERE key = 'l/bc'").await.unwrap();
    fails(&all, "10 bytes").await;
}

#[tokio::test]
async fn a_place_says_how_large_a_value_may_be() {
    let server = Postgresql::start().await;
    let large = "INSERT INTO hot_reload VALUES ('a', repeat('x', 17 * 1024 * 1024))";
    server.run_sql(large).await;
    let a = key(&server, "a").max_size(32 * 1024 * 1024).text().watch().await.unwrap();
    assert_eq!(a.get().unwrap().len(), 17 * 1024 * 1024);
}
