//! A socket of the file system.

use std::{
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;

/// A socket of the file system; dropped, it is removed, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Its device and number, by which it is known from any other.
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Another may have removed it already.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|found| (found.dev(), found.ino()))
}

/// Listens at a path, also where an earlier socket was left there.
pub(super) fn open_path(path: &Path) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    // A socket outlives the process that bound it (unix(7)); one that nobody answers is a left-over.
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
        let asking = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        asking.set_nonblocking(true)?;
        let answer = asking.connect(&address);
        if answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            std::fs::remove_file(path)?;
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use crate::sockets::Sockets;

    #[test]
    fn leaves_a_path_to_whoever_has_bound_it_since() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let open =
            || Sockets::open(&[format!("unix::{}", path.display()).parse().unwrap()]).unwrap();
        let first = open();
        std::fs::remove_file(&path).unwrap();
        let second = open();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }
}
