//! Which certificates are trusted, and which is shown.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::task::spawn_blocking;

use crate::{
    access::{self, Access},
    error::StoreError,
};

/// Returns how to speak TLS with what `access` says, read anew, as files of it may have been replaced.
pub(crate) async fn client_config(access: &Access) -> Result<ClientConfig, StoreError> {
    showing(trusting(roots(access).await?), access).await
}

/// Returns whom `access` trusts.
pub(crate) async fn roots(access: &Access) -> Result<RootCertStore, StoreError> {
    let Some(path) = &access.ca_file else { return of_the_system().await };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path).await? {
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

/// Has the certificate of `access` shown, if there is one.
pub(crate) async fn showing(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    access: &Access,
) -> Result<ClientConfig, StoreError> {
    match &access.client_certificate {
        Some((certificate, key_file)) => {
            let pem = access::read(key_file).await?;
            let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| unusable(key_file, e))?;
            config
                .with_client_auth_cert(certificates(certificate).await?, key)
                .map_err(|error| unusable(certificate, error))
        }
        None => Ok(config.with_no_client_auth()),
    }
}

/// Begins to say how to speak TLS with whom `roots` vouch for.
pub(crate) fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    // Named, since whoever uses this may have another provider beside it, and none chosen.
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let pem = access::read(path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| unusable(path, error))?;
    if found.is_empty() {
        return Err(StoreError::refused(format!("{} has no certificate", path.display())));
    }
    Ok(found)
}

async fn of_the_system() -> Result<RootCertStore, StoreError> {
    let found = spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|error| StoreError::unreachable("certificates can't be read").because(error))?;
    let mut roots = RootCertStore::empty();
    // Some systems have certificates among them that nothing can be done with.
    let (_used, _unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(StoreError::refused(
            "the system has no certificates to trust; name a file of them",
        ));
    }
    Ok(roots)
}

fn unusable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    let told = format!("{} can't be used; put a good one there", path.display());
    StoreError::refused(told).because(error)
}
