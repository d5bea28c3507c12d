//! Files that are new by their name, or have several: who made the name may be at it, or long be gone.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    thread,
    time::{Duration, Instant},
};

use hot_reload::{FileReloader, ReloaderService, WatchStrategy};
use tokio::time::{sleep, timeout};

use crate::{
    BY_EVENTS, PAUSE, SOMEBODY, WITHOUT_LEASES,
    common::{Lab, NOBODY, PATIENCE, alone_under, block_on, book::Book, config, options, text},
    expect_no_half, set_of_three, with_one, write_by_half,
};

/// What has a hard link has a writer like any other; it was once waited for no longer than for quiet.
#[test]
fn half_a_file_with_two_names_is_never_published() {
    if !alone_under("names::half_a_file_with_two_names_is_never_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let mut lab = Lab::new(strategy, |dir| {
                let path = dir.join("config.toml");
                fs::write(&path, text("one")).unwrap();
                chown(&path, Some(SOMEBODY), None).unwrap();
                fs::hard_link(path, dir.join("other.toml")).unwrap();
            })
            .await;
            lab.expect(config("one")).await;
            expect_no_half(&mut lab).await;
        });
    }
}

/// What its next writer did before the new file was watched itself was once not heard.
#[test]
fn half_of_a_file_that_was_just_made_is_never_published() {
    if !alone_under("names::half_of_a_file_that_was_just_made_is_never_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let mut lab = with_one(strategy).await;
            for n in 0..20 {
                fs::remove_file(&lab.path).unwrap();
                fs::write(&lab.path, text(&format!("whole {n}"))).unwrap();
                chown(&lab.path, Some(SOMEBODY), None).unwrap();
                // Within the time that it takes to notice.
                thread::sleep(Duration::from_micros(n * 50));
                write_by_half(&mut lab, &n.to_string()).await;
            }
        });
    }
}

/// The close of a file that has lost its name is not told; its writer was once waited for all the same.
#[test]
fn who_made_a_file_that_was_removed_again_is_not_waited_for() {
    if !alone_under(
        "names::who_made_a_file_that_was_removed_again_is_not_waited_for",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            fs::write(at("main"), "include a?\none\n").unwrap();
            chown(at("main"), Some(SOMEBODY), None).unwrap();
            let mut values = follow_book(strategy, &dir).await;
            let maker = File::create(at("a")).unwrap();
            fs::remove_file(at("a")).unwrap();
            drop(maker);
            fs::write(at("main"), "include a?\ntwo\n").unwrap();
            let is_it = |book: &Book| book.lines == ["two"];
            timeout(PATIENCE, values.wait_for(is_it)).await.unwrap().unwrap();
        });
    }
}

/// No end of a writing comes for it, however few names the others have.
#[test]
fn a_set_whose_main_file_is_a_new_name_for_an_old_one_waits_for_no_writer() {
    if !alone_under(
        "names::a_set_whose_main_file_is_a_new_name_for_an_old_one_waits_for_no_writer",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let dir = set_of_three();
            let at = |name: &str| dir.path().join(name);
            let mut values = follow_book(strategy, &dir).await;
            fs::write(at("next"), "include a\ninclude b\nnext\n").unwrap();
            chown(at("next"), Some(SOMEBODY), None).unwrap();
            fs::remove_file(at("main")).unwrap();
            fs::hard_link(at("next"), at("main")).unwrap();
            let is_it = |book: &Book| book.lines.contains(&"next".to_owned());
            timeout(PATIENCE, values.wait_for(is_it)).await.unwrap().unwrap();
        });
    }
}

/// Follows `main` in `dir`, and waits for no writer in vain for less than a test has patience.
pub(crate) async fn follow_book(
    strategy: WatchStrategy,
    dir: &tempfile::TempDir,
) -> hot_reload::ReloaderReceiver<Book, String> {
    let book = FileReloader::<Book>::from_path(dir.path().join("main")).unwrap();
    let options = options(strategy).settle_ceiling(2 * PATIENCE);
    let (service, mut values) = ReloaderService::from_reloader(book, options);
    tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    values
}

/// An empty moment at the ceiling was once a failure, after which it was looked at ever more seldom.
#[test]
fn a_storm_under_polling_does_not_starve_the_readers() {
    if !alone_under("names::a_storm_under_polling_does_not_starve_the_readers", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Polling).await;
        let path = lab.path.clone();
        let end = Instant::now() + Duration::from_secs(12);
        let storm = thread::spawn(move || {
            let mut n = 0;
            while Instant::now() < end {
                n += 1;
                fs::write(&path, text(&format!("storm {n}"))).unwrap();
            }
            n
        });
        let before = lab.generation();
        timeout(PATIENCE / 2, lab.rx.wait_for_generation(before + 1)).await.unwrap().unwrap();
        assert!(!storm.is_finished(), "nothing came while it raged");
        let last = storm.join().unwrap();
        lab.expect(config(&format!("storm {last}"))).await;
    });
}

/// Options that have only events make a test pass.
fn by_events_alone() -> hot_reload::ReloaderOptions {
    options(WatchStrategy::Realtime).backoff(2 * PATIENCE, 2 * PATIENCE)
}

/// What has no events is looked at again after twice this.
const UNTIL_ASKED_AGAIN: Duration = Duration::from_millis(250);

/// As `install` does it.
#[test]
fn a_file_that_may_be_read_only_later_is_taken_then() {
    if !alone_under("names::a_file_that_may_be_read_only_later_is_taken_then", NOBODY) {
        return;
    }
    block_on(async {
        let mut lab = Lab::following(by_events_alone(), "config.toml", |dir| {
            fs::write(dir.join("config.toml"), text("one")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        let mut late = 0;
        for n in 0..40 {
            fs::remove_file(&lab.path).unwrap();
            let mut made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o000)
                .open(&lab.path)
                .unwrap();
            made.write_all(text(&n.to_string()).as_bytes()).unwrap();
            drop(made);
            // While it is found out that it may not be.
            thread::sleep(Duration::from_micros(n * 50));
            fs::set_permissions(&lab.path, PermissionsExt::from_mode(0o600)).unwrap();
            let begun = Instant::now();
            lab.expect(config(&n.to_string())).await;
            late += u32::from(begun.elapsed() > UNTIL_ASKED_AGAIN);
        }
        assert!(late < 20, "{late}");
    });
}

/// A watch that could not be had for more was once let go.
#[test]
fn a_directory_that_may_no_longer_be_listed_is_watched_on() {
    let wrapper = ["setpriv", "--bounding-set=-lease,-dac_override,-dac_read_search"];
    if !alone_under("names::a_directory_that_may_no_longer_be_listed_is_watched_on", &wrapper) {
        return;
    }
    block_on(async {
        let mut lab = Lab::following(by_events_alone(), "app/config.toml", |dir| {
            fs::create_dir(dir.join("app")).unwrap();
            fs::write(dir.join("app/config.toml"), text("one")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        let app = lab.root.join("app");
        // Others may enter it, and make files there.
        fs::set_permissions(&app, PermissionsExt::from_mode(0o733)).unwrap();
        chown(&app, Some(SOMEBODY), None).unwrap();
        let path = lab.path.clone();
        let replace = |name: &str| {
            let next = app.join(".next");
            fs::write(&next, text(name)).unwrap();
            fs::set_permissions(&next, PermissionsExt::from_mode(0o666)).unwrap();
            chown(&next, Some(SOMEBODY), None).unwrap();
            fs::rename(next, &path).unwrap();
        };
        replace("two");
        lab.expect(config("two")).await;
        let mut late = 0;
        for n in 0..20 {
            // At no particular time after it was asked last.
            sleep(Duration::from_millis(n * 10)).await;
            let begun = Instant::now();
            replace(&n.to_string());
            lab.expect(config(&n.to_string())).await;
            late += u32::from(begun.elapsed() > UNTIL_ASKED_AGAIN / 4);
        }
        assert!(late < 10, "{late}");
    });
}

#[test]
fn a_directory_that_may_be_entered_again_is() {
    if !alone_under("names::a_directory_that_may_be_entered_again_is", NOBODY) {
        return;
    }
    block_on(async {
        let mut lab = Lab::following(by_events_alone(), "app/config.toml", |dir| {
            fs::create_dir(dir.join("app")).unwrap();
            fs::write(dir.join("app/config.toml"), text("one")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        let app = lab.root.join("app");
        for _ in 0..3 {
            fs::set_permissions(&app, PermissionsExt::from_mode(0o000)).unwrap();
            lab.expect_failure().await;
            fs::set_permissions(&app, PermissionsExt::from_mode(0o700)).unwrap();
            lab.expect_fresh().await;
        }
    });
}

/// Of a new name for an old file no end of a writing comes; of the other file of the set it does.
#[test]
fn a_set_whose_main_file_has_two_names_is_not_read_half_written() {
    if !alone_under(
        "names::a_set_whose_main_file_has_two_names_is_not_read_half_written",
        WITHOUT_LEASES,
    ) {
        return;
    }
    block_on(async {
        let dir = set_of_three();
        let at = |name: &str| dir.path().join(name);
        fs::hard_link(at("main"), at("main2")).unwrap();
        let book = FileReloader::<Book>::from_path(at("main")).unwrap();
        let options = options(WatchStrategy::Realtime);
        let (service, mut values) = ReloaderService::from_reloader(book, options);
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        let mut writer = OpenOptions::new().write(true).truncate(true).open(at("b")).unwrap();
        writer.write_all(b"b2\n").unwrap();
        sleep(PAUSE).await;
        assert_eq!(values.get().unwrap().lines, ["a1", "b1"]);
        writer.write_all(b"b3\n").unwrap();
        drop(writer);
        let is_whole = |book: &Book| book.lines == ["a1", "b2", "b3"];
        timeout(PATIENCE, values.wait_for(is_whole)).await.unwrap().unwrap();
    });
}

/// Gives `other` the name of the file that is followed, in the place of that.
fn link(lab: &Lab, other: &std::path::Path) {
    let next = lab.root.join(".next");
    fs::hard_link(other, &next).unwrap();
    fs::rename(next, &lab.path).unwrap();
}

/// While another rested, that came before it, it was once not watched itself.
#[test]
fn what_has_another_name_is_heard_by_it_though_it_replaced_a_file_that_rested() {
    if !alone_under(
        "names::what_has_another_name_is_heard_by_it_though_it_replaced_a_file_that_rested",
        &[],
    ) {
        return;
    }
    block_on(async {
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        fs::create_dir(lab.root.join("other")).unwrap();
        let mut late = 0;
        for n in 0..10 {
            // What came before has rested, and is watched.
            sleep(UNTIL_ASKED_AGAIN + UNTIL_ASKED_AGAIN).await;
            lab.replace(text("first"));
            lab.expect(config("first")).await;
            let other = lab.root.join(format!("other/{n}"));
            fs::write(&other, text("linked")).unwrap();
            link(&lab, &other);
            lab.expect(config("linked")).await;
            let begun = Instant::now();
            fs::write(&other, text("edited")).unwrap();
            lab.expect(config("edited")).await;
            late += u32::from(begun.elapsed() > UNTIL_ASKED_AGAIN / 2);
        }
        assert!(late < 5, "{late}");
    });
}

#[test]
fn half_of_what_has_another_name_and_replaced_a_file_that_rested_is_not_published() {
    if !alone_under(
        "names::half_of_what_has_another_name_and_replaced_a_file_that_rested_is_not_published",
        WITHOUT_LEASES,
    ) {
        return;
    }
    block_on(async {
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        sleep(UNTIL_ASKED_AGAIN).await;
        fs::create_dir(lab.root.join("other")).unwrap();
        let other = lab.root.join("other/file");
        fs::write(&other, text("linked")).unwrap();
        chown(&other, Some(SOMEBODY), None).unwrap();
        // Our own, of which leases tell.
        lab.replace(text("first"));
        lab.expect(config("first")).await;
        link(&lab, &other);
        lab.expect(config("linked")).await;
        let before = lab.generation();
        let mut writer = OpenOptions::new().write(true).truncate(true).open(&other).unwrap();
        writer.write_all(b"name = \"edited\"\n").unwrap();
        lab.expect_silence(PAUSE).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect_next(before, config("edited")).await;
    });
}
