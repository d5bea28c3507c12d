//! How old an edit is when it is published.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::symlink,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use hot_reload::{Status, WatchStrategy};
use metrics_util::debugging::{DebugValue, Snapshotter};
use tokio::time::timeout;

use super::{
    common::{PATIENCE, options, text},
    observe,
};

/// Of a file that an archive or an image has brought along.
#[test]
fn an_edit_is_as_old_as_its_arrival_whatever_the_file_is_dated() {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    for years in [0, 130] {
        let (_, measured) = observe(options(WatchStrategy::Realtime), |lab| async move {
            lab.until(|status| status.generation == 1).await;
            let next = lab.path.with_file_name(".next");
            fs::write(&next, text("two")).unwrap();
            let file = fs::File::options().append(true).open(&next).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + years * YEAR).unwrap();
            drop(file);
            fs::rename(next, &lab.path).unwrap();
            lab.until(|status| status.generation == 2).await;
        });
        let ages = edits(&measured);
        assert!(matches!(ages.as_slice(), [age] if (0.0..20.0).contains(age)), "{years}: {ages:?}");
    }
}

/// What was measured from edits to what they published, in seconds.
fn edits(measured: &Snapshotter) -> Vec<f64> {
    let all = measured.snapshot().into_vec();
    let known = all.into_iter().find_map(|(key, _, _, value)| match value {
        DebugValue::Histogram(all) if key.key().name() == "hot_reload_edit_to_visible_seconds" => {
            Some(all.into_iter().map(f64::from).collect())
        }
        _ => None,
    });
    known.unwrap_or_default()
}

/// A link that is turned to a file of long ago is an edit of now.
#[test]
fn an_edit_is_as_old_as_the_link_that_was_turned() {
    let took = OnceLock::new();
    let told = &took;
    let (_, measured) = observe(options(WatchStrategy::Realtime), |lab| async move {
        let dir = lab.path.parent().unwrap();
        fs::create_dir(dir.join("old")).unwrap();
        fs::write(dir.join("old/config.toml"), text("old")).unwrap();
        lab.write("one", |status| status.generation == 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        symlink("old/config.toml", dir.join(".next")).unwrap();
        fs::rename(dir.join(".next"), &lab.path).unwrap();
        let is_second = |status: &Status| status.generation == 2;
        timeout(PATIENCE, lab.rx.watch_status().wait_for(is_second)).await.unwrap().unwrap();
        told.set(begun.elapsed()).unwrap();
    });
    let ages = edits(&measured);
    let took = took.get().unwrap().as_secs_f64();
    // Some filesystems have it no finer than the timer's tick.
    assert!(matches!(ages.as_slice(), [age] if *age < took + 0.02), "{ages:?} {took}");
}
