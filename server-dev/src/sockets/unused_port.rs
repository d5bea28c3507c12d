//! A port for one process alone.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below those that Linux gives to connections, which by default are 32768 and up.
const PRIVATE_PORTS: Range<u16> = 20_000..30_000;
/// So that several runners seldom try the same.
const PORTS_APART: u32 = 97;

/// Finds a port of loopback that nobody listens at.
///
/// There is no way to keep it for another process. So each is another one, and none is of those that the
/// kernel gives to connections: one that is tried until a server listens would at some time be given
/// the port that it is tried at, and be connected with itself (ip(7), `ip_local_port_range`).
pub(crate) fn unused_port() -> io::Result<SocketAddr> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(PORTS_APART);
    for _ in PRIVATE_PORTS {
        // Only the number matters.
        let n = first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(n % u32::from(PRIVATE_PORTS.end - PRIVATE_PORTS.start));
        let port = PRIVATE_PORTS.start + port.unwrap_or_default();
        if let Ok(free) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return free.local_addr();
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_process_another_port_that_no_connection_is_given() {
        let ports: Vec<_> = (0..100).map(|_| unused_port().unwrap().port()).collect();
        let others: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(others.len(), 100);
        assert!(ports.iter().all(|port| PRIVATE_PORTS.contains(port)));
    }
}
