//! A NATS server of a test's own.

use std::{fmt::Write, fs, net::SocketAddr, path::PathBuf, time::Duration};

use async_nats::{
    Client, ConnectOptions,
    jetstream::{self, kv, stream},
};
use hot_reload_sources::{
    Access, Secret,
    nats::{Nats, NatsBucket},
};
use tempfile::TempDir;

use super::common::{
    authority::Pair,
    server::{Server, address, command},
    within,
};

pub(crate) const BUCKET: &str = "config";
pub(crate) const PASSWORD: &str = "hunter2-of-nats";
/// So that what takes as long as that does not make the tests slow.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// A server that knows the user `app`, and who is asked for by `extra`.
pub(crate) struct NatsServer {
    server: Server,
    address: SocketAddr,
    dir: TempDir,
}

impl NatsServer {
    /// Starts one with a bucket in it.
    pub(crate) async fn start() -> Self {
        let server = Self::without_bucket("").await;
        server.create().await;
        server
    }

    pub(crate) async fn without_bucket(extra: &str) -> Self {
        Self::with_users(&format!("{{user: app, password: {PASSWORD}}}"), extra).await
    }

    pub(crate) async fn with_users(users: &str, extra: &str) -> Self {
        let server = Self {
            server: Server::default(),
            address: address(),
            dir: tempfile::tempdir().unwrap(),
        };
        server.configure(users, extra);
        server.run().await;
        server
    }

    pub(crate) async fn with_tls(pair: &Pair, extra: &str) -> Self {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let tls = format!("tls {{cert_file: \"{certificate}\", key_file: \"{key}\", {extra}}}");
        Self::without_bucket(&tls).await
    }

    pub(crate) fn configure(&self, users: &str, extra: &str) {
        let mut config = format!("listen: \"{}\"\n", self.address);
        writeln!(config, "jetstream {{store_dir: \"{}\"}}", self.data().display()).unwrap();
        writeln!(config, "authorization {{users: [{users}]}}\n{extra}").unwrap();
        fs::write(self.dir.path().join("nats.conf"), config).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Where its streams are.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) async fn run(&self) {
        let mut command = command("nats-server");
        command.arg("-c").arg(self.dir.path().join("nats.conf"));
        self.server.start(&mut command, self.address).await;
    }

    pub(crate) fn kill(&self) {
        self.server.kill();
    }

    /// Has it forget all that it holds, while it is not running.
    pub(crate) fn clear(&self) {
        fs::remove_dir_all(self.data()).unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        let options = ConnectOptions::with_user_and_password("app".into(), PASSWORD.into());
        within(options.connect(self.address.to_string())).await.unwrap()
    }

    pub(crate) async fn create(&self) {
        create(self.client().await, Duration::ZERO).await;
    }

    pub(crate) async fn store(&self) -> kv::Store {
        let jetstream = jetstream::new(self.client().await);
        within(jetstream.get_key_value(BUCKET)).await.unwrap()
    }

    pub(crate) async fn put(&self, key: &str, value: &str) -> u64 {
        within(self.store().await.put(key, value.to_owned().into())).await.unwrap()
    }

    /// How many connections this process has to it, or to whatever listens at `address`.
    pub(crate) fn connections(&self) -> usize {
        let std::net::IpAddr::V4(ip) = self.address.ip() else { unreachable!("it is one") };
        let [a, b, c, d] = ip.octets();
        let remote = format!("{d:02X}{c:02X}{b:02X}{a:02X}:{:04X}", self.address.port());
        let sockets = fs::read_to_string("/proc/self/net/tcp").unwrap();
        // Established, of which the other side is here too.
        let is_one = |line: &&str| line.split_whitespace().nth(2) == Some(&*remote) && line.contains(" 01 ");
        sockets.lines().filter(is_one).count()
    }

    /// The bucket, reached at its own address or at that of a proxy before it.
    pub(crate) fn bucket(&self, address: SocketAddr) -> NatsBucket {
        let access = Access::new().user("app").password(Secret::text(PASSWORD));
        bucket(&format!("nats://{address}"), access)
    }
}

pub(crate) fn bucket(url: &str, access: Access) -> NatsBucket {
    Nats::from_url(url, access).unwrap().read_deadline(DEADLINE).bucket(BUCKET)
}

/// Creates a bucket as clients do; that of this one wants a younger server than Debian has.
pub(crate) async fn create(client: Client, max_age: Duration) {
    let config = stream::Config {
        name: format!("KV_{BUCKET}"),
        subjects: vec![format!("$KV.{BUCKET}.>")],
        max_messages_per_subject: 1,
        max_age,
        allow_rollup: true,
        allow_direct: true,
        num_replicas: 1,
        ..stream::Config::default()
    };
    // A server that has begun to listen may not have begun with JetStream.
    let jetstream = jetstream::new(client);
    within(async {
        while jetstream.create_stream(config.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
