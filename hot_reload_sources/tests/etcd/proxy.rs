//! `etcd grpc-proxy`, which shares its watches of a key among all who watch it there.

use std::net::SocketAddr;

use hot_reload::ReloaderReceiver;
use hot_reload_sources::{Access, Store, etcd::Etcd};

use crate::{
    common::{
        follow::{comes, followed, text},
        server::{Server, address, command},
    },
    server::Member,
};

const KEY: &str = "prod/server.toml";

const RECEIVERS: usize = 50;
/// Three were counted for any number of receivers, those for the proxy's own needs among them.
const FEW: u64 = 5;

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

/// How many watches a member has.
const WATCHES: &str = "etcd_debugging_mvcc_watcher_total";

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
    let watches = member.metric(WATCHES).await;
    assert!(watches <= FEW, "{watches}");

    member.kill();
    member.run().await;
    member.put(KEY, "three").await;
    receivers.push(proxy.follow());
    for receiver in &mut receivers {
        comes(receiver, text("three")).await;
    }
}
