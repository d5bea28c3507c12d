//! `etcd grpc-proxy`, which shares its watches of a key among all who watch it there.

use std::net::SocketAddr;

use hot_reload::ReloaderReceiver;
use hot_reload_sources::{Access, Store, etcd::Etcd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    common::{
        follow::{comes, followed, text},
        server::{Server, address, command},
        within,
    },
    server::Member,
};

const KEY: &str = "prod/server.toml";

const RECEIVERS: usize = 50;
/// Three were counted for any number of receivers, those for the proxy's own needs among them.
const FEW: usize = 5;

struct GrpcProxy {
    _server: Server,
    address: SocketAddr,
}

impl GrpcProxy {
    async fn start(member: &Member) -> Self {
        let (server, at) = (Server::default(), address());
        let mut command = command("etcd");
        command.args(["grpc-proxy", "start"]);
        command.args(["--endpoints", &member.address.to_string()]);
        command.args(["--listen-addr", &at.to_string()]);
        server.start(&mut command, at).await;
        Self { _server: server, address: at }
    }

    /// Follows a key over a connection of its own.
    fn follow(&self) -> ReloaderReceiver<String, String> {
        let etcd = Etcd::from_url(&format!("etcd://{}", self.address), Access::new()).unwrap();
        followed(etcd.key(KEY).text())
    }
}

/// How many watches `member` has.
async fn watches(member: &Member) -> usize {
    let mut metrics = TcpStream::connect(member.address).await.unwrap();
    metrics.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut told = String::new();
    within(metrics.read_to_string(&mut told)).await.unwrap();
    let count =
        told.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
    count.unwrap().parse().unwrap()
}

#[tokio::test]
async fn receivers_at_a_proxy_have_what_the_cluster_has_by_few_watches() {
    let member = Member::start().await;
    let proxy = GrpcProxy::start(&member).await;
    member.put(KEY, "one").await;
    let mut receivers: Vec<_> = (0..RECEIVERS).map(|_| proxy.follow()).collect();
    for receiver in &mut receivers {
        comes(receiver, text("one")).await;
    }
    member.put(KEY, "two").await;
    for receiver in &mut receivers {
        comes(receiver, text("two")).await;
    }
    let watches = watches(&member).await;
    assert!(watches <= FEW, "{watches}");

    member.kill();
    member.run().await;
    member.put(KEY, "three").await;
    receivers.push(proxy.follow());
    for receiver in &mut receivers {
        comes(receiver, text("three")).await;
    }
}
