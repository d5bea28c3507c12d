//! What the server has to prove.

use hot_reload_sources::{
    Access, Secret, Store, StoreError,
    postgres::{Postgres, PostgresPlace, Tls},
};
use tokio_postgres::Config;

use crate::{
    access,
    common::{
        authority::{Authority, Validity},
        within,
    },
    server::{Postgresql, READER_PASSWORD},
};

async fn started(authority: &Authority, names: &[&str], validity: Validity) -> Postgresql {
    Postgresql::start_tls(&authority.issue("server", names, validity), &authority.file()).await
}

/// By the name of the host, though its address is one that nobody resolves.
fn place(server: &Postgresql, host: &str, access: Access, tls: Tls) -> PostgresPlace {
    let mut config = Config::new();
    config.host(host).hostaddr(server.address().ip()).port(server.address().port());
    config.dbname("postgres");
    Postgres::from_config(config, access).unwrap().tls(tls).key("a")
}

async fn read(place: &PostgresPlace) -> Result<(), StoreError> {
    within(async { place.connect().await?.read().await.map(|_| ()) }).await
}

#[tokio::test]
async fn the_name_and_the_authority_are_verified_as_told() {
    let authority = Authority::new();
    let server = started(&authority, &["db.example.com"], Validity::Now).await;
    let trusting = access().ca_file(authority.file());
    let other = Authority::new();
    let distrusting = access().ca_file(other.file());
    for (host, access, tls, want) in [
        ("db.example.com", &trusting, Tls::VerifyFull, ""),
        ("db.example.org", &trusting, Tls::VerifyFull, "another name"),
        ("db.example.org", &trusting, Tls::VerifyCa, ""),
        ("db.example.org", &trusting, Tls::Require, ""),
        ("db.example.com", &distrusting, Tls::VerifyFull, "not trusted"),
        ("db.example.com", &distrusting, Tls::VerifyCa, "not trusted"),
        ("db.example.com", &distrusting, Tls::Require, "not trusted"),
        ("db.example.com", &access(), Tls::VerifyFull, "not trusted"),
        ("db.example.org", &access(), Tls::Require, ""),
        ("db.example.org", &access(), Tls::Prefer, ""),
        ("db.example.com", &trusting, Tls::Disable, "no encryption"),
    ] {
        let read = read(&place(&server, host, access.clone(), tls)).await;
        match read {
            Ok(()) => assert_eq!(want, "", "{host} {tls:?}"),
            Err(error) => {
                assert!(error.is_refused(), "{host} {tls:?}: {error}");
                let told = error.to_string();
                assert!(!want.is_empty() && told.contains(want), "{host} {tls:?}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let server = started(&authority, &["db.example.com"], Validity::Over).await;
    let access = access().ca_file(authority.file());
    for tls in [Tls::VerifyFull, Tls::VerifyCa] {
        let error = read(&place(&server, "db.example.com", access.clone(), tls)).await.unwrap_err();
        assert!(error.is_refused() && error.to_string().contains("expired"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_no_password() {
    let server = Postgresql::start().await;
    for tls in [Tls::Require, Tls::VerifyFull] {
        let error = read(&place(&server, "db.example.com", access(), tls)).await.unwrap_err();
        assert!(error.is_refused() && error.to_string().contains("TLS"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_may_be_replaced() {
    let authority = Authority::new();
    let server = started(&authority, &["db.example.com"], Validity::Now).await;
    server.write_access("hostssl all all all cert\nlocal all all password\n");
    server.run_sql("SELECT pg_reload_conf()").await;
    let pair = authority.issue("reader", &["reader"], Validity::Now);
    let trusting = Access::new().user("reader").ca_file(authority.file());
    let showing = trusting.clone().client_certificate(&pair.certificate, &pair.key);
    let place = place(&server, "db.example.com", showing, Tls::VerifyFull);
    within(async {
        // The server reads its access anew in its own time.
        while read(&place).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let over = authority.issue("reader", &["reader"], Validity::Over);
    assert_eq!(over.certificate, pair.certificate);
    let error = read(&place).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    std::fs::write(&pair.key, "nothing").unwrap();
    let error = read(&place).await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("reader.key"), "{error}");
}

#[tokio::test]
async fn beyond_this_machine_everything_is_verified_unless_told_otherwise() {
    let authority = Authority::new();
    let server = started(&authority, &["db.example.org"], Validity::Now).await;
    let access = Access::new().user("reader").password(Secret::text(READER_PASSWORD));
    let (ip, port) = (server.address().ip(), server.address().port());
    // A name that is not loopback's, of an address that is.
    let url =
        |mode: &str| format!("postgres://db.example.com:{port}/postgres/a?hostaddr={ip}{mode}");
    let trusting = access.ca_file(authority.file());
    let place = PostgresPlace::from_url(&url(""), trusting.clone()).unwrap();
    let error = read(&place).await.unwrap_err();
    assert!(error.to_string().contains("another name"), "{error}");
    let place = PostgresPlace::from_url(&url("&sslmode=verify-ca"), trusting).unwrap();
    read(&place).await.unwrap();
}
