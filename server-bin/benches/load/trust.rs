//! What clients over TLS trust: one authority, and of what it has issued, each certificate.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::certificates::NAMES;

pub struct Trust {
    client: TlsConnector,
    /// How many handshakes have begun: they ask for one name after the other.
    begun: AtomicUsize,
    /// Those that were issued, and whether anybody was served them.
    issued: Mutex<HashMap<CertificateDer<'static>, bool>>,
}

impl Trust {
    pub fn new(root: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that it knows")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each handshake is to be served a certificate.
        config.resumption = Resumption::disabled();
        let client = TlsConnector::from(Arc::new(config));
        Self { client, begun: AtomicUsize::default(), issued: Mutex::default() }
    }

    /// Shakes hands; the certificate must be one that was issued.
    pub async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // Which of them gets which name doesn't matter.
        let name = NAMES[self.begun.fetch_add(1, Ordering::Relaxed) % NAMES.len()];
        let name = ServerName::try_from(name).expect("a name");
        let stream = self.client.connect(name, stream).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let mut issued = self.issued.lock().expect("no panic");
        match leaf.and_then(|leaf| issued.get_mut(leaf)) {
            Some(is_served) => *is_served = true,
            None => return Err(io::Error::other("a certificate that nobody has issued")),
        }
        drop(issued);
        Ok(stream)
    }

    pub fn is_issued(&self, leaf: CertificateDer<'static>) {
        self.issued.lock().expect("no panic").insert(leaf, false);
    }

    pub fn is_served(&self, leaf: &CertificateDer<'static>) -> bool {
        self.issued.lock().expect("no panic").get(leaf) == Some(&true)
    }

    /// Returns how many have been served, of how many.
    pub fn served(&self) -> (usize, usize) {
        let issued = self.issued.lock().expect("no panic");
        (issued.values().filter(|is_served| **is_served).count(), issued.len())
    }
}
