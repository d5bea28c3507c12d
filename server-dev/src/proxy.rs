//! Answers on the socket of a service, and passes on to the process that is ready.
//!
//! What it passes on to is a value of [`hot_reload`], see [`site`]: a process that is built and ready is
//! published, and from then on every request goes to it.

mod answer;
mod body;
mod events;
mod forward;
mod guard;
mod http2;
mod inject;
mod own;
mod page;
mod policy;
mod problem;
mod site;
mod unanswered;
mod upstream;
mod wait;

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService};
use hyper::{http::uri::PathAndQuery, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use self::guard::HostGuard;
pub(crate) use self::{
    problem::{Problem, ProblemKind},
    site::{Doing, Publisher, Site},
    upstream::Upstream,
};
use crate::{
    config::{Ready, Service},
    sockets::Front,
    spec::{SocketKind, Spec},
};

/// Requests that wait while no process is ready; more than a browser and a test suite send at once.
const MAX_WAITING: usize = 1024;
/// How long it may take until an edit is seen, beside the time for which it is to settle.
const SEEN_WITHIN: Duration = Duration::from_millis(200);
/// How long connections may take to end after the last process has.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Headers of a request or an answer; a hundred, as hyper takes, are fewer than some servers write.
const MAX_HEADERS: usize = 1024;
/// How much the headers of a request of HTTP/2 may be, in bytes; hyper takes about as much of HTTP/1.1.
const MAX_HEADER_LIST: u32 = 400 * 1024;
/// The pause after a connection that can't be had, most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A proxy, and the socket that it answers on.
pub(crate) struct Fronted {
    proxy: Proxy,
    listener: TcpListener,
    publishing: AbortOnDropHandle<()>,
}

/// What a runner knows of the proxy before its processes.
pub(crate) struct Behind {
    /// The socket that it answers on.
    pub(crate) front: Front,
    /// What requests and pages find by now.
    pub(crate) found: ReloaderReceiver<Site, String>,
}

/// What is wrong with a service that is to be behind a proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misplaced {
    #[error("{0}: a proxy answers on a socket such as http::3000, and there is none")]
    NoSocket(String),
    #[error("{0}: `ready` by http asks one process alone, which takes `proxy`")]
    Probe(String),
    #[error("{0}: `ready` by http asks for a path such as /health")]
    Path(String),
}

/// The proxy of one service.
struct Proxy {
    name: String,
    /// Tells this run from others: all of them count generations from one.
    run: String,
    site: ReloaderReceiver<Site, String>,
    guard: HostGuard,
    /// How long a request waits.
    patience: Duration,
    /// How long an edit may go unseen, so that one of which the server is down may be mended already.
    unseen: Duration,
    waiting: Semaphore,
    over: CancellationToken,
}

/// Refuses what can't work, before anything is started.
pub(crate) fn check(name: &str, service: &Service) -> Result<(), Misplaced> {
    let is_http = |spec: &Spec| spec.kind == SocketKind::Http;
    if service.proxy.is_some() && !service.sockets.iter().any(is_http) {
        return Err(Misplaced::NoSocket(name.to_owned()));
    }
    match &service.ready {
        Ready::Http(_) if service.proxy.is_none() => Err(Misplaced::Probe(name.to_owned())),
        Ready::Http(path) if !path.starts_with('/') || path.parse::<PathAndQuery>().is_err() => {
            Err(Misplaced::Path(name.to_owned()))
        }
        _ => Ok(()),
    }
}

/// A name for this run.
fn run_id() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", since.as_micros())
}

impl Fronted {
    /// Puts a proxy before a service, on a socket of it, which passes on to what `publisher` says. Once
    /// `over` is cancelled, nobody waits there any more.
    pub(crate) fn put_before(
        name: &str,
        service: &Service,
        front: Front,
        publisher: &Publisher,
        over: &CancellationToken,
    ) -> io::Result<(Self, Behind)> {
        let listener = front.listener()?;
        let options = ReloaderOptions::realtime();
        let (source, site) = ReloaderService::from_reloader(publisher.clone(), options);
        let publishing = AbortOnDropHandle::new(tokio::spawn(async move {
            // It goes on until it is dropped.
            let _ = source.start_with_realtime().await;
        }));
        let behind = Behind { front, found: site.clone() };
        let proxy = Proxy {
            name: name.to_owned(),
            run: run_id(),
            site,
            guard: HostGuard::new(&service.allow_hosts),
            patience: *service.proxy_wait,
            unseen: service.settle.saturating_mul(2).saturating_add(SEEN_WITHIN),
            waiting: Semaphore::new(MAX_WAITING),
            over: over.clone(),
        };
        Ok((Self { proxy, listener, publishing }, behind))
    }

    /// Answers until `ended` is over, which it is when nothing is left to pass on to.
    pub(crate) async fn serve(self, ended: impl Future<Output = ()>) -> io::Result<()> {
        let Self { proxy, listener, publishing } = self;
        // Whoever answered there before may have waited in accept(2).
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let proxy = Arc::new(proxy);
        let connections = TaskTracker::new();
        let accepting = async {
            while let Some(accepted) = proxy.over.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(Arc::clone(&proxy).attend(stream));
                    }
                    Err(_none_left) => sleep(ACCEPT_PAUSE).await,
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = accepting => {}
            () = ended => {}
        }
        connections.close();
        // What is left then are clients that don't read.
        let _ = timeout(CLOSE_TIMEOUT, connections.wait()).await;
        drop(publishing);
        Ok(())
    }
}

impl Proxy {
    /// Serves a connection, HTTP/1.1 or HTTP/2 as it begins.
    async fn attend(self: Arc<Self>, stream: TcpStream) {
        let Ok(bound) = stream.local_addr() else { return };
        // What a server writes is to be seen as it is written; only a connection that is gone refuses.
        let _ = stream.set_nodelay(true);
        let over = self.over.clone();
        let service = service_fn(move |request| {
            let proxy = Arc::clone(&self);
            async move { Ok::<_, Infallible>(proxy.answer(request, bound.ip()).await) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .auto_date_header(false)
            .preserve_header_case(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_header_list_size(MAX_HEADER_LIST);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        // How a connection fails is known to whoever is at the other end.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = over.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}
