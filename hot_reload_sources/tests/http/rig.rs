//! One server, followed in three ways.

use std::{marker::PhantomData, net::SocketAddr, sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::{Proxy, Rig, Sample};
use hot_reload_sources::{
    FromStore, Store,
    http::{Http, HttpPlace},
};

use crate::{
    common::{authority::Validity, server::address},
    server::{Server, TOKEN, Tls},
};

const WRONG_TOKEN: &str = "wrong-token-93ab";
const PASSWORD_OF_URL: &str = "hidden-in-the-url-55d0";
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// How a rig follows its server.
pub(crate) trait Way: Send + Sync + 'static {
    const TLS: Tls;

    fn of(place: HttpPlace) -> HttpPlace;
}

/// By events that carry the value, over TLS and HTTP/2.
pub(crate) struct Events;

/// By events that say to look, over HTTP/1.1.
pub(crate) struct Hints;

/// By long polling, over HTTP/1.1.
pub(crate) struct LongPolls;

/// By looks alone, over TLS and HTTP/2.
pub(crate) struct Looks;

impl Way for Looks {
    const TLS: Tls = Tls::Server;

    fn of(place: HttpPlace) -> HttpPlace {
        place
    }
}

impl Way for Events {
    const TLS: Tls = Tls::Server;

    fn of(place: HttpPlace) -> HttpPlace {
        place.events("/events").unwrap()
    }
}

impl Way for Hints {
    const TLS: Tls = Tls::None;

    fn of(place: HttpPlace) -> HttpPlace {
        place.events_as_hints("/events").unwrap()
    }
}

impl Way for LongPolls {
    const TLS: Tls = Tls::None;

    fn of(place: HttpPlace) -> HttpPlace {
        place.long_poll()
    }
}

pub(crate) struct HttpRig<W> {
    server: Server,
    wrong_name: Server,
    expired: Server,
    way: PhantomData<W>,
}

impl<W: Way> HttpRig<W> {
    fn with_token(server: &Server, address: SocketAddr, token: &str) -> FromStore<Sample> {
        let http = Http::from_url(&server.url(address), server.access(token)).unwrap();
        let http = http.read_deadline(SILENCE);
        W::of(http.get("/value").unwrap()).silence(SILENCE).toml()
    }

    /// By a proxy, and a certificate that is not for its address.
    async fn distrusting(server: &Server) -> Option<(FromStore<Sample>, Proxy)> {
        let proxy = Proxy::start(server.address).await;
        Some((Self::with_token(server, proxy.address(), TOKEN), proxy))
    }
}

#[async_trait]
impl<W: Way> Rig for HttpRig<W> {
    type Source = FromStore<Sample>;

    async fn start() -> Self {
        let server = Server::start(W::TLS).await;
        let wrong_name = Server::start(Tls::Server).await;
        wrong_name.shows(&wrong_name.authority.issue("other", &["other.test"], Validity::Now));
        let expired = Server::with(Tls::Server, Validity::Over, address()).await;
        Self { server, wrong_name, expired, way: PhantomData }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn source(&self, address: SocketAddr) -> Self::Source {
        if address != self.server.address {
            self.server.is_also(address.ip(), Validity::Now);
        }
        Self::with_token(&self.server, address, TOKEN)
    }

    async fn put(&self, text: &str) {
        self.server.put(text);
    }

    async fn delete(&self) {
        self.server.delete();
    }

    async fn kill(&self) {
        self.server.kill().await;
    }

    async fn restart(&self) {
        self.server.run().await;
    }

    async fn restart_empty(&self) {
        self.server.kill().await;
        self.server.empties();
        self.server.run().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Self::Source> {
        if address != self.server.address {
            self.server.is_also(address.ip(), Validity::Now);
        }
        Some(Self::with_token(&self.server, address, WRONG_TOKEN))
    }

    async fn with_wrong_name(&self) -> Option<(Self::Source, Proxy)> {
        Self::distrusting(&self.wrong_name).await
    }

    async fn with_expired_certificate(&self) -> Option<(Self::Source, Proxy)> {
        let (source, proxy) = Self::distrusting(&self.expired).await?;
        self.expired.is_also(proxy.address().ip(), Validity::Over);
        Some((source, proxy))
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        self.server.state.is_throttled.store(is_throttled, Ordering::SeqCst);
        true
    }

    async fn break_channel(&self, is_broken: bool) -> bool {
        self.server.state.is_unheard.send_replace(is_broken);
        true
    }

    async fn requests(&self) -> Option<u64> {
        Some(self.server.state.requests.load(Ordering::SeqCst))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.into(), WRONG_TOKEN.into(), PASSWORD_OF_URL.into()]
    }

    fn read_deadline(&self) -> Duration {
        SILENCE
    }
}
