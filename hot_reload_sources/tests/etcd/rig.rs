//! What every source has to get right, by the suite.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::{Proxy, Rig, Sample};
use hot_reload_sources::{
    Access, FromStore, Secret, Store,
    etcd::{Etcd, EtcdPlace},
};
use tokio::sync::Mutex;

use crate::{
    busy::Busy,
    common::authority::{Authority, Validity},
    server::{APP, Member, ROOT, app},
};

const KEY: &str = "prod/sample.toml";
const DEADLINE: Duration = Duration::from_secs(2);
const WRONG: &str = "wrong-c41d7a";

/// An etcd that asks who comes.
pub struct EtcdRig {
    member: Member,
    /// Those that were started for a test of TLS.
    others: Mutex<Vec<(Authority, Member)>>,
    /// In its place.
    busy: Mutex<Option<Busy>>,
}

impl EtcdRig {
    fn at(address: SocketAddr, access: Access) -> FromStore<Sample> {
        let etcd = Etcd::from_url(&format!("etcd://{address}"), access).unwrap();
        etcd.read_deadline(DEADLINE).key(KEY).toml()
    }

    async fn untrusted(
        &self,
        name: Option<&str>,
        validity: Validity,
    ) -> Option<(FromStore<Sample>, Proxy)> {
        let authority = Authority::new();
        let member = Member::start_tls(&authority, name, validity, None).await;
        let proxy = Proxy::start(member.address).await;
        let url = format!("etcds://app:{APP}@{}/{KEY}", proxy.address());
        let access = Access::new().ca_file(authority.file());
        self.others.lock().await.push((authority, member));
        Some((EtcdPlace::from_url(&url, access).unwrap().toml(), proxy))
    }
}

#[async_trait]
impl Rig for EtcdRig {
    type Source = FromStore<Sample>;

    async fn start() -> Self {
        let member = Member::start().await;
        member.enable_auth().await;
        Self { member, others: Mutex::default(), busy: Mutex::default() }
    }

    fn address(&self) -> SocketAddr {
        self.member.address
    }

    fn source(&self, address: SocketAddr) -> Self::Source {
        Self::at(address, app())
    }

    async fn put(&self, text: &str) {
        self.member.put(KEY, text).await;
    }

    async fn put_all(&self, texts: Vec<String>) {
        let mut client = self.member.client().await;
        for text in texts {
            client.put(KEY, text, None).await.unwrap();
        }
    }

    async fn delete(&self) {
        self.member.delete(KEY).await;
    }

    async fn kill(&self) {
        self.member.kill();
    }

    async fn restart(&self) {
        self.member.run().await;
    }

    async fn restart_empty(&self) {
        self.member.wipe();
        self.member.run().await;
        self.member.enable_auth().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Self::Source> {
        Some(Self::at(address, Access::new().user("app").password(Secret::text(WRONG))))
    }

    async fn with_wrong_name(&self) -> Option<(Self::Source, Proxy)> {
        self.untrusted(Some("elsewhere.example"), Validity::Now).await
    }

    async fn with_expired_certificate(&self) -> Option<(Self::Source, Proxy)> {
        self.untrusted(None, Validity::Over).await
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        let mut busy = self.busy.lock().await;
        *busy = None;
        if is_throttled {
            self.member.kill();
            *busy = Some(Busy::start(self.address()).await);
        } else {
            self.member.run().await;
        }
        true
    }

    async fn requests(&self) -> Option<u64> {
        self.busy.lock().await.as_ref().map(Busy::asked)
    }

    fn secrets(&self) -> Vec<String> {
        [ROOT, APP, WRONG].map(str::to_owned).into()
    }

    fn read_deadline(&self) -> Duration {
        DEADLINE
    }
}
