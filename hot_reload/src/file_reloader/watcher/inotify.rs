//! Events from inotify(7), without a crate between.
//!
//! The kernel tells watches apart by inode, and so must whoever keeps them: notify does by path,
//! and with two names for one inode, or an inode that takes another's name, removes the wrong one;
//! it also walks every watch it has whenever a watched file is replaced.

use std::{
    convert::Infallible,
    ffi::OsStr,
    future::poll_fn,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::{Arc, Mutex, OnceLock, Weak},
    thread,
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::{Errno, ioctl_fionread},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime,
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::warn;

use super::{ASK_AGAIN, Event, Kind, Notice, Registry, Watcher, What};
use crate::{file_reloader::noise::Noise, lock::lock, panic::caught};

/// A watch descriptor: one number for one inode in one queue, however many paths lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    queue: Queue,
    watch: i32,
}

#[cfg(test)]
impl Key {
    pub(super) fn of(watch: i32) -> Self {
        Self { queue: Queue::Sparse, watch }
    }
}

/// An inode has one watch in each queue, and what that tells is never less than what was ever asked of it:
/// to replace its mask is not atomic for whoever else needs more. So what is told of each write in a
/// directory has a queue of its own, which is there once anybody needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Queue {
    /// Whoever writes to a log beside a file wakes nobody.
    Sparse,
    /// Every write to whatever is in a directory.
    Dense,
}

/// Why there are no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::file_reloader) struct NoWatch(pub(in crate::file_reloader) &'static str);

/// The inotify instances of the process.
#[derive(Default)]
pub(super) struct Events {
    sparse: Instance,
    dense: Instance,
}

/// The instance behind a queue.
#[derive(Default)]
struct Instance {
    /// Unset until somebody needs it, and while the system has none to give.
    descriptor: OnceLock<Arc<OwnedFd>>,
    /// Held while it is asked for.
    connecting: Mutex<()>,
    /// Held from the reading of events until all are passed on.
    reading: Mutex<()>,
    connected: Notify,
}

/// Room for a few hundred events a read.
const BUFFER: usize = 16 * 1024;

impl Events {
    /// Creates them unconnected; their events go to whoever reads them, so nobody is rung from here.
    pub(super) fn new(_rings: Weak<Mutex<Registry>>) -> Self {
        Self::default()
    }

    /// Asks for the instance that everybody needs, unless it is there.
    pub(super) fn connect(&self) -> Result<(), NoWatch> {
        self.sparse.connect().map(drop)
    }

    fn of(&self, queue: Queue) -> &Instance {
        match queue {
            Queue::Sparse => &self.sparse,
            Queue::Dense => &self.dense,
        }
    }

    /// Watches `path`; `None` where there is nothing of that kind, or nothing that may be watched.
    pub(super) fn add(&self, path: &Path, kind: Kind) -> Result<Option<Key>, NoWatch> {
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
            // Modifications are watched on the content itself.
            Kind::Parent => own | names | WatchFlags::ATTRIB | WatchFlags::CLOSE_WRITE,
            Kind::Untold => own | names | WatchFlags::ATTRIB | content,
            Kind::Directory => own | names | content | WatchFlags::ATTRIB,
            // Its end is told by the watch's own.
            Kind::File => content | WatchFlags::ATTRIB,
        };
        // One inode has one watch in a queue: what others want of it stays.
        let mask = mask | WatchFlags::MASK_ADD;
        if matches!(kind, Kind::Untold | Kind::Directory)
            && let Ok(dense) = self.dense.connect()
            && let Ok(watch) = inotify::add_watch(dense, path, mask)
        {
            return Ok(Some(Key { queue: Queue::Dense, watch }));
        }
        // Where there is no more to be had, everybody is woken by what some need.
        match inotify::add_watch(self.sparse.connect()?, path, mask) {
            Ok(watch) => Ok(Some(Key { queue: Queue::Sparse, watch })),
            Err(Errno::NOSPC) => {
                Err(NoWatch("out of inotify watches: raise fs.inotify.max_user_watches"))
            }
            Err(Errno::NOMEM) => Err(NoWatch("out of memory for inotify watches")),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(Errno::ACCESS) if kind == Kind::File => {
                Err(NoWatch("the file may not be read, so it can't be watched"))
            }
            Err(Errno::ACCESS) => {
                Err(NoWatch("a directory on the way may not be read, so it can't be watched"))
            }
            Err(_) => Err(NoWatch("inotify can't watch a place on the way")),
        }
    }

    /// Ends a watch.
    pub(super) fn remove(&self, key: &Key) {
        if let Some(instance) = self.of(key.queue).descriptor.get() {
            // It fails only where the watch has ended by itself.
            let _ended = inotify::remove_watch(instance, key.watch);
        }
    }
}

impl Instance {
    /// Asks for it, unless it is there.
    fn connect(&self) -> Result<&Arc<OwnedFd>, NoWatch> {
        if let Some(descriptor) = self.descriptor.get() {
            return Ok(descriptor);
        }
        let _one_at_a_time = lock(&self.connecting);
        if let Some(descriptor) = self.descriptor.get() {
            return Ok(descriptor);
        }
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(made) => {
                let descriptor = self.descriptor.get_or_init(|| Arc::new(made));
                self.connected.notify_waiters();
                Ok(descriptor)
            }
            Err(Errno::MFILE) => Err(NoWatch(
                "out of inotify instances, or of descriptors: raise \
                 fs.inotify.max_user_instances, or ulimit -n",
            )),
            Err(Errno::NFILE) => Err(NoWatch("out of file descriptors: raise fs.file-max")),
            Err(_) => Err(NoWatch("inotify is not to be had here")),
        }
    }

    /// Waits until it is there.
    async fn descriptor(&self) -> Descriptor {
        loop {
            let connected = self.connected.notified();
            if let Some(descriptor) = self.descriptor.get() {
                return Descriptor(Arc::clone(descriptor));
            }
            connected.await;
        }
    }
}

/// Reads events and dispatches them until it is aborted.
pub(super) async fn read_events(watcher: Arc<Watcher>) {
    let instance = watcher.events.sparse.descriptor().await;
    let here = catch_unwind(AssertUnwindSafe(|| register(instance.clone())));
    if let Ok(Ok(readable)) = here {
        return read_both(readable, watcher).await;
    }
    // This runtime was built without I/O, of which tokio tells by a panic alone, or its poller is
    // full. Then a thread reads.
    let mut is_said = false;
    loop {
        let error = read_in_thread(instance.clone(), Arc::clone(&watcher)).await;
        if !is_said {
            warn!(target: "hot_reload::no_events", %error, "inotify can't be read: changes are not noticed until it can");
            is_said = true;
        }
        // What happens meanwhile stays in the queue, or overflows, which is told as well.
        sleep(ASK_AGAIN).await;
    }
}

/// Has a thread read events until this is dropped; returns why none does.
async fn read_in_thread(instance: Descriptor, watcher: Arc<Watcher>) -> String {
    let (_stop, stopped) = oneshot::channel();
    let (ends, ended) = oneshot::channel();
    let read = move || {
        // That there are too few descriptors tokio tells by an error, or by a panic.
        let end = caught(|| read_until(stopped, instance, watcher));
        let end = end.and_then(|end| end.map_err(|error| error.to_string()));
        // Nobody waits for it any more where it was told to stop.
        let _told = ends.send(end);
    };
    let thread = thread::Builder::new().name("hot-reload-events".to_owned());
    if let Err(error) = thread.spawn(read) {
        return error.to_string();
    }
    match ended.await {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => "the thread that reads it has ended".to_owned(),
    }
}

/// Reads events on a runtime of its own.
fn read_until(
    stopped: oneshot::Receiver<Infallible>,
    instance: Descriptor,
    watcher: Arc<Watcher>,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let readable = register(instance)?;
        tokio::select! {
            _ = stopped => {}
            () = read_both(readable, watcher) => {}
        }
        Ok(())
    })
}

#[allow(unsafe_code, reason = "tokio has no other way for a descriptor that is shared")]
fn register(instance: Descriptor) -> io::Result<AsyncFd<Descriptor>> {
    // SAFETY: a `Descriptor` is one open descriptor for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(instance, Interest::READABLE)? })
}

/// Reads from the one queue, and from the other once there is one; until this is dropped, or the runtime
/// shuts down.
async fn read_both(sparse: AsyncFd<Descriptor>, watcher: Arc<Watcher>) {
    // A task each, which what the other queue tells does not wake, and nothing is around.
    let mut queues = JoinSet::new();
    queues.spawn(read_from(sparse, Arc::clone(&watcher), Queue::Sparse));
    queues.spawn(async move {
        let instance = watcher.events.dense.descriptor().await;
        let readable = match register(instance.clone()) {
            Ok(readable) => readable,
            Err(_) => let_gather(instance, &watcher, Queue::Dense, &mut Noise::default()).await,
        };
        read_from(readable, watcher, Queue::Dense).await;
    });
    while let Some(ended) = queues.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            resume_unwind(panic);
        }
    }
}

async fn read_from(mut readable: AsyncFd<Descriptor>, watcher: Arc<Watcher>, queue: Queue) {
    let mut noise = Noise::default();
    loop {
        // It fails only when the runtime shuts down, and this task with it.
        let Ok(mut ready) = poll_fn(|cx| readable.poll_read_ready(cx)).await else { return };
        let batch = read_batch(&readable.get_ref().0, &watcher, queue, 0);
        if batch.was_all {
            ready.clear_ready();
        } else {
            tokio::task::yield_now().await;
        }
        drop(ready);
        if batch.concerns {
            noise = Noise::default();
            if watcher.events.dense.descriptor.get().is_some() {
                // What the other tells of the same edit is heard with it.
                catch_up(&watcher);
            }
        } else if !batch.is_empty && noise.goes_on(Instant::now(), REST) {
            readable = let_gather(readable.into_inner(), &watcher, queue, &mut noise).await;
        }
    }
}

/// Reads what has gathered, for as long as it is noise.
///
/// Nothing is asked to tell of events meanwhile: `epoll(7)` would wake for each, read or not.
async fn let_gather(
    instance: Descriptor,
    watcher: &Watcher,
    queue: Queue,
    noise: &mut Noise,
) -> AsyncFd<Descriptor> {
    loop {
        sleep(LULL).await;
        let batch = loop {
            let batch = read_batch(&instance.0, watcher, queue, 0);
            if batch.was_all || batch.concerns {
                break batch;
            }
            tokio::task::yield_now().await;
        };
        if batch.concerns {
            *noise = Noise::default();
        } else if !batch.is_empty {
            noise.goes_on(Instant::now(), REST);
            continue;
        }
        // What came since is told of at once. Should the poller be full, the next lull is as good.
        if let Ok(readable) = register(instance.clone()) {
            return readable;
        }
    }
}

/// How long events that concern nobody are left to gather.
const LULL: Duration = Duration::from_millis(2);
/// After so long without any they are not.
const REST: Duration = Duration::from_millis(20);

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

/// Passes on what is queued by now, before it returns; what comes meanwhile, only as far as a batch goes.
pub(super) fn catch_up(watcher: &Watcher) {
    for queue in [Queue::Sparse, Queue::Dense] {
        if let Some(instance) = watcher.events.of(queue).descriptor.get() {
            // `FIONREAD` (inotify(7)); the kernel queues no more than `fs.inotify.max_queued_events`.
            let queued = ioctl_fionread(instance).unwrap_or(0);
            read_batch(instance, watcher, queue, queued);
        }
    }
}

/// What was read in one go.
struct Batch {
    is_empty: bool,
    was_all: bool,
    /// Whether any of it may concern anybody.
    concerns: bool,
}

/// Passes on what is queued: a batch, or more where it takes that to pass on so many bytes.
fn read_batch(instance: impl AsFd, watcher: &Watcher, queue: Queue, queued: u64) -> Batch {
    let _one_at_a_time = lock(&watcher.events.of(queue).reading);
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(instance, &mut buffer);
    let mut batch = Batch { is_empty: true, was_all: true, concerns: false };
    // What was read into the buffer has to be passed on with it.
    let (mut read, mut passed_on) = (0, 0);
    // Held for as many events as were read at once, since of noise there are many.
    let mut registry = None;
    for n in 0.. {
        if reader.is_buffer_empty() {
            registry = None;
            // A buffer with room for another event got all there were.
            if read > 0 && read + LONGEST_EVENT <= BUFFER {
                break;
            }
            passed_on += read as u64;
            if n >= BATCH && passed_on >= queued {
                batch.was_all = false;
                break;
            }
            read = 0;
        }
        match reader.next() {
            Ok(event) => {
                let (key, flags) = (Key { queue, watch: event.wd() }, event.events());
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
        match key.queue {
            _ if flags.contains(ReadFlags::ISDIR) => Notice::Made,
            Queue::Sparse => Notice::Appeared,
            Queue::Dense => Notice::AppearedInEarshot,
        }
    } else if flags.contains(ReadFlags::MODIFY) {
        Notice::Modified
    } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        Notice::Gone
    } else {
        Notice::Moved
    };
    Event::At(key, name.map_or(What::Own(notice), |name| What::Named(name, notice)))
}
