//! A main file and what it includes, read as one.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use hot_reload::{FileReloader, ReloaderReceiver, ReloaderService, WatchStrategy};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use crate::common::{PATIENCE, book::Book, options};

/// What is done to the set; an operation that can't be done as things are does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// Writes the main file, or replaces it; it includes these.
    Main {
        text: u8,
        includes: Vec<(u8, bool)>,
        in_place: bool,
    },
    DeleteMain,
    Write(u8, u8),
    Replace(u8, u8),
    /// Truncates an included file and writes a first half, and keeps it open.
    Begin(u8),
    /// Writes the rest and closes.
    Finish,
    Delete(u8),
    /// Leads an included name to another one's file.
    Link(u8, u8),
    /// Renames the directory that the last of them lies in away, or back.
    Away,
    Back,
    /// Lets the service have a look, or not.
    Pause(u8),
}

/// Names to include; the last lies in a directory.
const NAMES: [&str; 3] = ["x", "y", "d/z"];

fn name() -> impl Strategy<Value = u8> {
    0..3_u8
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let includes = prop::collection::vec((name(), any::<bool>()), 0..4);
    prop_oneof![
        4 => (any::<u8>(), includes, any::<bool>())
            .prop_map(|(text, includes, in_place)| Op::Main { text, includes, in_place }),
        1 => Just(Op::DeleteMain),
        4 => (name(), any::<u8>()).prop_map(|(n, text)| Op::Write(n, text)),
        4 => (name(), any::<u8>()).prop_map(|(n, text)| Op::Replace(n, text)),
        2 => name().prop_map(Op::Begin),
        2 => Just(Op::Finish),
        2 => name().prop_map(Op::Delete),
        1 => (name(), name()).prop_map(|(n, to)| Op::Link(n, to)),
        1 => Just(Op::Away),
        1 => Just(Op::Back),
        5 => (0..30_u8).prop_map(Op::Pause),
    ]
}

/// The directory that a sequence is done to.
struct Shelf {
    root: PathBuf,
    main: PathBuf,
    open: Option<File>,
}

impl Shelf {
    fn new(root: &Path) -> Self {
        fs::create_dir(root.join("d")).unwrap();
        let main = root.join("main");
        fs::write(&main, "start\ninclude x\n").unwrap();
        fs::write(root.join("x"), "x at the start\n").unwrap();
        Self { root: root.to_owned(), main, open: None }
    }

    fn path(&self, n: u8) -> PathBuf {
        self.root.join(NAMES[usize::from(n)])
    }

    fn put(&self, to: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let next = self.root.join("next");
        make(&next)?;
        fs::rename(next, to)
    }

    fn apply(&mut self, op: &Op) -> io::Result<()> {
        let line = |text: &u8| format!("text {text}\n");
        match op {
            Op::Main { text, includes, in_place } => {
                let mut lines = line(text);
                for (n, is_optional) in includes {
                    let mark = if *is_optional { "?" } else { "" };
                    lines.extend(["include ", NAMES[usize::from(*n)], mark, "\n"]);
                }
                if *in_place {
                    fs::write(&self.main, lines)
                } else {
                    self.put(&self.main, |next| fs::write(next, lines))
                }
            }
            Op::DeleteMain => fs::remove_file(&self.main),
            Op::Write(n, text) => fs::write(self.path(*n), line(text)),
            Op::Replace(n, text) => self.put(&self.path(*n), |next| fs::write(next, line(text))),
            Op::Begin(n) => {
                let mut file = File::create(self.path(*n))?;
                file.write_all(b"begun\n")?;
                self.open = Some(file);
                Ok(())
            }
            Op::Finish => {
                if let Some(mut file) = self.open.take() {
                    file.write_all(b"whole\n")?;
                }
                Ok(())
            }
            Op::Delete(n) => fs::remove_file(self.path(*n)),
            Op::Link(n, to) => {
                let to = self.path(*to);
                self.put(&self.path(*n), |next| symlink(to, next))
            }
            Op::Away => fs::rename(self.root.join("d"), self.root.join("away")),
            Op::Back => fs::rename(self.root.join("away"), self.root.join("d")),
            Op::Pause(_) => Ok(()),
        }
    }
}

/// Does `ops` to a fresh set that a service follows, and compares value and files at the end.
pub(super) async fn holds(strategy: WatchStrategy, ops: Vec<Op>) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::new(dir.path());
    let reloader = FileReloader::<Book>::from_path(&shelf.main).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(reloader, options(strategy));
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    for op in &ops {
        // What can't be done as things are does nothing.
        let _refused = shelf.apply(op);
        if let Op::Pause(ms) = op {
            sleep(Duration::from_millis((*ms).into())).await;
        }
    }
    shelf.open = None;
    let outcome = agrees(&shelf.main, &mut rx).await;
    task.abort();
    outcome
}

async fn agrees(main: &Path, rx: &mut ReloaderReceiver<Book, String>) -> Result<(), String> {
    let mut want = Book::read(main);
    if want.is_err() {
        // The status says so, and what is mended arrives.
        let said = timeout(PATIENCE, async {
            while rx.status().last_error.is_none() {
                sleep(Duration::from_millis(2)).await;
            }
        });
        if said.await.is_err() {
            return Err(format!("no error for {want:?}: {:?}, {:?}", rx.get(), rx.status()));
        }
        // A link to where nothing can be written can't be mended in place.
        let mended = main.with_file_name("mended");
        fs::write(&mended, "mended\n").unwrap();
        fs::rename(&mended, main).unwrap();
        want = Book::read(main);
    }
    let want = want.unwrap();
    let arrived = timeout(PATIENCE, async {
        while rx.get().as_ref() != Some(&want) {
            rx.changed().await.unwrap();
        }
    });
    if arrived.await.is_err() {
        return Err(format!("{want:?} did not arrive: {:?}, {:?}", rx.get(), rx.status()));
    }
    Ok(())
}
