//! TLS as the credentials have it.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    access::{self, Access},
    error::StoreError,
};

/// Reads the files anew, since they may have been replaced.
pub(super) async fn config(access: &Access) -> Result<ClientConfig, StoreError> {
    let roots = match &access.ca_file {
        Some(path) => authorities(path).await?,
        None => authorities_of_the_system().await?,
    };
    // Named, since a process may have linked more than one and set none.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::refused("no version of TLS to be had").because(error))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &access.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate).await?;
    // Not told what is wrong with it: it is a secret.
    let private = PrivateKeyDer::from_pem_slice(&access::read(key).await?).map_err(|_| {
        StoreError::refused(format!("{} holds no private key in PEM; put one there", key.display()))
    })?;
    builder.with_client_auth_cert(chain, private).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        StoreError::refused(format!("{certificate} and {key} do not go together")).because(error)
    })
}

async fn authorities(path: &Path) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path).await? {
        roots.add(certificate).map_err(|error| {
            let path = path.display();
            StoreError::refused(format!("{path} holds a certificate that is no authority's"))
                .because(error)
        })?;
    }
    Ok(roots)
}

async fn authorities_of_the_system() -> Result<RootCertStore, StoreError> {
    let load = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let loaded = load.await.map_err(|_| StoreError::unreachable("the service is ending"))?;
    let mut roots = RootCertStore::empty();
    // Systems have some that are out of date; the others do.
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        return Err(StoreError::refused("the system trusts nobody; name an authority by ca_file"));
    }
    Ok(roots)
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let pem = access::read(path).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(StoreError::refused(format!(
            "{} holds no certificate in PEM; put one there",
            path.display()
        ))),
    }
}

/// Tells what TLS has against it, if that is what is wrong.
pub(super) fn refusal(error: &io::Error) -> Option<StoreError> {
    use rustls::Error as Tls;

    let error: &Tls = error.get_ref()?.downcast_ref()?;
    let told = match error {
        Tls::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the server's certificate has expired; renew it",
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another name; use that, or issue one for this",
        // Another authority of the same name has signed it, where it is the signature.
        Tls::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "the server's certificate is by an authority that is not trusted; name it by ca_file",
        Tls::InvalidCertificate(_) => "the server's certificate is not to be trusted",
        Tls::AlertReceived(_) => {
            "the server does not accept how we speak TLS; it may want a client certificate"
        }
        Tls::InvalidMessage(_) => "the server does not speak TLS here",
        _ => return None,
    };
    Some(StoreError::refused(told).because(error.clone()))
}
