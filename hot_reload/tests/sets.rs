//! Files that belong together: a main file and what it names.
#![cfg(all(feature = "file-reloader", target_os = "linux"))]

mod common;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;

use common::{PATIENCE, book::Book, options};
use hot_reload::{
    AsyncFileLoad, FileReloader, Health, ReloaderOptions, ReloaderReceiver, ReloaderService,
    WatchStrategy,
};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

struct Shelf {
    rx: ReloaderReceiver<Book, String>,
    root: PathBuf,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Shelf {
    async fn new(strategy: WatchStrategy, files: &[(&str, &str)]) -> Self {
        Self::with_options(options(strategy), files).await
    }

    #[allow(clippy::unused_async, reason = "it needs a runtime")]
    async fn with_options(options: ReloaderOptions, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        let reloader = FileReloader::<Book>::from_path(root.join("main")).unwrap();
        let (service, rx) = ReloaderService::from_reloader(reloader, options);
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        Self { rx, root, task, _dir: dir }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).unwrap();
    }

    fn replace(&self, name: &str, text: &str) {
        self.write(".next", text);
        fs::rename(self.root.join(".next"), self.root.join(name)).unwrap();
    }

    async fn expect(&mut self, lines: &[&str]) {
        let arrived = timeout(PATIENCE, async {
            while self.rx.borrow().as_ref().is_none_or(|book| book.lines != lines) {
                self.rx.changed().await.unwrap();
            }
        });
        assert!(
            arrived.await.is_ok(),
            "{lines:?} did not arrive: {:?}, {:?}",
            self.rx.get(),
            self.rx.status()
        );
    }

    async fn expect_health(&mut self, health: Health) {
        let said = timeout(PATIENCE, async {
            while self.rx.status().health != health {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        said.await.unwrap_or_else(|_| panic!("not {health:?}: {:?}", self.rx.status()));
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.task.abort();
    }
}

in_every_strategy! {
    /// The rest was once published without it after 50 ms.
    async fn an_included_file_that_is_emptied_has_its_time_to_be_filled(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b"), ("b", "1")]).await;
        shelf.expect(&["a", "1"]).await;
        let before = shelf.rx.status().generation;
        shelf.write("b", "");
        tokio::time::sleep(Duration::from_secs(1)).await;
        shelf.write("b", "2");
        shelf.expect(&["a", "2"]).await;
        assert_eq!(shelf.rx.status().generation, before + 1);
        // The same where it is made anew.
        fs::remove_file(shelf.root.join("b")).unwrap();
        shelf.write("b", "");
        tokio::time::sleep(Duration::from_secs(1)).await;
        shelf.write("b", "3");
        shelf.expect(&["a", "3"]).await;
        assert_eq!(shelf.rx.status().generation, before + 2);
        // Unlike the main file it may be empty, if it stays so.
        shelf.write("b", "");
        shelf.expect(&["a"]).await;
    }

    /// Each edit after that was once held back for as long.
    async fn an_included_file_that_was_empty_in_vain_is_not_waited_for_again(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b"), ("b", "1")]).await;
        shelf.expect(&["a", "1"]).await;
        shelf.write("b", "");
        shelf.write("main", "a\ninclude b\ninclude c");
        shelf.expect_health(Health::Retrying).await;
        shelf.write("main", "z\ninclude b");
        timeout(Duration::from_secs(2), shelf.expect(&["z"])).await.expect("no wait of 3 s");
    }

    async fn an_included_file_is_followed(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b"), ("b", "1")]).await;
        shelf.expect(&["a", "1"]).await;
        shelf.write("b", "2");
        shelf.expect(&["a", "2"]).await;
        shelf.replace("b", "3");
        shelf.expect(&["a", "3"]).await;
        shelf.write("b", "4");
        shelf.expect(&["a", "4"]).await;
        shelf.write("main", "z\ninclude b");
        shelf.expect(&["z", "4"]).await;
    }

    async fn included_files_come_and_go(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b?\ninclude c?")]).await;
        shelf.expect(&["a"]).await;
        shelf.write("c", "3");
        shelf.expect(&["a", "3"]).await;
        shelf.write("b", "2");
        shelf.expect(&["a", "2", "3"]).await;
        fs::remove_file(shelf.root.join("c")).unwrap();
        shelf.expect(&["a", "2"]).await;
        shelf.replace("c", "4");
        shelf.expect(&["a", "2", "4"]).await;
        fs::remove_file(shelf.root.join("b")).unwrap();
        shelf.expect(&["a", "4"]).await;
    }

    async fn a_needed_file_that_vanishes_keeps_the_last_good_value(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b"), ("b", "1")]).await;
        shelf.expect(&["a", "1"]).await;
        fs::rename(shelf.root.join("b"), shelf.root.join("kept")).unwrap();
        shelf.expect_health(Health::Retrying).await;
        fs::rename(shelf.root.join("kept"), shelf.root.join("b")).unwrap();
        shelf.expect_health(Health::Fresh).await;
        assert_eq!(shelf.rx.borrow().generation(), 1);
        fs::remove_file(shelf.root.join("b")).unwrap();
        shelf.expect_health(Health::Retrying).await;
        shelf.write("b", "2");
        shelf.expect(&["a", "2"]).await;
    }

    async fn a_needed_file_that_is_named_before_it_is_there_is_waited_for(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a")]).await;
        shelf.expect(&["a"]).await;
        shelf.write("main", "a\ninclude b");
        shelf.expect_health(Health::Retrying).await;
        shelf.write("b", "1");
        shelf.expect(&["a", "1"]).await;
        shelf.write("b", "2");
        shelf.expect(&["a", "2"]).await;
    }

    async fn a_file_that_is_no_longer_included_is_no_longer_followed(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "include b"), ("b", "1"), ("c", "2")]).await;
        shelf.expect(&["1"]).await;
        shelf.write("main", "include c");
        shelf.expect(&["2"]).await;
        shelf.write("b", "none of ours");
        shelf.write("c", "3");
        shelf.expect(&["3"]).await;
        shelf.write("main", "include b");
        shelf.expect(&["none of ours"]).await;
        shelf.write("b", "4");
        shelf.expect(&["4"]).await;
    }

    async fn an_included_link_is_retargeted(strategy) {
        let mut shelf = Shelf::new(strategy, &[("b1", "1"), ("b2", "2")]).await;
        symlink("b1", shelf.root.join("b")).unwrap();
        shelf.write("main", "include b");
        shelf.expect(&["1"]).await;
        symlink("b2", shelf.root.join(".next")).unwrap();
        fs::rename(shelf.root.join(".next"), shelf.root.join("b")).unwrap();
        shelf.expect(&["2"]).await;
    }

    /// Once looked at no further than that nothing is there, as there was nothing before.
    async fn an_included_link_to_what_is_yet_to_be_is_followed(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b?")]).await;
        shelf.expect(&["a"]).await;
        symlink("elsewhere", shelf.root.join(".next")).unwrap();
        fs::rename(shelf.root.join(".next"), shelf.root.join("b")).unwrap();
        // Long enough for a look at it.
        tokio::time::sleep(Duration::from_millis(200)).await;
        shelf.write("elsewhere", "1");
        shelf.expect(&["a", "1"]).await;
    }

    /// The same file twice, and the main file itself.
    async fn a_set_may_name_a_file_twice(strategy) {
        let mut shelf =
            Shelf::new(strategy, &[("main", "include b\ninclude b\ninclude ./main/../b?"), ("b", "1")]).await;
        shelf.expect(&["1", "1"]).await;
        shelf.write("b", "2");
        shelf.expect(&["2", "2"]).await;
    }

    /// What a loader can do without may be anything.
    async fn a_set_with_something_that_is_no_file_is_loaded(strategy) {
        let mut shelf = Shelf::new(strategy, &[]).await;
        let fifo = shelf.root.join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        fs::create_dir(shelf.root.join("dir")).unwrap();
        shelf.write("main", "a\ninclude dir?");
        shelf.expect(&["a"]).await;
        shelf.write("main", "b\ninclude fifo?");
        shelf.expect(&["b"]).await;
        symlink("/dev/null", shelf.root.join("null")).unwrap();
        shelf.write("main", "c\ninclude null?");
        shelf.expect(&["c"]).await;
        shelf.replace("fifo", "1");
        shelf.write("main", "d\ninclude fifo?");
        shelf.expect(&["d", "1"]).await;
    }

    /// A pair that is renewed one file after the other, as certificates and keys are.
    async fn a_pair_is_read_as_one(strategy) {
        // Long enough that the writer rests for no longer on a busy machine either.
        let options = options(strategy).settle_window(Duration::from_millis(500));
        let files = [("main", "0\ninclude b"), ("b", "0")];
        let mut shelf = Shelf::with_options(options, &files).await;
        shelf.expect(&["0", "0"]).await;
        for n in 1..=8 {
            let n = n.to_string();
            shelf.replace("main", &format!("{n}\ninclude b"));
            shelf.replace("b", &n);
            let deadline = Instant::now() + PATIENCE;
            loop {
                timeout_at(deadline, shelf.rx.changed()).await.unwrap().unwrap();
                let lines = shelf.rx.get().unwrap().lines;
                assert_eq!(lines[0], lines[1], "from different generations");
                if lines[0] == n {
                    break;
                }
            }
        }
    }

    /// Looks that come faster than the quiet period once held a set up until the ceiling.
    async fn a_set_is_published_once_it_is_quiet(strategy) {
        let mut shelf = Shelf::new(strategy, &[("main", "a\ninclude b"), ("b", "0")]).await;
        shelf.expect(&["a", "0"]).await;
        for n in ["1", "2"] {
            shelf.replace("b", n);
            let written = Instant::now();
            shelf.expect(&["a", n]).await;
            // The settle ceiling is 3 s.
            assert!(written.elapsed() < Duration::from_millis(1_500), "{:?}", written.elapsed());
        }
    }

    /// While an included file is being written, the main one is not read on its own.
    async fn a_half_written_include_is_waited_for(strategy) {
        // Long enough that the writer rests for no longer on a busy machine either.
        let options = options(strategy).settle_window(Duration::from_millis(500));
        let files = [("main", "0\ninclude b"), ("b", "0")];
        let mut shelf = Shelf::with_options(options, &files).await;
        shelf.expect(&["0", "0"]).await;
        let mut writer = fs::File::create(shelf.root.join("b")).unwrap();
        shelf.replace("main", "1\ninclude b");
        io::Write::write_all(&mut writer, b"1").unwrap();
        let early = timeout(Duration::from_secs(2), async {
            loop {
                shelf.rx.changed().await.unwrap();
                if shelf.rx.get().unwrap().lines[0] != "0" {
                    return shelf.rx.get();
                }
            }
        });
        if let Ok(half) = early.await {
            panic!("published {half:?}");
        }
        io::Write::write_all(&mut writer, b"\n2").unwrap();
        drop(writer);
        shelf.expect(&["1", "1", "2"]).await;
    }
}

/// It was once taken for one whose way changes whenever it is looked at.
#[tokio::test]
async fn a_member_that_can_not_be_where_a_file_is_has_the_set_looked_at_no_more_often() {
    let files = [("main", "0\ninclude b/c?"), ("b", "0")];
    let mut shelf = Shelf::new(WatchStrategy::Realtime, &files).await;
    shelf.expect(&["0"]).await;
    // Those that follow from the start are over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = shelf.rx.status().last_load;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shelf.rx.status().last_load, before);
    fs::remove_file(shelf.root.join("b")).unwrap();
    fs::create_dir(shelf.root.join("b")).unwrap();
    shelf.write("b/c", "1");
    shelf.expect(&["0", "1"]).await;
}

/// What a directory holds that is reached by a link, while another takes its place and goes again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pages {
    texts: [String; 3],
    paths: [PathBuf; 2],
}

fn exchange(dir: &Path) {
    renameat_with(CWD, dir.join("data"), CWD, dir.join("other"), RenameFlags::EXCHANGE).unwrap();
}

impl TryFrom<&PathBuf> for Pages {
    type Error = io::Error;

    fn try_from(main: &PathBuf) -> io::Result<Self> {
        let dir = main.parent().unwrap();
        let paths = ["data/a", "data/b"].map(|name| dir.join(name));
        let main = fs::read_to_string(main)?;
        let first = fs::read_to_string(&paths[0])?;
        let is_exchanged = fs::remove_file(dir.join("exchange")).is_ok();
        if is_exchanged {
            exchange(dir);
        }
        let second = fs::read_to_string(&paths[1])?;
        if dir.join("lock").exists() {
            // As who locks it does; its end is told like that of a write.
            File::options().append(true).open(&paths[1])?;
        }
        if is_exchanged {
            exchange(dir);
        }
        Ok(Self { texts: [main, first, second], paths })
    }
}

#[async_trait]
impl AsyncFileLoad for Pages {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        Self::try_from(&path.as_ref().to_owned())
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        self.paths.to_vec()
    }
}

#[tokio::test]
async fn a_set_whose_loader_locks_a_member_is_no_later_for_that() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir(root.join("data")).unwrap();
    for (name, text) in [("main", "first"), ("lock", ""), ("data/a", "1"), ("data/b", "1")] {
        fs::write(root.join(name), text).unwrap();
    }
    let options = options(WatchStrategy::Realtime).settle_ceiling(Duration::from_secs(3600));
    let reloader = FileReloader::<Pages>::from_path(root.join("main")).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(reloader, options);
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    fs::write(root.join("main"), "next").unwrap();
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    assert_eq!(rx.get().unwrap().texts, ["next", "1", "1"]);
    task.abort();
}

/// Once it was over, everything looked as it did before.
#[tokio::test]
async fn a_set_in_whose_place_there_was_another_for_a_while_is_read_again() {
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (of, link, text) in [("one", "data", "1"), ("two", "other", "2")] {
            fs::create_dir(root.join(of)).unwrap();
            fs::write(root.join(of).join("a"), text).unwrap();
            fs::write(root.join(of).join("b"), text).unwrap();
            symlink(of, root.join(link)).unwrap();
        }
        fs::write(root.join("main"), "first").unwrap();
        let reloader = FileReloader::<Pages>::from_path(root.join("main")).unwrap();
        let (service, mut rx) = ReloaderService::from_reloader(reloader, options(strategy));
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
        fs::write(root.join("exchange"), "").unwrap();
        fs::write(root.join("main"), "next").unwrap();
        timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
        let read = rx.get().unwrap().texts;
        assert_eq!(read, ["next", "1", "1"], "{strategy:?}");
        task.abort();
    }
}
