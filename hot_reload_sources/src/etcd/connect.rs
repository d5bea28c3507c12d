//! From a URL to a member that answers.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error, GetOptions, Identity, TlsOptions};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};

use super::{
    address::Members,
    fault::{is_answer, told_at_entrance},
    login::Login,
};
use crate::{
    access::{self, Access},
    error::StoreError,
    tls,
};

/// A member that has not answered after this has another asked beside it.
const STAGGER: Duration = Duration::from_millis(300);
/// A key that nobody has, the first that there can be.
const NO_KEY: &str = "\0";

/// Connects to whichever of the members answers first, and tells who is to log in; they are asked in an order
/// drawn by lot, so that a fleet is spread over them. What a member has refused is told once all have answered,
/// or `limit` is over.
pub(super) async fn connect(
    members: &Members,
    access: &Access,
    limit: Duration,
) -> Result<(Client, Option<Login>), StoreError> {
    let login = match (&access.user, &access.password) {
        (Some(user), Some(password)) => {
            Some(Login { user: user.clone(), password: password.read().await? })
        }
        _ => None,
    };
    let options = options(members, access).await?;
    let mut addresses: Vec<&String> = members.addresses.iter().collect();
    fastrand::shuffle(&mut addresses);
    let attempts = (0u32..).zip(addresses).map(|(nth, address)| {
        let (endpoint, options) = (members.endpoint(address), options.clone());
        Box::pin(async move {
            sleep(STAGGER * nth).await;
            reach(&endpoint, options).await.map_err(|error| told_at_entrance(&error))
        })
    });
    let mut attempts: FuturesUnordered<_> = attempts.collect();
    let mut failed: Option<StoreError> = None;
    let answers = async {
        while let Some(answer) = attempts.next().await {
            match answer {
                Ok(client) => return Some(client),
                // What somebody has to do something about is told rather than who can't be reached.
                Err(_) if failed.as_ref().is_some_and(StoreError::is_refused) => {}
                Err(error) => failed = Some(error),
            }
        }
        None
    };
    match timeout(limit, answers).await {
        Ok(Some(client)) => Ok((client, login)),
        _ => Err(failed.unwrap_or_else(|| {
            StoreError::unreachable("no answer of any member; see whether they have too much to do")
        })),
    }
}

async fn options(members: &Members, access: &Access) -> Result<ConnectOptions, StoreError> {
    // A member that is cut off from the others is to say so.
    let options = ConnectOptions::new().with_require_leader(true);
    Ok(if members.is_tls { options.with_tls(tls_options(access).await?) } else { options })
}

async fn reach(endpoint: &str, options: ConnectOptions) -> Result<Client, Error> {
    let client = Client::connect([endpoint], Some(options)).await?;
    // Until then nothing is connected.
    agrees(&client).await.map(|()| client)
}

/// Has the member make sure, with a majority, that it knows of all there is. That comes before any question of
/// who asks, so it takes no rights: a refusal is an answer.
pub(super) async fn agrees(client: &Client) -> Result<(), Error> {
    let nothing = GetOptions::new().with_count_only();
    match client.kv_client().get(NO_KEY, Some(nothing)).await {
        Err(error) if !is_answer(&error) => Err(error),
        _ => Ok(()),
    }
}

async fn tls_options(access: &Access) -> Result<TlsOptions, StoreError> {
    // The client would read those of the system on the task that connects, once more for each member.
    let roots = tls::roots(access).await?;
    let tls = TlsOptions::new().trust_anchors(roots.roots);
    let Some((certificate, key)) = &access.client_certificate else { return Ok(tls) };
    // It would take a file without certificates for one of none; here it is told by name.
    let _usable = tls::client_config(access).await?;
    let identity = Identity::from_pem(access::read(certificate).await?, access::read(key).await?);
    Ok(tls.identity(identity))
}
