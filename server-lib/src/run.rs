//! The event loop: takes each new value while the server does its work.

use std::{borrow::Cow, fmt::Display, future::pending};

use hot_reload::{ReloaderReceiver, Snapshot};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    config::ServerConfig,
    context::ServerContext,
    error::ServerError,
    live::Applied,
    refusal::{Event, State},
    site::{Outcome, Refused, Site},
    status::{Refusal, ServerStatus},
};

/// Serves until shutdown.
pub(crate) async fn run<V, S>(context: &ServerContext<V, S>) -> Result<(), ServerError>
where
    V: Eq + Clone + Into<ServerConfig>,
    S: Into<Cow<'static, str>> + Display,
{
    let mut updates = context.receiver.clone();
    let first = tokio::select! {
        biased;
        () = context.shutdown.cancelled() => return Ok(()),
        first = first(&mut updates) => first?,
    };
    let runtime = context.runtime.clone().unwrap_or_else(Handle::current);
    let applied = Applied::new(V::clone(&first).into(), first.generation())?;
    let mut site = Site::open(applied, runtime)?;
    tell(context, &site, None);

    let mut state = State::Serving;
    let mut has_source = true;
    loop {
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => break,
            changed = updates.changed(), if has_source => if changed.is_err() {
                warn!("the reloader service has ended: the configuration stays as it is");
                has_source = false;
                continue;
            },
            () = due(state.retry_at()) => {}
        }
        // An empty publication is no configuration: the last good one goes on.
        let Some(newest) = updates.snapshot() else { continue };
        let outcome = site.offer(V::clone(&newest).into(), newest.generation()).await;
        state = settle(context, &site, state, &newest, outcome);
    }

    info!("shutting down");
    site.drain().await;
    context.status.send_modify(|status| status.local_addresses.clear());
    Ok(())
}

async fn first<V, S>(updates: &mut ReloaderReceiver<V, S>) -> Result<Snapshot<V>, ServerError>
where
    V: Eq,
    S: Into<Cow<'static, str>> + Display,
{
    loop {
        if let Some(first) = updates.snapshot() {
            return Ok(first);
        }
        updates.changed().await.map_err(|_gone| ServerError::NoConfig)?;
    }
}

async fn due(retry_at: Option<Instant>) {
    match retry_at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Takes note of what became of `newest`, and says so.
fn settle<V, S>(
    context: &ServerContext<V, S>,
    site: &Site,
    state: State,
    newest: &Snapshot<V>,
    outcome: Outcome,
) -> State {
    let generation = newest.generation();
    let (event, refused) = match outcome {
        Outcome::Applied | Outcome::Unchanged => (Event::InUse, None),
        Outcome::Refused(refused) => {
            (Event::Refused { generation, may_pass: refused.may_pass() }, Some(refused))
        }
    };
    let refusal = refused.map(|refused| refusal(generation, &refused));
    let is_known = context.status.borrow().refusal == refusal;
    match &refusal {
        Some(Refusal { reason, .. }) if is_known => debug!(generation, %reason, "still refused"),
        Some(Refusal { reason, .. }) => {
            warn!(generation, %reason, in_use = site.generation(), "refused: the old one goes on");
        }
        None if !is_known => info!(generation = site.generation(), "the refusal is over"),
        None => {}
    }
    tell(context, site, refusal);
    state.next(event, Instant::now())
}

fn refusal(generation: u64, refused: &Refused) -> Refusal {
    Refusal { generation, reason: refused.reason().into() }
}

fn tell<V, S>(context: &ServerContext<V, S>, site: &Site, refusal: Option<Refusal>) {
    let status = ServerStatus {
        generation: site.generation(),
        local_addresses: site.local_addresses(),
        refusal,
    };
    context.status.send_if_modified(|current| {
        let differs = *current != status;
        *current = status;
        differs
    });
}
