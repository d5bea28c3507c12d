//! What is logged and measured of certificates, and what never is.

mod common;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    Client, Lab,
    tls::{Authority, Files, Issued, https, replace, until_served},
};
use hot_reload::WatchStrategy::Realtime;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use server_lib::{CertificateStatus, Expiry};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

const NAME: &str = "example.com";

/// All that is logged by this thread, which is the only one of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines at a level that say something.
    fn lines(&self, level: &str, says: &str) -> usize {
        let text = self.text();
        text.lines().filter(|line| line.contains(level) && line.contains(says)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn served(authority: &Authority, lab: &Lab, issued: &Issued) {
    until_served(&authority.client(&[]), lab.address(), NAME, &issued.leaf).await;
}

fn pair(authority: &Authority, seconds: i64) -> (TempDir, Files) {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::at(dir.path(), "pair");
    files.write(&authority.issue_for(&[NAME], seconds));
    (dir, files)
}

#[tokio::test]
async fn warns_once_of_each_certificate_that_is_near_its_end() {
    let (log, _guard) = Log::capture();
    let authority = Authority::new();
    let (_dir, files) = pair(&authority, 3 * 86_400 + 60);
    let mut lab = Lab::new(Realtime, &https("one", &[&files])).await;
    lab.apply(&https("two", &[&files])).await;
    for warned in 2..4 {
        let near = authority.issue_for(&[NAME], 86_400 * warned + 60);
        files.write(&near);
        served(&authority, &lab, &near).await;
    }
    let far = authority.issue_for(&[NAME], 60 * 86_400);
    files.write(&far);
    served(&authority, &lab, &far).await;
    assert_eq!(log.lines("WARN", "expires soon"), 3, "{}", log.text());
    assert_eq!(log.lines(" INFO", "renewed"), 3, "{}", log.text());
    lab.end().await;
}

#[tokio::test]
async fn one_that_has_expired_is_served_at_the_start_and_told_of() {
    let (log, _guard) = Log::capture();
    let authority = Authority::new();
    let (_dir, files) = pair(&authority, -60);
    let mut lab = Lab::new(Realtime, &https("one", &[&files])).await;
    let status = lab.until_certificate("it is there", |_| true).await;
    assert_eq!((status.expiry, status.days_left()), (Expiry::Over, -1));
    let good = authority.issue(&[NAME]);
    files.write(&good);
    lab.until_certificate("it is renewed", |status| status.expiry == Expiry::Far).await;
    served(&authority, &lab, &good).await;
    assert_eq!(log.lines("ERROR", "expired"), 1, "{}", log.text());
    lab.end().await;
}

#[tokio::test]
async fn a_key_is_never_logged() {
    let (log, _guard) = Log::capture();
    let authority = Authority::new();
    let (_dir, files) = pair(&authority, 86_400);
    let mut lab = Lab::new(Realtime, &https("one", &[&files])).await;
    let keys: Vec<Issued> = (0..3).map(|_| authority.issue(&[NAME])).collect();
    files.write(&keys[0]);
    served(&authority, &lab, &keys[0]).await;
    replace(&files.key, &keys[1].key);
    lab.until_certificate("it is bad", |status| status.error.is_some()).await;
    replace(&files.key, &keys[2].key[..keys[2].key.len() - 30]);
    let cut_off = |status: &CertificateStatus| {
        status.error.as_ref().is_some_and(|error| error.contains("cut off"))
    };
    lab.until_certificate("it is cut off", cut_off).await;
    let told = format!("{}{:?}", log.text(), lab.status.borrow());
    for line in keys.iter().flat_map(|issued| issued.key.lines()) {
        assert!(line.starts_with("-----") || !told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("PRIVATE KEY"), "{told}");
    assert_eq!(log.lines("WARN", "not the key of the first certificate"), 1, "{told}");
    lab.end().await;
}

#[tokio::test]
async fn plain_http_is_worth_no_warning() {
    let (log, _guard) = Log::capture();
    let authority = Authority::new();
    let (_dir, files) = pair(&authority, 60 * 86_400);
    let lab = Lab::new(Realtime, &https("one", &[&files])).await;
    let mut plain = TcpStream::connect(lab.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    // Whatever it is, and a reset too, the end of it is what counts.
    let _ = plain.read_to_end(&mut Vec::new()).await;
    lab.end().await;
    assert_eq!(log.lines("DEBUG", "no handshake"), 1, "{}", log.text());
    assert_eq!(log.lines("WARN", "") + log.lines("ERROR", ""), 0, "{}", log.text());
}

/// The file of a certificate, and its end.
type Gauge = (String, f64);

fn gauges(of: &Snapshotter) -> Vec<Gauge> {
    let all = of.snapshot().into_vec().into_iter();
    all.filter_map(|(key, _, _, value)| {
        let (_, key) = key.into_parts();
        let is_ours = key.name() == "server_lib_certificate_expiry_timestamp_seconds";
        let DebugValue::Gauge(value) = value else { return None };
        let label = key.labels().next().filter(|_| is_ours)?;
        assert_eq!(label.key(), "certificate");
        Some((label.value().to_owned(), value.into_inner()))
    })
    .collect()
}

#[tokio::test]
async fn the_end_of_a_certificate_is_measured_while_it_is_served() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let authority = Authority::new();
    let (_dir, files) = pair(&authority, 43_200);
    let (_other_dir, other) = pair(&authority, 86_400);
    let mut lab = Lab::new(Realtime, &https("one", &[&files])).await;
    let admin = "admin_address = '127.0.0.1:0'\n";
    lab.apply(&format!("{admin}{}", https("two", &[&files]))).await;
    let status = lab.until_certificate("it is there", |_| true).await;
    let end = f64::from(i32::try_from(status.not_after).unwrap());
    let path = files.certificate.display().to_string();
    let until = async |wanted: &dyn Fn(&[Gauge]) -> bool| {
        let measured = async {
            while !wanted(&gauges(&snapshotter)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(common::PATIENCE, measured).await.expect("not measured");
    };
    until(&|all| all == [(path.clone(), end)]).await;

    let address = lab.status.borrow().admin_address.as_ref().unwrap().socket_addr().unwrap();
    let response = Client::connect(address).await.get_from("localhost", "/status").await;
    let said: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    let told = &said["certificates"][0];
    assert_eq!(told["names"], serde_json::json!([NAME]));
    assert_eq!(told["not_after"], status.not_after);
    assert_eq!((&told["days_left"], &told["expiry"]), (&0.into(), &"near".into()));
    assert_eq!((&told["certificate"], &told["error"]), (&path.as_str().into(), &().into()));

    lab.apply(&https("three", &[&other])).await;
    // Nobody is to be alarmed by the end of one that is served no more.
    until(&|all| all.len() == 2 && all.iter().any(|(of, end)| *of == path && end.is_nan())).await;
    lab.end().await;
}
