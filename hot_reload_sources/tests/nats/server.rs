//! A NATS server of a test's own.

use std::{
    fmt::Write,
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions,
    jetstream::{
        self, Context, kv,
        stream::{self, StorageType},
    },
};
use hot_reload_sources::{
    Access, Secret,
    nats::{Nats, NatsBucket},
};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{sync::Mutex, time::sleep};

use super::common::{
    authority::Pair,
    server::{Server, address, command},
    within,
};

pub const BUCKET: &str = "config";
pub const PASSWORD: &str = "hunter2-of-nats";
/// So that what takes as long as that does not make the tests slow.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// A server, and a client of the test's own that may do everything.
pub struct NatsServer {
    server: Server,
    address: SocketAddr,
    dir: TempDir,
    /// What its JetStream is called, where there are several.
    domain: &'static str,
    client: Mutex<Option<Client>>,
}

impl NatsServer {
    /// Starts one with a bucket in it.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// Starts one with a bucket in it, whose file of options also has `options`.
    pub async fn with(options: &str) -> Self {
        let server = Self::without_bucket(options).await;
        Box::pin(server.create(Duration::ZERO)).await;
        server
    }

    pub async fn without_bucket(options: &str) -> Self {
        Self::in_domain("", options).await
    }

    /// Starts one without a bucket, whose JetStream is called `domain`.
    pub async fn in_domain(domain: &'static str, options: &str) -> Self {
        let server = Self {
            server: Server::default(),
            address: address(),
            dir: tempfile::tempdir().unwrap(),
            domain,
            client: Mutex::default(),
        };
        server.configure("", options);
        server.run().await;
        server
    }

    pub async fn with_tls(pair: &Pair, options: &str) -> Self {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let tls = format!("tls {{cert_file: \"{certificate}\", key_file: \"{key}\", {options}}}");
        Self::without_bucket(&tls).await
    }

    /// Has it know `users` beside `app`, from its next start on.
    pub fn configure(&self, users: &str, options: &str) {
        let app = format!("{{user: app, password: {PASSWORD}}}");
        self.authorize(&format!("users: [{app}, {users}]"), options);
    }

    /// Has it let in whom `authorization` says, from its next start on.
    pub fn authorize(&self, authorization: &str, options: &str) {
        let mut config = format!("listen: \"{}\"\n", self.address);
        let domain = match self.domain {
            "" => String::new(),
            domain => format!(", domain: {domain}"),
        };
        writeln!(config, "jetstream {{store_dir: \"{}\"{domain}}}", self.data().display()).unwrap();
        writeln!(config, "authorization {{{authorization}}}\n{options}").unwrap();
        fs::write(self.dir.path().join("nats.conf"), config).unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process itself.
    #[allow(dead_code, reason = "for the benches")]
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    /// Where its streams are.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub async fn run(&self) {
        let mut command = command("nats-server");
        command.arg("-c").arg(self.dir.path().join("nats.conf"));
        self.server.start(&mut command, self.address).await;
    }

    pub async fn kill(&self) {
        self.client.lock().await.take();
        self.server.kill();
    }

    pub async fn restart(&self) {
        self.kill().await;
        self.run().await;
    }

    pub async fn client(&self) -> Client {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return client.clone();
        }
        let options = ConnectOptions::with_user_and_password("app".into(), PASSWORD.into());
        let connected = within(options.connect(self.address.to_string())).await.unwrap();
        client.insert(connected).clone()
    }

    /// Has the test's own client be this one until it is killed.
    pub async fn is_used_by(&self, client: Client) {
        *self.client.lock().await = Some(client);
    }

    pub async fn jetstream(&self) -> Context {
        jetstream::new(self.client().await)
    }

    pub async fn store(&self) -> kv::Store {
        within(self.jetstream().await.get_key_value(BUCKET)).await.unwrap()
    }

    /// Creates the bucket as clients do; that of this one wants a younger server than Debian has.
    pub async fn create(&self, max_age: Duration) {
        self.create_with(1, max_age).await;
    }

    pub async fn create_with(&self, num_replicas: usize, max_age: Duration) {
        self.create_stream(stream::Config { num_replicas, max_age, ..config(1) }).await;
    }

    /// Creates the bucket, to keep the last `history` values of each key.
    pub async fn create_with_history(&self, history: i64, storage: StorageType) {
        self.create_stream(stream::Config { storage, ..config(history) }).await;
    }

    pub async fn create_stream(&self, config: stream::Config) {
        // A server that has begun to listen may not have begun with JetStream.
        let jetstream = self.jetstream().await;
        Box::pin(within(async {
            while jetstream.create_stream(config.clone()).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        }))
        .await;
    }

    /// Removes the message `sequence`, as an administrator does: no other one tells of it.
    pub async fn forget(&self, sequence: u64) {
        let stream = self.jetstream().await.get_stream(format!("KV_{BUCKET}")).await.unwrap();
        assert!(stream.delete_message(sequence).await.unwrap());
    }

    pub async fn remove(&self) {
        self.jetstream().await.delete_stream(format!("KV_{BUCKET}")).await.unwrap();
    }

    pub async fn put(&self, key: &str, value: &str) -> u64 {
        let jetstream = self.jetstream().await;
        let subject = format!("$KV.{BUCKET}.{key}");
        within(async {
            // Just started, it may not have begun with JetStream.
            loop {
                let sent = jetstream.publish(subject.clone(), value.to_owned().into()).await;
                match sent.unwrap().await {
                    Ok(taken) => return taken.sequence,
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
    }

    /// How many connections there are to it of others than the test's own client.
    pub fn connections(&self) -> usize {
        let IpAddr::V4(ip) = self.address.ip() else { unreachable!("it is one") };
        let [a, b, c, d] = ip.octets();
        let remote = format!("{d:02X}{c:02X}{b:02X}{a:02X}:{:04X}", self.address.port());
        let sockets = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let established = sockets.lines().filter(|socket| {
            let mut parts = socket.split_whitespace().skip(2);
            parts.next() == Some(&*remote) && parts.next() == Some("01")
        });
        let own = self.client.try_lock().is_ok_and(|client| client.is_some());
        established.count() - usize::from(own)
    }

    /// The bucket, for the user `app`.
    pub fn bucket(&self) -> NatsBucket {
        let access = Access::new().user("app").password(Secret::text(PASSWORD));
        bucket(&format!("nats://{}", self.address), access)
    }
}

fn config(history: i64) -> stream::Config {
    stream::Config {
        name: format!("KV_{BUCKET}"),
        subjects: vec![format!("$KV.{BUCKET}.>")],
        max_messages_per_subject: history,
        allow_rollup: true,
        allow_direct: true,
        ..stream::Config::default()
    }
}

/// The bucket of a server.
pub fn bucket(url: &str, access: Access) -> NatsBucket {
    Nats::from_url(url, access).unwrap().read_deadline(DEADLINE).bucket(BUCKET)
}
