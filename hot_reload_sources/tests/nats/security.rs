//! Who is let in, and whom it trusts.

use std::{fs, time::Duration};

use async_nats::jetstream::stream;
use hot_reload::ReloaderOptions;
use hot_reload_sources::{Access, Secret, Store, nats::Nats};
use tokio::time::Instant;

use crate::{
    KEY,
    common::{
        PATIENCE,
        authority::{Authority, Validity},
        follow::{comes, fails, followed, followed_by, text},
    },
    server::{BUCKET, DEADLINE, NatsServer, PASSWORD, bucket},
};

/// Of the documentation of NATS, for `authorization` by nkey.
const NKEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

fn access() -> Access {
    Access::new().user("app").password(Secret::text(PASSWORD))
}

fn plain(server: &NatsServer) -> String {
    format!("nats://{}", server.address())
}

/// A server that speaks TLS, with a value in it.
async fn with_tls(authority: &Authority, options: &str) -> NatsServer {
    // Put there before, as the test's own client does not speak it.
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let name = server.address().ip().to_string();
    let pair = authority.issue("server", &[&name], Validity::Now);
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    let ca = authority.file();
    let files = format!("cert_file: \"{certificate}\", key_file: \"{key}\"");
    server.configure("", &format!("tls {{{files}, ca_file: \"{}\", {options}}}", ca.display()));
    server.restart().await;
    server
}

#[tokio::test]
async fn a_password_in_a_file_may_be_replaced() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, "wrong").unwrap();
    let access = Access::new().user("app").password(Secret::file(&file));
    let mut followed = followed(bucket(&plain(&server), access).key(KEY).text());
    let told = fails(&followed, "takes none of these credentials").await;
    assert!(!told.contains("wrong"), "{told}");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    comes(&mut followed, text("one")).await;
}

#[tokio::test]
async fn a_token_will_do() {
    let server = NatsServer::without_bucket("").await;
    server.create(Duration::ZERO).await;
    server.put(KEY, "one").await;
    server.authorize("token: t0ken", "");
    server.restart().await;
    let access = Access::new().token(Secret::text("t0ken"));
    comes(&mut followed(bucket(&plain(&server), access).key(KEY).text()), text("one")).await;
    let wrong = format!("nats://t0ken-not@{}", server.address());
    let wrong = followed(bucket(&wrong, Access::new()).key(KEY).text());
    let told = fails(&wrong, "takes none of these credentials").await;
    assert!(!told.contains("t0ken"), "{told}");
}

#[tokio::test]
async fn the_seed_of_an_nkey_will_do() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    server.configure(&format!("{{nkey: {NKEY}}}"), "");
    server.restart().await;
    let access = Access::new().token(Secret::text(SEED));
    comes(&mut followed(bucket(&plain(&server), access).key(KEY).text()), text("one")).await;
}

#[tokio::test]
async fn what_may_not_be_done_is_told_at_once() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let may = |subjects: &[&str]| {
        let rights =
            format!("{{user: guest, password: guest, permissions: {{publish: {subjects:?}}}}}");
        server.configure(&rights, "");
    };
    let access = Access::new().user("guest").password(Secret::text("guest"));
    let source = || bucket(&plain(&server), access.clone()).key(KEY).text();
    for (subject, part) in [("x", "STREAM.INFO"), ("$JS.API.STREAM.INFO.>", "DIRECT.GET")] {
        may(&[subject]);
        server.restart().await;
        let begun = Instant::now();
        let told = fails(&followed(source()), part).await;
        assert!(told.contains("ermissions") && told.contains("grant it"), "{told}");
        assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    }
    let stream = format!("KV_{BUCKET}");
    let info = format!("$JS.API.STREAM.INFO.{stream}");
    let get = format!("$JS.API.DIRECT.GET.{stream}.$KV.{BUCKET}.{KEY}");
    let create = format!("$JS.API.CONSUMER.CREATE.{stream}.*.$KV.{BUCKET}.{KEY}");
    let flow = format!("$JS.FC.{stream}.>");
    // It is polled, at least, also where a watch would end in silence after some 2 MB.
    for (subjects, part) in
        [([&*info, &get, &flow], "CONSUMER.CREATE"), ([&info, &get, &create], "$JS.FC")]
    {
        may(&subjects);
        server.restart().await;
        let mut polled = followed(source());
        comes(&mut polled, text("one")).await;
        let by = polled.status().mechanism.unwrap().to_string();
        assert!(by.contains("for want of events") && by.contains(part), "{by}");
    }
    // All that a reader of one key needs.
    may(&[&info, &create, &flow]);
    server.restart().await;
    comes(&mut followed(source()), text("one")).await;
}

#[tokio::test]
async fn a_set_and_a_mirror_take_rights_of_their_own() {
    let server = NatsServer::start().await;
    server.put("f.other", "one").await;
    let mirror = stream::Config {
        name: "KV_near".into(),
        mirror: Some(stream::Source { name: format!("KV_{BUCKET}"), ..Default::default() }),
        ..Default::default()
    };
    server.create_stream(mirror).await;
    for (bucket, subject) in [(BUCKET, "f.>"), ("near", "f.>"), ("near", "f.other")] {
        let rights = [
            format!("$JS.API.STREAM.INFO.KV_{bucket}"),
            format!("$JS.API.CONSUMER.CREATE.KV_{bucket}.*.$KV.{BUCKET}.{subject}"),
            format!("$JS.FC.KV_{bucket}.>"),
        ];
        let rights =
            format!("{{user: guest, password: guest, permissions: {{publish: {rights:?}}}}}");
        server.configure(&rights, "");
        server.restart().await;
        let url = format!("nats://guest:guest@{}", server.address());
        let bucket = Nats::from_url(&url, Access::new()).unwrap().bucket(bucket);
        if subject == "f.>" {
            let want = [("ther".to_owned(), "one".into())].into();
            comes(&mut followed(bucket.prefix("f.o").each_bytes()), want).await;
        } else {
            comes(&mut followed(bucket.key(subject).text()), text("one")).await;
        }
    }
}

/// Once it had no value at all.
#[tokio::test]
async fn a_set_without_the_right_to_flow_control_is_polled() {
    let server = NatsServer::start().await;
    server.put("f.other", "one").await;
    let rights = [
        format!("$JS.API.STREAM.INFO.KV_{BUCKET}"),
        format!("$JS.API.CONSUMER.CREATE.KV_{BUCKET}.*.$KV.{BUCKET}.f.>"),
    ];
    let rights = format!("{{user: guest, password: guest, permissions: {{publish: {rights:?}}}}}");
    server.configure(&rights, "");
    server.restart().await;
    let url = format!("nats://guest:guest@{}", server.address());
    let bucket = Nats::from_url(&url, Access::new()).unwrap().bucket(BUCKET);
    let mut polled = followed(bucket.prefix("f.o").each_bytes());
    comes(&mut polled, [("ther".to_owned(), "one".into())].into()).await;
    let by = polled.status().mechanism.unwrap().to_string();
    assert!(by.contains("for want of events") && by.contains("$JS.FC"), "{by}");
}

/// A server, and a URL of it for who is in another account than JetStream, and has not imported from there
/// the subject of answers to flow control.
async fn without_flow_control() -> (NatsServer, String) {
    let server = NatsServer::without_bucket("").await;
    let exports = "exports: [{service: \"$JS.API.>\"}, {stream: \"_INBOX.>\"}]";
    let imports = "imports: [{service: {account: JS, subject: \"$JS.API.>\"}}, \
                   {stream: {account: JS, subject: \"_INBOX.>\"}}]";
    let app = format!("users: [{{user: app, password: {PASSWORD}}}]");
    let accounts = format!(
        "accounts {{JS {{jetstream: enabled, {app}, {exports}}}, \
         GUEST {{users: [{{user: guest, password: guest}}], {imports}}}}}"
    );
    server.authorize("", &accounts);
    server.restart().await;
    server.create(Duration::ZERO).await;
    server.put(KEY, "one").await;
    let url = format!("nats://guest:guest@{}", server.address());
    (server, url)
}

/// Puts more than a server sends, about 2 MB, without an answer to flow control.
async fn put_too_much(server: &NatsServer) -> String {
    let mut last = "x".repeat(10_000);
    for _ in 0..300 {
        server.put(KEY, &last).await;
    }
    last.push('!');
    server.put(KEY, &last).await;
    last
}

#[tokio::test]
async fn a_watch_goes_on_where_nobody_takes_its_answers_to_flow_control() {
    let (server, url) = without_flow_control().await;
    let mut followed = followed(bucket(&url, Access::new()).key(KEY).text());
    comes(&mut followed, text("one")).await;
    let last = put_too_much(&server).await;
    comes(&mut followed, last).await;
}

#[tokio::test]
async fn a_look_by_the_clock_finds_what_a_watch_withholds() {
    let (server, url) = without_flow_control().await;
    // So long that the watch is not found to be of no use meanwhile.
    let nats = Nats::from_url(&url, Access::new()).unwrap().read_deadline(PATIENCE * 2);
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_millis(200));
    let mut followed = followed_by(nats.bucket(BUCKET).key(KEY).text(), options);
    comes(&mut followed, text("one")).await;
    let last = put_too_much(&server).await;
    comes(&mut followed, last).await;
    server.store().await.delete(KEY).await.unwrap();
    fails(&followed, "nothing there").await;
}

#[tokio::test]
async fn tls_is_spoken_and_a_client_certificate_shown() {
    let authority = Authority::new();
    let client = authority.issue("app", &["app"], Validity::Now);
    let server = with_tls(&authority, "verify: true").await;
    let url = format!("natss://{}", server.address());
    let trusting = access().ca_file(authority.file());
    let known = trusting.clone().client_certificate(&client.certificate, &client.key);
    comes(&mut followed(bucket(&url, known).key(KEY).text()), text("one")).await;
    let unknown = followed(bucket(&url, trusting).key(KEY).text());
    fails(&unknown, "may want a client certificate").await;
    // Whoever does not say whom to trust trusts nobody.
    let untold = followed(bucket(&plain(&server), access()).key(KEY).text());
    fails(&untold, "not trusted").await;
}
