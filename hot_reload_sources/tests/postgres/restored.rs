//! Tables that were set back.

use std::time::Duration;

use hot_reload::ReloaderOptions;
use hot_reload_sources::Store;

use crate::{common::follow::followed_by, key, reader, server::Postgresql, until};

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
async fn a_restored_backup_is_taken_where_nobody_may_ask_which_cluster_it_is() {
    let server = Postgresql::start().await;
    let forbid = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC;
         INSERT INTO hot_reload VALUES ('a', 'kept')";
    server.run_sql(forbid).await;
    server.kill();
    server.back_up();
    server.run().await;
    server.run_sql("UPDATE hot_reload SET value = 'lost'").await;
    let a = reader(&server).key("a");
    let lost = a.connect().await.unwrap().read().await.unwrap().revision().unwrap();
    server.kill();
    server.restore();
    server.run().await;
    drop(server.owner().await);
    let kept = a.connect().await.unwrap().read().await.unwrap().revision().unwrap();
    assert!(!kept.is_older_than(lost));
}

/// As a dump of both tables is restored, by a connection that is there before and after.
#[tokio::test]
async fn what_was_restored_in_place_is_taken_and_followed() {
    let server = Postgresql::start().await;
    let owner = server.owner().await;
    let back_up = "INSERT INTO hot_reload VALUES ('a', 'kept');
         CREATE TABLE held AS TABLE hot_reload; CREATE TABLE counted AS TABLE hot_reload_state";
    owner.batch_execute(back_up).await.unwrap();
    let audits = ReloaderOptions::hybrid().poll_interval(Duration::from_millis(200));
    let mut a = followed_by(key(&server, "a").text(), audits);
    for n in 0..10 {
        let lost = format!("UPDATE hot_reload SET value = 'lost {n}'");
        owner.batch_execute(&lost).await.unwrap();
    }
    until(&mut a, &"lost 9".to_owned()).await;
    // Triggers are restored after what is in the table.
    let restore = "BEGIN; SET LOCAL session_replication_role = replica;
         TRUNCATE hot_reload, hot_reload_state; INSERT INTO hot_reload SELECT * FROM held;
         INSERT INTO hot_reload_state SELECT * FROM counted; COMMIT";
    owner.batch_execute(restore).await.unwrap();
    until(&mut a, &"kept".to_owned()).await;
    owner.batch_execute("UPDATE hot_reload SET value = 'newer'").await.unwrap();
    until(&mut a, &"newer".to_owned()).await;
}
