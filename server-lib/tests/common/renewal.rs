//! A server whose certificate is renewed.

use std::net::SocketAddr;

use hot_reload::WatchStrategy::Realtime;
use server_lib::CertificateStatus;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::{
    Lab,
    tls::{Authority, Files, Issued, https, until_served},
};

/// The name that each of its certificates is for.
pub const NAME: &str = "example.com";

/// A server with one pair, and an authority to renew it.
pub struct Renewal {
    pub authority: Authority,
    pub files: Files,
    pub first: Issued,
    pub lab: Lab,
    pub dir: TempDir,
}

impl Renewal {
    pub async fn new() -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let files = Files::at(dir.path(), "pair");
        let first = authority.issue(&[NAME]);
        files.write(&first);
        let lab = Lab::new(Realtime, &https("one", &[&files])).await;
        Self { authority, files, first, lab, dir }
    }

    pub fn client(&self) -> TlsConnector {
        self.authority.client(&[])
    }

    pub fn address(&self) -> SocketAddr {
        self.lab.address()
    }

    pub async fn until(
        &mut self,
        what: &str,
        is_so: impl FnMut(&CertificateStatus) -> bool,
    ) -> CertificateStatus {
        self.lab.until_certificate(what, is_so).await
    }

    pub async fn until_served(&self, wanted: &Issued) {
        until_served(&self.client(), self.address(), NAME, &wanted.leaf).await;
    }
}
