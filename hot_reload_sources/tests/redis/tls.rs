//! TLS.

use hot_reload_sources::{
    Access, Entry, Store, StoreError,
    redis::{Redis, RedisPlace},
};

use crate::{
    changes::{until, watch},
    common::{
        authority::{Authority, Validity},
        within,
    },
    server::RedisServer,
};

fn place(server: &RedisServer, access: Access) -> RedisPlace {
    let url = format!("rediss://{}/0", server.address);
    Redis::from_url(&url, access).unwrap().key("k")
}

async fn refusal(place: &RedisPlace) -> String {
    let read: Result<Entry, StoreError> =
        within(async { place.connect().await?.read().await }).await;
    let error = read.err().unwrap();
    assert!(error.is_refused(), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    let authority = Authority::new();
    let server_at = async |name: Option<&str>, validity| {
        let server = RedisServer::new(&[]);
        let ip = server.address.ip().to_string();
        let pair = authority.issue(&ip, &[name.unwrap_or(&ip)], validity);
        server.run_with_tls(&authority, &pair, "no").await
    };
    let access = || RedisServer::access().ca_file(authority.file());

    let server = server_at(None, Validity::Now).await;
    let mut changes = watch(&place(&server, access())).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    server.put("k", "1").await;
    until(&mut changes, Entry::one("1")).await;

    let stranger = Authority::new();
    let told = refusal(&place(&server, RedisServer::access().ca_file(stranger.file()))).await;
    assert!(told.contains("not trusted"), "{told}");
    // By its own, as the system knows nothing of it.
    let told = refusal(&place(&server, RedisServer::access())).await;
    assert!(told.contains("ca_file"), "{told}");

    let server = server_at(Some("redis.example"), Validity::Now).await;
    let told = refusal(&place(&server, access())).await;
    assert!(told.contains("another name"), "{told}");

    let server = server_at(None, Validity::Over).await;
    let told = refusal(&place(&server, access())).await;
    assert!(told.contains("expired"), "{told}");
}

#[tokio::test]
async fn a_client_may_have_to_show_a_certificate() {
    let authority = Authority::new();
    let server = RedisServer::new(&[]);
    let ip = server.address.ip().to_string();
    let pair = authority.issue(&ip, &[&ip], Validity::Now);
    let server = server.run_with_tls(&authority, &pair, "yes").await;

    let access = RedisServer::access().ca_file(authority.file());
    let told = refusal(&place(&server, access.clone())).await;
    assert!(told.contains("client certificate"), "{told}");

    let client = authority.issue("client", &["client"], Validity::Now);
    let access = access.client_certificate(&client.certificate, &client.key);
    let mut changes = watch(&place(&server, access.clone())).await.unwrap();
    until(&mut changes, Entry::gone()).await;

    let told = refusal(&place(&server, access.client_certificate(&client.key, &client.key))).await;
    assert!(told.contains("no certificate"), "{told}");
}
