//! What a service leaves behind: nothing.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::time::Duration;

use common::{Config, text};
use hot_reload::TomlFile;
use tokio::runtime::Handle;

#[tokio::test]
async fn last_receiver_gone_ends_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text("one")).unwrap();
    let rx = TomlFile::<Config>::watch(&path).await.unwrap();
    drop(rx);
    for _ in 0..100 {
        if Handle::current().metrics().num_alive_tasks() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks are left", Handle::current().metrics().num_alive_tasks());
}
