//! What the system says of a tree, which is only a hint to look.

use std::{
    collections::HashSet,
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hot_reload::{RealtimeWatchHandle, WatchEvent};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode},
};
use tokio::{
    sync::{Notify, mpsc},
    task::{AbortHandle, spawn_blocking},
    time::{Instant, timeout_at},
};

use super::{Edits, Tree};

/// Hints that are kept one by one; of more, everything is looked at.
const MANY: usize = 4096;
/// A tree that never rests is looked at after so many settle windows, or this long.
const CEILING: u32 = 10;
const SHORTEST_CEILING: Duration = Duration::from_secs(1);

/// Watches every folder of a tree, and looks at what is hinted at from here on. Blocks.
pub(super) fn start(tree: Tree) -> Result<RealtimeWatchHandle<Edits>, String> {
    let hints = Arc::new(Hints::default());
    let ring = Arc::clone(&hints);
    let watcher = notify::recommended_watcher(move |event| ring.take_note(event));
    let mut watch =
        Watch { watcher: watcher.map_err(|error| error.to_string())?, armed: HashSet::new(), tree };
    watch.tree.look();
    // The service looks once more after this, as something may have changed in between.
    watch.arm(&HashSet::new())?;
    let (tx, rx) = mpsc::channel(1);
    let following = tokio::spawn(follow(watch, hints, tx));
    Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(Following(following.abort_handle()))))
}

/// Ends the task that follows a tree, once nobody listens.
struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(mut watch: Watch, hints: Arc<Hints>, tx: mpsc::Sender<WatchEvent<Edits>>) {
    let settle = watch.tree.0.settle;
    let ceiling = (settle * CEILING).max(SHORTEST_CEILING);
    loop {
        let learned = watch.tree.clone();
        spawn_blocking(move || learned.learn());
        hints.rung().await;
        let latest = Instant::now() + ceiling;
        // Until nothing has come for a settle window.
        while Instant::now() < latest
            && timeout_at(latest.min(Instant::now() + settle), hints.rung()).await.is_ok()
        {}
        let noted = hints.take();
        let looked = spawn_blocking(move || {
            let edits = watch.look(&noted);
            (watch, edits)
        });
        // A panic ends this watch; the service then begins another.
        let Ok((back, edits)) = looked.await else { return };
        watch = back;
        let event = match edits {
            Ok(edits) => WatchEvent::Changed(edits),
            Err(error) => WatchEvent::Error(error),
        };
        if tx.send(event).await.is_err() {
            return;
        }
    }
}

struct Watch {
    watcher: RecommendedWatcher,
    armed: HashSet<PathBuf>,
    tree: Tree,
}

impl Watch {
    fn look(&mut self, noted: &Noted) -> Result<Edits, String> {
        let mut edits = if noted.is_all {
            self.tree.look()
        } else {
            self.tree.look_at(&noted.paths.iter().cloned().collect::<Vec<_>>())
        };
        // A folder that is new, or another by the same name, holds files that came before its watch.
        let mut new = self.arm(&noted.made)?;
        while !new.is_empty() {
            edits = self.tree.look_at(&new);
            new = self.arm(&HashSet::new())?;
        }
        Ok(edits)
    }

    /// Watches what isn't yet, and of `made` what may be another folder by the same name; returns which
    /// were new.
    fn arm(&mut self, made: &HashSet<PathBuf>) -> Result<Vec<PathBuf>, String> {
        let wanted = self.tree.folders().into_iter().collect::<HashSet<_>>();
        // That a root itself is replaced is told by the folder that it is in.
        let above = self.tree.0.filter.roots().iter().filter_map(|root| root.parent());
        let wanted = wanted.into_iter().chain(above.map(Path::to_owned)).collect::<HashSet<_>>();
        for gone in self.armed.difference(&wanted) {
            // Its watch ended with it.
            let _ = self.watcher.unwatch(gone);
        }
        self.armed.retain(|folder| wanted.contains(folder));
        let mut new = Vec::new();
        for folder in wanted {
            if self.armed.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.armed.insert(folder.clone());
                    new.push(folder);
                }
                // It has gone again; the folder that it was in tells of its return.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        for folder in made {
            if self.armed.contains(folder) && !new.contains(folder) {
                // The watch is that of the one before; should this be gone as well, its return is told.
                let _ = self.watcher.unwatch(folder);
                let _ = self.watcher.watch(folder, RecursiveMode::NonRecursive);
                new.push(folder.clone());
            }
        }
        Ok(new)
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// What the system has said since it was last asked.
#[derive(Debug, Default)]
struct Hints {
    noted: Mutex<Noted>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    paths: HashSet<PathBuf>,
    /// Of these, names that came to be.
    made: HashSet<PathBuf>,
    /// Whether something was missed.
    is_all: bool,
}

impl Hints {
    /// Called by the watcher's thread, which must not be held up.
    fn take_note(&self, event: notify::Result<Event>) {
        let mut noted = self.noted();
        match event {
            // The flag comes without paths, so it is asked for first.
            Ok(event) if event.need_rescan() => noted.is_all = true,
            Ok(event) if is_hint(event.kind) => {
                if is_made(event.kind) {
                    noted.made.extend(event.paths.iter().cloned());
                }
                noted.paths.extend(event.paths);
                if noted.paths.len() > MANY {
                    *noted = Noted { is_all: true, ..Noted::default() };
                }
            }
            Ok(_other) => return,
            Err(_lost) => noted.is_all = true,
        }
        drop(noted);
        self.bell.notify_one();
    }

    async fn rung(&self) {
        self.bell.notified().await;
    }

    fn take(&self) -> Noted {
        mem::take(&mut self.noted())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // Whatever a panicking holder left is a hint all the same.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On Linux a write is told of when its file is closed, so that no half of it is looked at; elsewhere
/// as it happens.
fn is_hint(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_)) => cfg!(not(target_os = "linux")),
        _ => true,
    }
}

fn is_made(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(CreateKind::Folder | CreateKind::Any)
            | EventKind::Modify(ModifyKind::Name(
                RenameMode::To | RenameMode::Both | RenameMode::Any
            ))
    )
}
