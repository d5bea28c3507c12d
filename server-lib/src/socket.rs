//! Listening sockets.

use std::{
    fs::Permissions,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use crate::{address::Address, endpoint::Endpoint, error::BindError, role::Role};

/// Connections that wait to be accepted; Linux cuts it to `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 4096;

/// How long the path of a socket may be, in bytes, so that a zero fits behind it: unix(7), and `sun_path` of
/// the BSDs.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// What a socket that is listened on is to take no notice of, as a program of linux/filter.h that is
/// given what begins with the head of TCP: SYN without ACK (RFC 9293, section 3.1).
#[cfg(target_os = "linux")]
const IGNORE_SYN: [SockFilter; 5] = [
    // BPF_LD | BPF_B | BPF_ABS, where the flags are; BPF_ALU | BPF_AND, SYN and ACK.
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    // BPF_JMP | BPF_JEQ, SYN alone.
    SockFilter::new(0x15, 0, 1, 0x02),
    // BPF_RET, none of it or all of it.
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// A connection, by whichever family.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// A socket that is listened on.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _peer) = listener.accept().await?;
                // Answers are written whole, so waiting to fill a segment only delays them (tcp(7)).
                // A socket that is gone already says so when it is read.
                let _ = stream.set_nodelay(true);
                Ok(Either::Left(stream))
            }
            Self::Unix(listener) => {
                let (stream, _unnamed) = listener.accept().await?;
                Ok(Either::Right(stream))
            }
        }
    }

    /// Accepts a connection that is there already; tokio may not have heard of it yet.
    pub(crate) fn accept_now(&self) -> io::Result<Stream> {
        let (stream, _peer) = self.as_socket().accept()?;
        stream.set_nonblocking(true)?;
        Ok(match self {
            Self::Tcp(_) => Either::Left(TcpStream::from_std(stream.into())?),
            Self::Unix(_) => Either::Right(UnixStream::from_std(stream.into())?),
        })
    }

    /// Returns another handle of it, for another process.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Ignores whoever connects from now on, who tries again after a second (RFC 6298, section 2) and
    /// finds another listener, if there is one: one that is closed resets those that had got half-way.
    #[cfg(target_os = "linux")]
    pub(crate) fn ignore_new(&self) -> io::Result<()> {
        self.as_socket().attach_filter(&IGNORE_SYN)
    }

    /// Only Linux can be told to ignore anybody.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn ignore_new(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn as_socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        }
    }

    /// Returns the address that it has.
    pub(crate) fn local_address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => Ok(Address::Tcp(listener.local_addr()?)),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::Unix(address.as_pathname().map_or_else(PathBuf::new, Path::to_owned)))
            }
        }
    }
}

/// The file of a socket, which outlives who has bound it (unix(7)): dropped, it is removed.
#[derive(Debug)]
pub(crate) struct SocketFile(Option<PathBuf>);

impl SocketFile {
    /// Takes over one that was bound by this process, or handed over to it.
    pub(crate) fn new(path: &Path) -> Self {
        Self(Some(path.to_owned()))
    }

    /// Leaves it where it is.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            unlink(path);
        }
    }
}

/// Binds an address and listens on it, without blocking. In a runtime.
pub(crate) fn bind(at: &Endpoint) -> Result<(Listener, Option<SocketFile>), BindError> {
    open(at)
        .and_then(|(file, socket)| Ok((listener(socket)?, file)))
        .map_err(|cause| BindError::new(at.address.clone(), cause))
}

/// Binds an address for a moment, in no runtime: nothing is left once the result is dropped.
pub(crate) fn probe(at: &Endpoint) -> Result<(Option<SocketFile>, Socket), BindError> {
    open(at).map_err(|cause| BindError::new(at.address.clone(), cause))
}

/// As [`bind`], of an address that `leaving` still hold, in whole or in part, all of them ours and
/// about to be closed: from `0.0.0.0:80` to `127.0.0.1:80`, say, with no moment in which nobody
/// listens.
pub(crate) fn bind_beside(
    address: SocketAddr,
    leaving: &[Arc<Listener>],
) -> Result<Listener, BindError> {
    // socket(7): every socket that is to share an address must have SO_REUSEPORT, and it may be
    // set on one that listens already. It is taken back, so that another server of ours, which
    // never asks for it, is told as ever that the address is in use.
    let shared = |is_shared| {
        leaving.iter().try_for_each(|listener| listener.as_socket().set_reuse_port(is_shared))
    };
    let bound = shared(true).and_then(|()| open_tcp(address, Sharing::Yes));
    let taken_back = shared(false);
    bound
        .and_then(|socket| taken_back.and_then(|()| socket.set_reuse_port(false)).map(|()| socket))
        .and_then(listener)
        .map_err(|cause| BindError::new(address.into(), cause))
}

/// Makes an inherited socket one of ours: it doesn't block, and has our backlog, which `listen(2)`
/// raises on one that listens already.
pub(crate) fn adopt(socket: Socket) -> io::Result<Listener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    listener(socket)
}

/// Removes a socket of the file system that nobody listens on any more.
fn unlink(path: &Path) {
    // Another may have removed it already.
    let _ = std::fs::remove_file(path);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
}

/// Has the runtime poll a socket that is listened on.
fn listener(socket: Socket) -> io::Result<Listener> {
    if socket.local_addr()?.is_unix() {
        UnixListener::from_std(socket.into()).map(Listener::Unix)
    } else {
        TcpListener::from_std(socket.into()).map(Listener::Tcp)
    }
}

/// The file comes first, to be removed before the socket is closed: later it may be somebody else's.
fn open(at: &Endpoint) -> io::Result<(Option<SocketFile>, Socket)> {
    match &at.address {
        Address::Tcp(tcp) => Ok((None, open_tcp(*tcp, Sharing::No)?)),
        Address::Unix(path) => {
            let (file, socket) = open_unix(path, at.role)?;
            Ok((Some(file), socket))
        }
    }
}

fn open_tcp(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // So that connections of a server before us, in TIME_WAIT, don't keep the address; another
    // listener still does (socket(7)).
    socket.set_reuse_address(true)?;
    // Otherwise it depends on net.ipv6.bindv6only whether `[::]` takes IPv4 as well (ipv6(7)).
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Yes {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn open_unix(path: &Path, role: Role) -> io::Result<(SocketFile, Socket)> {
    // A socket outlives the process that bound it (unix(7)); one that nobody answers is a left-over.
    // Of a file that is no socket connect(2) says the same, and that is somebody's.
    let address = socket2::SockAddr::unix(path).map_err(|_too_long| {
        let told = format!("the path is longer than {LONGEST_PATH} bytes");
        io::Error::new(io::ErrorKind::InvalidInput, told)
    })?;
    if is_socket(path) == Some(true) {
        let asking = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Somebody whose queue is full would otherwise be waited for.
        asking.set_nonblocking(true)?;
        let answer = asking.connect(&address);
        if answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            unlink(path);
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address).map_err(|error| match error.kind() {
        // It does not pass by itself, as what somebody listens on does.
        io::ErrorKind::AddrInUse if is_socket(path) == Some(false) => {
            io::ErrorKind::AlreadyExists.into()
        }
        _ => error,
    })?;
    let file = SocketFile::new(path);
    if role == Role::Admin {
        // Nobody can connect before it is listened on.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    socket.listen(BACKLOG)?;
    Ok((file, socket))
}

/// Whether what is at `path`, if anything is, is a socket itself.
fn is_socket(path: &Path) -> Option<bool> {
    path.symlink_metadata().ok().map(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// Once left behind: whoever was to remove it had not heard of it yet.
    #[test]
    fn what_fails_after_it_was_bound_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        for role in [Role::Http, Role::Admin] {
            let at = Endpoint { role, address: Address::Unix(path.clone()) };
            // There is no runtime to poll it.
            assert!(catch_unwind(|| bind(&at)).is_err());
            assert!(!path.exists(), "{role}");
        }
    }
}
