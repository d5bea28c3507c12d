//! `cargo run -p hot_reload --features file-reloader --example hand_written`
//!
//! A format of one's own whose files include others: they are followed and read as one set.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use hot_reload::{AsyncFileLoad, FileReloader, ReloaderOptions, ReloaderService};

#[derive(Default, Clone, PartialEq, Eq)]
struct Words(Vec<String>, Vec<PathBuf>);

impl TryFrom<&PathBuf> for Words {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        let mut words = Words::default();
        for line in fs::read_to_string(path)?.lines() {
            words.0.push(match line.strip_prefix("include ") {
                None => line.to_owned(),
                Some(name) => {
                    words.1.push(path.with_file_name(name));
                    fs::read_to_string(path.with_file_name(name))?
                }
            });
        }
        Ok(words)
    }
}

#[async_trait]
impl AsyncFileLoad for Words {
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
    let (main, part) = (dir.path().join("main"), dir.path().join("part"));
    fs::write(&main, "one\ninclude part\n")?;
    fs::write(&part, "two")?;
    let reloader = FileReloader::<Words>::from_path(&main)?;
    let (service, mut words) = ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });

    for next in ["three", "four"] {
        words.changed().await?;
        println!("{:?}", words.get().map(|words| words.0));
        fs::write(&part, next)?;
    }
    Ok(())
}
