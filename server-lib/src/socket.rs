//! Listening sockets.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

use crate::error::BindError;

/// Connections that wait to be accepted; Linux cuts it to `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 1024;

/// Binds `address` and listens on it, without blocking.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    open(address, Sharing::No).map(Into::into).map_err(|cause| BindError::new(address, cause))
}

/// As [`bind`], of an address that `leaving` still hold, in whole or in part, all of them ours and
/// about to be closed: from `0.0.0.0:80` to `127.0.0.1:80`, say, with no moment in which nobody
/// listens.
pub(crate) fn bind_beside(
    address: SocketAddr,
    leaving: &[&TcpListener],
) -> Result<std::net::TcpListener, BindError> {
    // socket(7): every socket that is to share an address must have SO_REUSEPORT, and it may be
    // set on one that listens already. It is taken back, so that another server of ours, which
    // never asks for it, is told as ever that the address is in use.
    let shared = |is_shared| {
        leaving.iter().try_for_each(|listener| share(&SockRef::from(*listener), is_shared))
    };
    let bound = shared(true).and_then(|()| open(address, Sharing::Yes));
    let taken_back = shared(false);
    bound
        .and_then(|socket| {
            taken_back.and_then(|()| share(&SockRef::from(&socket), false)).map(|()| socket)
        })
        .map(Into::into)
        .map_err(|cause| BindError::new(address, cause))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // So that connections of a server before us, in TIME_WAIT, don't keep the address; another
    // listener still does (socket(7)). Elsewhere than on Unix it would let two listen at once.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Otherwise it depends on net.ipv6.bindv6only whether `[::]` takes IPv4 as well (ipv6(7)).
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Yes {
        share(&SockRef::from(&socket), true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(unix)]
fn share(socket: &Socket, is_shared: bool) -> io::Result<()> {
    socket.set_reuse_port(is_shared)
}

#[cfg(not(unix))]
fn share(_socket: &Socket, _is_shared: bool) -> io::Result<()> {
    Err(io::ErrorKind::AddrInUse.into())
}
