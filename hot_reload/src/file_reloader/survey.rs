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
};

/// What was found behind the paths of a set, of which the first is the main file.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    paths: Arc<[PathBuf]>,
    /// One a path; `None` where nothing is.
    pub(super) identities: Vec<Option<Identity>>,
    /// The regular files among them.
    pub(super) files: Vec<Arc<Opened>>,
    /// How long ago any of them changed.
    pub(super) age: Duration,
    /// Whether a write right after might have left any identity as it is.
    pub(super) is_racy: bool,
    /// Whether the main file holds nothing.
    pub(super) main_is_empty: bool,
}

/// What was found, and why the main file can't be read, if it can't.
pub(super) type Surveyed = (Box<Survey>, Option<FileError>);

impl Survey {
    /// Looks at `paths`; the second part says why the main file can't be read, if it can't.
    ///
    /// # Errors
    ///
    /// Where it would have to block and must not.
    pub(super) fn of(
        paths: &Arc<[PathBuf]>,
        how: How,
        filesystems: &Filesystems,
    ) -> Result<Surveyed, WouldBlock> {
        let now = identity::now();
        let mut survey = Box::new(Self::nothing(paths));
        let mut trouble = None;
        for path in &**paths {
            let (identity, problem) = match open::open(path, how, filesystems) {
                Ok(Found::File(opened)) => {
                    survey.add(Some(opened.identity), now);
                    survey.files.push(opened);
                    continue;
                }
                Ok(Found::Directory(identity)) => (Some(identity), not_a_file(path, "a directory")),
                Ok(Found::Special(what, identity)) => (Some(identity), not_a_file(path, what)),
                Err(Failed::WouldBlock) => return Err(WouldBlock),
                // One that may not be read has an identity, which changes once it may.
                Err(Failed::Io(error)) => (open::identity(path), FileError::io(path, error)),
            };
            // The main file is needed; of those that belong to it, a loader may do without one.
            if survey.identities.is_empty() {
                trouble = Some(problem);
            }
            survey.add(identity, now);
        }
        if trouble.is_none() {
            survey.main_is_empty = survey.main().is_empty(how)?;
        }
        Ok((survey, trouble))
    }

    /// What is known of a set that can't be looked at.
    pub(super) fn nothing(paths: &Arc<[PathBuf]>) -> Self {
        Self {
            paths: Arc::clone(paths),
            identities: Vec::with_capacity(paths.len()),
            files: Vec::with_capacity(paths.len()),
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

    /// The main file, where nothing keeps it from being read.
    pub(super) fn main(&self) -> &Arc<Opened> {
        &self.files[0]
    }

    /// Reads the files, of each no more than `limit` bytes, and sums up what they hold; `None` if
    /// they can't be read.
    pub(super) async fn sum(&self, limit: u64) -> Option<u64> {
        let is_short = |file: &Arc<Opened>| {
            file.identity.size <= SUMMED_INLINE && !file.filesystem.is_remote()
        };
        if self.files.iter().all(is_short)
            && let Ok(sum) = sum(&self.files, limit, How::Cached)
        {
            return Some(sum);
        }
        let files = self.files.clone();
        unblock(move || sum(&files, limit, How::Blocking).ok()).await.ok().flatten()
    }

    /// Tells whether anyone has any of the files open for writing.
    pub(super) fn writers(&self) -> Writers {
        self.files.iter().map(|file| file.writers()).max().unwrap_or(Writers::None)
    }

    /// Returns the least trustworthy filesystem of the set; `None` if no file was found.
    pub(super) fn filesystem(&self) -> Option<Filesystem> {
        self.files.iter().map(|file| file.filesystem).max()
    }

    /// Whether every path still leads to what was found, unchanged.
    pub(super) fn is_still_there(&self) -> bool {
        let mut found = self.identities.iter().zip(&*self.paths);
        found.all(|(found, path)| *found == open::identity(path))
    }

    /// Whether every path still leads to what was found, unchanged, and nobody is writing.
    pub(super) fn holds(&self) -> Holds {
        // In this order: a writer that finishes in between has changed what is there.
        let writers = self.writers();
        match (self.is_still_there(), writers) {
            (false, _) => Holds::No,
            (true, Writers::None) => Holds::Yes,
            (true, Writers::Unknown) => Holds::AsFarAsKnown,
            (true, Writers::Some) => Holds::ButForWriters,
        }
    }
}

#[cold]
fn not_a_file(path: &Path, what: &'static str) -> FileError {
    FileError::new(path, Problem::NotAFile(what))
}

/// Reading this much takes an async worker some microseconds.
const SUMMED_INLINE: u64 = 64 * 1024;

fn sum(files: &[Arc<Opened>], limit: u64, how: How) -> Result<u64, Failed> {
    let mut sum = DefaultHasher::new();
    for file in files {
        file.read(limit, how)?.hash(&mut sum);
    }
    Ok(sum.finish())
}

/// Whether what was found is still so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    /// It is, and whether somebody has a file open for writing can't be told.
    AsFarAsKnown,
    /// It is, and somebody has a file open for writing.
    ButForWriters,
    No,
}
