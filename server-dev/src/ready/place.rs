//! Where the sockets are made at which processes say that they are ready.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::net::sockopt::set_socket_passcred;
use tempfile::{TempDir, TempPath};

/// Names that somebody else may have before another one is tried.
const TAKEN_NAMES: usize = 16;

/// A place that takes sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only this user gets at what is in it.
    Folder(PathBuf),
    /// No folder, but the abstract addresses of `unix(7)`: out of reach from another network namespace, as a
    /// server in a container is, and within reach of every user, so it is asked who writes.
    Abstract,
    Nowhere,
}

/// A socket, and what is called so.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) socket: UnixDatagram,
    /// What `NOTIFY_SOCKET` is to say.
    pub(super) name: PathBuf,
    /// Removes it; of an abstract one nothing is left.
    pub(super) file: Option<TempPath>,
}

impl Place {
    /// Finds one for this process. Whoever may outlive it removes the folder as well.
    pub(crate) fn find() -> (Self, Option<TempDir>) {
        // See the XDG Base Directory Specification.
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let bases = [Some(env::temp_dir()), runtime.filter(|base| base.is_absolute())];
        match bases.into_iter().flatten().find_map(|base| folder(&base).ok()) {
            Some(folder) => (Self::Folder(folder.path().to_owned()), Some(folder)),
            None if Self::Abstract.make().is_ok() => (Self::Abstract, None),
            None => (Self::Nowhere, None),
        }
    }

    /// Makes a socket, each message of which says whose it is.
    pub(super) fn make(&self) -> io::Result<Option<Made>> {
        let made = match self {
            Self::Folder(folder) => in_folder(folder)?,
            Self::Abstract => without_folder()?,
            Self::Nowhere => return Ok(None),
        };
        // Before anybody knows where it is.
        set_socket_passcred(&made.socket, true)?;
        Ok(Some(made))
    }
}

/// Makes a folder that a socket can be made in.
fn folder(base: &Path) -> io::Result<TempDir> {
    // Its mode is 0700.
    let folder = tempfile::Builder::new().prefix("server-dev-").tempdir_in(base)?;
    in_folder(folder.path())?;
    Ok(folder)
}

fn in_folder(folder: &Path) -> io::Result<Made> {
    // An address is short, see sun_path in unix(7).
    let made = tempfile::Builder::new().prefix("").make_in(folder, |path| UnixDatagram::bind(path));
    let (socket, file) = made?.into_parts();
    Ok(Made { socket, name: file.to_path_buf(), file: Some(file) })
}

fn without_folder() -> io::Result<Made> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut tries = 0..TAKEN_NAMES;
    loop {
        // Relaxed: nothing but the number is shared.
        let name = format!("server-dev-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        match UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?) {
            Ok(socket) => return Ok(Made { socket, name: format!("@{name}").into(), file: None }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries.next().is_some() => {}
            Err(error) => return Err(error),
        }
    }
}
