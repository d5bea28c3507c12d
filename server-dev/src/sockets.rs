//! The sockets that outlive every process of a service.

mod file;
pub(crate) mod holders;
mod twice;
mod unused_port;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::Arc,
};

use socket2::{Domain, Socket, Type};

use self::file::{SocketFile, open_path};
pub(crate) use self::{twice::asked_twice, unused_port::unused_port};
use crate::spec::{Address, SocketKind, Spec};

/// Connections that wait while no process accepts; Linux cuts it to `net.core.somaxconn`, 4096 by
/// default. A short queue loses connections while a server is built.
const BACKLOG: i32 = 4096;

/// Where the kernel picks a port.
const UNUSED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The sockets of one service, in the order in which they are passed on.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<Held>);

/// A socket that is held.
#[derive(Debug)]
pub(crate) struct Held {
    spec: Spec,
    // Dropped first: as long as the socket is open, no other file is given its number.
    file: Option<Arc<SocketFile>>,
    socket: Socket,
}

/// The socket that a proxy answers on, and its place among those that are passed on.
#[derive(Debug)]
pub(crate) struct Front {
    at: usize,
    held: Held,
}

/// Why a socket can't be had.
#[derive(Debug, thiserror::Error)]
#[error("{place} {}", self.problem())]
pub(crate) struct SocketError {
    place: Address,
    /// Who holds it: pid and program.
    held_by: Option<String>,
    source: io::Error,
}

impl SocketError {
    /// Whether somebody else holds it.
    pub(crate) fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }

    /// Whether only a privileged process may hold it.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    fn problem(&self) -> String {
        match &self.held_by {
            Some(by) => format!("is held by {by}; end that, or take another address"),
            // Of a path nobody else has it: a file, or a folder.
            None if self.is_taken() => "is there, and is no socket that anybody holds".to_owned(),
            None => "can't be listened on".to_owned(),
        }
    }
}

impl Sockets {
    /// Binds all of them, or none.
    pub(crate) fn open(specs: &[Spec]) -> Result<Self, SocketError> {
        Self::reopen(specs, &mut Self::default())
    }

    /// Binds all of them, or none; those that `kept` has are taken out of it, and stay open.
    pub(crate) fn reopen(specs: &[Spec], kept: &mut Self) -> Result<Self, SocketError> {
        let found = kept.take(specs).into_iter().zip(specs);
        let held = found.map(|(found, spec)| match found {
            Some(held) => Ok(Held { spec: spec.clone(), ..held }),
            None => Held::open(spec),
        });
        held.collect::<Result<_, _>>().map(Self)
    }

    /// Tells those that are asked for from the others.
    pub(crate) fn split(mut self, specs: &[Spec]) -> (Self, Self) {
        let asked_for = self.take(specs).into_iter().flatten().collect();
        (Self(asked_for), self)
    }

    /// Takes out what there is of each that is asked for.
    fn take(&mut self, specs: &[Spec]) -> Vec<Option<Held>> {
        let mut take = |is_it: &dyn Fn(&Spec) -> bool| {
            let at = self.0.iter().position(|held| is_it(&held.spec))?;
            Some(self.0.remove(at))
        };
        // Those that are the same first: at port 0 there may be several.
        let same: Vec<_> = specs.iter().map(|spec| take(&|known| known == spec)).collect();
        let there = specs.iter().zip(same);
        there.map(|(spec, same)| same.or_else(|| take(&|known| known.is_where(spec)))).collect()
    }

    /// What each was asked to be.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.0.iter().map(|held| &held.spec)
    }

    /// Takes in those of another service.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Takes out the first one that HTTP is spoken on.
    pub(crate) fn take_front(&mut self) -> Option<Front> {
        let at = self.0.iter().position(|held| held.spec.kind == SocketKind::Http)?;
        Some(Front { at, held: self.0.remove(at) })
    }

    /// Returns another handle of each.
    pub(crate) fn again(&self) -> io::Result<Self> {
        let again = |held: &Held| {
            let (spec, file) = (held.spec.clone(), held.file.clone());
            Ok(Held { spec, file, socket: held.socket.try_clone()? })
        };
        self.0.iter().map(again).collect::<io::Result<_>>().map(Self)
    }

    /// Puts a new one, of loopback, in the place of `front`, and says where it is.
    pub(crate) fn put_private(&mut self, front: &Front) -> io::Result<SocketAddr> {
        let socket = open_ip(UNUSED, SocketKind::Http)?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        self.0.insert(front.at, Held { spec: front.held.spec.clone(), file: None, socket });
        Ok(address)
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

    /// Has whoever accepts there wait, as systemd does (`NonBlocking=` in systemd.service(5)): all handles share
    /// what the last one has set who would not.
    pub(crate) fn have_it_wait(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|held| held.socket.set_nonblocking(false))
    }

    /// Returns another handle of each, for a process.
    pub(crate) fn handles(&self) -> io::Result<Vec<OwnedFd>> {
        self.0.iter().map(|held| held.socket.as_fd().try_clone_to_owned()).collect()
    }

    /// The numbers by which the kernel knows those that connections come from, or datagrams if none do.
    pub(crate) fn inodes(&self) -> io::Result<Vec<u64>> {
        let is_udp = |held: &&Held| held.spec.kind == SocketKind::Udp;
        let has_other = !self.0.iter().all(|held| is_udp(&held));
        self.0
            .iter()
            .filter(|held| !(has_other && is_udp(held)))
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

impl Front {
    /// Returns a handle to answer on.
    pub(crate) fn listener(&self) -> io::Result<TcpListener> {
        Ok(self.held.socket.try_clone()?.into())
    }
}

impl Held {
    fn open(spec: &Spec) -> Result<Self, SocketError> {
        let failed = |source: io::Error| {
            let is_taken = source.kind() == io::ErrorKind::AddrInUse;
            let held_by = if is_taken { holders::of(spec) } else { None };
            SocketError { place: spec.place.clone(), held_by, source }
        };
        let (socket, file) = match &spec.place {
            Address::Ip(address) => (open_ip(*address, spec.kind).map_err(failed)?, None),
            Address::Path(path) => {
                let socket = open_path(path).map_err(failed)?;
                (socket, Some(Arc::new(SocketFile::of(path).map_err(failed)?)))
            }
        };
        Ok(Self { spec: spec.clone(), file, socket })
    }

    fn url(&self) -> String {
        let bound = self.socket.local_addr().ok().and_then(|address| address.as_socket());
        match (self.spec.kind, bound, &self.file) {
            (SocketKind::Http, Some(address), _) => format!("http://{address}"),
            (SocketKind::Https, Some(address), _) => format!("https://{address}"),
            (SocketKind::Udp, Some(address), _) => format!("udp:{address}"),
            (_, Some(address), _) => address.to_string(),
            (_, None, _) => self.spec.place.to_string(),
        }
    }
}

/// Without `SO_REUSEPORT`, by which a second runner would take every other connection in silence.
fn open_ip(address: SocketAddr, kind: SocketKind) -> io::Result<Socket> {
    let is_udp = kind == SocketKind::Udp;
    let socket = Socket::new(
        Domain::for_address(address),
        if is_udp { Type::DGRAM } else { Type::STREAM },
        None,
    )?;
    if address.is_ipv6() {
        // At all addresses, IPv4 is one of them, as where systemd holds the socket (`BindIPv6Only=` in
        // systemd.socket(5)); no other address of IPv6 is one of IPv4 as well.
        socket.set_only_v6(false)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_over_ipv4_as_well_where_it_listens_at_all_addresses() {
        let Ok(sockets) = Sockets::open(&["http::[::]:0".parse().unwrap()]) else {
            return eprintln!("skipped: there is no IPv6 here");
        };
        let port = sockets.first_ip().unwrap().1.parse::<u16>().unwrap();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        std::net::TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, port)).unwrap();
        let only = Sockets::open(&["http::[::1]:0".parse().unwrap()]).unwrap();
        let port = only.first_ip().unwrap().1.parse::<u16>().unwrap();
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
