//! TLS to the server.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{access::Access, error::StoreError, tls};

/// Whether a connection is encrypted, and what the server has to prove: the
/// [`sslmode`](https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION) of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
pub(super) async fn config(asked: Tls, access: &Access) -> Result<ClientConfig, StoreError> {
    let authority = match asked {
        Tls::VerifyFull => return tls::client_config(access).await,
        Tls::Require if access.ca_file.is_none() => None,
        Tls::Disable | Tls::Prefer => None,
        Tls::Require | Tls::VerifyCa => Some(authority(access).await?),
    };
    let mut config = tls::showing(tls::trusting(RootCertStore::empty()), access).await?;
    let provider = Arc::clone(config.crypto_provider());
    config.dangerous().set_certificate_verifier(Arc::new(Verifier { provider, authority }));
    Ok(config)
}

async fn authority(access: &Access) -> Result<Arc<WebPkiServerVerifier>, StoreError> {
    let roots = Arc::new(tls::roots(access).await?);
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|error| StoreError::refused("nobody is trusted; name a CA file").because(error))
}

/// Has no regard for the name of a server, and without an authority for none of what it shows.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
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
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is what it looks at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
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
