//! An etcd of a test's own.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, Permission, PermissionType, TlsOptions,
};
use hot_reload_sources::{Access, Secret};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::common::{
    authority::{Authority, Pair, Validity},
    server::{self, Server},
    within,
};

pub const ROOT: &str = "root-8fd1c7";
pub const APP: &str = "app-5e20b9";

/// One member, a cluster by itself unless it is told of others.
pub struct Member {
    pub address: SocketAddr,
    peer: SocketAddr,
    name: String,
    data: TempDir,
    server: Server,
    tls: Option<Tls>,
    /// All members, itself included, as etcd is told of them.
    cluster: String,
    options: &'static [&'static str],
}

/// What it shows, and what it asks to be shown.
struct Tls {
    ca_file: std::path::PathBuf,
    pair: Pair,
    client: Option<Pair>,
}

impl Member {
    pub async fn start() -> Self {
        let member = Self::new();
        member.run().await;
        member
    }

    pub async fn start_with(options: &'static [&'static str]) -> Self {
        let member = Self { options, ..Self::new() };
        member.run().await;
        member
    }

    /// One that speaks TLS by a certificate for `name`, or its own; it wants a client to show a
    /// certificate if one is given for it.
    pub async fn start_tls(
        authority: &Authority,
        name: Option<&str>,
        validity: Validity,
        client: Option<Pair>,
    ) -> Self {
        let mut member = Self::new();
        let address = member.address.ip().to_string();
        let pair = authority.issue(&member.name, &[name.unwrap_or(&address)], validity);
        member.tls = Some(Tls { ca_file: authority.file(), pair, client });
        member.run_unasked().await;
        member
    }

    /// Three that are one cluster.
    pub async fn start_three() -> [Self; 3] {
        let mut members = [Self::new(), Self::new(), Self::new()];
        let all = members.each_ref().map(|member| member.cluster.clone()).join(",");
        for member in &mut members {
            member.cluster.clone_from(&all);
        }
        for member in &members {
            member.run_unasked().await;
        }
        for member in &members {
            member.is_ready().await;
        }
        members
    }

    fn new() -> Self {
        let (address, peer) = (server::address(), server::address());
        let name = format!("m{}", peer.ip().to_string().replace('.', "-"));
        let cluster = format!("{name}=http://{peer}");
        let data = tempfile::tempdir().unwrap();
        Self {
            address,
            peer,
            name,
            data,
            server: Server::default(),
            tls: None,
            cluster,
            options: &[],
        }
    }

    /// Starts it, and waits until it can be written to.
    pub async fn run(&self) {
        self.run_unasked().await;
        self.is_ready().await;
    }

    async fn run_unasked(&self) {
        self.server.start(&mut self.command(), self.address).await;
    }

    async fn is_ready(&self) {
        within(async {
            while !self.is_writable().await {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    async fn is_writable(&self) -> bool {
        let Ok(client) = Box::pin(Client::connect([self.url()], Some(self.root()))).await else {
            return false;
        };
        client.kv_client().delete("ready", None).await.is_ok()
    }

    fn command(&self) -> Command {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let client_url = format!("{scheme}://{}", self.address);
        let peer_url = format!("http://{}", self.peer);
        let mut command = server::command("etcd");
        command.args(["--name", &self.name, "--bcrypt-cost", "4", "--logger", "zap"]);
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        command.args(["--listen-peer-urls", &peer_url]);
        command.args(["--initial-advertise-peer-urls", &peer_url]);
        command.args(["--initial-cluster", &self.cluster]);
        command.args(self.options);
        if let Some(Tls { ca_file, pair, client }) = &self.tls {
            command.arg("--cert-file").arg(&pair.certificate).arg("--key-file").arg(&pair.key);
            if client.is_some() {
                command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca_file);
            }
        }
        command
    }

    fn data(&self) -> std::path::PathBuf {
        self.data.path().join("etcd")
    }

    pub fn kill(&self) {
        self.server.kill();
    }

    /// The process itself.
    #[allow(dead_code, reason = "for the benches")]
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    /// Ends it, and has it forget everything.
    pub fn wipe(&self) {
        self.kill();
        fs::remove_dir_all(self.data()).unwrap();
        // Nobody is known there any more.
        let _ = fs::remove_file(self.data.path().join("auth"));
    }

    fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// A client that may do everything.
    pub async fn client(&self) -> Client {
        let options = self.root();
        Box::pin(within(Client::connect([self.url()], Some(options)))).await.unwrap()
    }

    fn root(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new().with_timeout(Duration::from_secs(5));
        if let Some(Tls { ca_file, client, .. }) = &self.tls {
            let pem = |path: &Path| fs::read(path).unwrap();
            let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(pem(ca_file)));
            if let Some(Pair { certificate, key }) = client {
                tls = tls.identity(Identity::from_pem(pem(certificate), pem(key)));
            }
            options = options.with_tls(tls);
        }
        if self.data.path().join("auth").exists() {
            options = options.with_user("root", ROOT);
        }
        options
    }

    /// Has it ask who comes; `app` may read what begins with `prod/`.
    pub async fn enable_auth(&self) {
        let mut client = self.client().await;
        client.user_add("root", ROOT, None).await.unwrap();
        client.role_add("root").await.unwrap();
        client.user_grant_role("root", "root").await.unwrap();
        client.user_add("app", APP, None).await.unwrap();
        client.role_add("reader").await.unwrap();
        let may_read = Permission::new(PermissionType::Read, "prod/").with_prefix();
        client.role_grant_permission("reader", may_read).await.unwrap();
        client.user_grant_role("app", "reader").await.unwrap();
        client.auth_enable().await.unwrap();
        fs::write(self.data.path().join("auth"), "").unwrap();
    }

    pub async fn put(&self, key: &str, value: impl Into<Vec<u8>>) -> i64 {
        let put = self.client().await.put(key, value, None).await.unwrap();
        put.header().unwrap().revision()
    }

    pub async fn try_put(&self, key: &str, value: &str) -> Result<(), etcd_client::Error> {
        let mut client = Box::pin(Client::connect([self.url()], Some(self.root()))).await?;
        client.put(key, value, None).await.map(drop)
    }

    /// What it counts as `name`.
    pub async fn metric(&self, name: &str) -> u64 {
        let mut metrics = TcpStream::connect(self.address).await.unwrap();
        metrics.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut told = String::new();
        within(metrics.read_to_string(&mut told)).await.unwrap();
        let count = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        count.unwrap_or_else(|| panic!("{name} in {told}")).parse().unwrap()
    }

    pub async fn delete(&self, key: &str) {
        self.client().await.delete(key, None).await.unwrap();
    }
}

/// What `app` comes with.
pub fn app() -> Access {
    Access::new().user("app").password(Secret::text(APP))
}
