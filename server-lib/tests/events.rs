//! How a server is doing, told as it changes.

mod common;

use std::time::Duration;

use common::{Client, Lab, PATIENCE, admin, with_admin};
use hot_reload::WatchStrategy::Realtime;
use serde_json::Value;
use tokio::time::{Instant, timeout};

struct Events(Client);

impl Events {
    async fn open(lab: &Lab) -> Self {
        let mut client = Client::connect(admin(lab)).await;
        client.send("GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let head = client.response().await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        Self(client)
    }

    /// Waits for what is told next.
    async fn next(&mut self) -> Value {
        let told = timeout(PATIENCE, async {
            loop {
                let line = self.0.line().await;
                if let Some(told) = line.strip_prefix("data: ") {
                    return serde_json::from_str(told).unwrap();
                }
            }
        });
        told.await.expect("nothing is told")
    }

    /// Waits for the end, before which nothing is told any more.
    async fn end(&mut self) {
        let over = timeout(PATIENCE, async {
            loop {
                let line = self.0.line().await;
                assert!(!line.starts_with("data: "), "{line}");
                // The last chunk of a body.
                if line == "0" {
                    return;
                }
            }
        });
        over.await.expect("it goes on");
    }

    /// Waits until what is told has `value` as `key`.
    async fn until(&mut self, key: &str, value: impl Into<Value>) -> Value {
        let value = value.into();
        loop {
            let told = self.next().await;
            if told[key] == value {
                return told;
            }
        }
    }
}

#[tokio::test]
async fn each_reader_hears_of_each_change() {
    let lab = Lab::with(Realtime, &with_admin("one"), |service| service.history(3)).await;
    let mut lab = lab;
    let mut readers = [Events::open(&lab).await, Events::open(&lab).await];
    for reader in &mut readers {
        let told = reader.next().await;
        assert_eq!((&told["generation"], &told["name"]), (&1.into(), &"one".into()));
        assert_eq!(told["history"][0]["reason"], "initial");
    }
    lab.apply(&with_admin("two")).await;
    for reader in &mut readers {
        let told = reader.until("generation", 2).await;
        assert_eq!(told["name"], "two");
    }
    lab.break_by("name = ").await;
    for reader in &mut readers {
        let told = reader.until("health", "retrying").await;
        assert_eq!(told["error_at"]["line"], 1);
    }
    lab.apply(&with_admin("four")).await;
    for reader in &mut readers {
        let told = reader.until("generation", 3).await;
        assert_eq!(told["history"][2]["changed"], serde_json::json!(["name"]));
        if told["health"] != "fresh" {
            reader.until("health", "fresh").await;
        }
    }
    lab.end().await;
}

#[tokio::test]
async fn changes_in_quick_succession_are_told_at_once() {
    let mut lab = Lab::new(Realtime, &with_admin("one")).await;
    let mut reader = Events::open(&lab).await;
    reader.next().await;
    let begun = Instant::now();
    for n in 0..20 {
        lab.apply(&with_admin(&format!("{n}"))).await;
    }
    let mut count: u32 = 1;
    while reader.next().await["generation"] != 21 {
        count += 1;
    }
    // One a tenth of a second at the most, and one at either end.
    let most = begun.elapsed().as_millis() / Duration::from_millis(100).as_millis() + 2;
    assert!(u128::from(count) <= most, "{count} in {:?}", begun.elapsed());
    lab.end().await;
}

#[tokio::test]
async fn a_reader_hears_of_the_end_and_holds_up_nothing() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let mut reader = Events::open(&lab).await;
    reader.next().await;
    let mut deaf = Events::open(&lab).await;
    deaf.next().await;
    lab.shutdown.cancel();
    reader.end().await;
    let begun = Instant::now();
    lab.end().await;
    // The drain timeout is ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_reader_is_told_where_it_goes_on() {
    let mut lab = Lab::new(Realtime, &with_admin("one")).await;
    let mut reader = Events::open(&lab).await;
    reader.next().await;
    lab.apply(&with_admin("two").replace("'127.0.0.1:0'\n", "'[::1]:0'\n")).await;
    let there = lab.until("it is elsewhere", |status| {
        status.admin_address.as_ref().is_some_and(|at| at.to_string().starts_with("[::1]"))
    });
    let there = there.await.admin_address.unwrap().to_string();
    reader.until("admin_address", there).await;
    reader.end().await;
    lab.end().await;
}
