//! TLS to the server.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::task::spawn_blocking;

use crate::{
    access::{self, Access},
    error::StoreError,
};

/// Whether a connection is encrypted, and what the server has to prove: the
/// [`sslmode`](https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION) of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Disable,
    /// If the server can, to whoever answers. The default within one machine.
    Prefer,
    /// Always, to whoever answers; with a CA file, to a server that it is trusted by, as with libpq.
    Require,
    /// To a server with a certificate of a trusted authority, whatever its name.
    VerifyCa,
    /// To a server with a certificate for the host that was named. The default beyond one machine.
    VerifyFull,
}

impl Tls {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "prefer" | "allow" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Reads the certificates anew, and makes of them what a connection needs.
pub(super) async fn config(tls: Tls, access: &Access) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let verifies = match (tls, &access.ca_file) {
        (Tls::VerifyFull, _) => Verifies::Name,
        (Tls::VerifyCa, _) | (Tls::Require, Some(_)) => Verifies::Authority,
        _ => Verifies::Nothing,
    };
    let webpki = match verifies {
        Verifies::Nothing => None,
        Verifies::Authority | Verifies::Name => {
            let roots = Arc::new(roots(access.ca_file.as_deref()).await?);
            let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
            Some(built.build().map_err(|error| {
                StoreError::refused("no certificate to trust; name a CA file").because(error)
            })?)
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::refused("TLS can't be set up").because(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { provider, webpki, verifies }));
    let Some((certificate, key)) = &access.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate).await?;
    let private = PrivateKeyDer::from_pem_slice(&access::read(key).await?)
        .map_err(|_| StoreError::refused(format!("{} holds no key in PEM", key.display())))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        StoreError::refused(format!("{certificate} and {key} don't go together")).because(error)
    })
}

async fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let certificates = match ca_file {
        Some(path) => certificates(path).await?,
        // It reads files; what it could not read is missed where something needs it.
        None => spawn_blocking(|| rustls_native_certs::load_native_certs().certs)
            .await
            .unwrap_or_default(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let pem = access::read(path).await?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(StoreError::refused(format!("{} holds no certificate in PEM", path.display()))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verifies {
    Nothing,
    Authority,
    Name,
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    webpki: Option<Arc<WebPkiServerVerifier>>,
    verifies: Verifies,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(webpki) = &self.webpki else { return Ok(ServerCertVerified::assertion()) };
        let verified =
            webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is what it looks at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.verifies == Verifies::Authority => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
