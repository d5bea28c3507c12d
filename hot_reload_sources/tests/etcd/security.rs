//! Who may read, and who is believed.

use std::{fs, time::Duration};

use hot_reload::{ReloaderOptions, ReloaderService, testing::Proxy};
use hot_reload_sources::{
    Access, Secret, Store,
    etcd::{Etcd, EtcdPlace},
};
use tokio::time::sleep;

use crate::{
    common::{
        authority::{Authority, Validity},
        follow::{comes, fails, followed, followed_by, text},
    },
    server::{APP, Member, app},
};

/// How many have shown a password.
const LOGINS: &str = r#"grpc_server_started_total{grpc_method="Authenticate",grpc_service="etcdserverpb.Auth",grpc_type="unary"}"#;

fn place(member: &Member, access: Access) -> EtcdPlace {
    Etcd::from_url(&format!("etcd://{}", member.address), access).unwrap().key("prod/s")
}

#[tokio::test]
async fn a_user_is_let_in_by_password() {
    let member = Member::start().await;
    member.put("prod/s", "one").await;
    member.enable_auth().await;
    let url = format!("etcd://app:{APP}@{}/prod/s", member.address);
    let place = EtcdPlace::from_url(&url, Access::new()).unwrap();
    assert!(!format!("{place:?}").contains(APP));
    let mut followed = followed(place.text());
    comes(&mut followed, text("one")).await;
    member.put("prod/s", "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn what_may_not_be_read_is_told() {
    let member = Member::start().await;
    member.put("secret", "one").await;
    member.enable_auth().await;
    let etcd = |access| Etcd::from_url(&format!("etcd://{}", member.address), access).unwrap();
    for (access, want) in [
        (app(), "may not read it"),
        (app().password(Secret::text("wrong-1f")), "wrong user or password"),
        (Access::new(), "wants a user"),
    ] {
        let followed = followed(etcd(access).key("secret").text());
        let told = fails(&followed, want).await;
        assert!(told.starts_with(&format!("etcd://{}/secret: ", member.address)), "{told}");
        assert!(![APP, "wrong-1f"].iter().any(|it| told.contains(it)), "{told}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_told_although_another_member_is_dead() {
    let member = Member::start().await;
    member.enable_auth().await;
    // It accepts, and never answers.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("etcd://{},{}", member.address, dead.local_addr().unwrap());
    let access = app().password(Secret::text("wrong-1f"));
    let etcd = Etcd::from_url(&url, access).unwrap().read_deadline(Duration::from_secs(2));
    fails(&followed(etcd.key("prod/s").text()), "wrong user or password").await;
}

#[tokio::test]
async fn one_who_may_not_read_leaves_the_others_their_connection() {
    let member = Member::start().await;
    member.put("prod/s", "one").await;
    member.enable_auth().await;
    let proxy = Proxy::start(member.address).await;
    let etcd = Etcd::from_url(&format!("etcd://{}", proxy.address()), app()).unwrap();
    let mut good = followed(etcd.key("prod/s").text());
    comes(&mut good, text("one")).await;
    for (key, want) in [("secret", "may not read it"), ("", "key is not provided")] {
        fails(&followed(etcd.key(key).text()), want).await;
    }
    member.put("prod/s", "two").await;
    comes(&mut good, text("two")).await;
    assert_eq!((good.status().failures, proxy.accepted()), (0, 1));
}

#[tokio::test]
async fn nobody_is_asked_where_all_may_read() {
    let member = Member::start().await;
    member.put("prod/s", "one").await;
    let mut followed = followed(place(&member, app()).text());
    comes(&mut followed, text("one")).await;
    // From now on they are asked.
    member.enable_auth().await;
    member.kill();
    member.run().await;
    member.put("prod/s", "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn a_password_may_be_replaced() {
    let member = Member::start().await;
    member.put("prod/s", "one").await;
    member.enable_auth().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, APP).unwrap();
    let access = Access::new().user("app").password(Secret::file(&file));
    let mut followed = followed(place(&member, access).text());
    comes(&mut followed, text("one")).await;
    member.client().await.user_change_password("app", "new-3d").await.unwrap();
    member.kill();
    member.run().await;
    fails(&followed, "wrong user or password").await;
    fs::write(&file, "new-3d\n").unwrap();
    member.put("prod/s", "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn a_token_that_has_expired_is_replaced() {
    let member = Member::start_with(&["--auth-token-ttl", "1"]).await;
    member.put("prod/s", "one").await;
    member.enable_auth().await;
    // Polled, so that it is used seldom enough.
    let options = ReloaderOptions::polling().poll_interval(Duration::from_secs(3));
    let source = place(&member, app()).text();
    let (service, mut receiver) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start().await });
    comes(&mut receiver, text("one")).await;
    member.put("prod/s", "two").await;
    comes(&mut receiver, text("two")).await;
    assert_eq!(receiver.status().failures, 0);
}

#[tokio::test]
async fn one_who_only_watches_logs_in_once() {
    let member = Member::start_with(&["--auth-token-ttl", "1"]).await;
    member.put("prod/s", "one").await;
    member.enable_auth().await;
    // Its token has expired each time the member is asked anything.
    let deadline = Duration::from_secs(3);
    let etcd = Etcd::from_url(&format!("etcd://{}", member.address), app()).unwrap();
    let mut followed = followed(etcd.read_deadline(deadline).key("prod/s").text());
    comes(&mut followed, text("one")).await;
    let logins = member.metric(LOGINS).await;
    sleep(2 * deadline + Duration::from_secs(1)).await;
    assert_eq!(member.metric(LOGINS).await, logins);
    member.put("prod/s", "two").await;
    comes(&mut followed, text("two")).await;
    assert_eq!(followed.status().failures, 0);
}

#[tokio::test]
async fn tls_is_spoken_and_a_client_shows_its_certificate() {
    let authority = Authority::new();
    let client = authority.issue("client", &["client"], Validity::Now);
    let member = Member::start_tls(&authority, None, Validity::Now, Some(client.clone())).await;
    member.put("prod/s", "one").await;
    let url = format!("etcds://{}/prod/s", member.address);
    let unshown = || Access::new().ca_file(authority.file());
    let shown = unshown().client_certificate(&client.certificate, &client.key);
    let mut shown = followed(EtcdPlace::from_url(&url, shown).unwrap().text());
    comes(&mut shown, text("one")).await;
    member.put("prod/s", "two").await;
    comes(&mut shown, text("two")).await;

    let plain = url.replace("etcds", "etcd");
    for (url, access) in [(url, unshown()), (plain, Access::new())] {
        let refused = followed(EtcdPlace::from_url(&url, access).unwrap().text());
        fails(&refused, "wants a client certificate").await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_is_told_and_left_in_peace() {
    let authority = Authority::new();
    for (name, validity, trusted, want) in [
        (Some("elsewhere.example"), Validity::Now, &authority, "for another name"),
        (None, Validity::Over, &authority, "renew it"),
        (None, Validity::Now, &Authority::new(), "not trusted"),
    ] {
        let member = Member::start_tls(&authority, name, validity, None).await;
        let url = format!("etcds://{}/prod/s", member.address);
        let access = Access::new().ca_file(trusted.file());
        let refused = followed(EtcdPlace::from_url(&url, access).unwrap().text());
        fails(&refused, want).await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_good_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, "no certificate").unwrap();
    let access = Access::new().ca_file(&file);
    let place = EtcdPlace::from_url("etcds://127.0.0.1:1/s", access).unwrap();
    fails(&followed(place.text()), "ca.pem has no certificate").await;
}

#[tokio::test]
async fn a_name_that_is_nobodys_is_told() {
    let place = EtcdPlace::from_url("etcd://nowhere.invalid/s", Access::new()).unwrap();
    fails(&followed(place.text()), "no connection").await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_told_by_the_next_look() {
    let member = Member::start().await;
    member.put("prod/s", "one").await;
    member.enable_auth().await;
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_millis(200));
    let mut followed = followed_by(place(&member, app()).text(), options);
    comes(&mut followed, text("one")).await;
    let mut root = member.client().await;
    root.user_revoke_role("app", "reader").await.unwrap();
    fails(&followed, "may not read it").await;
    assert_eq!(followed.get(), Some(text("one")));
    root.user_grant_role("app", "reader").await.unwrap();
    member.put("prod/s", "two").await;
    comes(&mut followed, text("two")).await;
}
