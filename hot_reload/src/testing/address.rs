//! Where a server of a test may listen.

use std::{
    net::{self, IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpListener, time::sleep};

/// A port that was let go may be the system's for a moment.
const REBIND_PAUSE: Duration = Duration::from_millis(5);

/// Returns an address on loopback that nobody else takes, for a server that has to be told one, or that
/// stops listening at times.
///
/// Its port is let go of, for the server to take. On Linux the address is drawn from the sixteen million of
/// loopback's, so nobody else does; elsewhere there is one alone, and somebody may.
///
/// # Panics
///
/// When there is no free port.
///
/// # Examples
///
/// ```
/// let address = hot_reload::testing::address();
/// assert!(address.ip().is_loopback());
/// let listener = std::net::TcpListener::bind(address)?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[must_use]
pub fn address() -> SocketAddr {
    let ip: IpAddr = if cfg!(target_os = "linux") {
        let [_, a, b, c] = fastrand::u32(..).to_be_bytes();
        Ipv4Addr::new(127, a, b, c.clamp(1, 254)).into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    };
    // Let go of at once; no other process draws the same.
    let free = net::TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr());
    free.expect("a free port on loopback")
}

/// Listens at an address that was listened at before; waits until it can be had.
pub(super) async fn bind_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => sleep(REBIND_PAUSE).await,
        }
    }
}
