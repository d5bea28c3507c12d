//! All that may fail for a configuration, before it is in place.

use std::{error::Error, io, sync::Arc};

use super::{
    Site,
    open::{Bound, Open, Owner, bind},
    prepared::Prepared,
};
use crate::{
    config::{InvalidConfig, ServerConfig},
    error::BindError,
    live::Applied,
    lock::lock,
    plan::{Plan, Spot},
    role::Role,
    tls::CertificateError,
};

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("an inherited socket can't be listened on")]
    Inherited(#[source] io::Error),
}

impl Site {
    /// Does all that may fail for a configuration, and changes nothing.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        config: ServerConfig,
        generation: u64,
    ) -> Result<Prepared, String> {
        drop(self.parting.lock().await);
        let loaded = self.load(config, generation).await;
        loaded.and_then(|applied| self.try_prepare(applied)).map_err(|refused| {
            let reason = crate::error::chain(&refused as &dyn Error);
            if self.generation() == 0 {
                // Nobody may be waiting for it any more.
                let _ = lock(&self.refused_first).take().map(|tell| tell.send(refused));
            }
            reason
        })
    }

    /// Finds whatever comes from elsewhere than the configuration.
    async fn load(&self, config: ServerConfig, generation: u64) -> Result<Applied, Refused> {
        let mut applied = Applied::new(config, generation, &self.live.load())?;
        applied.certificates = self.tls.load(&applied.config.tls).await?;
        Ok(applied)
    }

    fn try_prepare(self: &Arc<Self>, applied: Applied) -> Result<Prepared, Refused> {
        // The sockets are to be polled by the runtime that serves them.
        let _within = self.runtime.enter();
        let open = lock(&self.open);
        let mut bound = Vec::new();
        if open.is_empty() {
            bound = self.foreign().map_err(Refused::Inherited)?;
        }
        let foreign = open.iter().filter(|one| one.is_foreign).map(|one| one.spot.0);
        let foreign: Vec<Role> = foreign.chain(bound.iter().map(|one| one.spot.0)).collect();
        if foreign.contains(&Role::Https) && applied.certificates.is_empty() {
            return Err(InvalidConfig::no_certificate().into());
        }
        let ours: Vec<Spot> =
            open.iter().filter(|one| !one.is_foreign).map(|one| one.spot.clone()).collect();
        let plan = Plan::between(&ours, &foreign, &applied.config.spots());
        let leaving: Vec<&Open> = open.iter().filter(|one| plan.drop.contains(&one.spot)).collect();
        for spot in plan.add {
            bound.push(self.bind(spot, &leaving)?);
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
                let spot = (role, local.clone());
                Ok(Bound { spot, local, listener, owner: Owner::Foreign })
            })
            .collect()
    }

    fn bind(&self, spot: Spot, leaving: &[&Open]) -> Result<Bound, BindError> {
        let (role, address) = &spot;
        let handed_over = lock(&self.inherited).handed_over(*role, address);
        let (listener, owner) = if let Some(listener) = handed_over {
            (listener, Owner::Predecessor)
        } else {
            let (listener, file) = bind(*role, address, leaving)?;
            (listener, Owner::This(file))
        };
        let local =
            listener.local_address().map_err(|cause| BindError::new(address.clone(), cause))?;
        Ok(Bound { spot, local, listener, owner })
    }
}
