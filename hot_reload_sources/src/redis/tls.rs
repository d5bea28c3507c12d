//! What TLS has against a server.

use std::io;

use rustls::{CertificateError, Error as Tls};

use crate::error::StoreError;

/// Tells what TLS has against it, if that is what is wrong.
pub(super) fn refusal(error: &io::Error) -> Option<StoreError> {
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
