//! Which certificates are trusted, which is shown, and what TLS has against a server.

use std::{error::Error, io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, Error as Tls, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio::task::spawn_blocking;

use crate::{
    access::{self, Access},
    error::StoreError,
};

/// Returns how to speak TLS with what `access` says, read anew, as files of it may have been replaced.
#[cfg(any(feature = "etcd", feature = "nats", feature = "postgres", feature = "redis"))]
pub(crate) async fn client_config(access: &Access) -> Result<ClientConfig, StoreError> {
    showing(trusting(roots(access).await?), access).await
}

/// Returns whom `access` trusts.
pub(crate) async fn roots(access: &Access) -> Result<RootCertStore, StoreError> {
    let Some(path) = &access.ca_file else {
        let roots = of_the_system().await?;
        if roots.is_empty() {
            let told = "the system has no certificates to trust; name a file of them";
            return Err(StoreError::refused(told));
        }
        return Ok(roots);
    };
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
            let key =
                PrivateKeyDer::from_pem_slice(&pem).map_err(|error| no_pem(key_file, &error))?;
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
    let found = found.map_err(|error| no_pem(path, &error))?;
    if found.is_empty() {
        return Err(StoreError::refused(format!("{} has no certificate", path.display())));
    }
    Ok(found)
}

/// Returns whom the system trusts, which may be nobody.
pub(crate) async fn of_the_system() -> Result<RootCertStore, StoreError> {
    let found = spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|error| StoreError::unreachable("certificates can't be read").because(error))?;
    let mut roots = RootCertStore::empty();
    // Some systems have certificates among them that nothing can be done with.
    let (_used, _unusable) = roots.add_parsable_certificates(found.certs);
    Ok(roots)
}

/// Tells what TLS has against a server, if that is what is wrong.
pub(crate) fn refusal(error: &(dyn Error + 'static)) -> Option<StoreError> {
    let error = causes(error).find_map(|cause| cause.downcast_ref::<Tls>())?;
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

/// Returns an error and what caused it, one after the other, also where `io::Error` hides the next.
pub(crate) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // Its `source()` is the one after that.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map(|held| held as _).or_else(|| error.source())
    })
}

fn unusable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    let told = format!("{} can't be used; put a good one there", path.display());
    StoreError::refused(told).because(error)
}

/// Says nothing of what its parser says, which quotes the file: a key that has lost the ends of its lines is
/// one line of it.
fn no_pem(path: &Path, error: &pem::Error) -> StoreError {
    let told = match error {
        pem::Error::NoItemsFound => "it holds nothing in PEM of the kind that is wanted",
        _ => "it is no PEM; look whether each of its lines is there, by itself",
    };
    StoreError::refused(format!("{} can't be used: {told}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once the whole key was told, byte by byte.
    #[tokio::test]
    async fn nothing_is_told_of_a_file_that_is_no_pem() {
        let key = "PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAeKnHaGmDHTjCwnKFPzzp1vOLN3\n-----END \
                   PRIVATE KEY-----\n";
        let pem = format!("-----BEGIN {key}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("flat.pem");
        for flat in [
            pem.replace('\n', " "),
            pem.replace('\n', ""),
            pem.trim_end().trim_end_matches('-').replace('\n', " "),
            pem.replace("-----END", ""),
            pem.replace("MC4C", "M~4C"),
        ] {
            std::fs::write(&file, flat).unwrap();
            let access = Access::new().client_certificate("none.pem", &file);
            let by_key = showing(trusting(RootCertStore::empty()), &access).await.unwrap_err();
            let by_certificate = certificates(&file).await.unwrap_err();
            for error in [by_key, by_certificate] {
                let told = format!("{error:?} {:#}", anyhow::Error::from(error.clone()));
                assert!(told.contains("Refused") && told.contains("flat.pem"), "{told}");
                for part in ["80, 82, 73", "79, 76, 78, 51", "MC4C", "OLN3"] {
                    assert!(!told.contains(part), "{told}");
                }
            }
        }
    }

    #[test]
    fn says_what_to_do_however_deep_it_is() {
        let expired = Tls::InvalidCertificate(CertificateError::Expired);
        for error in [
            io::Error::other(expired.clone()),
            io::Error::other(io::Error::other(io::Error::other(expired))),
        ] {
            let told = refusal(&error).unwrap();
            assert!(told.is_refused() && told.to_string().contains("renew it"), "{told}");
        }
        assert!(refusal(&io::Error::other("else")).is_none());
        assert!(refusal(&io::Error::from(io::ErrorKind::TimedOut)).is_none());
    }
}
