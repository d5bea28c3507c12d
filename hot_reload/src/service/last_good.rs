//! The last good value on disk, for a start without its source.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Notify, task::spawn_blocking};
use tracing::{debug, warn};

use super::{publish::Keeper, sink::NotRestored};
use crate::{
    channel::Snapshot,
    lock::lock,
    panic::{caught, drop_guarded},
    redact::mask,
};

/// The file that the last good value is kept in.
pub(super) struct LastGood<V>(Arc<Writer<V>>);

impl<V> LastGood<V> {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(Arc::new(Writer { path: path.into(), wanted: Mutex::default(), rests: Notify::new() }))
    }
}

impl<V> Keeper<V> for LastGood<V>
where
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn save(&self, value: Snapshot<V>) {
        Writer::want(&self.0, value);
    }

    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Option<V>, NotRestored>> + Send>> {
        let path = Arc::clone(&self.0.path);
        Box::pin(async move {
            // Of a thread that is not to be had tokio tells by a panic alone, which would end the service.
            let thread = caught(|| spawn_blocking(move || load(&path)));
            Ok(thread.map_err(NotRestored::NoThread)?.await.ok().flatten())
        })
    }

    fn flush(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            loop {
                let rests = self.0.rests.notified();
                if !self.0.lock().is_writing {
                    return;
                }
                rests.await;
            }
        })
    }
}

/// Writes one value after another, and only the newest of those that wait.
struct Writer<V> {
    path: Arc<Path>,
    wanted: Mutex<Wanted<V>>,
    /// Wakes who waits for the last to be written.
    rests: Notify,
}

struct Wanted<V> {
    value: Option<Snapshot<V>>,
    is_writing: bool,
}

impl<V> Default for Wanted<V> {
    fn default() -> Self {
        Self { value: None, is_writing: false }
    }
}

impl<V: Serialize + Send + Sync + 'static> Writer<V> {
    fn want(this: &Arc<Self>, value: Snapshot<V>) {
        let mut wanted = this.lock();
        let was = wanted.value.replace(value);
        let is_writing = std::mem::replace(&mut wanted.is_writing, true);
        // A turn that is dropped at once takes the lock, and a user's `Drop` may panic.
        drop(wanted);
        drop_guarded(was);
        if !is_writing {
            let turn = Turn(Some(Arc::clone(this)));
            // Of a thread that is not to be had tokio tells by a panic alone; the turn is over then.
            let _begun = caught(|| spawn_blocking(move || turn.write_all()));
        }
    }

    fn write_all(&self) {
        loop {
            let value = {
                let mut wanted = self.lock();
                let Some(value) = wanted.value.take() else {
                    wanted.is_writing = false;
                    self.rests.notify_waiters();
                    return;
                };
                value
            };
            let path = self.path.display();
            match guarded(|| encode(&*value)).and_then(|bytes| replace(&self.path, &bytes)) {
                Ok(()) => {
                    debug!(target: "hot_reload::kept", %path, generation = value.generation(), "kept as last good");
                }
                Err(error) => {
                    let error = mask(&error.to_string());
                    warn!(target: "hot_reload::not_kept", %path, %error, "the last good value can't be kept on disk");
                }
            }
            drop_guarded(value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted<V>> {
        lock(&self.wanted)
    }
}

/// Leave to write; dropped unused, as when the runtime shuts down, it is given back.
struct Turn<V: Serialize + Send + Sync + 'static>(Option<Arc<Writer<V>>>);

impl<V: Serialize + Send + Sync + 'static> Turn<V> {
    fn write_all(mut self) {
        if let Some(writer) = self.0.take() {
            writer.write_all();
        }
    }
}

impl<V: Serialize + Send + Sync + 'static> Drop for Turn<V> {
    fn drop(&mut self) {
        if let Some(writer) = &self.0 {
            writer.lock().is_writing = false;
            writer.rests.notify_waiters();
        }
    }
}

/// Has a user's `Serialize` at work.
fn guarded<R>(work: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    caught(work).unwrap_or_else(|words| Err(io::Error::other(words)))
}

/// What such a file begins with; the number is the version of its format.
const MAGIC: &str = "hot_reload last good 1";

fn encode<V: Serialize>(value: &V) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(value)?;
    let mut bytes = format!("{MAGIC} {:08x} {}\n", crc32fast::hash(&text), text.len()).into_bytes();
    bytes.extend(text);
    Ok(bytes)
}

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, &'static str> {
    const FOREIGN: &str = "it is not a last good value of this version of hot_reload";
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(FOREIGN)?;
    let (head, text) = (&bytes[..end], &bytes[end + 1..]);
    let head = std::str::from_utf8(head).map_err(|_| FOREIGN)?;
    let sums = head.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' ')).ok_or(FOREIGN)?;
    let (sum, length) = sums.split_once(' ').ok_or(FOREIGN)?;
    if length.parse() != Ok(text.len()) {
        return Err("it is cut short");
    }
    if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(text)) {
        return Err("its checksum does not fit");
    }
    serde_json::from_slice(text).map_err(|_| "it is of another type")
}

/// Puts `bytes` in the place of the file at `path`, readable by its owner alone, so that at any moment
/// the old or the new is there whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600, and removed again should anything fail.
    let mut file = tempfile::Builder::new().prefix(".last-good").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name lasts only once its directory is on disk (`fsync(2)`).
    #[cfg(unix)]
    fs::File::open(dir)?.sync_all()?;
    Ok(())
}

/// Reads what [`last_good`](crate::ReloaderService::last_good) has kept at `path`, for what has to know
/// of it before a service runs; blocks meanwhile.
///
/// `None` where there is nothing, and where it is torn, foreign or of another type, which the log says.
pub fn read_last_good<V: DeserializeOwned>(path: impl AsRef<Path>) -> Option<V> {
    load(path.as_ref())
}

fn load<V: DeserializeOwned>(path: &Path) -> Option<V> {
    let problem = match fs::read(path) {
        Ok(bytes) => match decode(&bytes) {
            Ok(value) => return Some(value),
            Err(problem) => problem.to_owned(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    let path = path.display();
    warn!(target: "hot_reload::not_restored", %path, error = %problem, "ignoring the last good value on disk");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_nothing_but_what_was_written_whole() {
        let whole = encode(&vec![1, 2, 3]).unwrap();
        assert_eq!(decode(&whole), Ok(vec![1, 2, 3]));
        for length in 0..whole.len() {
            assert!(decode::<Vec<u8>>(&whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut broken = whole.clone();
                broken[at] ^= 1 << bit;
                // The checksum may be written in capitals.
                let is_same_sum = broken.eq_ignore_ascii_case(&whole) && at >= MAGIC.len();
                assert!(is_same_sum || decode::<Vec<u8>>(&broken).is_err(), "{at} {bit}");
            }
        }
        assert_eq!(decode::<String>(&whole), Err("it is of another type"));
    }
}
