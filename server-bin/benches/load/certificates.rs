//! Certificates of the bench's own authority, in files that are renewed as others renew them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;

use crate::{daemon::PATIENCE, trust::Trust};

/// The names that certificates are for: one pair is swapped as a whole, one is replaced file by file.
pub const NAMES: [&str; 2] = ["volume.test", "files.test"];

/// How long a certificate waits for its key.
const GAP: Duration = Duration::from_millis(20);

pub struct Certificates {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub trust: Arc<Trust>,
    renewals: u64,
    newest: Vec<CertificateDer<'static>>,
}

impl Certificates {
    /// Issues the first ones, into a directory that is empty.
    pub fn new(dir: PathBuf) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a root");
        let trust = Arc::new(Trust::new(issuer.der().clone()));
        for name in NAMES {
            fs::create_dir_all(dir.join(name)).expect("a writable directory");
        }
        for file in ["certificate", "key"] {
            let link = dir.join(NAMES[0]).join(file);
            symlink(Path::new("..data").join(file), link).expect("a writable directory");
        }
        let mut certificates = Self { dir, issuer, trust, renewals: 0, newest: Vec::new() };
        certificates.renew();
        certificates
    }

    /// Renews each pair.
    pub fn renew(&mut self) {
        self.renewals += 1;
        let [volume, files] = NAMES.map(|name| self.dir.join(name));
        self.newest.clear();
        let (certificate, key) = self.issue(NAMES[0]);
        swap(&volume, self.renewals, &certificate, &key);
        let (certificate, key) = self.issue(NAMES[1]);
        replace(&files.join("certificate"), &certificate);
        sleep(GAP);
        replace(&files.join("key"), &key);
    }

    /// Waits until somebody was served each of the newest.
    pub fn until_served(&self) {
        let begun = Instant::now();
        while !self.newest.iter().all(|leaf| self.trust.is_served(leaf)) {
            assert!(begun.elapsed() < PATIENCE, "a renewed certificate is not served");
            sleep(GAP);
        }
    }

    /// The lines of a configuration that name the files.
    pub fn listed(&self) -> String {
        let listed = NAMES.map(|name| {
            let dir = self.dir.join(name);
            let dir = dir.display();
            format!("[[tls.certificates]]\ncertificate = '{dir}/certificate'\nkey = '{dir}/key'\n")
        });
        listed.concat()
    }

    /// Issues a certificate for a key of its own; returns both in PEM.
    fn issue(&mut self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &*self.issuer).expect("an issuer");
        self.trust.is_issued(certificate.der().clone());
        self.newest.push(certificate.der().clone());
        (certificate.pem(), key.serialize_pem())
    }
}

/// Swaps a pair as the volumes of Kubernetes are: a link turns from one directory to the next.
fn swap(volume: &Path, number: u64, certificate: &str, key: &str) {
    let name = |number| format!("..{number}");
    let dir = volume.join(name(number));
    fs::create_dir(&dir).expect("a writable directory");
    fs::write(dir.join("certificate"), certificate).expect("room");
    fs::write(dir.join("key"), key).expect("room");
    let next = volume.join("..data_tmp");
    symlink(name(number), &next).expect("a writable directory");
    fs::rename(next, volume.join("..data")).expect("a writable directory");
    if number > 1 {
        fs::remove_dir_all(volume.join(name(number - 1))).expect("it is not needed any more");
    }
}

/// Replaces a file as careful writers do.
pub fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).expect("room");
    fs::rename(next, path).expect("a writable directory");
}
