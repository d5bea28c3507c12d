//! Whom the system trusts, where no file says whom to.
//!
//! The environment names the file of that, so each test has a process of its own.

use std::{env, fs, path::PathBuf, process::Command};

use hot_reload_sources::{Access, Entry, Secret, Store, http::Http};

use crate::{
    common::{authority::Authority, within},
    scripted::{Scripted, answer},
    server::{Server, TOKEN, Tls},
};

const ALONE: &str = "HOT_RELOAD_SOURCES_TEST_ALONE";
const BUNDLE: &str = "SSL_CERT_FILE";

/// Runs the test `name` where the certificates of the system are in a file, which is empty at first; returns
/// that to whom it runs there.
fn bundle_of(name: &str) -> Option<PathBuf> {
    if env::var_os(ALONE).is_some_and(|alone| alone == name) {
        return env::var_os(BUNDLE).map(PathBuf::from);
    }
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle.pem");
    fs::write(&bundle, "").unwrap();
    let mut this = Command::new(env::current_exe().unwrap());
    this.args(["--exact", name, "--nocapture"]);
    this.env(ALONE, name).env(BUNDLE, &bundle).env_remove("SSL_CERT_DIR");
    let status = this.status().unwrap();
    assert!(status.success(), "{name} failed in a process of its own: {status}");
    None
}

#[tokio::test]
async fn a_system_without_certificates_reads_what_needs_none() {
    let name = "system::a_system_without_certificates_reads_what_needs_none";
    let Some(_empty) = bundle_of(name) else { return };
    let server = Scripted::start(|_| answer("200 OK", "", "n = 1")).await;
    let http = Http::from_url(&server.url(), Access::new()).unwrap();
    let place = http.get("/value").unwrap();
    let read = within(async { place.connect().await?.read().await }).await;
    assert!(read.unwrap() == Entry::one("n = 1"));

    let http = Http::from_url("https://127.0.0.1:1", Access::new()).unwrap();
    let told = within(http.get("/value").unwrap().connect()).await.err().unwrap();
    assert!(told.is_refused() && told.to_string().contains("no certificates"), "{told}");
}

#[tokio::test]
async fn what_the_system_trusts_may_be_replaced() {
    let Some(bundle) = bundle_of("system::what_the_system_trusts_may_be_replaced") else { return };
    let server = Server::start(Tls::Server).await;
    server.put("n = 1");
    fs::copy(Authority::new().file(), &bundle).unwrap();
    let access = Access::new().token(Secret::text(TOKEN));
    let http = Http::from_url(&server.url(server.address), access).unwrap();
    let place = http.get("/value").unwrap();
    let mut kept = within(place.connect()).await.unwrap();
    let told = within(kept.read()).await.err().unwrap();
    assert!(told.is_refused() && told.to_string().contains("not trusted"), "{told:?}");

    fs::copy(server.authority.file(), &bundle).unwrap();
    // Only what is refused has it looked at anew.
    let _refused = within(kept.read()).await;
    assert!(within(kept.read()).await.is_ok());
    drop(kept);
    assert!(within(async { place.connect().await?.read().await }).await.is_ok());
}
