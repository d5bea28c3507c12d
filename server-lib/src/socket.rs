//! Listening sockets.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::BindError;

/// Connections that wait to be accepted; Linux cuts it to `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 1024;

/// Binds `address` and listens on it, without blocking.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    open(address).map(Into::into).map_err(|cause| BindError::new(address, cause))
}

fn open(address: SocketAddr) -> io::Result<Socket> {
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
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
