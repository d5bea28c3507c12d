//! What a file may be and hold, and how it is said that no value was taken from it.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{
    fs::{self, File},
    io::Write,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    time::Duration,
};

use common::{Config, Lab, config, map, options, text};
use hot_reload::{ReloaderService, TomlFile, WatchStrategy};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const LIMIT: usize = 16 * 1024 * 1024;
const WHILE: Duration = Duration::from_millis(500);

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

/// Checks that what `make` puts at the path is refused with `words`, and a file taken again.
async fn is_refused(strategy: WatchStrategy, words: &str, make: impl Fn(&Path)) {
    let mut lab = Lab::with_one(strategy).await;
    let before = lab.generation();
    let odd = lab.root.join("odd");
    make(&odd);
    fs::rename(&odd, &lab.path)
        .or_else(|_| {
            // A directory takes no file's place.
            fs::remove_file(&lab.path)?;
            fs::rename(&odd, &lab.path)
        })
        .unwrap();
    let said = tokio::time::timeout(common::PATIENCE, async {
        while !lab.rx.status().last_error.is_some_and(|why| why.contains(words)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(said.await.is_ok(), "{words:?} is not said: {:?}", lab.rx.status());
    lab.expect_silence(WHILE).await;
    assert_eq!(lab.rx.get(), Some(config("one")));
    if lab.path.is_dir() {
        fs::remove_dir(&lab.path).unwrap();
    }
    lab.replace(text("two"));
    lab.expect_next(before, config("two")).await;
    lab.expect_fresh().await;

    // The same from the start.
    let mut lab = Lab::new(strategy, |dir| make(&dir.join("config.toml"))).await;
    let why = lab.expect_failure().await;
    assert!(why.contains(words), "{why}");
    assert_eq!(lab.rx.get(), None);
    if lab.path.is_dir() {
        fs::remove_dir(&lab.path).unwrap();
    }
    lab.replace(text("two"));
    lab.expect_next(0, config("two")).await;
}

in_every_strategy! {
    async fn an_emptied_file_is_never_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        File::create(&lab.path).unwrap();
        // Its writer may be about to come back, so it is not complained of at once.
        lab.expect_silence(Duration::from_secs(1)).await;
        assert_eq!(lab.rx.status().last_error, None);
        let why = lab.expect_failure().await;
        assert!(why.contains("config.toml: empty"), "{why}");
        lab.expect_silence(WHILE).await;
        assert_eq!(lab.rx.get(), Some(config("one")));
        lab.write(text("two"));
        lab.expect_next(before, config("two")).await;
        lab.expect_fresh().await;
    }

    async fn an_emptied_file_that_is_filled_in_time_is_no_error(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let before = lab.generation();
        File::create(&lab.path).unwrap();
        lab.expect_silence(Duration::from_secs(2)).await;
        lab.write(text("two"));
        lab.expect_next(before, config("two")).await;
        assert_eq!(lab.rx.status().last_error, None);
        assert_eq!(lab.rx.status().failures, 0);
    }

    /// On most mounts the first read after an edit moves that time, as the kernel writes to the disk.
    #[cfg(not(hot_reload_portable))]
    async fn a_file_of_ones_own_is_read_without_a_trace(strategy) {
        let mut lab = Lab::new(strategy, |dir| {
            fs::write(dir.join("config.toml"), text("one")).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        })
        .await;
        lab.expect(config("one")).await;
        let first = fs::metadata(&lab.path).unwrap();
        assert!(first.accessed().unwrap() <= first.modified().unwrap(), "{first:?}");
        let before = lab.generation();
        let next = lab.root.join(".next");
        fs::write(&next, text("two")).unwrap();
        let accessed = fs::metadata(&next).unwrap().accessed().unwrap();
        // Longer than the clock of the file's times can fail to show.
        tokio::time::sleep(Duration::from_millis(50)).await;
        fs::rename(next, &lab.path).unwrap();
        lab.expect_next(before, config("two")).await;
        assert_eq!(fs::metadata(&lab.path).unwrap().accessed().unwrap(), accessed);
    }

    async fn the_status_names_the_file(strategy) {
        let lab = Lab::with_one(strategy).await;
        assert_eq!(lab.rx.status().source.as_deref(), lab.path.to_str());
    }

    async fn an_empty_file_renamed_into_place_is_refused(strategy) {
        is_refused(strategy, "empty", |path| fs::write(path, "").unwrap()).await;
    }

    /// As an editor leaves that marks each file as UTF-8.
    async fn a_file_of_nothing_but_a_byte_order_mark_is_refused(strategy) {
        is_refused(strategy, "empty", |path| fs::write(path, "\u{feff}\n").unwrap()).await;
    }

    async fn an_empty_file_is_taken_where_that_is_allowed(strategy) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, text("one")).unwrap();
        let reloader = TomlFile::<Config>::from_path(&path).unwrap().allow_empty(true);
        let (service, mut rx) = ReloaderService::from_reloader(reloader, options(strategy));
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        common::within(rx.changed()).await.unwrap();
        fs::write(&path, "").unwrap();
        tokio::time::timeout(common::PATIENCE, rx.changed()).await.unwrap().unwrap();
        assert_eq!(rx.get(), Some(Config::default()));
        task.abort();
    }

    async fn a_directory_is_refused(strategy) {
        is_refused(strategy, "a directory", |path| fs::create_dir(path).unwrap()).await;
    }

    async fn a_fifo_is_refused(strategy) {
        is_refused(strategy, "a FIFO", fifo).await;
    }

    async fn a_socket_is_refused(strategy) {
        is_refused(strategy, "a socket", |path| drop(UnixListener::bind(path).unwrap())).await;
    }

    async fn a_device_is_refused(strategy) {
        for device in ["/dev/zero", "/dev/null", "/dev/full"] {
            is_refused(strategy, "a device", |path| symlink(device, path).unwrap()).await;
        }
    }

    async fn nul_bytes_are_refused(strategy) {
        is_refused(strategy, "NUL", |path| fs::write(path, [0; 30]).unwrap()).await;
        is_refused(strategy, "NUL", |path| fs::write(path, "name = 'one'\n\0\0").unwrap()).await;
    }

    async fn what_is_no_utf_8_is_refused(strategy) {
        is_refused(strategy, "UTF-8", |path| fs::write(path, b"name = '\xff'").unwrap()).await;
    }

    async fn a_file_that_is_too_large_is_refused(strategy) {
        is_refused(strategy, "16777217 bytes", |path| {
            File::create(path).unwrap().set_len(LIMIT as u64 + 1).unwrap();
        })
        .await;
        // One that has run away is not even read.
        is_refused(strategy, "1099511627776 bytes", |path| {
            File::create(path).unwrap().set_len(1 << 40).unwrap();
        })
        .await;
    }

    async fn a_file_as_large_as_may_be_is_taken(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let mut large = text("two").into_bytes();
        large.push(b'#');
        large.resize(LIMIT, b'x');
        lab.write(&large);
        lab.expect(config("two")).await;
        large.truncate(LIMIT / 2);
        large[8..11].copy_from_slice(b"six");
        lab.replace(&large);
        lab.expect(config("six")).await;
    }

    async fn a_byte_order_mark_and_windows_lines_are_taken(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        lab.write(format!("\u{feff}{}", text("two").replace('\n', "\r\n")));
        lab.expect(config("two")).await;
    }

    async fn a_shrinking_and_growing_file_is_taken(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (name, padding) in [("two", 100_000), ("six", 0), ("ten", 1_000_000), ("one", 1)] {
            lab.write(format!("{}#{}", text(name), "x".repeat(padding)));
            lab.expect(config(name)).await;
        }
    }
}

with_looks! {
    /// Stores to a mapping give no event at all while it lasts.
    async fn a_write_through_a_mapping_is_found_by_looking(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let file = File::options().read(true).write(true).open(&lab.path).unwrap();
        map::write(&file, text("two").as_bytes());
        drop(file);
        lab.expect(config("two")).await;
    }

    /// Past the ceiling a file is read though it is mapped; what is stored then still arrives.
    async fn a_mapping_that_outlives_the_ceiling_is_read_again_at_its_end(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let file = File::options().read(true).write(true).open(&lab.path).unwrap();
        let mut mapping = map::Mapping::new(&file, text("one").len());
        drop(file);
        mapping.bytes().copy_from_slice(text("two").as_bytes());
        lab.expect(config("two")).await;
        // The page is dirty already, so this store leaves every time of the file as it is.
        mapping.bytes().copy_from_slice(text("six").as_bytes());
        drop(mapping);
        lab.expect(config("six")).await;
    }
}

#[tokio::test]
async fn each_error_says_which_file_and_what_to_do() {
    let mut lab = Lab::new(WatchStrategy::Hybrid, |dir| {
        fs::write(dir.join("config.toml"), "name = 1").unwrap();
    })
    .await;
    let why = lab.expect_failure().await;
    assert!(why.contains("config.toml:1:8"), "{why}");
    assert!(why.contains("name = 1\n"), "{why}");
    let mut file = File::create(&lab.path).unwrap();
    file.write_all(text("one").as_bytes()).unwrap();
    drop(file);
    lab.expect(config("one")).await;
}
