//! A writer that never rests.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    thread,
    time::{Duration, Instant},
};

use hot_reload::WatchStrategy;
use tokio::time::sleep;

use crate::common::{Lab, config, options, text};

const CEILING: Duration = Duration::from_secs(1);

/// Another was once at the file that was removed, and its time was taken from that of the next.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_has_all_its_time_where_one_has_left() {
    let options = options(WatchStrategy::Realtime).settle_ceiling(CEILING);
    let mut lab = Lab::following(options, "config.toml", |dir| {
        std::fs::write(dir.join("config.toml"), text("one")).unwrap();
    })
    .await;
    lab.expect(config("one")).await;
    let mut writer = OpenOptions::new().append(true).open(&lab.path).unwrap();
    writer.write_all(b"# more\n").unwrap();
    sleep(CEILING / 4).await;
    std::fs::remove_file(&lab.path).unwrap();
    drop(writer);
    lab.expect_failure().await;
    sleep(2 * CEILING).await;
    let path = lab.path.clone();
    let restless = thread::spawn(move || {
        let (mut writer, begun) = (File::create(path).unwrap(), Instant::now());
        writer.write_all(b"name = \"slow\"\n").unwrap();
        while begun.elapsed() < 3 * CEILING / 2 {
            writer.write_all(b"# another line\n").unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        writer.write_all(b"rest = \"whole\"\n").unwrap();
    });
    let before = lab.generation();
    lab.expect_next(before, config("slow")).await;
    restless.join().unwrap();
}
