//! One connection to a server.

use std::{
    future::ready,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, ReconnectToServer, ServerAddr, ServerError,
    connection::State,
    jetstream::{Context, context::ContextBuilder},
};
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};
use zeroize::Zeroizing;

use super::{address::Servers, fault};
use crate::{access::Access, error::StoreError, tls};

/// Nothing listens there, and to find that takes no network.
const NOWHERE: &str = "nats://127.0.0.1:0";
/// The client gives a connection up at its third ping without an answer.
const PINGS_IN_DEADLINE: u32 = 4;
/// What part of the deadline there is for servers to let it in, so that what they have said, or that it was
/// nothing, is told.
const ENTRANCE: f64 = 0.8;
/// For these parts of the deadline, one after the other, an answer is waited for before it is asked again.
const ASKED_AGAIN_AFTER: [u32; 3] = [8, 4, 2];
/// More than there are places which begin at the same moment and may not be read.
const DENIALS: usize = 256;
/// What the seed of a user begins with, and how long it is: 2 bytes that tell what it is, 32 of it and 2 of a
/// checksum, in base 32. <https://github.com/nats-io/nkeys>
const NKEY_SEED: &str = "SU";
const NKEY_SEED_LENGTH: usize = 58;
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----";

/// A connection that is given up for good when it is lost: the engine makes another.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) jetstream: Context,
    deadline: Duration,
    /// How often the client was connected when this began.
    connects: u64,
    /// What the server has said that may not be done.
    denied: broadcast::Sender<String>,
}

impl Link {
    pub(super) async fn connect(
        servers: &Servers,
        access: &Access,
        deadline: Duration,
    ) -> Result<Self, StoreError> {
        let mut servers = servers.0.clone();
        fastrand::shuffle(&mut servers);
        let deadline_of_each = deadline.mul_f64(ENTRANCE) / count(servers.len());
        let mut failed: Option<StoreError> = None;
        for server in servers {
            let denied = broadcast::Sender::new(DENIALS);
            let options = options(&server, access, deadline, denied.clone()).await?;
            // The client takes as long for each of its addresses, the first of which may be dead.
            let addresses = server.socket_addrs().await.map_or(1, Iterator::count);
            let options = options.connection_timeout(deadline_of_each / count(addresses));
            let pool = [server.clone(), nowhere()];
            match options.connect(&pool[..]).await {
                Ok(client) => return Ok(Self::of(client, denied, deadline)),
                // What somebody has to do something about is told rather than who can't be reached.
                Err(_) if failed.as_ref().is_some_and(StoreError::is_refused) => {}
                Err(error) => failed = Some(fault::connect(error, &server)),
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::refused("no server is named")))
    }

    /// Uses a client that somebody else looks after.
    pub(super) fn of_client(client: Client, deadline: Duration) -> Result<Self, StoreError> {
        if client.connection_state() != State::Connected {
            return Err(StoreError::unreachable(
                "the client is not connected now, and has its own time for trying again",
            ));
        }
        Ok(Self::of(client, broadcast::Sender::new(DENIALS), deadline))
    }

    fn of(client: Client, denied: broadcast::Sender<String>, deadline: Duration) -> Self {
        let connects = connects(&client);
        let jetstream = ContextBuilder::new().timeout(deadline).build(client.clone());
        Self { client, jetstream, deadline, connects, denied }
    }

    /// Whether it is still the connection that it was.
    pub(super) fn is_alive(&self) -> bool {
        self.client.connection_state() == State::Connected
            && connects(&self.client) == self.connects
    }

    /// Asks once more, and again, where there is no answer.
    ///
    /// A cluster that has lost a member gives none to who asks for what that one led, or before another
    /// leads, and a consumer may have been meant for it.
    pub(super) async fn persists<T, F>(&self, ask: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        for part in ASKED_AGAIN_AFTER {
            if let Ok(answer) = timeout(self.deadline / part, ask()).await {
                return answer;
            }
        }
        ask().await
    }

    /// Waits for the answer to what was asked at `subjects`, or for one of them to be denied, of which the
    /// server tells apart from it.
    pub(super) async fn asks<T>(
        &self,
        subjects: &[&str],
        answer: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let mut denied = self.denied.subscribe();
        let denied = async {
            loop {
                match denied.recv().await {
                    Ok(said) if is_of(&said, subjects) => return said,
                    // The one that was missed is found by its time-out.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            biased;
            // That of one of them may be there together with the answer of another.
            said = denied => Err(StoreError::refused(format!("{said}; grant it"))),
            answer = answer => Ok(answer),
        }
    }
}

/// Whether it is one of `subjects` that may not be used; they are quoted as a whole.
fn is_of(said: &str, subjects: &[&str]) -> bool {
    said.split('"').any(|part| subjects.contains(&part))
}

fn connects(client: &Client) -> u64 {
    // A counter that nothing else is ordered by.
    client.statistics().connects.load(Ordering::Relaxed)
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX).max(1)
}

fn nowhere() -> ServerAddr {
    NOWHERE.parse().expect("it is an address")
}

async fn options(
    server: &ServerAddr,
    access: &Access,
    deadline: Duration,
    denied: broadcast::Sender<String>,
) -> Result<ConnectOptions, StoreError> {
    let options = ConnectOptions::new()
        .name("hot_reload")
        .ping_interval(deadline / PINGS_IN_DEADLINE)
        .request_timeout(Some(deadline))
        .ignore_discovered_servers()
        .tls_client_config(tls_of(server, access).await?)
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(said)) = event {
                // Nobody may be waiting.
                let _ = denied.send(said);
            }
            ready(())
        });
    authenticates(gives_up_when_lost(options, server.clone()), access).await
}

/// Has the client try `server` once, and never again.
///
/// It can't be told not to reconnect, and whoever of a fleet has lost a server should not come to it, or
/// to the next, at the same moment; the engine knows how. Subscriptions end when the client gives up.
fn gives_up_when_lost(options: ConnectOptions, server: ServerAddr) -> ConnectOptions {
    let is_tried = AtomicBool::new(false);
    options.max_reconnects(1).reconnect_to_server_callback(move |_pool, _info| {
        // One task asks, one time after the other.
        let was_tried = is_tried.swap(true, Ordering::Relaxed);
        let addr = if was_tried { nowhere() } else { server.clone() };
        ready(Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }))
    })
}

async fn tls_of(server: &ServerAddr, access: &Access) -> Result<ClientConfig, StoreError> {
    if server.tls_required() {
        tls::client_config(access).await
    } else {
        // Should the server want it nevertheless, it is not trusted, and that is said.
        Ok(tls::trusting(RootCertStore::empty()).with_no_client_auth())
    }
}

async fn authenticates(
    mut options: ConnectOptions,
    access: &Access,
) -> Result<ConnectOptions, StoreError> {
    if let Some(password) = &access.password {
        let user = access.user.clone().unwrap_or_default();
        options = options.user_and_password(user, password.read().await?.to_string());
    }
    let Some(token) = &access.token else { return Ok(options) };
    let token = token.read().await?;
    if token.contains(CREDENTIALS) {
        // The client wants a whole last line, of which a secret has lost the end.
        let credentials = Zeroizing::new(format!("{}\n", *token));
        // The cause might quote them.
        return options
            .credentials(&credentials)
            .map_err(|_| StoreError::refused("the credentials file is damaged; make a new one"));
    }
    let is_seed = token.len() == NKEY_SEED_LENGTH && token.starts_with(NKEY_SEED);
    Ok(if is_seed { options.nkey(token.to_string()) } else { options.token(token.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_that_of_the_whole_subject() {
        let said = r#"Permissions Violation for Publish to "$JS.API.STREAM.INFO.KV_limits2""#;
        assert!(is_of(said, &["x", "$JS.API.STREAM.INFO.KV_limits2"]));
        assert!(!is_of(said, &["$JS.API.STREAM.INFO.KV_limits"]));
    }
}
