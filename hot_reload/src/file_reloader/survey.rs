//! All files of a set at one moment: what they are, and whether they stay so.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    error::{FileError, Problem},
    identity::{self, Identity},
    load::unblock,
    open::{self, Failed, Filesystem, Filesystems, Found, How, Opened, WouldBlock, Writers},
    watcher::Telling,
};

/// What was found behind the paths of a set, of which the first is the main file.
#[derive(Debug)]
pub(super) struct Survey {
    paths: Arc<[PathBuf]>,
    /// The main file, or why it can't be read.
    pub(super) main: Result<Arc<Opened>, FileError>,
    /// The regular files that belong to it, each with the number of its path.
    others: Vec<(usize, Arc<Opened>)>,
    /// One a path; `None` where nothing is.
    pub(super) identities: Vec<Option<Identity>>,
    /// How long ago any of them changed.
    pub(super) age: Duration,
    /// Whether a write right after might have left any identity as it is.
    pub(super) is_racy: bool,
    /// Whether the main file holds nothing.
    pub(super) main_is_empty: bool,
}

impl Survey {
    /// Looks at `paths`.
    ///
    /// # Errors
    ///
    /// Where it would have to block and must not.
    pub(super) fn of(
        paths: &Arc<[PathBuf]>,
        how: How,
        filesystems: &Filesystems,
    ) -> Result<Box<Self>, WouldBlock> {
        let now = identity::now();
        let (identity, main) = look_at(&paths[0], how, filesystems)?;
        let mut survey = Box::new(Self::nothing(paths, main));
        survey.add(identity, now);
        for (n, path) in paths.iter().enumerate().skip(1) {
            // A loader may do without one of these.
            let (identity, other) = look_at(path, how, filesystems)?;
            survey.add(identity, now);
            survey.others.extend(other.ok().map(|other| (n, other)));
        }
        if let Ok(main) = &survey.main {
            survey.main_is_empty = main.is_empty(how)?;
        }
        Ok(survey)
    }

    /// What is known of a set before its files are looked at, save the main one.
    pub(super) fn nothing(paths: &Arc<[PathBuf]>, main: Result<Arc<Opened>, FileError>) -> Self {
        Self {
            paths: Arc::clone(paths),
            main,
            others: Vec::new(),
            identities: Vec::with_capacity(paths.len()),
            age: Duration::MAX,
            is_racy: false,
            main_is_empty: false,
        }
    }

    fn add(&mut self, identity: Option<Identity>, now: i64) {
        if let Some(identity) = identity {
            self.age = self.age.min(identity.age_at(now));
            self.is_racy |= identity.is_racy_at(now);
        }
        self.identities.push(identity);
    }

    /// The regular files of the set.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<Opened>> {
        self.main.iter().chain(self.others.iter().map(|(_, file)| file))
    }

    /// The paths of those besides the main file that hold nothing, or of those that hold something.
    pub(super) fn others(&self, are_empty: bool) -> impl Iterator<Item = &PathBuf> {
        let is_so = move |file: &Opened| (file.identity.size == 0) == are_empty;
        let others = self.others.iter().filter(move |(_, file)| is_so(file));
        others.map(|(n, _)| &self.paths[*n])
    }

    /// Reads the files, of each no more than `limit` bytes, and sums up what they hold; `None` if
    /// they can't be read.
    pub(super) async fn sum(&self, limit: u64) -> Option<u64> {
        if let Some(sum) = self.sum_at_once(limit) {
            return Some(sum);
        }
        let files: Vec<_> = self.files().cloned().collect();
        unblock(move || sum(&files, limit, How::Blocking).ok()).await.ok().flatten()
    }

    /// The same; `None` also where that may have to wait.
    pub(super) fn sum_at_once(&self, limit: u64) -> Option<u64> {
        let is_short = |file: &Arc<Opened>| {
            file.identity.size <= SUMMED_INLINE && !file.filesystem.is_remote()
        };
        self.files().all(is_short).then(|| sum(self.files(), limit, How::Cached).ok())?
    }

    /// Tells whether anyone has any of the files open for writing.
    pub(super) fn writers(&self) -> Writers {
        writers(self.files())
    }

    /// Whether leases tell of the writers of the files; of those that are not there yet, none is known.
    pub(super) fn telling(&self) -> Telling {
        let is_told = |file: &Arc<Opened>| file.writers() != Writers::Unknown;
        let is_there = self.identities.iter().all(Option::is_some);
        if is_there && self.files().all(is_told) {
            Telling::ByLease
        } else {
            Telling::ByEventsAlone
        }
    }

    /// Whether each of the files that are new has other names as well; of files that are all `known`, whether
    /// each of them has.
    pub(super) fn is_linked(&self, known: &[Option<Identity>]) -> bool {
        let is_known = |file: &&Arc<Opened>| {
            known.iter().flatten().any(|known| known.is_of_same_file(&file.identity))
        };
        let (known, new): (Vec<_>, Vec<_>) = self.files().partition(is_known);
        let asked = if new.is_empty() { known } else { new };
        !asked.is_empty() && asked.iter().all(|file| file.links > 1)
    }

    /// Whether each of the files that are there holds something.
    pub(super) fn is_filled(&self) -> bool {
        self.identities.iter().flatten().all(|found| found.size > 0)
    }

    /// Returns the least trustworthy filesystem of the set; `None` if no file was found.
    pub(super) fn filesystem(&self) -> Option<Filesystem> {
        self.files().map(|file| file.filesystem).max()
    }

    /// Whether any of the files is in memory alone.
    pub(super) fn is_in_memory(&self) -> bool {
        self.files().any(|file| file.filesystem == Filesystem::Memory)
    }

    /// Whether every path still leads to what was found, unchanged.
    pub(super) fn is_still_there(&self) -> bool {
        are_still_there(&self.paths, &self.identities)
    }

    /// The main file, if it was filled between its status and its first byte.
    ///
    /// On ext4 the time of what is emptied again is visible only once its blocks are freed, which may wait
    /// for a disk: until then size and time are those of the empty file before.
    fn filled(&self) -> Option<&Arc<Opened>> {
        let is_filled = |main: &&Arc<Opened>| main.identity.size == 0 && !self.main_is_empty;
        self.main.as_ref().ok().filter(is_filled)
    }

    /// Whether every path still leads to what was found, unchanged, and nobody is writing.
    ///
    /// # Errors
    ///
    /// Where a file would have to be read for that, and can't without waiting.
    pub(super) fn holds(&self) -> Result<Holds, WouldBlock> {
        holds(&self.paths, &self.identities, self.files(), self.filled(), How::Cached)
    }

    /// The same, where that may have to wait.
    pub(super) async fn holds_elsewhere(&self) -> Holds {
        let (paths, identities) = (Arc::clone(&self.paths), self.identities.clone());
        let files: Vec<_> = self.files().cloned().collect();
        let filled = self.filled().cloned();
        unblock(move || holds(&paths, &identities, &files, filled.as_ref(), How::Blocking))
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or(Holds::No)
    }
}

/// What is at a path, and the file there, or why it can't be read.
type Sight = (Option<Identity>, Result<Arc<Opened>, FileError>);

fn look_at(path: &Path, how: How, filesystems: &Filesystems) -> Result<Sight, WouldBlock> {
    Ok(match open::open(path, how, filesystems) {
        Ok(Found::File(opened)) => (Some(opened.identity), Ok(opened)),
        Ok(Found::Directory(identity)) => (Some(identity), Err(not_a_file(path, "a directory"))),
        Ok(Found::Special(what, identity)) => (Some(identity), Err(not_a_file(path, what))),
        Err(Failed::WouldBlock) => return Err(WouldBlock),
        // One that may not be read has an identity, which changes once it may.
        Err(Failed::Io(error)) => (open::identity(path), Err(FileError::io(path, error))),
    })
}

fn writers<'a>(files: impl IntoIterator<Item = &'a Arc<Opened>>) -> Writers {
    files.into_iter().map(|file| file.writers()).max().unwrap_or(Writers::None)
}

fn are_still_there(paths: &[PathBuf], identities: &[Option<Identity>]) -> bool {
    let mut found = identities.iter().zip(paths);
    found.all(|(found, path)| *found == open::identity(path))
}

fn holds<'a>(
    paths: &[PathBuf],
    identities: &[Option<Identity>],
    files: impl IntoIterator<Item = &'a Arc<Opened>>,
    filled: Option<&Arc<Opened>>,
    how: How,
) -> Result<Holds, WouldBlock> {
    if let Some(main) = filled
        && main.is_empty(how)?
    {
        return Ok(Holds::No);
    }
    // In this order: a writer that finishes in between has changed what is there.
    let writers = writers(files);
    Ok(match (are_still_there(paths, identities), writers) {
        (false, _) => Holds::No,
        (true, Writers::None) => Holds::Yes,
        (true, Writers::Unknown) => Holds::AsFarAsKnown,
        (true, Writers::Some) => Holds::ButForWriters,
    })
}

#[cold]
fn not_a_file(path: &Path, what: &'static str) -> FileError {
    FileError::new(path, Problem::NotAFile(what))
}

/// Reading this much takes an async worker some microseconds.
const SUMMED_INLINE: u64 = 64 * 1024;

fn sum<'a>(
    files: impl IntoIterator<Item = &'a Arc<Opened>>,
    limit: u64,
    how: How,
) -> Result<u64, Failed> {
    let mut sum = DefaultHasher::new();
    for file in files {
        file.read(limit, how)?.hash(&mut sum);
    }
    Ok(sum.finish())
}

/// The sum of one file that holds this.
#[cfg(any(feature = "toml", feature = "json", feature = "yaml", test))]
pub(super) fn sum_of(content: &[u8]) -> u64 {
    let mut sum = DefaultHasher::new();
    content.hash(&mut sum);
    sum.finish()
}

/// Whether what was found is still so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    /// It is, and whether somebody has a file open for writing can't be told.
    AsFarAsKnown,
    /// It is, and somebody has a file open for writing.
    ButForWriters,
    /// It is, and nobody could write since before it was looked at.
    HeldUp,
    No,
}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use std::fs;

    use super::*;

    fn survey_of(path: PathBuf) -> Survey {
        *Survey::of(&[path].into(), How::Blocking, &Filesystems::default()).unwrap()
    }

    /// That it is empty was once taken for what it holds, where nothing tells of writers; and off Linux it
    /// was not asked.
    #[tokio::test]
    async fn a_file_that_is_emptied_right_after_it_was_filled_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "").unwrap();
        let mut survey = survey_of(path);
        assert_ne!(survey.holds_elsewhere().await, Holds::No);
        // As if it had held a byte when that was asked for, between a write and the next truncation.
        survey.main_is_empty = false;
        assert_eq!(survey.holds().unwrap_or(Holds::No), Holds::No);
        assert_eq!(survey.holds_elsewhere().await, Holds::No);
    }

    /// Such as those of /proc, whose size says nothing.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_that_has_no_size_and_is_not_empty_holds() {
        let survey = survey_of("/proc/self/limits".into());
        assert!(!survey.main_is_empty && survey.main.as_ref().unwrap().identity.size == 0);
        assert_ne!(survey.holds_elsewhere().await, Holds::No);
    }
}
