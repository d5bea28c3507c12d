//! All that may fail for a configuration, before it is in place.

use std::{future::pending, io, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::timeout};
use tracing::debug;

use super::{
    Site,
    open::{Bound, Open, Owner, bind},
    prepared::Prepared,
};
use crate::{
    config::{InvalidConfig, ServerConfig},
    context::Explain,
    endpoint::Endpoint,
    error::{BindError, ServerError, chain},
    live::Applied,
    lock::lock,
    plan::Plan,
    role::Role,
};

/// Longer than it takes to read a file, and short beside what a configuration may take.
const EXPLAINS_WITHIN: Duration = Duration::from_secs(1);

impl Site {
    /// Does all that may fail for a configuration, and changes nothing.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        config: ServerConfig,
        generation: u64,
        explain: Option<Explain>,
    ) -> Result<Prepared, String> {
        debug!(generation, "is prepared");
        drop(self.parting.lock().await);
        let loaded = self.load(config, generation).await;
        match loaded.and_then(|applied| self.try_prepare(applied)) {
            Ok(prepared) => Ok(prepared),
            Err(refused) => Err(self.reason(refused, explain).await),
        }
    }

    /// Says why a configuration is refused; of the first, whoever has started the server says it alone.
    async fn reason(&self, refused: ServerError, explain: Option<Explain>) -> String {
        let reason = chain(&refused);
        if self.generation() == 0 {
            let tell = lock(&self.refused_first).take();
            if tell.is_some_and(|tell| tell.send(refused).is_ok()) {
                // The service ends with the server, and would log it before that.
                return pending().await;
            }
            return reason;
        }
        let Some(explain) = explain else { return reason };
        let Ok(explaining) = Arc::clone(&self.explaining).try_lock_owned() else { return reason };
        let explained = spawn_blocking(move || {
            let _explaining = explaining;
            explain(&refused)
        });
        let explained = timeout(EXPLAINS_WITHIN, explained);
        // If it panics, it has nothing to say.
        explained.await.ok().and_then(Result::ok).flatten().unwrap_or(reason)
    }

    /// Finds whatever comes from elsewhere than the configuration.
    async fn load(&self, config: ServerConfig, generation: u64) -> Result<Applied, ServerError> {
        let mut applied = Applied::new(config, generation, &self.shared.live.load())?;
        applied.certificates = self.tls.load(&applied.config.tls).await?;
        Ok(applied)
    }

    fn try_prepare(self: &Arc<Self>, applied: Applied) -> Result<Prepared, ServerError> {
        // The sockets are to be polled by the runtime that serves them.
        let _within = self.runtime.enter();
        let open = lock(&self.open);
        let mut bound = Vec::new();
        if open.is_empty() {
            bound = self.foreign().map_err(ServerError::Inherited)?;
        }
        let (foreign, ours): (Vec<&Open>, Vec<&Open>) =
            open.iter().partition(|one| one.owner.is_foreign());
        let foreign = foreign.iter().map(|one| &one.endpoint);
        let foreign = foreign.chain(bound.iter().map(|one| &one.endpoint));
        let foreign: Vec<Role> = foreign.map(|endpoint| endpoint.role).collect();
        if foreign.contains(&Role::Https) && applied.certificates.is_empty() {
            return Err(InvalidConfig::no_certificate().into());
        }
        let held: Vec<Endpoint> = ours.iter().map(|one| one.endpoint.clone()).collect();
        let plan = Plan::between(&held, &foreign, &applied.config.endpoints());
        let is_leaving = |one: &&Open| plan.drop.contains(&one.endpoint);
        let leaving: Vec<&Open> = ours.into_iter().filter(is_leaving).collect();
        for endpoint in plan.add {
            bound.push(self.bind(endpoint, &leaving)?);
        }
        Ok(Prepared { site: Arc::clone(self), applied, bound, leaving: plan.drop })
    }

    /// The sockets that others have bound.
    fn foreign(&self) -> io::Result<Vec<Bound>> {
        let foreign = lock(&self.inherited).foreign()?;
        foreign
            .into_iter()
            .map(|(role, listener)| {
                let local = listener.local_address()?;
                let endpoint = Endpoint { role, address: local.clone() };
                Ok(Bound { endpoint, local, owner: Owner::Foreign, listener })
            })
            .collect()
    }

    fn bind(&self, endpoint: Endpoint, leaving: &[&Open]) -> Result<Bound, BindError> {
        let handed_over = lock(&self.inherited).handed_over(&endpoint);
        let (listener, owner) = if let Some(listener) = handed_over {
            (listener, Owner::Predecessor)
        } else {
            let (listener, file) = bind(&endpoint, leaving)?;
            (listener, Owner::This(file))
        };
        let local = listener
            .local_address()
            .map_err(|cause| BindError::new(endpoint.address.clone(), cause))?;
        Ok(Bound { endpoint, local, owner, listener })
    }
}
