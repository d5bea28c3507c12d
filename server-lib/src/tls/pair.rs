//! A certificate and its key: what is served of them, and what is wrong with their files.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::sleep,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, task::spawn_blocking};

use super::{
    error::{CertificateError, Problem},
    expiry::{self, Expiry},
    material::Material,
    pem::Pem,
};
use crate::{config::CertificatePaths, lock::lock};

/// A certificate that is served, and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateStatus {
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Last second in which it is valid, since 1970.
    pub not_after: i64,
    /// How near that is, as of the last look; it is looked at every minute.
    pub expiry: Expiry,
    /// The file that it came from.
    pub certificate: PathBuf,
    /// The file that its key came from.
    pub key: PathBuf,
    /// Why what these files hold now is not served, if it isn't.
    pub error: Option<Arc<str>>,
}

impl CertificateStatus {
    /// Returns the whole days until it expires, less than 0 once it has.
    pub fn days_left(&self) -> i64 {
        expiry::days_left(expiry::now(), self.not_after)
    }
}

/// How often a pair that doesn't match is read again before it is called bad, and the pause before
/// each: whoever replaces one file after the other, or a link to both, is done by then.
const READINGS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// A pair of files, and the last good pair that was in them.
pub(crate) struct Pair {
    pub(super) paths: CertificatePaths,
    pub(super) material: ArcSwap<Material>,
    /// Why what the files hold now is not served.
    error: Mutex<Option<Arc<str>>>,
    /// Has whoever follows it look again.
    pub(super) look: Notify,
}

impl Pair {
    /// Loads a pair that is not followed yet; may block.
    pub(super) fn load(paths: CertificatePaths) -> Result<Self, CertificateError> {
        let mut readings = 1;
        let material = loop {
            match read(&paths) {
                Err(error) if error.is_mismatch() && readings < READINGS => {
                    readings += 1;
                    sleep(PAUSE);
                }
                done => break done?,
            }
        };
        Ok(Self {
            paths,
            material: ArcSwap::from_pointee(material),
            error: Mutex::default(),
            look: Notify::new(),
        })
    }

    pub(super) async fn load_unblocked(paths: CertificatePaths) -> Result<Self, CertificateError> {
        let path = paths.certificate.clone();
        spawn_blocking(move || Self::load(paths)).await.unwrap_or_else(|error| {
            Err(CertificateError::new(&path, Problem::Unusable(error.to_string())))
        })
    }

    /// Notes why what the files hold is not served, or that it is; returns whether that is news.
    pub(super) fn set_error(&self, error: Option<Arc<str>>) -> bool {
        let mut noted = lock(&self.error);
        let is_news = *noted != error;
        *noted = error;
        is_news
    }

    pub(super) fn status(&self, warning_days: u32) -> CertificateStatus {
        let material = self.material.load();
        CertificateStatus {
            names: material.names.clone(),
            not_after: material.not_after,
            expiry: Expiry::at(expiry::now(), material.not_after, warning_days),
            certificate: self.paths.certificate.clone(),
            key: self.paths.key.clone(),
            error: lock(&self.error).clone(),
        }
    }
}

fn read(paths: &CertificatePaths) -> Result<Material, CertificateError> {
    let read =
        |path: &PathBuf| Pem::try_from(path).map_err(|cause| Problem::Unreadable(Arc::new(cause)));
    let certificate = read(&paths.certificate)
        .map_err(|problem| CertificateError::new(&paths.certificate, problem))?;
    let key = read(&paths.key).map_err(|problem| CertificateError::of_key(&paths.key, problem))?;
    Material::new(paths, &certificate, &key)
}
