//! A server of one value: by GET with an `ETag`, by long polling, and by server-sent events.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use futures_util::stream;
use hot_reload_sources::{Access, Secret};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
};

use crate::common::{
    authority::{Authority, Pair, Validity},
    server::address,
    within,
};

pub(crate) const TOKEN: &str = "fleet-token-1f7c";
const HEARTBEAT: Duration = Duration::from_millis(200);

/// Who may connect, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    None,
    Server,
    Mutual,
}

pub(crate) struct Server {
    pub(crate) state: Arc<Held>,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Arc<Authority>,
    tls: Tls,
    acceptor: Arc<Mutex<Option<TlsAcceptor>>>,
    names: Mutex<Vec<String>>,
    runtime: Mutex<Option<Runtime>>,
}

/// What the server holds, whether it runs or not.
pub(crate) struct Held {
    value: watch::Sender<Value>,
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) bodies: AtomicU64,
    pub(crate) is_throttled: AtomicBool,
    pub(crate) is_silent: AtomicBool,
    /// Whether nobody may wait for what comes.
    pub(crate) is_unheard: watch::Sender<bool>,
    pub(crate) token: Mutex<String>,
    pub(crate) retry: Mutex<Option<Duration>>,
    pub(crate) last_ids: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Value {
    /// Which of the servers that were empty at first it is.
    era: u32,
    index: u64,
    text: Option<String>,
}

impl Server {
    pub(crate) async fn start(tls: Tls) -> Self {
        Self::with(tls, Validity::Now, address()).await
    }

    pub(crate) async fn with(tls: Tls, validity: Validity, address: SocketAddr) -> Self {
        let server = Self {
            state: Arc::new(Held {
                value: watch::Sender::new(Value { era: 0, index: 1, text: None }),
                connections: AtomicU64::new(0),
                requests: AtomicU64::new(0),
                bodies: AtomicU64::new(0),
                is_throttled: AtomicBool::new(false),
                is_silent: AtomicBool::new(false),
                is_unheard: watch::Sender::new(false),
                token: Mutex::new(TOKEN.to_owned()),
                retry: Mutex::new(None),
                last_ids: Mutex::default(),
            }),
            address,
            authority: Arc::new(Authority::new()),
            tls,
            acceptor: Arc::default(),
            names: Mutex::default(),
            runtime: Mutex::new(None),
        };
        server.is_also(address.ip(), validity);
        server.run().await;
        server
    }

    /// Has its certificate be for `ip` as well, as that of a proxy before it.
    pub(crate) fn is_also(&self, ip: IpAddr, validity: Validity) {
        let mut names = self.names.lock().unwrap();
        names.push(ip.to_string());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.shows(&self.authority.issue("server", &names, validity));
    }

    pub(crate) fn shows(&self, pair: &Pair) {
        let provider = Arc::new(ring::default_provider());
        let certificate = CertificateDer::from_pem_file(&pair.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if self.tls == Tls::Mutual {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.authority.file()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = (self.tls != Tls::None).then(|| TlsAcceptor::from(Arc::new(config)));
        *self.acceptor.lock().unwrap() = acceptor;
    }

    pub(crate) fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls == Tls::None { "http" } else { "https" };
        format!("{scheme}://{address}")
    }

    pub(crate) fn access(&self, token: &str) -> Access {
        let access = Access::new().token(Secret::text(token));
        if self.tls == Tls::None { access } else { access.ca_file(self.authority.file()) }
    }

    pub(crate) fn put(&self, text: &str) {
        self.sets(Some(text.to_owned()));
    }

    pub(crate) fn delete(&self) {
        self.sets(None);
    }

    fn sets(&self, text: Option<String>) {
        self.state.value.send_modify(|value| {
            value.index += 1;
            value.text = text;
        });
    }

    /// Has the index go back to where it was, as when a snapshot is restored.
    pub(crate) fn restores(&self, index: u64, text: &str) {
        self.state.value.send_modify(|value| {
            value.index = index;
            value.text = Some(text.to_owned());
        });
    }

    pub(crate) fn empties(&self) {
        let era = self.state.value.borrow().era + 1;
        self.state.value.send_replace(Value { era, index: 1, text: None });
    }

    /// Ends it with all its connections.
    pub(crate) async fn kill(&self) {
        let runtime = self.runtime.lock().unwrap().take();
        let ending =
            move || runtime.map(|runtime| runtime.shutdown_timeout(Duration::from_secs(5)));
        tokio::task::spawn_blocking(ending).await.unwrap();
    }

    pub(crate) async fn run(&self) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (address, acceptor) = (self.address, Arc::clone(&self.acceptor));
        let state = Arc::clone(&self.state);
        let app = app(Arc::clone(&self.state));
        let (bound, is_bound) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            };
            let _ = bound.send(());
            let (streams, arrived) = mpsc::channel(16);
            tokio::spawn(accept(listener, acceptor, state, streams));
            axum::serve(Arrived { arrived, address }, app).await.unwrap();
        });
        within(is_bound).await.unwrap();
        *self.runtime.lock().unwrap() = Some(runtime);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Connections whose handshakes are over; a client that is slow keeps nobody else waiting.
struct Arrived {
    arrived: mpsc::Receiver<(Box<dyn Io>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for Arrived {
    type Io = Box<dyn Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.arrived.recv().await {
            Some(arrived) => arrived,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Arc<Mutex<Option<TlsAcceptor>>>,
    state: Arc<Held>,
    streams: mpsc::Sender<(Box<dyn Io>, SocketAddr)>,
) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        state.connections.fetch_add(1, Ordering::SeqCst);
        let acceptor = acceptor.lock().unwrap().clone();
        let streams = streams.clone();
        tokio::spawn(async move {
            let stream: Box<dyn Io> = match acceptor {
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
                None => Box::new(stream),
            };
            let _ = streams.send((stream, peer)).await;
        });
    }
}

fn app(state: Arc<Held>) -> Router {
    Router::new()
        .route("/value", get(value))
        .route("/v1/kv/{*key}", get(value))
        .route("/events", get(events))
        .route("/moved", get(moved))
        .layer(from_fn_with_state(Arc::clone(&state), admit))
        .with_state(state)
}

async fn admit(State(state): State<Arc<Held>>, request: Request, next: Next) -> Response {
    state.requests.fetch_add(1, Ordering::SeqCst);
    if state.is_throttled.load(Ordering::SeqCst) {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response();
    }
    let wanted = format!("Bearer {}", state.token.lock().unwrap());
    let has_it = request.headers().get(header::AUTHORIZATION).is_some_and(|got| *got == wanted);
    if has_it { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() }
}

/// What a long poll says: which index is known, and how long to wait for another.
fn blocking(uri: &Uri) -> Option<(u64, Duration)> {
    let mut query = url::form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, index) = query.find(|(name, _)| name == "index")?;
    let (_, wait) = query.find(|(name, _)| name == "wait")?;
    let wait = wait.strip_suffix("ms")?.parse().ok()?;
    Some((index.parse().ok()?, Duration::from_millis(wait)))
}

async fn value(State(state): State<Arc<Held>>, uri: Uri, headers: HeaderMap) -> Response {
    let mut values = state.value.subscribe();
    if let Some((index, wait)) = blocking(&uri) {
        let mut unheard = state.is_unheard.subscribe();
        tokio::select! {
            biased;
            () = async { drop(unheard.wait_for(|is_unheard| *is_unheard).await) } => {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            // As Consul does: whoever knows an index that is higher waits, too.
            () = async { drop(timeout(wait, values.wait_for(|value| value.index > index)).await) } => {}
        }
    }
    let Value { era, index, text } = values.borrow_and_update().clone();
    let index_header = ("x-consul-index", index.to_string());
    let tag = format!("\"{era}-{index}\"");
    let Some(text) = text else { return (StatusCode::NOT_FOUND, [index_header]).into_response() };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag) {
        return (StatusCode::NOT_MODIFIED, [index_header]).into_response();
    }
    state.bodies.fetch_add(1, Ordering::SeqCst);
    ([index_header, ("etag", tag)], text).into_response()
}

async fn moved(uri: Uri) -> Response {
    let to = uri.query().and_then(|query| query.strip_prefix("to=")).unwrap_or_default();
    (StatusCode::FOUND, [(header::LOCATION, to.to_owned())]).into_response()
}

async fn events(State(state): State<Arc<Held>>, headers: HeaderMap) -> Response {
    if *state.is_unheard.borrow() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let last_id = headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
    state.last_ids.lock().unwrap().extend(last_id);
    let retry = state.retry.lock().unwrap().map(|retry| format!("retry: {}\n", retry.as_millis()));
    let mut values = state.value.subscribe();
    values.mark_unchanged();
    let begin = format!("{}\n\n", retry.unwrap_or_else(|| ":".into()));
    let told = stream::unfold((values, state, Some(begin)), async |(mut values, state, begin)| {
        let piece = match begin {
            Some(begin) => begin,
            None => loop {
                match timeout(HEARTBEAT, values.changed()).await {
                    Ok(changed) => {
                        changed.ok()?;
                        break event(&values.borrow_and_update().clone());
                    }
                    Err(_) if *state.is_unheard.borrow() => return None,
                    Err(_) if state.is_silent.load(Ordering::SeqCst) => {}
                    Err(_) => break ":\n\n".into(),
                }
            },
        };
        Some((Ok::<_, Infallible>(Bytes::from(piece)), (values, state, None)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(told)).into_response()
}

fn event(value: &Value) -> String {
    let text = value.text.as_deref().unwrap_or_default();
    let lines = text.split('\n').map(|line| format!("data: {line}\n"));
    format!("id: {}\n{}\n", value.index, lines.collect::<String>())
}
