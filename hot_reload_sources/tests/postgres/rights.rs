//! What who has no right to the table can't do.

use std::time::Duration;

use hot_reload_sources::Store;
use tokio_postgres::{Client, Config, NoTls};

use crate::{key, server::Postgresql, until};

const STRANGER: &str = "CREATE ROLE stranger LOGIN PASSWORD 'of-a-stranger'";

/// Connects as a role that has no right but to connect.
async fn stranger(server: &Postgresql) -> (Client, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let mut config = Config::new();
    config.host_path(server.sockets()).port(server.address().port());
    config.user("stranger").password("of-a-stranger").dbname("postgres");
    let (client, mut connection) = config.connect(NoTls).await.unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let tokio_postgres::AsyncMessage::Notification(heard) = message {
                let _ = tell.send(heard.payload().to_owned());
            }
        }
    });
    (client, told)
}

#[tokio::test]
async fn who_may_only_connect_learns_no_value_and_gives_none() {
    let server = Postgresql::start().await;
    server.run_sql(STRANGER).await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'hunter2')").await;
    let mut a = key(&server, "a").text().watch().await.unwrap();
    let (client, mut told) = stranger(&server).await;
    client.batch_execute("LISTEN hot_reload").await.unwrap();
    server.run_sql("UPDATE hot_reload SET value = 'hunter3'").await;
    until(&mut a, &"hunter3".to_owned()).await;
    let payload = told.recv().await.unwrap();
    assert!(!payload.contains("hunter"), "{payload}");
    for forged in ["a", "", "9223372036854775807 x =a\nforged", "a\nforged"] {
        let notify = format!("SELECT pg_notify('hot_reload', E'{forged}')");
        client.batch_execute(&notify).await.unwrap();
    }
    server.run_sql("UPDATE hot_reload SET value = 'genuine'").await;
    until(&mut a, &"genuine".to_owned()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(a.get().as_deref(), Some("genuine"));
}

#[tokio::test]
async fn the_triggers_can_be_attached_to_no_table_of_a_stranger() {
    let server = Postgresql::start().await;
    server.run_sql(STRANGER).await;
    let (client, _told) = stranger(&server).await;
    client.batch_execute("CREATE TEMP TABLE mine (n int)").await.unwrap();
    let attach = "CREATE TRIGGER mine BEFORE INSERT ON mine
         FOR EACH STATEMENT EXECUTE FUNCTION public.hot_reload_count()";
    let error = client.batch_execute(attach).await.unwrap_err();
    assert!(
        error.to_string().contains("permission")
            || error.code().is_some_and(|code| code.code() == "42501"),
        "{error:?}"
    );
    let owns = "SELECT count(*) FROM pg_proc WHERE proname = 'hot_reload_tell' AND prosecdef";
    let owner = server.owner().await;
    assert_eq!(owner.query_one_scalar::<i64, _>(owns, &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_notifies_without_a_change_has_it_read_seldom() {
    let server = Postgresql::start().await;
    server.run_sql(STRANGER).await;
    let owner = server.owner().await;
    owner.batch_execute("CREATE SEQUENCE reads; GRANT USAGE ON reads TO reader").await.unwrap();
    let sql = "SELECT 'same' FROM nextval('reads')";
    let query = crate::reader(&server).query(sql).channel("reads");
    let _same = query.text().watch().await.unwrap();
    let (client, _told) = stranger(&server).await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        client.batch_execute("NOTIFY reads").await.unwrap();
    }
    let reads: i64 = owner.query_one_scalar("SELECT last_value FROM reads", &[]).await.unwrap();
    assert!(reads < 30, "{reads}");
}
