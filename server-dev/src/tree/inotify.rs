//! Watches of folders by inotify(7).
//!
//! The kernel tells watches apart by inode, and so does this: one folder may come by another's name.

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

/// What may have happened to a path.
#[derive(Debug)]
pub(super) enum Hint {
    Path {
        path: PathBuf,
        is_folder: bool,
    },
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

/// Folders that are watched.
#[derive(Debug)]
pub(super) struct Watches {
    instance: AsyncFd<OwnedFd>,
    numbers: HashMap<PathBuf, i32>,
    /// The last name by which each was watched.
    folders: HashMap<i32, PathBuf>,
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
        Ok(Self { instance, numbers: HashMap::new(), folders: HashMap::new() })
    }

    /// Watches a folder; one that is watched already too, as it may be another by the same name.
    pub(super) fn add(&mut self, folder: &Path) -> Result<(), NoWatch> {
        // A write is told of when its file is closed, so that no half of it is looked at.
        let mask = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let number = match inotify::add_watch(self.instance.get_ref(), folder, mask) {
            Ok(number) => number,
            // It has gone again, of which the folder that it was in tells; or it can't be read either.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.folders.insert(number, folder.to_owned());
        if let Some(before) = self.numbers.insert(folder.to_owned(), number)
            && before != number
        {
            self.end(before, folder);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, folder: &Path) {
        if let Some(number) = self.numbers.remove(folder) {
            self.end(number, folder);
        }
    }

    /// Ends a watch, unless its folder has another name by now.
    fn end(&mut self, number: i32, folder: &Path) {
        if self.folders.get(&number).is_some_and(|name| name == folder) {
            self.folders.remove(&number);
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
                    if let Some(folder) = self.folders.remove(&number)
                        && self.numbers.get(&folder) == Some(&number)
                    {
                        self.numbers.remove(&folder);
                    }
                } else if let Some(folder) = self.folders.get(&number) {
                    hint(match event.file_name() {
                        Some(name) => Hint::Path {
                            path: folder.join(OsStr::from_bytes(name.to_bytes())),
                            is_folder: flags.contains(ReadFlags::ISDIR),
                        },
                        None => Hint::Path { path: folder.clone(), is_folder: true },
                    });
                }
            }
            ready.clear_ready();
            if !is_empty {
                return Ok(());
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
