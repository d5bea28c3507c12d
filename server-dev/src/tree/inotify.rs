//! Watches of folders and files by inotify(7).
//!
//! The kernel tells watches apart by inode, and so does this: one folder may have several names, or come
//! by another's.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Room for a few hundred events a read.
const BUFFER: usize = 16 * 1024;
/// Of more files that may be edited by other names, as of a tree that was copied by hard links, the
/// folders alone tell: each watch takes about a kilobyte of the kernel's memory.
pub(super) const MAX_WATCHED_FILES: usize = 4096;

/// What may have happened to a path.
#[derive(Debug)]
pub(super) enum Hint {
    Path {
        path: PathBuf,
        is_folder: bool,
        /// Whether it has this name only now.
        is_new: bool,
    },
    /// The same, of one that a link may lead through.
    Way(PathBuf),
    /// Something was missed.
    Anything,
}

/// Why there are no watches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoWatch {
    #[error("out of inotify watches: raise fs.inotify.max_user_watches, see inotify(7)")]
    Watches,
    #[error(
        "out of inotify instances, or of descriptors: raise fs.inotify.max_user_instances, or ulimit -n"
    )]
    Instances,
    #[error("inotify is not to be had: {0}")]
    Other(Errno),
}

/// What a path is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// All that is in it.
    Folder,
    /// What has one of the names in it that a link leads through.
    Way,
    /// Itself, by whatever name it is edited.
    File,
}

/// A path, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    path: PathBuf,
    purpose: Purpose,
}

/// Folders and files that are watched.
#[derive(Debug)]
pub(super) struct Watches {
    instance: AsyncFd<OwnedFd>,
    known: Known,
}

/// The names of each watch, and the watch of each name.
#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Purpose, HashMap<PathBuf, i32>>,
    names: HashMap<i32, Vec<Name>>,
}

impl Watches {
    /// Has to be called within a runtime.
    pub(super) fn new() -> Result<Self, NoWatch> {
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[allow(
            deprecated,
            reason = "what replaces it is unsafe, and nobody closes an OwnedFd early"
        )]
        let instance = AsyncFd::with_interest(instance, Interest::READABLE)
            .map_err(|error| NoWatch::of(&error))?;
        Ok(Self { instance, known: Known::default() })
    }

    /// Watches a path; one that is watched already too, as it may be another by the same name.
    pub(super) fn add(&mut self, path: &Path, purpose: Purpose) -> Result<(), NoWatch> {
        let numbers = self.known.numbers.entry(purpose).or_default();
        if purpose == Purpose::File
            && numbers.len() >= MAX_WATCHED_FILES
            && !numbers.contains_key(path)
        {
            return Ok(());
        }
        let number = match inotify::add_watch(self.instance.get_ref(), path, purpose.mask()) {
            Ok(number) => number,
            // It has gone again, of which the folder that it was in tells; or it can't be read either.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let before = numbers.insert(path.to_owned(), number);
        let name = Name { path: path.to_owned(), purpose };
        if before == Some(number) {
            return Ok(());
        }
        if let Some(before) = before {
            self.end(before, &name);
        }
        self.known.names.entry(number).or_default().push(name);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path, purpose: Purpose) {
        let number = self.known.numbers.get_mut(&purpose).and_then(|numbers| numbers.remove(path));
        if let Some(number) = number {
            self.end(number, &Name { path: path.to_owned(), purpose });
        }
    }

    /// Ends a watch, unless it has another name.
    fn end(&mut self, number: i32, name: &Name) {
        let Some(names) = self.known.names.get_mut(&number) else { return };
        names.retain(|known| known != name);
        if names.is_empty() {
            self.known.names.remove(&number);
            // It fails only where the watch has ended by itself.
            let _ended = inotify::remove_watch(self.instance.get_ref(), number);
        }
    }

    /// Waits for events, and passes on what they hint at.
    ///
    /// Cancel safe.
    pub(super) async fn read(&mut self, mut hint: impl FnMut(Hint)) -> Result<(), NoWatch> {
        loop {
            let mut ready =
                self.instance.readable_mut().await.map_err(|error| NoWatch::of(&error))?;
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut events = Reader::new(ready.get_inner(), &mut buffer);
            let mut is_empty = true;
            loop {
                let event = match events.next() {
                    Ok(event) => event,
                    Err(Errno::INTR) => continue,
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                };
                is_empty = false;
                let (number, flags) = (event.wd(), event.events());
                if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                    hint(Hint::Anything);
                } else if flags.contains(ReadFlags::IGNORED) {
                    self.known.forget(number);
                    continue;
                }
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                for known in self.known.names.get(&number).into_iter().flatten() {
                    hint(known.hint(name, flags));
                }
            }
            ready.clear_ready();
            if !is_empty {
                return Ok(());
            }
        }
    }
}

impl Known {
    /// Forgets a watch that has ended by itself.
    fn forget(&mut self, number: i32) {
        for name in self.names.remove(&number).into_iter().flatten() {
            // Another may have been watched by that name since.
            if let Some(numbers) = self.numbers.get_mut(&name.purpose)
                && numbers.get(&name.path) == Some(&number)
            {
                numbers.remove(&name.path);
            }
        }
    }
}

impl Name {
    /// What has happened, to it or to what has a name in it.
    fn hint(&self, name: Option<&OsStr>, flags: ReadFlags) -> Hint {
        let path = name.map_or_else(|| self.path.clone(), |name| self.path.join(name));
        let is_folder = match name {
            Some(_) => flags.contains(ReadFlags::ISDIR),
            None => self.purpose == Purpose::Folder,
        };
        let is_new = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        match self.purpose {
            Purpose::Way => Hint::Way(path),
            Purpose::Folder | Purpose::File => Hint::Path { path, is_folder, is_new },
        }
    }
}

impl Purpose {
    /// The kernel has one mask for each file or folder: the last.
    fn mask(self) -> WatchFlags {
        match self {
            // A write is told of when its file is closed, so that no half of it is looked at.
            Self::File => WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB,
            Self::Folder | Self::Way => {
                WatchFlags::CLOSE_WRITE
                    | WatchFlags::CREATE
                    | WatchFlags::DELETE
                    | WatchFlags::MOVED_FROM
                    | WatchFlags::MOVED_TO
                    | WatchFlags::ATTRIB
                    | WatchFlags::DELETE_SELF
                    | WatchFlags::MOVE_SELF
                    | WatchFlags::ONLYDIR
            }
        }
    }
}

impl NoWatch {
    fn of(error: &io::Error) -> Self {
        Errno::from_io_error(error).unwrap_or(Errno::IO).into()
    }
}

impl From<Errno> for NoWatch {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOSPC => Self::Watches,
            Errno::MFILE => Self::Instances,
            other => Self::Other(other),
        }
    }
}
