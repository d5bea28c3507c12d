//! Where the kernel does not tell this process who writes: the file is somebody else's.
#![cfg(all(feature = "toml", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;
mod endless;
mod fresh;
mod names;
mod noise;

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, Write},
    os::unix::fs::{chown, symlink},
    time::Duration,
};

use common::{
    Config, Lab, PATIENCE, alone_under, block_on, book::Book, config, map, options, text,
};
use hot_reload::{FileReloader, ReloaderOptions, ReloaderService, TomlFile, WatchStrategy};
use tokio::time::{sleep, timeout};

/// A process that gets no lease on a file that it does not own (`fcntl(2)`), as any service that
/// runs as another user than its deployment.
pub(crate) const WITHOUT_LEASES: &[&str] = &["setpriv", "--bounding-set=-lease"];
pub(crate) const SOMEBODY: u32 = 12_345;
pub(crate) const BY_EVENTS: [WatchStrategy; 2] = [WatchStrategy::Realtime, WatchStrategy::Hybrid];
pub(crate) const PAUSE: Duration = Duration::from_secs(2);

/// One that follows somebody else's file, which holds `config("one")`.
pub(crate) async fn with_one(strategy: WatchStrategy) -> Lab {
    with_one_by(options(strategy)).await
}

pub(crate) async fn with_one_by(options: ReloaderOptions) -> Lab {
    let mut lab = Lab::following(options, "config.toml", |dir| {
        let path = dir.join("config.toml");
        fs::write(&path, text("one")).unwrap();
        chown(path, Some(SOMEBODY), None).unwrap();
    })
    .await;
    lab.expect(config("one")).await;
    lab
}

/// Writes half of a version, which is not published, and after a while the rest of it.
pub(crate) async fn write_by_half(lab: &mut Lab, name: &str) {
    let mut writer = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
    writer.write_all(format!("name = \"{name}\"\n").as_bytes()).unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(lab.rx.get().unwrap().rest, "whole", "{name}");
    writer.write_all(b"rest = \"whole\"\n").unwrap();
    drop(writer);
    lab.expect(config(name)).await;
}

pub(crate) fn replace(lab: &Lab, text: &str) {
    let next = lab.root.join(".next");
    fs::write(&next, text).unwrap();
    chown(&next, Some(SOMEBODY), None).unwrap();
    fs::rename(next, &lab.path).unwrap();
}

/// Checks that the file is not taken while it is half written, slowly and in place.
pub(crate) async fn expect_no_half(lab: &mut Lab) {
    let before = lab.generation();
    let mut writer = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
    writer.write_all(b"name = \"whole\"\n").unwrap();
    lab.expect_silence(PAUSE).await;
    writer.write_all(b"rest = \"whole\"\n").unwrap();
    drop(writer);
    lab.expect_next(before, config("whole")).await;
}

#[test]
fn half_a_file_is_never_published() {
    if !alone_under("half_a_file_is_never_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            expect_no_half(&mut lab).await;
        });
    }
}

#[test]
fn half_of_a_new_file_is_never_published() {
    if !alone_under("half_of_a_new_file_is_never_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            let before = lab.generation();
            fs::remove_file(&lab.path).unwrap();
            lab.expect_failure().await;
            let mut writer = File::create(&lab.path).unwrap();
            chown(&lab.path, Some(SOMEBODY), None).unwrap();
            writer.write_all(b"name = \"two\"\n").unwrap();
            lab.expect_silence(PAUSE).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect_next(before, config("two")).await;
        });
    }
}

/// The kernel tells of that by the name of the file that is in its place by now.
#[test]
fn the_close_of_a_file_that_was_removed_is_not_that_of_the_next() {
    if !alone_under("the_close_of_a_file_that_was_removed_is_not_that_of_the_next", WITHOUT_LEASES)
    {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            let before = lab.generation();
            let old = OpenOptions::new().append(true).open(&lab.path).unwrap();
            fs::remove_file(&lab.path).unwrap();
            lab.expect_failure().await;
            let mut writer = File::create(&lab.path).unwrap();
            chown(&lab.path, Some(SOMEBODY), None).unwrap();
            writer.write_all(b"name = \"two\"\n").unwrap();
            sleep(Duration::from_millis(100)).await;
            drop(old);
            lab.expect_silence(PAUSE).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect_next(before, config("two")).await;
        });
    }
}

/// Nothing tells a looker that the writer is not done, so all that can be asked for is the last
/// value, and a pause that is longer than a writer needs between two calls.
#[test]
fn a_file_that_is_looked_at_waits_for_quiet() {
    if !alone_under("a_file_that_is_looked_at_waits_for_quiet", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Polling).await;
        for n in 0..20 {
            let before = lab.generation();
            let mut writer = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
            writer.write_all(format!("name = \"{n}\"\n").as_bytes()).unwrap();
            sleep(Duration::from_millis(10)).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect_next(before, config(&n.to_string())).await;
        }
    });
}

#[test]
fn edits_and_renames_are_published() {
    if !alone_under("edits_and_renames_are_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            for n in 0..5 {
                lab.write(text(&format!("edit {n}")));
                lab.expect(config(&format!("edit {n}"))).await;
                replace(&lab, &text(&format!("rename {n}")));
                lab.expect(config(&format!("rename {n}"))).await;
            }
        });
    }
}

#[test]
fn half_a_file_that_was_just_renamed_there_is_never_published() {
    if !alone_under("half_a_file_that_was_just_renamed_there_is_never_published", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Realtime).await;
        replace(&lab, &text("two"));
        lab.expect(config("two")).await;
        expect_no_half(&mut lab).await;
    });
}

#[test]
fn half_a_file_is_never_published_after_a_bad_one() {
    if !alone_under("half_a_file_is_never_published_after_a_bad_one", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Realtime).await;
        lab.write("broken = = =");
        lab.expect_failure().await;
        expect_no_half(&mut lab).await;
    });
}

/// Of a writing that no event tells of either, as that of another machine: its end was once taken to be that
/// of the bad one.
#[test]
fn a_file_is_not_read_before_it_was_quiet_after_a_bad_one() {
    if !alone_under("a_file_is_not_read_before_it_was_quiet_after_a_bad_one", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        // Longer than any pause of the writer.
        let options = options(WatchStrategy::Realtime)
            .settle_window(PAUSE)
            .backoff(Duration::from_millis(50), Duration::from_millis(50));
        let mut lab = with_one_by(options).await;
        let before = lab.generation();
        let (half, whole) = ("name = \"two\"\n", text("two"));
        lab.write("= =".to_owned() + &"#".repeat(whole.len() - 3));
        lab.expect_failure().await;
        let file = OpenOptions::new().read(true).write(true).open(&lab.path).unwrap();
        let mut mapping = map::Mapping::new(&file, whole.len());
        mapping.bytes().fill(b'\n');
        mapping.bytes()[..half.len()].copy_from_slice(half.as_bytes());
        sleep(PAUSE / 4).await;
        mapping.bytes().copy_from_slice(whole.as_bytes());
        lab.expect_next(before, config("two")).await;
    });
}

#[test]
fn half_a_file_is_never_published_right_after_a_whole_one() {
    if !alone_under("half_a_file_is_never_published_right_after_a_whole_one", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Realtime).await;
        for n in 0..10 {
            // Both within one reaction time.
            lab.write(text(&format!("whole {n}")));
            let mut writer = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
            writer.write_all(format!("name = \"{n}\"\n").as_bytes()).unwrap();
            sleep(Duration::from_millis(300)).await;
            assert_eq!(lab.rx.get().unwrap().rest, "whole");
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect(config(&n.to_string())).await;
        }
    });
}

/// Another's files, of which `main` includes `a` and `b`.
pub(crate) fn set_of_three() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("main", "include a\ninclude b\n"), ("a", "a1\n"), ("b", "b1\n")] {
        fs::write(dir.path().join(name), text).unwrap();
        chown(dir.path().join(name), Some(SOMEBODY), None).unwrap();
    }
    dir
}

#[test]
fn a_set_is_not_read_while_one_of_it_is_half_written() {
    if !alone_under("a_set_is_not_read_while_one_of_it_is_half_written", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let dir = set_of_three();
        let at = |name: &str| dir.path().join(name);
        let book = FileReloader::<Book>::from_path(at("main")).unwrap();
        let (service, mut rx) =
            ReloaderService::from_reloader(book, options(WatchStrategy::Realtime));
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
        let mut writer = OpenOptions::new().write(true).truncate(true).open(at("b")).unwrap();
        writer.write_all(b"b2\n").unwrap();
        fs::write(at("a"), "a2\n").unwrap();
        sleep(PAUSE).await;
        assert_eq!(rx.get().unwrap().lines, ["a1", "b1"]);
        writer.write_all(b"whole\n").unwrap();
        drop(writer);
        let whole = timeout(PATIENCE, async {
            while rx.get().unwrap().lines != ["a2", "b2", "whole"] {
                rx.changed().await.unwrap();
            }
        });
        whole.await.unwrap();
    });
}

/// Its writer was once taken to be heard no more when the link was.
#[test]
fn half_a_file_in_the_place_of_a_link_is_waited_for() {
    if !alone_under("half_a_file_in_the_place_of_a_link_is_waited_for", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = Lab::new(WatchStrategy::Realtime, |dir| {
            let real = dir.join("real.toml");
            fs::write(&real, text("one")).unwrap();
            chown(&real, Some(SOMEBODY), None).unwrap();
            symlink(real, dir.join("config.toml")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        let before = lab.generation();
        fs::remove_file(&lab.path).unwrap();
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(b"name = \"two\"\n").unwrap();
        chown(&lab.path, Some(SOMEBODY), None).unwrap();
        lab.expect_silence(PAUSE).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect_next(before, config("two")).await;
    });
}

/// It was once taken for a file that somebody writes, whose end never came.
#[test]
fn a_directory_that_comes_back_is_no_writer() {
    if !alone_under("a_directory_that_comes_back_is_no_writer", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        let path = app.join("config.toml");
        let fill = |name: &str| {
            fs::create_dir(&app).unwrap();
            let new = app.join("new");
            fs::write(&new, text(name)).unwrap();
            chown(&new, Some(SOMEBODY), None).unwrap();
            fs::rename(new, &path).unwrap();
        };
        fill("one");
        let source = TomlFile::<Config>::from_path(&path).unwrap();
        // It would be waited for up to there.
        let options = options(WatchStrategy::Realtime).settle_ceiling(2 * PATIENCE);
        let (service, mut values) = ReloaderService::from_reloader(source, options);
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        fs::remove_dir_all(&app).unwrap();
        sleep(PAUSE).await;
        fill("two");
        timeout(PATIENCE, values.wait_for(|v| *v == config("two"))).await.unwrap().unwrap();
    });
}

/// Whoever makes a link was once waited for like a writer, whose end never came.
#[test]
fn a_link_that_is_made_anew_is_no_writer() {
    if !alone_under("a_link_that_is_made_anew_is_no_writer", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let (app, link) = (dir.path().join("app"), dir.path().join("link"));
        fs::create_dir(&app).unwrap();
        let path = app.join("config.toml");
        fs::write(&path, text("0")).unwrap();
        chown(&path, Some(SOMEBODY), None).unwrap();
        symlink("app", &link).unwrap();
        let source = TomlFile::<Config>::from_path(link.join("config.toml")).unwrap();
        // It would be waited for up to there.
        let options = options(WatchStrategy::Realtime).settle_ceiling(2 * PATIENCE);
        let (service, mut values) = ReloaderService::from_reloader(source, options);
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        for n in 1..10 {
            fs::remove_file(&link).unwrap();
            fs::write(&path, text(&n.to_string())).unwrap();
            symlink("app", &link).unwrap();
            let want = config(&n.to_string());
            timeout(PATIENCE, values.wait_for(|value| *value == want)).await.unwrap().unwrap();
        }
    });
}

/// A poll that found a file which had just been written was once followed by one that waited for
/// nothing.
#[test]
fn a_file_that_is_polled_again_waits_for_quiet() {
    if !alone_under("a_file_that_is_polled_again_waits_for_quiet", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let part = |what: &str, n: u32| format!("{what} = \"{what} {n:03}\"\n");
        fs::write(&path, part("name", 0) + &part("rest", 0)).unwrap();
        chown(&path, Some(SOMEBODY), None).unwrap();
        let source = TomlFile::<Config>::from_path(&path).unwrap();
        // Longer than any pause of the writer.
        let options = options(WatchStrategy::Polling)
            .poll_interval(Duration::from_millis(5))
            .settle_window(Duration::from_secs(1))
            .settle_ceiling(2 * PATIENCE);
        let (service, mut values) = ReloaderService::from_reloader(source, options);
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        let seen = tokio::spawn(async move {
            values.changed().await.unwrap();
            values.get().unwrap()
        });
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        for n in 1..=100 {
            // In two steps, so that what is there is a value at any time, and of one edit at few.
            writer.rewind().unwrap();
            for what in ["name", "rest"] {
                writer.write_all(part(what, n).as_bytes()).unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        }
        let seen = timeout(PATIENCE, seen).await.unwrap().unwrap();
        assert_eq!(seen, Config { name: "name 100".into(), rest: "rest 100".into() });
    });
}

/// The time of a file moves when a page of a mapping is first written to, and not again before that is on disk.
#[test]
fn what_is_written_through_a_mapping_is_found_without_a_new_time() {
    if !alone_under("what_is_written_through_a_mapping_is_found_without_a_new_time", WITHOUT_LEASES)
    {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Polling).await;
        let file = OpenOptions::new().read(true).write(true).open(&lab.path).unwrap();
        let mut mapping = map::Mapping::new(&file, text("one").len());
        for name in ["two", "six", "ten"] {
            mapping.bytes().copy_from_slice(text(name).as_bytes());
            lab.expect(config(name)).await;
            sleep(Duration::from_millis(300)).await;
        }
    });
}
