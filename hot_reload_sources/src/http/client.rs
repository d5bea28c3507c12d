//! The client, and when another takes its place.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::{
    access::{self, Access},
    error::StoreError,
    lock::lock,
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
    Ours { pool: Shared<Pool>, last: Arc<Mutex<Option<Arc<Tls>>>>, is_https: bool },
    /// The user's own.
    Given(reqwest::Client),
}

/// What the files of a TLS connection held when it was prepared.
type Files = Vec<Zeroizing<Vec<u8>>>;

/// How TLS is spoken, and what that was made of.
pub(super) struct Tls {
    files: Files,
    roots: RootCertStore,
    /// It remembers sessions, so that a server that is back is reached in fewer round trips.
    config: ClientConfig,
}

/// A client with its connections.
pub(super) struct Pool {
    pub(super) client: reqwest::Client,
    /// `None` where the client is the user's own.
    tls: Option<Arc<Tls>>,
    /// Whether one of its connections may be dead: HTTP/2 would have all requests wait for that.
    is_doubtful: AtomicBool,
}

impl Clients {
    /// Creates those of a server that speaks TLS, or not.
    pub(super) fn ours(is_https: bool) -> Self {
        Self::Ours { pool: Shared::default(), last: Arc::default(), is_https }
    }

    /// Returns the client for what the files of `access` hold now.
    pub(super) async fn get(&self, access: &Access) -> Result<Arc<Pool>, StoreError> {
        match self {
            Self::Given(client) => Ok(Arc::new(Pool::new(client.clone(), None))),
            Self::Ours { pool, last, is_https } => {
                let files = read(access).await?;
                let is_good = |pool: &Pool| {
                    let is_of_files = pool.tls.as_ref().is_some_and(|tls| tls.files == files);
                    is_of_files && !pool.is_doubtful()
                };
                let (access, of, last) = (access.clone(), files.clone(), Arc::clone(last));
                let is_https = *is_https;
                pool.get(is_good, || async move { open(&access, of, is_https, &last).await }).await
            }
        }
    }

    /// Has a pool by which TLS has refused a server be made anew, if others are trusted by now.
    pub(super) async fn refused(&self, pool: &Pool, access: &Access) {
        let Self::Ours { last, is_https, .. } = self else { return };
        let Some(tls) = &pool.tls else { return };
        // What can't be read is no better than what there is.
        if roots(access, *is_https).await.is_ok_and(|roots| roots.roots != tls.roots.roots) {
            *lock(last) = None;
            pool.doubt();
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
    is_https: bool,
    last: &Mutex<Option<Arc<Tls>>>,
) -> Result<Pool, StoreError> {
    let known = lock(last).clone().filter(|tls| tls.files == files);
    let tls = match known {
        Some(known) => known,
        None => Arc::new(prepare(access, files, is_https).await?),
    };
    *lock(last) = Some(Arc::clone(&tls));
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.config.clone())
        .redirect(Policy::none())
        .referer(false)
        .user_agent(USER_AGENT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .build()
        .map_err(|error| StoreError::refused("no HTTP client can be made").because(error))?;
    Ok(Pool::new(client, Some(tls)))
}

async fn prepare(access: &Access, files: Files, is_https: bool) -> Result<Tls, StoreError> {
    // Files that are replaced only now differ from `files`, and are noticed the next time.
    let roots = roots(access, is_https).await?;
    let mut config = tls::showing(tls::trusting(roots.clone()), access).await?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Tls { files, roots, config })
}

/// Returns whom to trust, should TLS be spoken.
async fn roots(access: &Access, is_https: bool) -> Result<RootCertStore, StoreError> {
    // Where a server of http redirects to https, and the system trusts nobody, that is refused then.
    if is_https { tls::roots(access).await } else { tls::of_the_system().await }
}

impl Pool {
    fn new(client: reqwest::Client, tls: Option<Arc<Tls>>) -> Self {
        Self { client, tls, is_doubtful: AtomicBool::new(false) }
    }

    fn is_doubtful(&self) -> bool {
        // Nothing else is told by it.
        self.is_doubtful.load(Ordering::Relaxed)
    }

    /// Has the next who needs a client get another.
    pub(super) fn doubt(&self) {
        // Whoever misses it for a moment is no worse off than before.
        self.is_doubtful.store(true, Ordering::Relaxed);
    }
}
