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
pub(super) const MAX_SIZE: usize = 1024 * 1024;

/// What a file holds, as it is: never printed, and overwritten in memory once nobody has it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pem(Zeroizing<Vec<u8>>);

impl Pem {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&PathBuf> for Pem {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        // Before it is opened, since that blocks on a pipe (fifo(7)).
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // At its full size at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SIZE));
        let mut file = File::open(path)?.take(MAX_SIZE as u64 + 1);
        file.read_to_end(&mut bytes)?;
        if bytes.len() > MAX_SIZE {
            return Err(io::Error::other("more than 1 MiB, which no certificate takes"));
        }
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
