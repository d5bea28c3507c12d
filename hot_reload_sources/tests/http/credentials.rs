//! Who is told what, also when it is replaced.

use std::{fs, sync::atomic::Ordering};

use hot_reload_sources::{
    Access, Entry, Secret, Store, StoreError,
    http::{Http, HttpPlace},
};

use crate::{
    common::{
        authority::{Authority, Validity},
        within,
    },
    scripted::{Scripted, answer},
    server::{Server, TOKEN, Tls},
};

async fn read(place: &HttpPlace) -> Result<Entry, StoreError> {
    within(async { place.connect().await?.read().await }).await
}

#[tokio::test]
async fn a_token_in_a_file_may_be_replaced() {
    let server = Server::start(Tls::Server).await;
    server.put("n = 1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let access = Access::new().token(Secret::file(&file)).ca_file(server.authority.file());
    let http = Http::from_url(&server.url(server.address), access).unwrap();
    let mut connection = within(http.get("/value").unwrap().connect()).await.unwrap();
    assert!(within(connection.read()).await.is_ok());
    *server.state.token.lock().unwrap() = "another".into();
    assert!(within(connection.read()).await.err().unwrap().is_refused());
    fs::write(&file, "another\n").unwrap();
    assert!(within(connection.read()).await.is_ok());
}

#[tokio::test]
async fn a_client_certificate_may_be_replaced() {
    let server = Server::start(Tls::Mutual).await;
    server.put("n = 1");
    let good = server.authority.issue("client", &["client"], Validity::Now);
    let strange = Authority::new().issue("client", &["client"], Validity::Now);
    let dir = tempfile::tempdir().unwrap();
    let [certificate, key] = ["crt", "key"].map(|name| dir.path().join(name));
    let access = Access::new()
        .token(Secret::text(TOKEN))
        .ca_file(server.authority.file())
        .client_certificate(&certificate, &key);
    let http = Http::from_url(&server.url(server.address), access).unwrap();
    let place = http.get("/value").unwrap();
    let told = read(&place).await.err().unwrap();
    assert!(told.is_refused(), "{told:?}");
    fs::copy(&good.certificate, &certificate).unwrap();
    fs::copy(&good.key, &key).unwrap();
    let mut connection = within(place.connect()).await.unwrap();
    assert!(within(connection.read()).await.is_ok());
    // Its own server is the only one that it is shown to.
    let told = read(&http.get("https://127.0.0.1:1/value").unwrap()).await.err().unwrap();
    assert!(told.is_refused() && told.to_string().contains("not the server"), "{told:?}");

    fs::write(&key, "").unwrap();
    assert!(within(connection.read()).await.err().unwrap().is_refused());
    let strange = (fs::read(&strange.certificate), fs::read(&strange.key));
    fs::write(&certificate, strange.0.unwrap_or_default()).unwrap();
    fs::write(&key, strange.1.unwrap_or_default()).unwrap();
    assert!(within(connection.read()).await.err().unwrap().is_refused());
    fs::copy(&good.certificate, &certificate).unwrap();
    fs::copy(&good.key, &key).unwrap();
    assert!(within(connection.read()).await.is_ok());
}

#[tokio::test]
async fn a_trusted_certificate_may_be_replaced() {
    let server = Server::start(Tls::Server).await;
    server.put("n = 1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let strange = Authority::new();
    fs::copy(strange.file(), &file).unwrap();
    let access = Access::new().token(Secret::text(TOKEN)).ca_file(&file);
    let http = Http::from_url(&server.url(server.address), access).unwrap();
    let place = http.get("/value").unwrap();
    let told = read(&place).await.err().unwrap();
    assert!(told.is_refused() && told.to_string().contains("not trusted"), "{told:?}");
    fs::copy(server.authority.file(), &file).unwrap();
    assert!(read(&place).await.is_ok());
}

#[tokio::test]
async fn a_token_of_two_lines_is_refused_and_leaves_the_others_their_connection() {
    let server = Server::start(Tls::Server).await;
    server.put("n = 1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let access = Access::new().token(Secret::file(&file)).ca_file(server.authority.file());
    let http = Http::from_url(&server.url(server.address), access).unwrap();
    let mut kept = within(http.get("/value").unwrap().connect()).await.unwrap();
    assert!(within(kept.read()).await.is_ok());
    fs::write(&file, format!("{TOKEN}\n{TOKEN}\n")).unwrap();
    let told = within(kept.read()).await.err().unwrap();
    assert!(told.is_refused() && told.to_string().contains("one line"), "{told:?}");
    assert!(!format!("{told:?}").contains(TOKEN), "{told:?}");
    fs::write(&file, TOKEN).unwrap();
    assert!(within(kept.read()).await.is_ok());
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn credentials_never_go_to_another_host() {
    let other = Scripted::start(|_| answer("200 OK", "", "n = 1")).await;
    let location = format!("location: {}/value\r\n", other.url());
    let server = Scripted::start(move |_| answer("302 There", &location, "")).await;
    let with_password = server.url().replace("://", "://app:a%20b@");
    let place = HttpPlace::from_url(&format!("{with_password}/value"), Access::new()).unwrap();
    assert!(read(&place).await.is_ok());
    let is_told = |server: &Scripted| server.requests()[0].contains("authorization: Basic ");
    assert!(is_told(&server));
    assert!(!is_told(&other));
    // `app:a b`
    assert!(server.requests()[0].contains("authorization: Basic YXBwOmEgYg=="));

    let http = Http::from_url(&server.url(), Access::new().token(Secret::text(TOKEN))).unwrap();
    let elsewhere = http.get(&format!("{}/value", other.url())).unwrap();
    assert!(read(&elsewhere).await.is_ok());
    assert!(other.requests().iter().all(|head| !head.contains("authorization")));
}

#[tokio::test]
async fn https_never_becomes_http() {
    let other = Scripted::start(|_| answer("200 OK", "", "n = 1")).await;
    let server = Server::start(Tls::Server).await;
    let access = Access::new().token(Secret::text(TOKEN)).ca_file(server.authority.file());
    let http = Http::from_url(&server.url(server.address), access).unwrap();
    let told = read(&http.get(&format!("/moved?to={}", other.url())).unwrap()).await.err().unwrap();
    assert!(told.is_refused() && told.to_string().contains("https to http"), "{told:?}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_client_of_ones_own_is_used_as_it_is() {
    let server = Scripted::start(|_| answer("200 OK", "", "n = 1")).await;
    // The TLS of reqwest's own wants a provider that the process has chosen.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().user_agent("mine").no_proxy().build().unwrap();
    let url = format!("{}/value", server.url().replace("://", "://app:a%20b@"));
    let place = Http::from_client(client).get(&url).unwrap();
    assert!(read(&place).await.is_ok());
    let head = &server.requests()[0];
    assert!(head.contains("user-agent: mine"), "{head}");
    assert!(head.contains("authorization: Basic YXBwOmEgYg=="), "{head}");
}
