//! A server of one value: by GET with an `ETag`, by long polling, and by server-sent events.

mod answers;
mod listen;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use hot_reload_sources::{Access, Secret};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
};

use self::{
    answers::app,
    listen::{Arrived, accept},
};
use crate::common::{
    authority::{Authority, Pair, Validity},
    server::address,
    within,
};

pub(crate) const TOKEN: &str = "fleet-token-1f7c";

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
