//! `cargo run -p hot_reload --features file-reloader --example hand_written`
//!
//! A format of one's own whose files include others: they are followed and read as one set.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use hot_reload::{AsyncFileLoad, FileReloader, ReloaderOptions, ReloaderService};

/// The texts of the files that a file lists, and their paths.
#[derive(Clone, PartialEq, Eq)]
struct Parts(Vec<String>, Vec<PathBuf>);

impl TryFrom<&PathBuf> for Parts {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        let list = fs::read_to_string(path)?;
        let paths: Vec<_> = list.lines().map(|name| path.with_file_name(name)).collect();
        let texts = paths.iter().map(fs::read_to_string).collect::<io::Result<_>>()?;
        Ok(Self(texts, paths))
    }
}

#[async_trait]
impl AsyncFileLoad for Parts {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        tokio::task::spawn_blocking(move || Self::try_from(&path)).await?
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        self.1.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (list, part) = (dir.path().join("list"), dir.path().join("part"));
    fs::write(&list, "part\n")?;
    fs::write(&part, "one")?;
    let reloader = FileReloader::<Parts>::from_path(&list)?;
    let (service, mut parts) = ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });

    for next in ["two", "three"] {
        parts.changed().await?;
        println!("{:?}", parts.get().map(|parts| parts.0));
        fs::write(&part, next)?;
    }
    Ok(())
}
