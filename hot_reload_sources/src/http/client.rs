//! The client, and when another takes its place.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::redirect::Policy;
use rustls::ClientConfig;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{
    access::{self, Access},
    error::StoreError,
    shared::Shared,
    tls,
};

/// Sent to whoever runs the server, so that they know who asks.
const USER_AGENT: &str = concat!("hot_reload_sources/", env!("CARGO_PKG_VERSION"));
/// An HTTP/2 connection that carries an event stream is asked this often whether it still stands, and
/// has this long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// HTTP/2 where the server has it: one connection for events and reads.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where clients come from.
#[derive(Clone)]
pub(super) enum Clients {
    /// Made anew when files were replaced, or a request got no answer; closed when nobody needs it.
    Ours { pool: Shared<Pool>, config: Arc<Mutex<Option<(Files, ClientConfig)>>> },
    /// The user's own.
    Given(reqwest::Client),
}

/// What the files of a TLS connection held when it was prepared.
type Files = Vec<Zeroizing<Vec<u8>>>;

/// A client with its connections.
pub(super) struct Pool {
    pub(super) client: reqwest::Client,
    files: Option<Files>,
    /// Whether one of its connections may be dead: HTTP/2 would have all requests wait for that.
    is_doubtful: AtomicBool,
}

impl Clients {
    pub(super) fn ours() -> Self {
        Self::Ours { pool: Shared::default(), config: Arc::default() }
    }

    /// Returns the client for what the files of `access` hold now.
    pub(super) async fn get(&self, access: &Access) -> Result<Arc<Pool>, StoreError> {
        match self {
            Self::Given(client) => Ok(Arc::new(Pool {
                client: client.clone(),
                files: None,
                is_doubtful: AtomicBool::new(false),
            })),
            Self::Ours { pool, config } => {
                let files = read(access).await?;
                let is_good = |pool: &Pool| {
                    let is_doubtful = pool.is_doubtful.load(Ordering::Relaxed);
                    !is_doubtful && pool.files.as_ref() == Some(&files)
                };
                let (access, of, known) = (access.clone(), files.clone(), Arc::clone(config));
                pool.get(is_good, || async move { open(&access, of, &known).await }).await
            }
        }
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours { .. } => "Ours",
            Self::Given(_) => "Given",
        })
    }
}

async fn read(access: &Access) -> Result<Files, StoreError> {
    let mut files = Files::new();
    let identity =
        access.client_certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
    for path in access.ca_file.iter().chain(identity) {
        files.push(access::read(path).await?);
    }
    Ok(files)
}

async fn open(
    access: &Access,
    files: Files,
    known: &Mutex<Option<(Files, ClientConfig)>>,
) -> Result<Pool, StoreError> {
    let mut known = known.lock().await;
    let config = match &*known {
        // It remembers sessions, so that a server that is back is reached in fewer round trips.
        Some((of, config)) if *of == files => config.clone(),
        _ => {
            // Files that are replaced only now differ from `files`, and are noticed the next time.
            let mut config = tls::client_config(access).await?;
            config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
            config
        }
    };
    *known = Some((files.clone(), config.clone()));
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(Policy::none())
        .referer(false)
        .user_agent(USER_AGENT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .build()
        .map_err(|error| StoreError::refused("no HTTP client can be made").because(error))?;
    Ok(Pool { client, files: Some(files), is_doubtful: AtomicBool::new(false) })
}

impl Pool {
    /// Has the next who needs a client get another.
    pub(super) fn doubt(&self) {
        // Whoever misses it for a moment is no worse off than before.
        self.is_doubtful.store(true, Ordering::Relaxed);
    }
}

/// Doubts a pool where an answer is waited for when it is dropped, as at a deadline.
pub(super) struct Unanswered {
    pool: Arc<Pool>,
    /// Whether the server may take its time, so that it is no sign of anything if nobody waits any more.
    is_patient: bool,
    waits: bool,
}

impl Unanswered {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, is_patient: false, waits: false }
    }

    /// Of a request that the server answers when it wants to.
    pub(super) fn patient(pool: Arc<Pool>) -> Self {
        Self { pool, is_patient: true, waits: false }
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.pool.client
    }

    pub(super) fn wait(&mut self) {
        self.waits = !self.is_patient;
    }

    pub(super) fn answered(&mut self) {
        self.waits = false;
    }

    pub(super) fn doubt(&self) {
        self.pool.doubt();
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.waits {
            self.pool.doubt();
        }
    }
}
