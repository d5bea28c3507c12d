//! `etcd grpc-proxy`, which has one watch of a key for all who watch it there.

use hot_reload_sources::{Access, Store, etcd::Etcd};

use crate::{
    common::{
        follow::{comes, followed, text},
        server::{Server, address, command},
    },
    server::Member,
};

struct GrpcProxy {
    _server: Server,
    etcd: Etcd,
}

impl GrpcProxy {
    async fn start(member: &Member) -> Self {
        let (server, at) = (Server::default(), address());
        let mut command = command("etcd");
        command.args(["grpc-proxy", "start"]);
        command.args(["--endpoints", &member.address.to_string()]);
        command.args(["--listen-addr", &at.to_string()]);
        server.start(&mut command, at).await;
        let etcd = Etcd::from_url(&format!("etcd://{at}"), Access::new()).unwrap();
        Self { _server: server, etcd }
    }
}

#[tokio::test]
async fn receivers_at_a_proxy_have_what_the_cluster_has() {
    let member = Member::start().await;
    let proxy = GrpcProxy::start(&member).await;
    member.put("f/a", "one").await;
    let mut one = followed(proxy.etcd.key("f/a").text());
    comes(&mut one, text("one")).await;
    member.put("f/a", "two").await;
    comes(&mut one, text("two")).await;

    member.kill();
    member.run().await;
    member.put("f/a", "three").await;
    comes(&mut one, text("three")).await;
    let mut late = followed(proxy.etcd.key("f/a").text());
    comes(&mut late, text("three")).await;
}
