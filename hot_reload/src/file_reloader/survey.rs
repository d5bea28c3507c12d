//! All files of a set at one moment: what they are, and whether a writer is at work.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    error::{FileError, Problem},
    identity::Identity,
    open::{Failed, Filesystem, Found, How, Opened, Writers, open},
};

/// What was found behind the paths of a set, of which the first is the main file.
#[derive(Debug)]
pub(super) struct Survey {
    /// One a path; `None` where nothing is.
    pub(super) identities: Vec<Option<Identity>>,
    /// The main file, or why there is none.
    pub(super) main: Result<Opened, FileError>,
    /// The busiest writer of any file of the set.
    pub(super) writers: Writers,
    /// How long ago any of them changed.
    pub(super) age: Duration,
    /// The least trustworthy filesystem of the set.
    pub(super) filesystem: Filesystem,
}

impl Survey {
    /// Looks at `paths`.
    ///
    /// # Errors
    ///
    /// [`Failed::WouldBlock`] alone, where that is not allowed: whatever else is wrong with a file
    /// is part of what was found.
    pub(super) fn of(paths: &[PathBuf], how: How) -> Result<Self, WouldBlock> {
        let now = SystemTime::now();
        let mut identities = Vec::with_capacity(paths.len());
        let mut main = None;
        let mut writers = Writers::None;
        let mut age = Duration::MAX;
        let mut filesystem = Filesystem::Local;
        for path in paths {
            let (identity, found) = look_at(path, how)?;
            if let Ok(Some(opened)) = &found {
                writers = writers.max(opened.writers());
                filesystem = less_trusted(filesystem, opened.filesystem());
            }
            if let Some(identity) = identity {
                age = age.min(identity.age_at(now));
            }
            identities.push(identity);
            // A file that others belong to is needed; of these, a loader may do without one.
            main.get_or_insert(match found {
                Ok(Some(opened)) => Ok(opened),
                Ok(None) => Err(FileError::new(path, Problem::NotAFile("a directory"))),
                Err(error) => Err(error),
            });
        }
        let main = main.unwrap_or_else(|| {
            Err(FileError::new(Path::new(""), Problem::NotAFile("no path at all")))
        });
        Ok(Self { identities, main, writers, age, filesystem })
    }
}

impl Survey {
    /// What a survey that could not be made found: nothing.
    pub(super) fn failed(paths: &[PathBuf], words: String) -> Self {
        Self {
            identities: vec![None; paths.len()],
            main: Err(FileError::new(&paths[0], Problem::Refused(words))),
            writers: Writers::Unknown,
            age: Duration::MAX,
            filesystem: Filesystem::Local,
        }
    }
}

/// The kernel does not have it in memory.
#[derive(Debug)]
pub(super) struct WouldBlock;

type Look = (Option<Identity>, Result<Option<Opened>, FileError>);

fn look_at(path: &Path, how: How) -> Result<Look, WouldBlock> {
    match open(path, how) {
        Ok(Found::File(opened)) => Ok((Some(opened.identity), Ok(Some(opened)))),
        Ok(Found::Directory(identity)) => Ok((Some(identity), Ok(None))),
        Ok(Found::Special(what)) => Ok((None, Err(FileError::new(path, Problem::NotAFile(what))))),
        Err(Failed::WouldBlock) => Err(WouldBlock),
        Err(Failed::Io(error)) => {
            // One that may not be read has an identity all the same, and changes it once it may.
            let identity = super::open::identity(path);
            Ok((identity, Err(FileError::io(path, error))))
        }
    }
}

fn less_trusted(one: Filesystem, other: Filesystem) -> Filesystem {
    match (one, other) {
        (Filesystem::Remote(_), _) | (_, Filesystem::Local) => one,
        _ => other,
    }
}
