//! What writers do to the content of a file.
#![cfg(feature = "toml")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod echo;
mod emptied;
#[cfg(target_os = "linux")]
mod held_up;
#[cfg(target_os = "linux")]
mod restless;

use std::{
    fs::{File, FileTimes, OpenOptions},
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use common::{Lab, PATIENCE, config, text};
use hot_reload::{Health, ReloaderService, TomlFile, WatchStrategy};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Longer than any quiet period, shorter than the ceiling.
const PAUSE: Duration = Duration::from_secs(2);
/// In which a needless publication would have come.
const WHILE: Duration = Duration::from_millis(600);

in_every_strategy! {
    async fn in_place_write_is_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        lab.write(text("two"));
        lab.expect(config("two")).await;
        lab.write(text("three"));
        lab.expect(config("three")).await;
    }

    async fn half_a_file_is_never_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(b"name = \"two\"\n").unwrap();
        lab.expect_silence(PAUSE).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect_next(before, config("two")).await;
    }

    async fn half_a_file_is_never_published_at_the_start(strategy) {
        let mut writer = None;
        let mut lab = Lab::new(strategy, |dir| {
            let mut half = File::create(dir.join("config.toml")).unwrap();
            half.write_all(b"name = \"one\"\n").unwrap();
            writer = Some(half);
        })
        .await;
        lab.expect_silence(PAUSE).await;
        writer.take().unwrap().write_all(b"rest = \"whole\"\n").unwrap();
        lab.expect_next(0, config("one")).await;
    }

    async fn half_of_a_new_file_is_never_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        std::fs::remove_file(&lab.path).unwrap();
        lab.expect_failure().await;
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(b"name = \"two\"\n").unwrap();
        lab.expect_silence(PAUSE).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect_next(before, config("two")).await;
    }

    async fn half_a_file_is_never_published_when_somebody_else_closes_it(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(b"name = \"two\"\n").unwrap();
        // As `touch` does: opened for writing and closed, while the other writer is at it.
        drop(OpenOptions::new().append(true).open(&lab.path).unwrap());
        lab.expect_silence(PAUSE).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect_next(before, config("two")).await;
    }

    async fn half_a_file_is_never_published_when_renamed_into_place(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        let next = lab.root.join(".next");
        let mut writer = File::create(&next).unwrap();
        writer.write_all(b"name = \"two\"\n").unwrap();
        std::fs::rename(&next, &lab.path).unwrap();
        lab.expect_silence(PAUSE).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect_next(before, config("two")).await;
    }

    async fn a_writer_that_never_closes_is_read_at_the_ceiling(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(text("two").as_bytes()).unwrap();
        lab.expect(config("two")).await;
        // And again, by the same writer.
        writer.write_all(b"# and so on\n").unwrap();
        writer.set_len(0).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&writer, text("three").as_bytes(), 0).unwrap();
        lab.expect(config("three")).await;
    }

    async fn a_file_that_is_only_held_open_for_writing_is_read_at_once(strategy) {
        let mut holder = None;
        let started = std::time::Instant::now();
        let mut lab = Lab::new(strategy, |dir| {
            let path = dir.join("config.toml");
            std::fs::write(&path, text("one")).unwrap();
            // Its status change can't be set back, so it is given the time to grow old.
            thread::sleep(Duration::from_millis(3_100));
            holder = Some(OpenOptions::new().append(true).open(&path).unwrap());
        })
        .await;
        lab.expect(config("one")).await;
        let took = started.elapsed().saturating_sub(Duration::from_millis(3_100));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    async fn atomic_rename_is_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for n in 0..20 {
            lab.replace(text(&n.to_string()));
            lab.expect(config(&n.to_string())).await;
        }
    }

    async fn an_exchange_of_two_files_is_published(strategy) {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let mut lab = Lab::with_one(strategy).await;
        let other = lab.root.join("other.toml");
        std::fs::write(&other, text("two")).unwrap();
        for want in ["two", "one", "two", "one"] {
            renameat_with(CWD, &other, CWD, &lab.path, RenameFlags::EXCHANGE).unwrap();
            lab.expect(config(want)).await;
        }
    }

    async fn identical_content_is_not_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        for _ in 0..3 {
            lab.write(text("one"));
            lab.replace(text("one"));
        }
        lab.expect_silence(WHILE).await;
        lab.write(text("two"));
        lab.expect_next(before, config("two")).await;
    }

    async fn new_attributes_are_not_published(strategy) {
        use std::os::unix::fs::PermissionsExt;
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        for mode in [0o600, 0o640, 0o644] {
            std::fs::set_permissions(&lab.path, PermissionsExt::from_mode(mode)).unwrap();
            File::options().append(true).open(&lab.path).unwrap().set_modified(SystemTime::now()).unwrap();
        }
        lab.expect_silence(WHILE).await;
        lab.write(text("two"));
        lab.expect_next(before, config("two")).await;
    }

    async fn same_size_and_time_but_other_content_is_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let times = times_of(&lab);
        for name in ["two", "six", "ten"] {
            let mut file = OpenOptions::new().write(true).open(&lab.path).unwrap();
            file.write_all(text(name).as_bytes()).unwrap();
            file.set_times(times).unwrap();
            drop(file);
            lab.expect(config(name)).await;
        }
    }

    async fn a_renamed_file_of_the_same_size_and_time_is_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let times = times_of(&lab);
        for name in ["two", "six", "ten"] {
            let next = lab.root.join(".next");
            let mut file = File::create(&next).unwrap();
            file.write_all(text(name).as_bytes()).unwrap();
            file.set_times(times).unwrap();
            drop(file);
            std::fs::rename(&next, &lab.path).unwrap();
            lab.expect(config(name)).await;
        }
    }

    async fn a_time_that_goes_backwards_is_a_change_too(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (name, age) in [("two", 3_600), ("six", 86_400), ("ten", 1_000_000_000)] {
            let next = lab.root.join(".next");
            let mut file = File::create(&next).unwrap();
            file.write_all(text(name).as_bytes()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            drop(file);
            std::fs::rename(&next, &lab.path).unwrap();
            lab.expect(config(name)).await;
        }
    }

    async fn a_file_from_the_future_is_followed(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let later = SystemTime::now() + Duration::from_secs(86_400);
        for name in ["two", "six"] {
            let mut file = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
            file.write_all(text(name).as_bytes()).unwrap();
            file.set_modified(later).unwrap();
            drop(file);
            lab.expect(config(name)).await;
        }
    }

    async fn broken_then_mended(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        lab.write("name = \"tw");
        let why = lab.expect_failure().await;
        assert!(why.contains("config.toml:1:"), "{why}");
        assert_eq!(lab.rx.get(), Some(config("one")));
        lab.write("unknown = 1");
        lab.expect_silence(WHILE).await;
        lab.write(text("two"));
        lab.expect_next(before, config("two")).await;
        lab.expect_fresh().await;
        assert_eq!(lab.rx.status().last_error, None);
    }

    async fn a_revert_after_a_bad_edit_heals_without_a_publication(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        let good = lab.root.join("good.toml");
        std::fs::hard_link(&lab.path, &good).unwrap();
        lab.replace("name = ");
        lab.expect_failure().await;
        // The very same file comes back.
        std::fs::rename(&good, &lab.path).unwrap();
        lab.expect_fresh().await;
        lab.replace("name = ");
        lab.expect_failure().await;
        lab.write(text("one"));
        lab.expect_fresh().await;
        assert_eq!(lab.generation(), before);
        lab.write(text("two"));
        lab.expect_next(before, config("two")).await;
    }

    async fn whoever_is_told_of_a_value_finds_the_status_up_to_date(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for n in 0..20 {
            lab.replace("name = ");
            lab.expect_failure().await;
            lab.replace(text(&n.to_string()));
            // The first value may be still to be awaited.
            while lab.rx.get() != Some(config(&n.to_string())) {
                timeout(PATIENCE, lab.rx.changed()).await.unwrap().unwrap();
            }
            let status = lab.rx.status();
            assert_eq!(status.generation, lab.generation());
            assert_eq!((status.health, status.last_error), (Health::Fresh, None));
        }
    }

    async fn the_last_of_ten_thousand_rewrites_wins(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let path = lab.path.clone();
        let burst = tokio::task::spawn_blocking(move || {
            for n in 0..10_000 {
                std::fs::write(&path, text(&format!("burst {n}"))).unwrap();
            }
        });
        burst.await.unwrap();
        lab.expect(config("burst 9999")).await;
        lab.expect_silence(WHILE).await;
    }

    async fn the_last_of_ten_thousand_renames_wins(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let (path, next) = (lab.path.clone(), lab.root.join(".next"));
        let burst = tokio::task::spawn_blocking(move || {
            for n in 0..10_000 {
                std::fs::write(&next, text(&format!("burst {n}"))).unwrap();
                std::fs::rename(&next, &path).unwrap();
            }
        });
        burst.await.unwrap();
        lab.expect(config("burst 9999")).await;
        lab.expect_silence(WHILE).await;
    }

    async fn a_storm_of_renames_does_not_starve_the_readers(strategy) {
        let lab = Lab::with_one(strategy).await;
        let next = lab.root.join(".next");
        progress_in(lab, move |path, n| {
            std::fs::write(&next, text(&format!("storm {n}"))).unwrap();
            std::fs::rename(&next, path).unwrap();
        })
        .await;
    }

    async fn a_storm_of_writes_does_not_starve_the_readers(strategy) {
        let lab = Lab::with_one(strategy).await;
        progress_in(lab, |path, n| {
            std::fs::write(path, text(&format!("storm {n}"))).unwrap();
        })
        .await;
    }

    async fn a_storm_of_halves_publishes_none_of_them(strategy) {
        let lab = Lab::with_one(strategy).await;
        progress_in(lab, |path, n| {
            let mut file = File::create(path).unwrap();
            file.write_all(format!("name = \"storm {n}\"\n").as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(5));
            file.write_all(b"rest = \"whole\"\n").unwrap();
            drop(file);
            thread::sleep(Duration::from_millis(5));
        })
        .await;
    }

    async fn a_storm_that_is_hardly_ever_whole_publishes_no_half(strategy) {
        let lab = Lab::with_one(strategy).await;
        let (mut lab, _longest) = storm(lab, |path, n| {
            let mut file = File::create(path).unwrap();
            file.write_all(format!("name = \"storm {n}\"\n").as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(5));
            file.write_all(b"rest = \"whole\"\n").unwrap();
        })
        .await;
        lab.write(text("two"));
        lab.expect(config("two")).await;
    }

    async fn a_storm_beside_the_file_holds_nothing_up(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let rest = Arc::new(AtomicBool::new(false));
        let (root, stop) = (lab.root.clone(), Arc::clone(&rest));
        let storm = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::fs::write(root.join("beside.toml"), "name = \"beside\"").unwrap();
                std::fs::remove_file(root.join("beside.toml")).unwrap();
            }
        });
        for n in 0..10 {
            lab.write(text(&n.to_string()));
            lab.expect(config(&n.to_string())).await;
        }
        rest.store(true, Ordering::Relaxed);
        storm.join().unwrap();
    }
}

fn times_of(lab: &Lab) -> FileTimes {
    let found = std::fs::metadata(&lab.path).unwrap();
    FileTimes::new().set_modified(found.modified().unwrap()).set_accessed(found.accessed().unwrap())
}

/// The settle ceiling, and a little for a busy machine.
const LONGEST_WAIT: Duration = Duration::from_millis(4_500);
const STORM: Duration = Duration::from_secs(5);

/// Checks that whole values, and only such, keep arriving while `write` is called without a rest.
async fn progress_in(lab: Lab, write: impl FnMut(&Path, u32) + Send + 'static) {
    let (lab, longest) = storm(lab, write).await;
    assert!(longest < LONGEST_WAIT, "nothing for {longest:?}: {:?}", lab.rx.status());
}

/// Calls `write` without a rest, checks that no half is published and that the last one arrives;
/// returns the longest time between two values.
async fn storm(
    mut lab: Lab,
    mut write: impl FnMut(&Path, u32) + Send + 'static,
) -> (Lab, Duration) {
    let rest = Arc::new(AtomicBool::new(false));
    let (path, stop) = (lab.path.clone(), Arc::clone(&rest));
    let writer = thread::spawn(move || {
        let mut n = 0;
        // Relaxed: it stops soon enough.
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            write(&path, n);
        }
        n
    });
    let end = Instant::now() + STORM;
    let mut last = Instant::now();
    let (mut longest, mut half) = (Duration::ZERO, None);
    while Instant::now() < end {
        let changed = timeout_at(end, lab.rx.changed()).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if changed.is_ok() {
            half = half.or(lab.rx.get().filter(|value| value.rest != "whole"));
        }
    }
    // Relaxed: as above.
    rest.store(true, Ordering::Relaxed);
    let last = writer.join().unwrap();
    assert_eq!(half, None, "half a file was published, {last} writes");
    lab.expect(config(&format!("storm {last}"))).await;
    (lab, longest)
}

/// What was waited for it once was taken off the patience with the next writer.
#[tokio::test]
async fn a_bad_file_shortens_no_later_wait() {
    let ceiling = Duration::from_millis(600);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<common::Config>::from_path(&path).unwrap();
    let options = common::options(WatchStrategy::Realtime).settle_ceiling(ceiling);
    let (service, mut values) = ReloaderService::from_reloader(file, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    // Looked at while it is written, then bad.
    let mut bad = File::create(&path).unwrap();
    bad.write_all(b"broken = = =").unwrap();
    sleep(ceiling / 2).await;
    drop(bad);
    let mut status = values.watch_status();
    timeout(PATIENCE, status.wait_for(|status| status.failures > 0)).await.unwrap().unwrap();
    sleep(2 * ceiling).await;
    // One that never rests is read after two ceilings.
    let begun = Instant::now();
    let mut writer = File::create(&path).unwrap();
    writer.write_all(text("two").as_bytes()).unwrap();
    while values.get() != Some(config("two")) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", values.status());
        sleep(Duration::from_millis(30)).await;
        writer.write_all(b"# more\n").unwrap();
    }
    assert!(begun.elapsed() >= 2 * ceiling, "{:?}", begun.elapsed());
}
