//! Certificates are renewed under load, and a bad one never replaces a good one.

mod common;

use std::{
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst},
    time::Duration,
};

use common::{
    Client, Lab, PATIENCE,
    tls::{Authority, Files, Issued, https, leaf, replace, served, shake, until_served},
};
use hot_reload::WatchStrategy::Realtime;
use rustls::pki_types::CertificateDer;
use server_lib::{CertificateStatus, Expiry};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;

const NAME: &str = "example.com";

/// A server with one pair, and an authority to renew it.
struct Bench {
    authority: Authority,
    files: Files,
    first: Issued,
    lab: Lab,
    dir: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let files = Files::at(dir.path(), "pair");
        let first = authority.issue(&[NAME]);
        files.write(&first);
        let lab = Lab::new(Realtime, &https("one", &[&files])).await;
        Self { authority, files, first, lab, dir }
    }

    fn client(&self) -> TlsConnector {
        self.authority.client(&[])
    }

    fn address(&self) -> SocketAddr {
        self.lab.address()
    }

    async fn until(
        &mut self,
        what: &str,
        is_so: impl FnMut(&CertificateStatus) -> bool,
    ) -> CertificateStatus {
        self.lab.until_certificate(what, is_so).await
    }

    async fn until_served(&self, wanted: &Issued) {
        until_served(&self.client(), self.address(), NAME, &wanted.leaf).await;
    }
}

/// Clients that connect all the time, each of which must be served one of what is `known`.
struct Load {
    shaken: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// The client checks that the server has the key of the certificate: RFC 8446, section 4.4.3.
    fn on(address: SocketAddr, client: &TlsConnector, known: &[&Issued]) -> Self {
        let known: Vec<CertificateDer<'_>> = known.iter().map(|one| one.leaf.clone()).collect();
        let shaken = Arc::<AtomicUsize>::default();
        let clients = (0..4).map(|_| {
            let (client, known, shaken) = (client.clone(), known.clone(), Arc::clone(&shaken));
            tokio::spawn(async move {
                loop {
                    let leaf = leaf(&client, address, NAME).await;
                    assert!(known.contains(&leaf));
                    shaken.fetch_add(1, SeqCst);
                }
            })
        });
        Self { clients: clients.collect(), shaken }
    }

    /// Waits for some more handshakes.
    async fn goes_on(&self) {
        let from = self.shaken.load(SeqCst);
        let more = async {
            while self.shaken.load(SeqCst) < from + 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, more).await.expect("nobody is served");
    }

    async fn end(self) {
        for client in self.clients {
            client.abort();
            let ended = client.await.unwrap_err();
            assert!(ended.is_cancelled(), "{ended}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renews_by_rename_under_load() {
    let bench = Bench::new().await;
    let renewed: Vec<Issued> = (0..3).map(|_| bench.authority.issue(&[NAME])).collect();
    let known = [&bench.first, &renewed[0], &renewed[1], &renewed[2]];
    let load = Load::on(bench.address(), &bench.client(), &known);
    for issued in &renewed {
        load.goes_on().await;
        bench.files.write(issued);
        bench.until_served(issued).await;
    }
    load.goes_on().await;
    load.end().await;
    bench.lab.end().await;
}

/// As the kubelet does: both are links through `..data`, which is replaced by a rename.
fn mount(dir: &Path, name: &str, issued: &Issued) {
    let version = dir.join(format!("..{name}"));
    std::fs::create_dir(&version).unwrap();
    std::fs::write(version.join("tls.crt"), &issued.chain).unwrap();
    std::fs::write(version.join("tls.key"), &issued.key).unwrap();
    let before = std::fs::read_link(dir.join("..data")).ok();
    symlink(format!("..{name}"), dir.join("..data_tmp")).unwrap();
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    if let Some(before) = before {
        std::fs::remove_dir_all(dir.join(before)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renews_by_the_swap_of_a_mount_under_load() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let issued: Vec<Issued> = (0..4).map(|_| authority.issue(&[NAME])).collect();
    mount(dir.path(), "0", &issued[0]);
    let files = Files { certificate: dir.path().join("tls.crt"), key: dir.path().join("tls.key") };
    symlink("..data/tls.crt", &files.certificate).unwrap();
    symlink("..data/tls.key", &files.key).unwrap();
    let lab = Lab::new(Realtime, &https("one", &[&files])).await;
    let client = authority.client(&[]);
    let known: Vec<&Issued> = issued.iter().collect();
    let load = Load::on(lab.address(), &client, &known);
    for (n, next) in issued.iter().enumerate().skip(1) {
        load.goes_on().await;
        mount(dir.path(), &n.to_string(), next);
        until_served(&client, lab.address(), NAME, &next.leaf).await;
    }
    assert_eq!(lab.status.borrow().certificates[0].error, None);
    load.end().await;
    lab.end().await;
}

/// As certbot does: both are links, which are replaced one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renews_by_one_link_after_the_other_under_load() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let issued: Vec<Issued> = (0..3).map(|_| authority.issue(&[NAME])).collect();
    let files = Files::at(dir.path(), "live");
    let link = |n: usize, issued: &Issued| {
        let archive = Files::at(dir.path(), &format!("archive{n}"));
        archive.write(issued);
        for (to, at) in [(&archive.certificate, &files.certificate), (&archive.key, &files.key)] {
            let next = at.with_extension("next");
            symlink(to.file_name().unwrap(), &next).unwrap();
            std::fs::rename(next, at).unwrap();
        }
    };
    link(0, &issued[0]);
    let lab = Lab::new(Realtime, &https("one", &[&files])).await;
    let client = authority.client(&[]);
    let load = Load::on(lab.address(), &client, &issued.iter().collect::<Vec<_>>());
    for (n, next) in issued.iter().enumerate().skip(1) {
        load.goes_on().await;
        link(n, next);
        until_served(&client, lab.address(), NAME, &next.leaf).await;
    }
    load.end().await;
    lab.end().await;
}

/// Whatever is written in whatever order, nobody is turned away, and the last good pair wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survives_writers_that_know_no_order() {
    let mut bench = Bench::new().await;
    let issued: Vec<Issued> = (0..4).map(|_| bench.authority.issue(&[NAME])).collect();
    let mut known: Vec<&Issued> = issued.iter().collect();
    known.push(&bench.first);
    let load = Load::on(bench.address(), &bench.client(), &known);
    // A fixed walk, so that a failure can be had again.
    let mut walk = 7_usize;
    for _ in 0..200 {
        walk = (walk * 61 + 17) % 10_007;
        let one = &issued[walk % 4];
        match walk / 4 % 6 {
            0 => replace(&bench.files.certificate, &one.chain),
            1 => replace(&bench.files.key, &one.key),
            2 => std::fs::write(&bench.files.certificate, &one.chain).unwrap(),
            3 => std::fs::write(&bench.files.key, &one.key[..walk % one.key.len()]).unwrap(),
            // It may be gone already.
            4 => drop(std::fs::remove_file(&bench.files.key)),
            _ => bench.files.write(one),
        }
        if walk.is_multiple_of(7) {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    let last = bench.authority.issue(&[NAME]);
    load.goes_on().await;
    load.end().await;
    bench.files.write(&last);
    bench.until_served(&last).await;
    bench.until("it is good", |status| status.error.is_none()).await;
    bench.lab.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_comes_a_moment_later_is_waited_for_in_silence() {
    let mut bench = Bench::new().await;
    let renewed = bench.authority.issue(&[NAME]);
    let load = Load::on(bench.address(), &bench.client(), &[&bench.first, &renewed]);
    let mut statuses = bench.lab.status.clone();
    let silence = tokio::spawn(async move {
        while statuses.changed().await.is_ok() {
            let status = statuses.borrow_and_update();
            assert_eq!(status.certificates[0].error, None);
        }
    });
    replace(&bench.files.certificate, &renewed.chain);
    // As long as a slow script takes, and longer than the files need to settle.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = leaf(&bench.client(), bench.address(), NAME).await;
    assert_eq!(used, bench.first.leaf);
    replace(&bench.files.key, &renewed.key);
    bench.until_served(&renewed).await;
    bench.until("it is good", |status| status.error.is_none()).await;
    load.end().await;
    bench.lab.end().await;
    timeout(PATIENCE, silence).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_bad_pair_leaves_the_old_one_and_is_served_once_it_is_mended() {
    let mut bench = Bench::new().await;
    let mut used = bench.authority.issue(&[NAME]);
    bench.files.write(&used);
    bench.until_served(&used).await;
    let Files { certificate, key } = bench.files.clone();
    for (what, says) in [
        ("another key", "key.pem: not the key of the first certificate in "),
        ("no key", "key.pem: no private key in it"),
        ("no certificate", "certificate.pem: no certificate in it"),
        ("cut off", "certificate.pem: not PEM, or cut off"),
        ("gone", "key.pem: not there"),
        ("empty", "key.pem: empty"),
        ("expired", "certificate.pem: expired, while the one in use is still valid"),
    ] {
        let renewed = bench.authority.issue(&[NAME]);
        let half = &renewed.chain[..renewed.chain.len() / 3];
        match what {
            "another key" => replace(&key, &renewed.key),
            "no key" => replace(&key, "hello"),
            "no certificate" => replace(&certificate, "hello"),
            "cut off" => replace(&certificate, half),
            "gone" => std::fs::remove_file(&key).unwrap(),
            "empty" => std::fs::write(&key, "").unwrap(),
            _ => bench.files.write(&bench.authority.issue_for(&[NAME], -60)),
        }
        let status = bench.until(what, |status| status.error.is_some()).await;
        let error = status.error.unwrap();
        assert!(error.contains(says), "{what}: {error}");
        assert_eq!(leaf(&bench.client(), bench.address(), NAME).await, used.leaf, "{what}");

        bench.files.write(&renewed);
        bench.until("it is mended", |status| status.error.is_none()).await;
        bench.until_served(&renewed).await;
        used = renewed;
    }
    // And when it is undone.
    replace(&key, "hello");
    bench.until("it is bad", |status| status.error.is_some()).await;
    replace(&key, &used.key);
    bench.until("it is undone", |status| status.error.is_none()).await;
    bench.lab.end().await;
}

#[tokio::test]
async fn a_start_in_the_middle_of_a_renewal_waits_for_its_end() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = Files::at(dir.path(), "pair");
    let renewed = authority.issue(&[NAME]);
    files.write(&authority.issue(&[NAME]));
    replace(&files.certificate, &renewed.chain);
    let mut lab = Lab::start(Realtime, &https("one", &[&files]));
    tokio::time::sleep(Duration::from_millis(50)).await;
    replace(&files.key, &renewed.key);
    lab.until("it is up", |status| status.generation > 0).await;
    let client = authority.client(&[]);
    assert_eq!(leaf(&client, lab.address(), NAME).await, renewed.leaf);
    lab.end().await;
}

#[tokio::test]
async fn an_intermediate_alone_is_a_change() {
    let mut bench = Bench::new().await;
    let renewed = bench.authority.renew_intermediate(&bench.first);
    let chain = async || served(&shake(&bench.client(), bench.address(), NAME).await.unwrap());
    let before = chain().await;
    replace(&bench.files.certificate, &renewed.chain);
    let changed = async {
        while chain().await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, changed).await.expect("not served");
    let after = chain().await;
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    bench.lab.end().await;
}

#[tokio::test]
async fn an_old_connection_goes_on_when_the_certificate_changes() {
    let bench = Bench::new().await;
    let old = shake(&bench.client(), bench.address(), NAME).await.unwrap();
    let renewed = bench.authority.issue(&[NAME]);
    bench.files.write(&renewed);
    bench.until_served(&renewed).await;
    let mut old = Client::over(old);
    assert_eq!(old.name().await, "one");
    bench.lab.end().await;
}

#[tokio::test]
async fn follows_files_that_another_configuration_has_listed_and_no_others() {
    let mut bench = Bench::new().await;
    let files = Files::at(bench.dir.path(), "second");
    let second = bench.authority.issue(&[NAME]);
    files.write(&second);
    bench.lab.apply(&https("two", &[&files])).await;
    bench.until_served(&second).await;
    let renewed = bench.authority.issue(&[NAME]);
    bench.files.write(&bench.authority.issue(&[NAME]));
    files.write(&renewed);
    bench.until_served(&renewed).await;
    // Back to the first, as its files are now.
    let first = bench.authority.issue(&[NAME]);
    bench.files.write(&first);
    bench.lab.apply(&https("three", &[&bench.files])).await;
    assert_eq!(leaf(&bench.client(), bench.address(), NAME).await, first.leaf);
    bench.lab.end().await;
}

#[tokio::test]
async fn the_status_tells_when_a_certificate_ends() {
    let mut bench = Bench::new().await;
    for (seconds, expiry, days) in [
        (30 * 86_400 + 3600, Expiry::Far, 30),
        (3 * 86_400 + 3600, Expiry::Near, 3),
        (3600, Expiry::Near, 0),
    ] {
        let issued = bench.authority.issue_for(&[NAME], seconds);
        bench.files.write(&issued);
        bench.until_served(&issued).await;
        let status = bench.until("it is told", |status| status.expiry == expiry).await;
        assert_eq!(status.days_left(), days);
    }
    // By another limit.
    let issued = bench.authority.issue_for(&[NAME], 30 * 86_400 + 3600);
    bench.files.write(&issued);
    bench.until("it is told", |status| status.expiry == Expiry::Far).await;
    let text = format!("{}[tls]\nexpiry_warning_days = 31\n", https("two", &[&bench.files]));
    bench.lab.apply(&text).await;
    bench.until("it is told", |status| status.expiry == Expiry::Near).await;
    bench.lab.end().await;
}
