//! Certificates are renewed under load, by whoever writes them in whatever order.

mod common;

use std::{
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst},
    time::Duration,
};

use common::{
    Lab, NAME, PATIENCE, Renewal,
    tls::{Authority, Files, Issued, https, leaf, replace, until_served},
};
use hot_reload::WatchStrategy::Realtime;
use rustls::pki_types::CertificateDer;
use tokio::{task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;

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
    let renewal = Renewal::new().await;
    let renewed: Vec<Issued> = (0..3).map(|_| renewal.authority.issue(&[NAME])).collect();
    let known = [&renewal.first, &renewed[0], &renewed[1], &renewed[2]];
    let load = Load::on(renewal.address(), &renewal.client(), &known);
    for issued in &renewed {
        load.goes_on().await;
        renewal.files.write(issued);
        renewal.until_served(issued).await;
    }
    load.goes_on().await;
    load.end().await;
    renewal.lab.end().await;
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
    let mut renewal = Renewal::new().await;
    let issued: Vec<Issued> = (0..4).map(|_| renewal.authority.issue(&[NAME])).collect();
    let mut known: Vec<&Issued> = issued.iter().collect();
    known.push(&renewal.first);
    let load = Load::on(renewal.address(), &renewal.client(), &known);
    // A fixed walk, so that a failure can be had again.
    let mut walk = 7_usize;
    for _ in 0..200 {
        walk = (walk * 61 + 17) % 10_007;
        let one = &issued[walk % 4];
        match walk / 4 % 6 {
            0 => replace(&renewal.files.certificate, &one.chain),
            1 => replace(&renewal.files.key, &one.key),
            2 => std::fs::write(&renewal.files.certificate, &one.chain).unwrap(),
            3 => std::fs::write(&renewal.files.key, &one.key[..walk % one.key.len()]).unwrap(),
            // It may be gone already.
            4 => drop(std::fs::remove_file(&renewal.files.key)),
            _ => renewal.files.write(one),
        }
        if walk.is_multiple_of(7) {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    let last = renewal.authority.issue(&[NAME]);
    load.goes_on().await;
    load.end().await;
    renewal.files.write(&last);
    renewal.until_served(&last).await;
    renewal.until("it is good", |status| status.error.is_none()).await;
    renewal.lab.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_comes_a_moment_later_is_waited_for_in_silence() {
    let mut renewal = Renewal::new().await;
    let renewed = renewal.authority.issue(&[NAME]);
    let load = Load::on(renewal.address(), &renewal.client(), &[&renewal.first, &renewed]);
    let mut statuses = renewal.lab.status.clone();
    let silence = tokio::spawn(async move {
        while statuses.changed().await.is_ok() {
            let status = statuses.borrow_and_update();
            assert_eq!(status.certificates[0].error, None);
        }
    });
    replace(&renewal.files.certificate, &renewed.chain);
    // As long as a slow script takes, and longer than the files need to settle.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = leaf(&renewal.client(), renewal.address(), NAME).await;
    assert_eq!(used, renewal.first.leaf);
    replace(&renewal.files.key, &renewed.key);
    renewal.until_served(&renewed).await;
    renewal.until("it is good", |status| status.error.is_none()).await;
    load.end().await;
    renewal.lab.end().await;
    timeout(PATIENCE, silence).await.unwrap().unwrap();
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
