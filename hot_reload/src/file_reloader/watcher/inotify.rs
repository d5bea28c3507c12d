//! Events from inotify(7), without a crate between.
//!
//! The kernel tells watches apart by inode, and so must whoever keeps them: notify does by path,
//! and with two names for one inode, or an inode that takes another's name, removes the wrong one;
//! it also walks every watch it has whenever a watched file is replaced.

use std::{
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use super::{Event, Notice, lock};

/// A watch descriptor: one number for one inode, however many paths lead to it.
pub(super) type Key = i32;

/// What a path is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory on the way: for names that come and go.
    Way,
    /// The directory of the content: for finished writes as well.
    Parent,
    /// The content: for edits through another name of it, too.
    Target,
}

/// Why there are no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::file_reloader) struct NoWatch(pub(in crate::file_reloader) &'static str);

/// The inotify instance of the process.
pub(super) struct Events {
    /// Unset while the system has no instance to give.
    instance: OnceLock<OwnedFd>,
    /// Held while an instance is asked for.
    connecting: Mutex<()>,
    /// Wakes the thread for anything that is no event.
    waker: OwnedFd,
}

/// Room for a few hundred events a read.
const BUFFER: usize = 16 * 1024;

impl Events {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            instance: OnceLock::new(),
            connecting: Mutex::new(()),
            waker: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Asks for an instance, unless there is one.
    pub(super) fn connect(&self) -> Result<(), NoWatch> {
        let _one_at_a_time = lock(&self.connecting);
        if self.instance.get().is_some() {
            return Ok(());
        }
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(instance) => {
                self.instance.get_or_init(|| instance);
                self.wake();
                Ok(())
            }
            Err(Errno::MFILE) => {
                Err(NoWatch("out of inotify instances: raise fs.inotify.max_user_instances"))
            }
            Err(Errno::NFILE) => Err(NoWatch("out of file descriptors: raise fs.file-max")),
            Err(_) => Err(NoWatch("inotify is not to be had here")),
        }
    }

    /// Watches `path`; `None` where there is nothing of that kind, or nothing that may be watched.
    pub(super) fn add(&self, path: &Path, kind: Kind) -> Result<Option<Key>, NoWatch> {
        let Some(instance) = self.instance.get() else {
            return Err(NoWatch("inotify is not connected"));
        };
        let names = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        let content = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let mask = match kind {
            Kind::Way => names,
            Kind::Parent => names | content,
            // The names of a directory that is followed for its own sake.
            Kind::Target if path.is_dir() => names | content | WatchFlags::ATTRIB,
            Kind::Target => content | WatchFlags::ATTRIB,
        };
        // One inode has one watch: what others want of it stays.
        match inotify::add_watch(instance, path, mask | own | WatchFlags::MASK_ADD) {
            Ok(key) => Ok(Some(key)),
            Err(Errno::NOSPC) => {
                Err(NoWatch("out of inotify watches: raise fs.inotify.max_user_watches"))
            }
            Err(Errno::NOMEM) => Err(NoWatch("out of memory for inotify watches")),
            Err(_) => Ok(None),
        }
    }

    /// Ends a watch.
    pub(super) fn remove(&self, key: &Key) {
        if let Some(instance) = self.instance.get() {
            // It fails only where the watch has ended by itself.
            let _ended = inotify::remove_watch(instance, *key);
        }
    }

    /// Makes [`wait`](Self::wait) return.
    pub(super) fn wake(&self) {
        // Full means that a wake is pending already.
        let _pending = rustix::io::write(&self.waker, &1_u64.to_ne_bytes());
    }

    /// Waits for events or a wake, and passes the events on.
    pub(super) fn wait(&self, timeout: Option<Duration>, mut pass: impl FnMut(Event<'_>)) {
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap_or(LONGEST_WAIT));
        let waker = PollFd::new(&self.waker, PollFlags::IN);
        let outcome = match self.instance.get() {
            Some(instance) => {
                let mut both = [waker, PollFd::new(instance, PollFlags::IN)];
                poll(&mut both, timeout.as_ref())
            }
            None => poll(&mut [waker], timeout.as_ref()),
        };
        if outcome != Ok(0) {
            // Empty means that it was an event.
            let _empty = rustix::io::read(&self.waker, &mut [0; 8]);
            if let Some(instance) = self.instance.get() {
                read_all(instance, &mut pass);
            }
        }
    }
}

const LONGEST_WAIT: Timespec = Timespec { tv_sec: 3600, tv_nsec: 0 };

/// Reads whatever is queued.
fn read_all(instance: impl AsFd, pass: &mut impl FnMut(Event<'_>)) {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(instance, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) => {
                let (key, flags) = (event.wd(), event.events());
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                translate(key, flags, name, pass);
            }
            Err(Errno::INTR) => {}
            // WOULDBLOCK: that was all. Anything else ends as well, and the audits go on.
            Err(_) => return,
        }
    }
}

fn translate(key: Key, flags: ReadFlags, name: Option<&OsStr>, pass: &mut impl FnMut(Event<'_>)) {
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return pass(Event::Overflow);
    }
    if flags.contains(ReadFlags::IGNORED) {
        return pass(Event::Gone(&key));
    }
    if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
        return pass(Event::Uprooted(&key));
    }
    let notice = if flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
        Notice::Finished
    } else if flags.contains(ReadFlags::CREATE) {
        Notice::Appeared
    } else if flags.contains(ReadFlags::MODIFY) {
        Notice::Modified
    } else {
        Notice::Moved
    };
    match name {
        Some(name) => pass(Event::Named(&key, name, notice)),
        None => pass(Event::Own(&key, notice)),
    }
}
