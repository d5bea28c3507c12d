//! Events from inotify(7), without a crate between.
//!
//! The kernel tells watches apart by inode, and so must whoever keeps them: notify does by path,
//! and with two names for one inode, or an inode that takes another's name, removes the wrong one;
//! it also walks every watch it has whenever a watched file is replaced.

use std::{
    convert::Infallible,
    ffi::OsStr,
    future::{pending, poll_fn},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, OnceLock, Weak},
    thread,
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime,
    sync::{Notify, oneshot},
    time::{Instant, sleep},
};
use tracing::warn;

use super::{Event, Kind, Notice, Registry, Watcher, What};
use crate::lock::lock;

/// A watch descriptor: one number for one inode, however many paths lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(i32);

#[cfg(test)]
impl Key {
    pub(super) fn of(descriptor: i32) -> Self {
        Self(descriptor)
    }
}

/// Why there are no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::file_reloader) struct NoWatch(pub(in crate::file_reloader) &'static str);

/// The inotify instance of the process.
pub(super) struct Events {
    /// Unset while the system has no instance to give.
    instance: OnceLock<Arc<OwnedFd>>,
    /// Held while an instance is asked for.
    connecting: Mutex<()>,
    /// Held from the reading of events until all are passed on.
    reading: Mutex<()>,
    connected: Notify,
}

/// Room for a few hundred events a read.
const BUFFER: usize = 16 * 1024;

impl Events {
    /// Creates it unconnected; its events go to whoever reads them, so nobody is rung from here.
    pub(super) fn new(_rings: Weak<Mutex<Registry>>) -> Self {
        Self {
            instance: OnceLock::new(),
            connecting: Mutex::new(()),
            reading: Mutex::new(()),
            connected: Notify::new(),
        }
    }

    /// Asks for an instance, unless there is one.
    pub(super) fn connect(&self) -> Result<(), NoWatch> {
        if self.instance.get().is_some() {
            return Ok(());
        }
        let _one_at_a_time = lock(&self.connecting);
        if self.instance.get().is_some() {
            return Ok(());
        }
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(instance) => {
                self.instance.get_or_init(|| Arc::new(instance));
                self.connected.notify_waiters();
                Ok(())
            }
            Err(Errno::MFILE) => Err(NoWatch(
                "out of inotify instances, or of descriptors: raise \
                 fs.inotify.max_user_instances, or ulimit -n",
            )),
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
            | WatchFlags::ONLYDIR
            // A file that has lost its name is told of by that name still, which is another's by now.
            | WatchFlags::EXCL_UNLINK;
        let content = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let mask = match kind {
            Kind::Through => own | WatchFlags::ONLYDIR,
            Kind::Way => own | names | WatchFlags::ATTRIB,
            // Modifications are watched on the content itself: whoever writes to a log beside it
            // wakes nobody.
            Kind::Parent => own | names | WatchFlags::ATTRIB | WatchFlags::CLOSE_WRITE,
            Kind::Untold => own | names | WatchFlags::ATTRIB | content,
            Kind::Directory => own | names | content | WatchFlags::ATTRIB,
            // Its end is told by the watch's own.
            Kind::File => content | WatchFlags::ATTRIB,
        };
        // One inode has one watch: what others want of it stays.
        match inotify::add_watch(instance, path, mask | WatchFlags::MASK_ADD) {
            Ok(key) => Ok(Some(Key(key))),
            Err(Errno::NOSPC) => {
                Err(NoWatch("out of inotify watches: raise fs.inotify.max_user_watches"))
            }
            Err(Errno::NOMEM) => Err(NoWatch("out of memory for inotify watches")),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(Errno::ACCESS) => {
                Err(NoWatch("a directory on the way may not be read, so it can't be watched"))
            }
            Err(_) => Err(NoWatch("inotify can't watch a place on the way")),
        }
    }

    /// Ends a watch.
    pub(super) fn remove(&self, key: &Key) {
        if let Some(instance) = self.instance.get() {
            // It fails only where the watch has ended by itself.
            let _ended = inotify::remove_watch(instance, key.0);
        }
    }

    /// Waits until there is an instance.
    async fn instance(&self) -> Arc<OwnedFd> {
        loop {
            let connected = self.connected.notified();
            if let Some(instance) = self.instance.get() {
                return Arc::clone(instance);
            }
            connected.await;
        }
    }
}

/// Reads events and dispatches them until it is aborted.
pub(super) async fn read_events(watcher: Arc<Watcher>) {
    let instance = Descriptor(watcher.events.instance().await);
    let here = catch_unwind(AssertUnwindSafe(|| register(instance.clone())));
    if let Ok(Ok(readable)) = here {
        return read_from(readable, &watcher).await;
    }
    // This runtime was built without I/O, of which tokio tells by a panic alone, or its poller is
    // full. Then a thread reads, and ends when this task drops the other end of the channel.
    let mut is_said = false;
    loop {
        let (instance, watcher) = (instance.clone(), Arc::clone(&watcher));
        let (_stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("hot-reload-events".to_owned());
        match thread.spawn(move || read_until(stopped, instance, &watcher)) {
            Ok(_thread) => pending().await,
            Err(error) if !is_said => {
                warn!(target: "hot_reload::no_events", %error, "inotify can't be read: changes are not noticed until it can");
                is_said = true;
            }
            Err(_) => {}
        }
        sleep(ASK_AGAIN).await;
    }
}

/// How often a thread is asked for that is not to be had.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Reads events on a runtime of its own.
fn read_until(
    stopped: oneshot::Receiver<Infallible>,
    instance: Descriptor,
    watcher: &Watcher,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let readable = register(instance)?;
        tokio::select! {
            _ = stopped => {}
            () = read_from(readable, watcher) => {}
        }
        Ok(())
    })
}

#[allow(unsafe_code, reason = "tokio has no other way for a descriptor that is shared")]
fn register(instance: Descriptor) -> io::Result<AsyncFd<Descriptor>> {
    // SAFETY: a `Descriptor` is one open descriptor for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(instance, Interest::READABLE)? })
}

async fn read_from(mut readable: AsyncFd<Descriptor>, watcher: &Watcher) {
    let mut noise = Noise::default();
    loop {
        // It fails only when the runtime shuts down, and this task with it.
        let Ok(mut ready) = poll_fn(|cx| readable.poll_read_ready(cx)).await else { return };
        let batch = read_batch(&readable.get_ref().0, watcher);
        if batch.was_all {
            ready.clear_ready();
        } else {
            tokio::task::yield_now().await;
        }
        drop(ready);
        if batch.concerns {
            noise = Noise::default();
        } else if noise.goes_on(Instant::now()) {
            readable = let_gather(readable.into_inner(), watcher, &mut noise).await;
        }
    }
}

/// Reads what has gathered, for as long as it is noise.
///
/// Nothing is asked to tell of events meanwhile: `epoll(7)` would wake for each, read or not.
async fn let_gather(
    instance: Descriptor,
    watcher: &Watcher,
    noise: &mut Noise,
) -> AsyncFd<Descriptor> {
    loop {
        sleep(LULL).await;
        let batch = loop {
            let batch = read_batch(&instance.0, watcher);
            if batch.was_all || batch.concerns {
                break batch;
            }
            tokio::task::yield_now().await;
        };
        if batch.concerns {
            *noise = Noise::default();
        } else if !batch.is_empty {
            noise.goes_on(Instant::now());
            continue;
        }
        // What came since is told of at once. Should the poller be full, the next lull is as good.
        if let Ok(readable) = register(instance.clone()) {
            return readable;
        }
    }
}

/// Events that concern nobody, as of whoever writes to a log beside a file.
#[derive(Debug, Default)]
struct Noise {
    /// How many batches in a row were of nothing else, without a rest between them.
    batches: u32,
    last: Option<Instant>,
}

/// So many batches of noise in a row are followed by pauses; a file that is replaced makes a few.
const NOISY: u32 = 100;
/// How long events are left to gather amid noise.
const LULL: Duration = Duration::from_millis(2);
/// After so long without any, what comes next may be the first of an edit, and is not left to gather.
const REST: Duration = Duration::from_millis(20);

impl Noise {
    /// Takes note of a batch that came `now`, and returns whether there is so much of it that it is to be
    /// left to gather.
    fn goes_on(&mut self, now: Instant) -> bool {
        let has_rested = self.last.replace(now).is_none_or(|last| now - last > REST);
        self.batches = if has_rested { 1 } else { self.batches.saturating_add(1) };
        self.batches > NOISY
    }
}

/// Shares one descriptor among the pollers of several runtimes.
#[derive(Debug, Clone)]
struct Descriptor(Arc<OwnedFd>);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Events passed on before others on the runtime get their turn.
const BATCH: usize = 1024;

/// Passes on what is queued by now, before it returns.
pub(super) fn catch_up(watcher: &Watcher) {
    if let Some(instance) = watcher.events.instance.get() {
        // What is too much for one batch is not waited for.
        read_batch(instance, watcher);
    }
}

/// What was read in one go.
struct Batch {
    is_empty: bool,
    was_all: bool,
    /// Whether any of it may concern anybody.
    concerns: bool,
}

/// Passes on what is queued.
fn read_batch(instance: impl AsFd, watcher: &Watcher) -> Batch {
    let _one_at_a_time = lock(&watcher.events.reading);
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(instance, &mut buffer);
    let mut batch = Batch { is_empty: true, was_all: true, concerns: false };
    // What was read into the buffer has to be passed on with it.
    let mut read = 0;
    // Held for as many events as were read at once, since of noise there are many.
    let mut registry = None;
    for n in 0.. {
        if reader.is_buffer_empty() {
            registry = None;
            // A buffer with room for another event got all there were.
            if read > 0 && read + LONGEST_EVENT <= BUFFER {
                break;
            }
            if n >= BATCH {
                batch.was_all = false;
                break;
            }
            read = 0;
        }
        match reader.next() {
            Ok(event) => {
                let (key, flags) = (Key(event.wd()), event.events());
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                read += EVENT + name.map_or(0, |name| (name.len() + 1).next_multiple_of(EVENT));
                let registry = registry.get_or_insert_with(|| lock(&watcher.registry));
                batch.concerns |= registry.ring(translate(&key, flags, name));
                batch.is_empty = false;
            }
            Err(Errno::INTR) => {}
            // WOULDBLOCK: that was all. Nothing else is to be expected of an inotify descriptor.
            Err(_) => break,
        }
    }
    batch
}

/// Bytes of an event without a name; a name is padded to a multiple of it (`inotify(7)`).
const EVENT: usize = 16;
/// Bytes of an event with the longest name: FUSE takes names of up to a page, NTFS of 255 characters
/// that may be three bytes each.
const LONGEST_EVENT: usize = EVENT + 4096;

/// What an event says.
fn translate<'a>(key: &'a Key, flags: ReadFlags, name: Option<&'a OsStr>) -> Event<'a> {
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Event::Overflow;
    }
    if flags.contains(ReadFlags::IGNORED) {
        return Event::At(key, What::Gone);
    }
    let is_of_itself = name.is_none() && flags.contains(ReadFlags::ISDIR | ReadFlags::ATTRIB);
    if is_of_itself
        || flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT)
    {
        return Event::At(key, What::Uprooted);
    }
    let notice = if flags.contains(ReadFlags::CLOSE_WRITE) {
        Notice::Finished
    } else if flags.contains(ReadFlags::MOVED_TO) {
        Notice::Replaced
    } else if flags.contains(ReadFlags::CREATE) {
        if flags.contains(ReadFlags::ISDIR) { Notice::Made } else { Notice::Appeared }
    } else if flags.contains(ReadFlags::MODIFY) {
        Notice::Modified
    } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        Notice::Gone
    } else {
        Notice::Moved
    };
    Event::At(key, name.map_or(What::Own(notice), |name| What::Named(name, notice)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_left_to_gather_only_while_it_goes_on() {
        let (mut now, mut noise) = (Instant::now(), Noise::default());
        let mut gathers = |pause| {
            now += pause;
            noise.goes_on(now)
        };
        // However much there was in an hour.
        assert!((0..10 * NOISY).all(|_| !gathers(REST + LULL)));
        assert_eq!((0..2 * NOISY).filter(|_| gathers(LULL)).count(), NOISY as usize + 1);
        assert!(!gathers(REST + LULL));
    }
}
