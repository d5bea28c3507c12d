//! Handshakes: which certificate is served, by which protocol, and what can not be.

mod common;

use std::{error::Error, fs::Permissions, os::unix::fs::PermissionsExt};

use axum::body::Body;
use common::{
    Lab, PATIENCE,
    tls::{Authority, Files, files, https, leaf, served, shake},
};
use hot_reload::WatchStrategy::Realtime;
use http_body_util::BodyExt;
use hyper::{Request, Version, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::SignatureScheme;
use server_lib::{ServerConfig, ServerError, probe_certificates};
use tokio::time::timeout;

#[tokio::test]
async fn serves_the_chain_over_http_1_and_http_2_as_the_client_asks() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one"]);
    let issued = authority.issue(&["example.com"]);
    files[0].write(&issued);
    let lab = Lab::new(Realtime, &https("one", &[&files[0]])).await;
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let stream = shake(&authority.client(offered), lab.address(), "example.com").await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, agreed.map(str::as_bytes), "{offered:?}");
        let chain = served(&stream);
        assert_eq!((chain.len(), &chain[0]), (2, &issued.leaf));

        let request = Request::get("https://example.com/").header("host", "example.com");
        let io = TokioIo::new(stream);
        let response = if agreed == Some("h2") {
            let (mut client, connection) =
                conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            let request = request.version(Version::HTTP_2).body(Body::empty()).unwrap();
            client.send_request(request).await.unwrap()
        } else {
            let (mut client, connection) = conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            client.send_request(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(said["name"], "one");
    }
    // By a protocol that is not spoken: RFC 7301, section 3.2.
    let error = shake(&authority.client(&["smtp"]), lab.address(), "example.com").await;
    assert!(error.is_err());
    lab.end().await;
}

#[tokio::test]
async fn chooses_by_the_name_that_the_client_asks_for() {
    let authority = Authority::new();
    let (_dir, files) = files(&["default", "wild"]);
    let default = authority.issue(&["example.com", "127.0.0.1"]);
    let wild = authority.issue(&["*.example.org"]);
    files[0].write(&default);
    files[1].write(&wild);
    let lab = Lab::new(Realtime, &https("one", &[&files[0], &files[1]])).await;
    let client = authority.client(&[]);
    for (name, wanted) in [
        ("example.com", &default),
        ("a.example.org", &wild),
        // One who connects by address sends no name: RFC 6066, section 3.
        ("127.0.0.1", &default),
    ] {
        assert_eq!(leaf(&client, lab.address(), name).await, wanted.leaf, "{name}");
    }
    for name in ["a.b.example.org", "example.net"] {
        // It is served the default, which is not for it.
        let error = shake(&client, lab.address(), name).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{name}: {error}");
    }
    let status = lab.status.borrow().clone();
    assert_eq!(status.certificates[0].names, ["example.com", "127.0.0.1"]);
    assert_eq!(status.certificates[1].names, ["*.example.org"]);
    lab.end().await;
}

#[tokio::test]
async fn chooses_by_the_kinds_of_keys_that_the_client_takes() {
    let authority = Authority::new();
    let (_dir, files) = files(&["p256", "ed25519"]);
    let p256 = authority.issue(&["example.com"]);
    let ed25519 = authority.issue_ed25519(&["example.com"]);
    files[0].write(&p256);
    files[1].write(&ed25519);
    let lab = Lab::new(Realtime, &https("one", &[&files[0], &files[1]])).await;
    let address = lab.address();
    let client = authority.client_of(SignatureScheme::ED25519);
    assert_eq!(leaf(&client, address, "example.com").await, ed25519.leaf);
    assert_eq!(leaf(&authority.client(&[]), address, "example.com").await, p256.leaf);
    lab.end().await;
}

/// A name that fits better is of no use with a key that the client doesn't take.
#[tokio::test]
async fn a_certificate_that_the_client_can_use_comes_before_one_that_fits_better() {
    let authority = Authority::new();
    let (_dir, files) = files(&["exact", "wildcard"]);
    let exact = authority.issue_ed25519(&["a.example.com"]);
    let wildcard = authority.issue(&["*.example.com"]);
    files[0].write(&exact);
    files[1].write(&wildcard);
    let lab = Lab::new(Realtime, &https("one", &[&files[0], &files[1]])).await;
    let address = lab.address();
    let client = authority.client_of(SignatureScheme::ECDSA_NISTP256_SHA256);
    assert_eq!(leaf(&client, address, "a.example.com").await, wildcard.leaf);
    assert_eq!(leaf(&authority.client(&[]), address, "a.example.com").await, exact.leaf);
    lab.end().await;
}

#[tokio::test]
async fn the_list_of_certificates_is_hot_and_refused_as_a_whole() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one", "two", "missing"]);
    let (one, two) = (authority.issue(&["example.com"]), authority.issue(&["example.org"]));
    files[0].write(&one);
    files[1].write(&two);
    let mut lab = Lab::new(Realtime, &https("one", &[&files[0]])).await;
    let client = authority.client(&[]);

    lab.replace(&https("two", &[&files[1], &files[2]]));
    let status = lab.until("it is refused", |status| status.refusal.is_some()).await;
    let reason = status.refusal.unwrap().reason;
    assert!(reason.contains("missing.certificate.pem: not there"), "{reason}");
    assert_eq!(status.certificates.len(), 1);
    assert_eq!(leaf(&client, lab.address(), "example.com").await, one.leaf);

    lab.apply(&https("three", &[&files[1]])).await;
    assert_eq!(leaf(&client, lab.address(), "example.org").await, two.leaf);
    let status = lab.status.borrow().clone();
    assert_eq!(status.certificates[0].certificate, files[1].certificate);
    lab.end().await;
}

#[tokio::test]
async fn a_pair_that_can_not_be_served_is_an_error_at_the_start() {
    let authority = Authority::new();
    let (_dir, files) = files(&["pair"]);
    let pair = &files[0];
    let (good, other) = (authority.issue(&["example.com"]), authority.issue(&["example.com"]));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let traditional = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AA\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let behind = good.chain.clone() + malformed;
    let cut_off = &good.key[..good.key.len() / 2];
    for (certificate, key, says) in [
        (Some(good.chain.as_str()), None, "key.pem: not there"),
        (None, Some(good.key.as_str()), "certificate.pem: not there"),
        (Some(&good.chain), Some(&other.key), "key.pem: not the key of the first certificate in"),
        (Some(&good.chain), Some("hello"), "key.pem: no private key in it"),
        (Some(&good.chain), Some(encrypted), "key.pem: the key is encrypted"),
        (Some(&good.chain), Some(traditional), "key.pem: the key is encrypted"),
        (Some(&good.chain), Some(cut_off), "key.pem: not PEM, or cut off"),
        (Some("hello"), Some(&good.key), "certificate.pem: no certificate in it"),
        (Some(malformed), Some(&good.key), "certificate.pem: certificate 1 of the chain"),
        (Some(&behind), Some(&good.key), "certificate.pem: certificate 3 of the chain"),
    ] {
        for (path, text) in [(&pair.certificate, certificate), (&pair.key, key)] {
            // There may be none yet.
            let _ = std::fs::remove_file(path);
            if let Some(text) = text {
                std::fs::write(path, text).unwrap();
            }
        }
        let text = https("one", &[pair]);
        let lab = Lab::start(Realtime, &text);
        let error = timeout(PATIENCE, lab.running).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, ServerError::Certificate(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("AAAA"), "{error}");

        let config: ServerConfig = toml::from_str(&text).unwrap();
        let probed = probe_certificates(&config).remove(0).unwrap_err();
        assert_eq!(probed.to_string(), error.to_string());
    }
    // One file may have both.
    std::fs::write(&pair.key, good.key.clone() + &good.chain).unwrap();
    let both = Files { certificate: pair.key.clone(), key: pair.key.clone() };
    Lab::new(Realtime, &https("one", &[&both])).await.end().await;
}

#[tokio::test]
async fn a_key_that_may_not_be_read_is_an_error_that_says_so() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one"]);
    files[0].write(&authority.issue(&["example.com"]));
    std::fs::set_permissions(&files[0].key, Permissions::from_mode(0o000)).unwrap();
    // Whoever may read everything can't see it fail: capabilities(7), CAP_DAC_OVERRIDE.
    let may_read_all = std::fs::read(&files[0].key).is_ok();
    if may_read_all {
        std::fs::remove_file(&files[0].key).unwrap();
        std::fs::create_dir(&files[0].key).unwrap();
    }
    let lab = Lab::start(Realtime, &https("one", &[&files[0]]));
    let error = timeout(PATIENCE, lab.running).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().ends_with("one.key.pem: can't be read"), "{error}");
    let cause = error.source().unwrap().to_string();
    let says = if may_read_all { "not a regular file" } else { "denied" };
    assert!(cause.contains(says), "{cause}");
}
