//! Operator mode: who asks is said by a file of credentials, which an account has signed.
//! <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt>

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_nats::ConnectOptions;
use data_encoding::BASE64URL_NOPAD;
use hot_reload_sources::{Access, Secret, Store};
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    KEY,
    common::{
        follow::{comes, fails, followed, text},
        within,
    },
    server::{DEADLINE, NatsServer, bucket},
};

const FOR_LONG: Duration = Duration::from_secs(3600);

/// An operator with an account, in which there are users.
struct Operator {
    own: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl Operator {
    fn new() -> Self {
        let [system, account] = [(); 2].map(|()| KeyPair::new_account());
        Self { own: KeyPair::new_operator(), system, account }
    }

    /// What a server has in its file of options.
    fn options(&self) -> String {
        let Self { own, system, account } = self;
        let limits = [
            "subs",
            "conn",
            "leaf",
            "imports",
            "exports",
            "data",
            "payload",
            "mem_storage",
            "disk_storage",
            "streams",
            "consumer",
        ];
        let mut limits: Value = limits.iter().map(|limit| (*limit, json!(-1))).collect();
        limits["wildcards"] = json!(true);
        let of = |account: &KeyPair, limits: Value| {
            let claims = json!({"type": "account", "version": 2, "limits": limits});
            signed(own, account, &claims, FOR_LONG)
        };
        let mut without_storage = limits.clone();
        for storage in ["mem_storage", "disk_storage"] {
            without_storage[storage] = json!(0);
        }
        let (name, system_name) = (account.public_key(), system.public_key());
        let claims = json!({"type": "operator", "version": 2});
        let operator = signed(own, own, &claims, FOR_LONG);
        format!(
            "operator: \"{operator}\"\nsystem_account: {system_name}\nresolver: MEMORY\n\
             resolver_preload {{{name}: \"{}\", {system_name}: \"{}\"}}",
            of(account, limits),
            of(system, without_storage),
        )
    }

    /// What is in the file of a user, which is of use for as long as that.
    fn credentials(&self, lasts: Duration) -> String {
        let user = KeyPair::new_user();
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        let jwt = signed(&self.account, &user, &claims, lasts);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    /// A server of it, with a value.
    async fn server(&self) -> NatsServer {
        let server = NatsServer::without_bucket("").await;
        server.authorize("", &self.options());
        server.restart().await;
        let options = ConnectOptions::with_credentials(&self.credentials(FOR_LONG)).unwrap();
        let client = within(options.connect(server.address().to_string())).await.unwrap();
        server.is_used_by(client).await;
        server.create(Duration::ZERO).await;
        server.put(KEY, "one").await;
        server
    }
}

/// What `issuer` says of `subject`, and for how long.
fn signed(issuer: &KeyPair, subject: &KeyPair, claims: &Value, lasts: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let subject = subject.public_key();
    let claims = json!({
        "jti": subject, "iat": now.as_secs(), "exp": (now + lasts).as_secs(),
        "iss": issuer.public_key(), "name": "test", "sub": subject, "nats": claims,
    });
    let part = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let said = format!("{}.{}", part(&header), part(&claims));
    let signature = issuer.sign(said.as_bytes()).unwrap();
    format!("{said}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn access(dir: &TempDir, credentials: &str) -> Access {
    let file = dir.path().join("user.creds");
    fs::write(&file, credentials).unwrap();
    Access::new().token(Secret::file(file))
}

#[tokio::test]
async fn a_file_of_credentials_will_do_and_may_be_replaced_when_it_expires() {
    let operator = Operator::new();
    let server = operator.server().await;
    let url = format!("nats://{}", server.address());
    let dir = tempfile::tempdir().unwrap();
    let lasts = Duration::from_secs(3);
    let access = access(&dir, &operator.credentials(lasts));
    let mut followed = followed(bucket(&url, access).key(KEY).text());
    comes(&mut followed, text("one")).await;
    // It is over while it is connected.
    let told = fails(&followed, "takes none of these credentials").await;
    assert!(!told.contains("SU"), "{told}");
    server.put(KEY, "two").await;
    fs::write(dir.path().join("user.creds"), operator.credentials(FOR_LONG)).unwrap();
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn credentials_of_another_operator_or_damaged_ones_are_refused() {
    let operator = Operator::new();
    let server = operator.server().await;
    let url = format!("nats://{}", server.address());
    let others = Operator::new().credentials(FOR_LONG);
    let damaged = operator.credentials(FOR_LONG).replace("SU", "US");
    for (credentials, part) in [(others, "takes none of these"), (damaged, "is damaged")] {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let source = bucket(&url, access(&dir, &credentials)).key(KEY).text();
        let told = fails(&followed(source), part).await;
        assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
        for secret in credentials.lines().filter(|line| !line.is_empty()) {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
