//! What a TLS connection is made with, from files that may be replaced.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use crate::{
    access::{self, Access},
    error::StoreError,
};

/// HTTP/2 where the server has it: one connection for events and reads.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What the files of an [`Access`] hold at one moment.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    authorities: Option<(PathBuf, Zeroizing<Vec<u8>>)>,
    identity: Option<Identity>,
}

#[derive(Clone, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

impl Material {
    pub(super) async fn read(access: &Access) -> Result<Self, StoreError> {
        let authorities = match &access.ca_file {
            Some(path) => Some((path.clone(), access::read(path).await?)),
            None => None,
        };
        let identity = match &access.client_certificate {
            Some((certificate, key)) => Some(Identity {
                path: certificate.clone(),
                certificate: access::read(certificate).await?,
                key: access::read(key).await?,
            }),
            None => None,
        };
        Ok(Self { authorities, identity })
    }

    pub(super) async fn config(&self) -> Result<ClientConfig, StoreError> {
        let roots = match &self.authorities {
            Some((path, pem)) => trusted(path, pem)?,
            None => tokio::task::spawn_blocking(of_the_system).await.map_err(|_| {
                StoreError::unreachable("the certificates of the system can't be read now")
            })?,
        };
        let unusable = |error: rustls::Error| StoreError::refused(error.to_string());
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some(identity) => {
                let (chain, key) = identity.decode()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let path = identity.path.display();
                    StoreError::refused(format!("{path} and its key don't fit each other"))
                        .because(error)
                })?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(config)
    }
}

impl Identity {
    fn decode(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), StoreError> {
        let path = self.path.display();
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| StoreError::refused(format!("{path} holds no certificate in PEM")))?;
        // The cause is left out: it may quote the file.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| StoreError::refused(format!("the key of {path} is no key in PEM")))?;
        Ok((chain, key))
    }
}

fn trusted(path: &std::path::Path, pem: &[u8]) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    roots.add_parsable_certificates(certificates.unwrap_or_default());
    if roots.is_empty() {
        let told = format!("{} holds no certificate in PEM to trust", path.display());
        return Err(StoreError::refused(told));
    }
    Ok(roots)
}

fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
