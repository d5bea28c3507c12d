//! How paths and globs are written, and what they are then.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// The path as it was named, links kept, from wherever it is asked for later.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::fs::metadata(path)?;
    std::path::absolute(path).map(|path| plain(&path))
}

/// The one name of a file, which may itself be gone, or a link.
pub(super) fn by_its_folder(file: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(file).ok()?;
    Some(absolute.parent()?.canonicalize().ok()?.join(absolute.file_name()?))
}

/// `./src` and `src` are one.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Reads a glob as `.gitignore` does: without a slash inside, of files in any folder.
pub(super) fn anywhere(glob: &str) -> String {
    let (inner, is_folder) = match glob.strip_suffix('/') {
        Some(inner) => (inner, true),
        None => (glob, false),
    };
    let inner = match inner.strip_prefix('/') {
        Some(rooted) => rooted.to_owned(),
        None if inner.contains('/') => inner.to_owned(),
        None => format!("**/{inner}"),
    };
    if is_folder { format!("{inner}/**") } else { inner }
}
