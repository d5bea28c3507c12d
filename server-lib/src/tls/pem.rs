//! A file that a key may be in.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use hot_reload::AsyncFileLoad;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// More than any chain with its key takes, in bytes.
pub(super) const MAX_SIZE: u64 = 1024 * 1024;

/// What a file holds, as it is: never printed, and overwritten in memory once nobody has it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pem(Zeroizing<Vec<u8>>);

impl Pem {
    #[cfg(test)]
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&PathBuf> for Pem {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        // Before it is opened, since that blocks on a pipe (fifo(7)).
        let found = std::fs::metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if found.len() > MAX_SIZE {
            let problem = format!("more than {MAX_SIZE} bytes, which no certificate takes");
            return Err(io::Error::other(problem));
        }
        // At its full size at once: a buffer that grows leaves copies behind.
        let size = usize::try_from(found.len()).map_err(io::Error::other)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        File::open(path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
        Ok(Self(bytes))
    }
}

#[async_trait]
impl AsyncFileLoad for Pem {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        spawn_blocking(move || Self::try_from(&path)).await?
    }
}
