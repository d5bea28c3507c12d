//! The sockets that outlive every process of a service.

use std::{
    fmt, io,
    net::SocketAddr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::spec::{Kind, Place, Spec};

/// Connections that wait while no process accepts; Linux cuts it to `net.core.somaxconn`, 4096 by
/// default. A short queue loses connections while a server is built.
const BACKLOG: i32 = 4096;

/// The sockets of one service, in the order in which they are passed on.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<Held>);

/// A socket that is held.
#[derive(Debug)]
pub(crate) struct Held {
    spec: Spec,
    socket: Socket,
    file: Option<SocketFile>,
}

/// Why a socket can't be had.
#[derive(Debug, thiserror::Error)]
#[error("{place} can't be listened on{hint}")]
pub(crate) struct SocketError {
    place: Place,
    hint: Hint,
    source: io::Error,
}

#[derive(Debug)]
enum Hint {
    None,
    Taken,
}

impl Sockets {
    /// Binds all of them, or none.
    pub(crate) fn open(specs: &[Spec]) -> Result<Self, SocketError> {
        specs.iter().map(Held::open).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What `LISTEN_FDNAMES` says, see `sd_listen_fds(3)`.
    pub(crate) fn names(&self) -> String {
        self.0.iter().map(|held| held.spec.name.as_str()).collect::<Vec<_>>().join(":")
    }

    /// Returns another handle of each, for a process.
    pub(crate) fn handles(&self) -> io::Result<Vec<OwnedFd>> {
        self.0.iter().map(|held| held.socket.as_fd().try_clone_to_owned()).collect()
    }

    /// The numbers by which the kernel knows those that connections come from.
    pub(crate) fn inodes(&self) -> io::Result<Vec<u64>> {
        let listening = self.0.iter().filter(|held| held.spec.kind != Kind::Udp);
        listening
            .map(|held| {
                let file = std::fs::File::from(held.socket.as_fd().try_clone_to_owned()?);
                Ok(file.metadata()?.ino())
            })
            .collect()
    }

    /// Where the first one is that has a port, as `HOST` and `PORT` say it.
    pub(crate) fn first_ip(&self) -> Option<(String, String)> {
        let address = self.0.iter().find_map(|held| held.socket.local_addr().ok()?.as_socket())?;
        Some((address.ip().to_string(), address.port().to_string()))
    }

    /// Returns each name and where it is, port 0 replaced by the port that was had.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|held| (held.spec.name.as_str(), held.url()))
    }
}

impl Held {
    fn open(spec: &Spec) -> Result<Self, SocketError> {
        let told = |source: io::Error| SocketError {
            place: spec.place.clone(),
            hint: match source.kind() {
                io::ErrorKind::AddrInUse => Hint::Taken,
                _ => Hint::None,
            },
            source,
        };
        let (socket, file) = match &spec.place {
            Place::Ip(address) => (open_ip(*address, spec.kind).map_err(told)?, None),
            Place::Path(path) => {
                let socket = open_path(path).map_err(told)?;
                (socket, Some(SocketFile(path.clone())))
            }
        };
        Ok(Self { spec: spec.clone(), socket, file })
    }

    fn url(&self) -> String {
        let bound = self.socket.local_addr().ok().and_then(|address| address.as_socket());
        match (self.spec.kind, bound, &self.file) {
            (Kind::Http, Some(address), _) => format!("http://{address}"),
            (Kind::Https, Some(address), _) => format!("https://{address}"),
            (Kind::Udp, Some(address), _) => format!("udp:{address}"),
            (_, Some(address), _) => address.to_string(),
            (_, None, _) => self.spec.place.to_string(),
        }
    }
}

/// Without `SO_REUSEPORT`, by which a second runner would take every other connection in silence.
fn open_ip(address: SocketAddr, kind: Kind) -> io::Result<Socket> {
    let is_udp = kind == Kind::Udp;
    let socket = Socket::new(
        Domain::for_address(address),
        if is_udp { Type::DGRAM } else { Type::STREAM },
        None,
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if !is_udp {
        // So that connections in TIME_WAIT don't keep the address (socket(7)).
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    if !is_udp {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}

fn open_path(path: &Path) -> io::Result<Socket> {
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

/// A socket of the file system; dropped, it is removed.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Taken => f.write_str("; `server-dev doctor` says by whom it is held"),
        }
    }
}
