//! A writer that empties a file, and fills it a moment later.

use std::{
    fs::{self, File},
    time::Duration,
};

use hot_reload::{ReloaderService, TomlFile, WatchStrategy};
use tokio::time::sleep;

use crate::common::{Config, config, options, text, within};

const CEILING: Duration = Duration::from_secs(2);

/// It was once taken to have been empty since before the pause.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_emptied_again_after_a_pause_has_its_time_to_be_filled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<Config>::from_path(&path).unwrap().allow_empty(true);
    let options = options(WatchStrategy::Realtime).settle_ceiling(CEILING);
    let (service, mut values) = ReloaderService::from_reloader(file, options);
    let handle = service.handle();
    tokio::spawn(async move { service.start_with_realtime().await });
    within(values.changed()).await.unwrap();

    File::create(&path).unwrap();
    // It is looked at again and again by then.
    sleep(CEILING / 4).await;
    handle.pause();
    within(values.watch_status().wait_for(|status| status.is_paused)).await.unwrap();
    fs::write(&path, text("two")).unwrap();
    sleep(2 * CEILING).await;
    File::create(&path).unwrap();
    handle.resume();
    sleep(CEILING / 4).await;
    fs::write(&path, text("three")).unwrap();

    within(values.changed()).await.unwrap();
    assert_eq!((values.get(), values.status().generation), (Some(config("three")), 2));
}
