//! A value that comes from several files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use hot_reload::AsyncFileLoad;

/// A file whose lines are texts, or names of files to include; those may be missing where the name
/// ends in `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    pub lines: Vec<String>,
    pub included: Vec<PathBuf>,
}

impl Book {
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut book = Self { lines: Vec::new(), included: Vec::new() };
        for line in fs::read_to_string(path)?.lines() {
            let Some(name) = line.strip_prefix("include ") else {
                book.lines.push(line.to_owned());
                continue;
            };
            let (name, optional) =
                name.strip_suffix('?').map_or((name, false), |name| (name, true));
            let included = path.with_file_name(name);
            let is_file = fs::metadata(&included).is_ok_and(|found| found.is_file());
            if is_file || !optional {
                let text = fs::read_to_string(&included)?;
                book.lines.extend(text.lines().map(str::to_owned));
            }
            book.included.push(included);
        }
        Ok(book)
    }
}

impl TryFrom<&PathBuf> for Book {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        Self::read(path)
    }
}

#[async_trait]
impl AsyncFileLoad for Book {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        Self::read(path.as_ref())
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        self.included.clone()
    }
}
