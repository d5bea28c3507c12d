//! Events by way of notify, where there is no inotify.

use std::{
    path::Path,
    sync::{Arc, Mutex, Weak},
};

use notify::{
    Event as Reported, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode},
};

use super::{Event, Kind, Notice, Registry, Watcher, What};
use crate::lock::lock;

/// A path, by which notify tells watches apart.
pub(super) type Key = Arc<Path>;

/// Why there are no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::file_reloader) struct NoWatch(pub(in crate::file_reloader) &'static str);

/// The notify watcher of the process.
pub(super) struct Events {
    /// Not of the watcher: its last owner must never be notify's own thread.
    rings: Weak<Mutex<Registry>>,
    watcher: Mutex<Option<RecommendedWatcher>>,
}

impl Events {
    pub(super) fn new(rings: Weak<Mutex<Registry>>) -> Self {
        Self { rings, watcher: Mutex::new(None) }
    }

    /// Asks for a watcher, unless there is one.
    pub(super) fn connect(&self) -> Result<(), NoWatch> {
        let mut watcher = lock(&self.watcher);
        if watcher.is_none() {
            let rings = self.rings.clone();
            // It runs in notify's thread, and only rings.
            let made = notify::recommended_watcher(move |reported: notify::Result<Reported>| {
                if let Some(registry) = rings.upgrade() {
                    match reported {
                        Ok(reported) => translate(&reported, |event| {
                            lock(&registry).ring(event);
                        }),
                        Err(_) => {
                            lock(&registry).ring(Event::Overflow);
                        }
                    }
                }
            });
            *watcher = Some(made.map_err(|_| NoWatch("the system has no watcher to give"))?);
        }
        Ok(())
    }

    /// Watches `path`; `None` where there is nothing, or nothing that may be watched.
    pub(super) fn add(&self, path: &Path, _kind: Kind) -> Result<Option<Key>, NoWatch> {
        let mut watcher = lock(&self.watcher);
        let Some(watcher) = &mut *watcher else { return Err(NoWatch("notify is not connected")) };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => Ok(Some(path.into())),
            Err(error) if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) => {
                Err(NoWatch("the system has no more watches to give"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Ends a watch.
    pub(super) fn remove(&self, key: &Key) {
        if let Some(watcher) = &mut *lock(&self.watcher) {
            // It fails only where the watch has ended by itself.
            let _ended = watcher.unwatch(key);
        }
    }
}

/// Events arrive in notify's own thread: there is nothing to read here.
pub(super) async fn read_events(_watcher: Arc<Watcher>) {
    std::future::pending().await
}

/// Events are passed on as they come, in notify's own thread.
pub(super) fn catch_up(_watcher: &Watcher) {}

fn translate(reported: &Reported, mut pass: impl FnMut(Event<'_>)) {
    // It has no path, so it is looked for first.
    if reported.need_rescan() {
        return pass(Event::Overflow);
    }
    let notice = match reported.kind {
        EventKind::Create(CreateKind::Folder) => Notice::Made,
        EventKind::Create(_) => Notice::Appeared,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => {
            Notice::Gone
        }
        EventKind::Modify(ModifyKind::Metadata(_)) => Notice::Moved,
        EventKind::Modify(ModifyKind::Name(_)) => Notice::Replaced,
        // Only inotify tells when the writer of a modification is done.
        EventKind::Modify(_) if cfg!(any(target_os = "linux", target_os = "android")) => {
            Notice::Modified
        }
        EventKind::Modify(_) => Notice::Moved,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Notice::Finished,
        // Reading, which this crate does itself.
        EventKind::Access(_) => return,
        EventKind::Any | EventKind::Other => Notice::Differs,
    };
    for path in &reported.paths {
        let key: Key = path.as_path().into();
        if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
            pass(Event::At(&dir.into(), What::Named(name, notice)));
        }
        pass(Event::At(&key, What::Own(notice)));
        match reported.kind {
            // What had the watch by this path has it no more.
            EventKind::Remove(_) => pass(Event::At(&key, What::Gone)),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                pass(Event::At(&key, What::Uprooted));
            }
            _ => {}
        }
    }
}
