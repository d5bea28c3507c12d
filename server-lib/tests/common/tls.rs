//! Certificates of a test's own authority, the files that they are in, and a client that trusts it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ED25519,
};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::PATIENCE;

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A root, and one below it that issues.
pub struct Authority {
    root: Issuer,
    intermediate: Issuer,
}

/// A certificate with its chain, and its key; both in PEM.
pub struct Issued {
    pub chain: String,
    pub key: String,
    pub leaf: CertificateDer<'static>,
}

/// Where a pair is.
#[derive(Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn below(root: &Issuer, key: KeyPair) -> Issuer {
    CertifiedIssuer::signed_by(authority("intermediate"), key, root).unwrap()
}

/// Where pairs are to be in a fresh directory, one of each name.
pub fn files(names: &[&str]) -> (TempDir, Vec<Files>) {
    let dir = tempfile::tempdir().unwrap();
    let files = names.iter().map(|name| Files::at(dir.path(), name)).collect();
    (dir, files)
}

impl Authority {
    pub fn new() -> Self {
        let root =
            CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
        let intermediate = below(&root, KeyPair::generate().unwrap());
        Self { root, intermediate }
    }

    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    /// Issues a certificate that ends in so many seconds.
    pub fn issue_for(&self, names: &[&str], seconds: i64) -> Issued {
        self.issue_with(names, |params| {
            let now = time::OffsetDateTime::now_utc();
            params.not_before = now - time::Duration::days(90);
            params.not_after = now + time::Duration::seconds(seconds);
        })
    }

    /// Issues a certificate for a key of another kind.
    pub fn issue_ed25519(&self, names: &[&str]) -> Issued {
        self.issue_of(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), names, |_| {})
    }

    fn issue_with(&self, names: &[&str], with: impl FnOnce(&mut CertificateParams)) -> Issued {
        self.issue_of(&KeyPair::generate().unwrap(), names, with)
    }

    fn issue_of(
        &self,
        key: &KeyPair,
        names: &[&str],
        with: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        with(&mut params);
        let leaf = params.signed_by(key, &*self.intermediate).unwrap();
        Issued {
            chain: leaf.pem() + &self.intermediate.pem(),
            key: key.serialize_pem(),
            leaf: leaf.der().clone(),
        }
    }

    /// Returns `issued` below an intermediate that was signed anew, with the key that it had.
    pub fn renew_intermediate(&mut self, issued: &Issued) -> Issued {
        let key = KeyPair::from_pem(&self.intermediate.key().serialize_pem()).unwrap();
        let before = self.intermediate.pem();
        self.intermediate = below(&self.root, key);
        let chain = issued.chain.replace(&before, &self.intermediate.pem());
        assert_ne!(chain, issued.chain);
        Issued { chain, key: issued.key.clone(), leaf: issued.leaf.clone() }
    }

    /// Returns a client that trusts the root, and resumes nothing.
    pub fn client(&self, protocols: &[&str]) -> TlsConnector {
        self.client_by(ring::default_provider(), protocols)
    }

    /// Returns one that takes keys of one kind.
    pub fn client_of(&self, scheme: SignatureScheme) -> TlsConnector {
        let mut provider = ring::default_provider();
        let known = &mut provider.signature_verification_algorithms;
        let kept: Vec<_> = known.mapping.iter().filter(|(of, _)| *of == scheme).copied().collect();
        known.mapping = kept.leak();
        self.client_by(provider, &[])
    }

    fn client_by(&self, provider: CryptoProvider, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

impl Files {
    pub fn at(dir: &Path, name: &str) -> Self {
        let path = |kind| dir.join(format!("{name}.{kind}.pem"));
        Self { certificate: path("certificate"), key: path("key") }
    }

    pub fn write(&self, issued: &Issued) {
        replace(&self.certificate, &issued.chain);
        replace(&self.key, &issued.key);
    }

    /// The lines of a configuration that name them.
    pub fn listed(&self) -> String {
        format!(
            "[[tls.certificates]]\ncertificate = '{}'\nkey = '{}'\n",
            self.certificate.display(),
            self.key.display()
        )
    }
}

/// Replaces a file as careful writers do.
pub fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// A configuration with `name` that serves `pairs` on one address.
pub fn https(name: &str, pairs: &[&Files]) -> String {
    let listed: String = pairs.iter().map(|files| files.listed()).collect();
    format!("name = {name:?}\nhttps_addresses = ['127.0.0.1:0']\n{listed}")
}

/// Shakes hands; the chain must be good for `name`.
pub async fn shake(
    client: &TlsConnector,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let shaken = async {
        let stream = TcpStream::connect(address).await?;
        client.connect(name, stream).await
    };
    timeout(PATIENCE, shaken).await.expect("no handshake")
}

/// Returns the chain that was served.
pub fn served(stream: &TlsStream<TcpStream>) -> Vec<CertificateDer<'static>> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap().iter().map(|der| der.clone().into_owned()).collect()
}

/// Shakes hands anew and returns the certificate that was served.
pub async fn leaf(
    client: &TlsConnector,
    address: SocketAddr,
    name: &str,
) -> CertificateDer<'static> {
    served(&shake(client, address, name).await.unwrap()).remove(0)
}

/// Waits until a new connection is served `wanted`.
pub async fn until_served(
    client: &TlsConnector,
    address: SocketAddr,
    name: &str,
    wanted: &CertificateDer<'static>,
) {
    let waiting = async {
        while leaf(client, address, name).await != *wanted {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("not served");
}
