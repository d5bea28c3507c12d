//! What a server says of what it has open.

use tracing::{info, warn};

use super::{Site, open::Open};
use crate::{config::ServerConfig, live::Applied, lock::lock, role::Role, status::Refusal};

impl Site {
    /// Puts into the status which configuration is refused, if one is.
    pub(crate) fn tell_refusal(&self, refusal: Option<Refusal>) {
        self.status.send_if_modified(|status| {
            let is_news = status.refusal != refusal;
            // And not each time that it is tried again.
            if is_news && refusal.is_some() {
                self.shared.metrics.refused();
            }
            status.refusal = refusal;
            is_news
        });
    }

    /// Puts into the status what there is now.
    pub(super) fn tell(&self) {
        let open = lock(&self.open);
        let Applied { config, certificates, generation, .. } = &**self.shared.live.load();
        let needs_restart = self.first.get_or_init(|| config.clone()).restart_parts(config);
        self.status.send_modify(|status| {
            status.generation = *generation;
            if status.needs_restart != needs_restart {
                tell_restart(&needs_restart);
                status.needs_restart = needs_restart;
            }
            let listening = of_application(&open, config);
            let is_https = |one: &&&Open| one.endpoint.role == Role::Https;
            let local = |one: &&Open| one.local.clone();
            status.https_addresses = listening.iter().filter(is_https).map(local).collect();
            status.local_addresses = listening.iter().map(local).collect();
            status.certificates = certificates.status(&config.tls);
            status.admin_address = open
                .iter()
                .find(|one| one.endpoint.role == Role::Admin)
                .map(|one| one.local.clone());
        });
    }
}

/// What is listened on for the application, in the order of the configuration.
fn of_application<'a>(open: &'a [Open], config: &ServerConfig) -> Vec<&'a Open> {
    let listed = config.endpoints();
    let place = |one: &&Open| listed.iter().position(|listed| *listed == one.endpoint);
    let mut all: Vec<&Open> = open.iter().filter(|one| one.endpoint.role != Role::Admin).collect();
    all.sort_by_key(place);
    all
}

fn tell_restart(parts: &[&str]) {
    if parts.is_empty() {
        info!("needs no restart any more");
    } else {
        warn!("needs a restart: {}: in use from the next start", parts.join(", "));
    }
}
