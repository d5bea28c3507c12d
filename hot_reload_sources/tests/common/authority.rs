//! Certificates of a test's own authority, in files.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// Issues certificates; its own is in a file for those who are to trust it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// Where a certificate and its key are, both in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// For how long a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    Now,
    Over,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a test's own");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let authority = Self { issuer, dir };
        fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Issues a certificate for `names`, of hosts or of addresses, into files that begin with `file`.
    pub fn issue(&self, file: &str, names: &[&str], validity: Validity) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        // Some servers tell clients apart by it.
        params.distinguished_name.push(DnType::CommonName, file);
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(90);
        params.not_after = match validity {
            Validity::Now => now + Duration::days(1),
            Validity::Over => now - Duration::days(1),
        };
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &*self.issuer).unwrap();
        let at = |end: &str| self.dir.path().join(format!("{file}.{end}"));
        let pair = Pair { certificate: at("crt"), key: at("key") };
        fs::write(&pair.certificate, leaf.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}
