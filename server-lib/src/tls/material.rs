//! A certificate with its chain and its key, ready to be served.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};
use zeroize::Zeroizing;

use super::{
    error::{CertificateError, Problem},
    pem::Pem,
};
use crate::config::CertificatePaths;

/// A chain whose key belongs to its first certificate.
pub(super) struct Material {
    pub(super) certified: Arc<CertifiedKey>,
    /// Names and addresses that the certificate is for, in its order.
    pub(super) names: Vec<String>,
    /// First and last second in which it is valid, since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Material {
    pub(super) fn new(
        paths: &CertificatePaths,
        certificate: &Pem,
        key: &Pem,
    ) -> Result<Self, CertificateError> {
        let of_certificate = |problem| CertificateError::new(&paths.certificate, problem);
        let of_key = |problem| CertificateError::of_key(&paths.key, problem);

        let chain = chain(certificate.bytes()).map_err(of_certificate)?;
        let key = private_key(key.bytes()).map_err(of_key)?;
        // Each of the chain, so that no client is the first to find out.
        for (n, der) in chain.iter().enumerate() {
            X509Certificate::from_der(der)
                .map_err(|_malformed| of_certificate(Problem::Malformed(n + 1)))?;
        }
        let (_, leaf) = X509Certificate::from_der(&chain[0])
            .map_err(|_malformed| of_certificate(Problem::Malformed(1)))?;
        let names = names(&leaf);
        let validity = leaf.validity();
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());

        let key = ring::sign::any_supported_type(&key)
            .map_err(|_unusable| of_key(Problem::UnusableKey))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                of_key(Problem::Mismatch(paths.certificate.clone()))
            }
            other => of_certificate(Problem::Unusable(other.to_string())),
        })?;
        Ok(Self { certified: Arc::new(certified), names, not_before, not_after })
    }

    /// Whether both serve the same: the whole chain is compared, and the key is the one of its
    /// first certificate.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    pub(super) fn is_valid_at(&self, now: i64) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_malformed| Problem::NotPem)?;
    if chain.is_empty() { Err(Problem::NoCertificate) } else { Ok(chain) }
}

fn private_key(text: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, Problem> {
    PrivateKeyDer::from_pem_slice(text).map(Zeroizing::new).map_err(|error| match error {
        _ if is_encrypted(text) => Problem::Encrypted,
        pem::Error::NoItemsFound => Problem::NoKey,
        _ => Problem::NotPem,
    })
}

/// Whether there is a key for which it takes a passphrase: RFC 7468, section 11, and RFC 1421,
/// section 4.6.1.1, which OpenSSL goes by in its traditional format.
fn is_encrypted(text: &[u8]) -> bool {
    [&b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|marker| text.windows(marker.len()).any(|window| window == *marker))
}

/// The names that clients go by: RFC 9525, section 6.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(listed)) = leaf.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|ip| IpAddr::from(ip).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|ip| IpAddr::from(ip).to_string()),
        },
        _ => None,
    };
    listed.value.general_names.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever follows the files would be gone for good.
    #[test]
    fn no_broken_byte_makes_it_panic() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["example.com".to_owned(), "127.0.0.1".to_owned()];
        let params = rcgen::CertificateParams::new(names).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let paths = CertificatePaths { certificate: "certificate".into(), key: "key".into() };
        let make = |certificate: &[u8], key: &[u8]| {
            Material::new(&paths, &Pem::new(certificate), &Pem::new(key))
        };
        let good = make(certificate.as_bytes(), key.as_bytes()).map_err(|error| error.to_string());
        let good = good.map(|material| material.names).unwrap();
        assert_eq!(good, ["example.com", "127.0.0.1"]);
        for byte in [b'A', b'z', b'\n', 0xff] {
            for n in 0..certificate.len() {
                let mut broken = certificate.clone().into_bytes();
                broken[n] = byte;
                // It may hit what nobody reads.
                let _ = make(&broken, key.as_bytes());
                let _ = make(&broken[..n], key.as_bytes());
            }
            for n in 0..key.len() {
                let mut broken = key.clone().into_bytes();
                broken[n] = byte;
                let _ = make(certificate.as_bytes(), &broken);
            }
        }
    }
}
