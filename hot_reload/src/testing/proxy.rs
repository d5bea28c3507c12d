//! A network that misbehaves when it is told to.

mod link;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use self::link::link;
use super::address::{address, bind_again};

/// A server on loopback that does not answer by then is not there.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A TCP proxy on loopback, between a source and its server, that can do what networks do.
///
/// Every mode may be set at any time and holds for the connections that are open and for those to come,
/// until the next is set. Dropped, it closes everything.
///
/// # Examples
///
/// ```
/// use hot_reload::testing::Proxy;
/// use tokio::{io::AsyncReadExt, net::{TcpListener, TcpStream}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let server = TcpListener::bind(("127.0.0.1", 0)).await?;
/// let proxy = Proxy::start(server.local_addr()?).await;
/// let mut client = TcpStream::connect(proxy.address()).await?;
/// let (_connection, _) = server.accept().await?;
/// assert_eq!(proxy.connections(), 1);
///
/// proxy.cut();
/// assert!(client.read_u8().await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

/// What the connections are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Control {
    mode: Mode,
    /// How often all connections were cut.
    cuts: u64,
    /// How often all connections were closed in the direction of the client.
    half_closes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Delay(Duration),
    BlackHole,
    /// Bytes per second.
    Throttle(u32),
    Refuse,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// Bytes of clients.
    sent: AtomicU64,
}

impl Proxy {
    /// Starts one before the server at `upstream`, which need not be there yet.
    ///
    /// # Panics
    ///
    /// When there is no port to be had, and outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(address()).await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (control, seen) = watch::channel(Control { mode: Mode::Pass, cuts: 0, half_closes: 0 });
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, upstream, seen, Arc::clone(&counts)));
        Self { address, control, counts, accepting }
    }

    /// Returns where it listens; always the same.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards everything at once, as at the start; what was held flows on.
    pub fn pass(&self) {
        self.set(Mode::Pass);
    }

    /// Has everything arrive this much later, each way.
    pub fn delay(&self, each_way: Duration) {
        self.set(Mode::Delay(each_way));
    }

    /// Forwards nothing, in either direction, though connections stay open and new ones are accepted:
    /// what a firewall does that has forgotten them. What is sent meanwhile is held.
    pub fn black_hole(&self) {
        self.set(Mode::BlackHole);
    }

    /// Forwards this many bytes per second and connection, each way.
    pub fn throttle(&self, bytes_per_second: u32) {
        self.set(Mode::Throttle(bytes_per_second.max(1)));
    }

    /// Cuts every connection and refuses new ones.
    pub fn refuse(&self) {
        self.set(Mode::Refuse);
        self.cut();
    }

    /// Resets every connection now; the next are accepted, unless they are [refused](Self::refuse).
    pub fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// Closes every connection in the direction of the client, which may go on to write.
    pub fn half_close(&self) {
        self.control.send_modify(|control| control.half_closes += 1);
    }

    /// Returns how many connections are open whose client has not closed its end.
    pub fn connections(&self) -> usize {
        // Nothing else is read by it.
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Returns how many connections were accepted up to now.
    pub fn accepted(&self) -> usize {
        // As above.
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Returns how many bytes clients have sent up to now, whether they were forwarded or not.
    pub fn sent(&self) -> u64 {
        // As above.
        self.counts.sent.load(Ordering::Relaxed)
    }

    fn set(&self, mode: Mode) {
        self.control.send_modify(|control| control.mode = mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // With it go the tasks of all connections.
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    mut control: watch::Receiver<Control>,
    counts: Arc<Counts>,
) {
    let address = listener.local_addr().expect("a bound listener has an address");
    let mut listener = Some(listener);
    let mut links = JoinSet::new();
    loop {
        let is_refusing = control.borrow_and_update().mode == Mode::Refuse;
        match &listener {
            Some(_) if is_refusing => listener = None,
            None if !is_refusing => listener = Some(bind_again(address).await),
            _ => {}
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = control.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            accepted = accepted => {
                if let Ok((client, _)) = accepted {
                    // A count, by which nothing else is read.
                    counts.accepted.fetch_add(1, Ordering::Relaxed);
                    let open = Open::count(&counts);
                    links.spawn(carry(client, upstream, control.clone(), open));
                }
            }
            Some(_) = links.join_next() => {}
        }
    }
}

/// Carries one connection to its end.
async fn carry(
    mut client: TcpStream,
    upstream: SocketAddr,
    mut control: watch::Receiver<Control>,
    open: Open,
) {
    let cuts = control.borrow().cuts;
    let mut modes = control.clone();
    let mut server = None;
    let is_cut = tokio::select! {
        biased;
        // The sender goes with the proxy.
        _ = control.wait_for(|now| now.cuts != cuts || now.mode == Mode::Refuse) => true,
        () = async {
            // Nothing gets as far as the server, not even that there is a connection.
            if modes.wait_for(|now| now.mode != Mode::BlackHole).await.is_err() {
                return;
            }
            server = connect(upstream).await.ok();
            if let Some(server) = &mut server {
                link(&mut client, server, modes, open).await;
            }
        } => server.is_none(),
    };
    if is_cut {
        // Best effort: it is closed all the same.
        for end in [Some(&client), server.as_ref()].into_iter().flatten() {
            drop(end.set_zero_linger());
        }
    }
}

async fn connect(upstream: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_DEADLINE, TcpStream::connect(upstream)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Counts a connection while its client has not closed it.
#[derive(Debug)]
struct Open(Arc<Counts>);

impl Open {
    fn count(counts: &Arc<Counts>) -> Self {
        // A count, by which nothing else is read.
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts))
    }

    /// Counts what it has sent.
    fn has_sent(&self, bytes: usize) {
        // As above.
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // As above.
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
