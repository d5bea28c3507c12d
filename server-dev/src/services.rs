//! All services that run, and what becomes of them as the file is edited that they come from.

mod changes;
mod live;
mod serve;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::FutureExt;
use tokio::{
    sync::broadcast,
    task::{JoinSet, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use self::{
    changes::Changes,
    live::{Live, Opened},
    serve::serve,
};
use crate::{
    config::{Config, Service},
    failure::{Failure, chain},
    followed::{FileEdit, Followed},
    guard::GuardedGroups,
    input::Input,
    machine::Need,
    never::or_never,
    proxy::{self, Misplaced},
    ready::Place,
    report::{Report, Told},
    sockets::{Sockets, asked_twice},
    tree::{Filter, InvalidFilter},
};

/// What all services are given.
pub(crate) struct Given {
    pub(crate) report: Arc<Report>,
    /// Where processes say that they are ready.
    pub(crate) notify: Place,
    pub(crate) asked: broadcast::Receiver<Need>,
    pub(crate) input: Option<Input>,
    pub(crate) guarded: GuardedGroups,
    /// Where they come from, if it is a file.
    pub(crate) file: Option<PathBuf>,
    /// Once this is cancelled, all of them end.
    pub(crate) over: CancellationToken,
    /// And these are killed.
    pub(crate) hurry: CancellationToken,
}

/// The services that run.
pub(crate) struct Services {
    given: Arc<Given>,
    running: BTreeMap<String, Arc<Live>>,
    tasks: JoinSet<Result<(), Failure>>,
}

/// Refuses what can't be run, wherever it is.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    if let Some(twice) = asked_twice(&config.services).next() {
        return Err(chain(&twice));
    }
    let mut services = config.services.iter();
    services.try_for_each(|(name, service)| {
        checked(name, service).map(drop).map_err(|error| chain(&error))
    })
}

/// Why a service can't be run, wherever it is.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    #[error("{0}")]
    Files(String, #[source] InvalidFilter),
}

/// Refuses what is wrong with one of them by itself, and returns what tells its files.
fn checked(name: &str, service: &Service) -> Result<Filter, Unfit> {
    proxy::check(name, service)?;
    Filter::of(service).map_err(|error| Unfit::Files(name.to_owned(), error))
}

impl Services {
    /// Makes everything that may be refused, of all services, before any of them is started.
    pub(crate) fn open(given: Given, config: Config) -> Result<Self, Failure> {
        check(&config)?;
        let mut services =
            Self { given: Arc::new(given), running: BTreeMap::new(), tasks: JoinSet::new() };
        let mut none = Sockets::default();
        let open = config.services.into_iter();
        let open = open.map(|(name, service)| {
            Opened::prepare(&services.given, name, service, None, &mut none)
        });
        for opened in open.collect::<Result<Vec<_>, _>>()? {
            services.launch(opened);
        }
        Ok(services)
    }

    /// Runs them until all have ended.
    pub(crate) async fn run(mut self, mut followed: Option<Followed>) -> Result<(), Failure> {
        let over = self.given.over.clone();
        let mut is_over = false;
        loop {
            let edit = or_never(followed.as_mut().map(Followed::next));
            tokio::select! {
                biased;
                () = over.cancelled(), if !is_over => {
                    is_over = true;
                    self.running.clear();
                }
                ended = self.tasks.join_next() => match ended {
                    Some(ended) => ended??,
                    None => return Ok(()),
                },
                edit = edit, if !is_over => self.heed(edit).await,
            }
        }
    }

    async fn heed(&mut self, edit: FileEdit) {
        match edit {
            FileEdit::Taken(config) => self.become_of(config).await,
            FileEdit::Mended => self.tell_configured(Vec::new(), Vec::new(), Vec::new()),
            FileEdit::Refused { reason, line, column } => {
                let file = self.file();
                self.given.report.tell_all(Told::NotConfigured { file, reason, line, column });
            }
        }
    }

    /// Ends, starts and replaces those that are not as they are to be by now.
    async fn become_of(&mut self, config: Config) {
        let running = self.running.iter().map(|(name, live)| (name.as_str(), &live.service));
        let asked_for = Changes::between(&running.collect(), config.services);
        if asked_for.are_none() {
            return;
        }
        let removed = asked_for.removed.clone();
        let prepare = {
            let (given, running) = (Arc::clone(&self.given), self.running.clone());
            move || prepare_all(&given, &running, asked_for)
        };
        // Only a panic or the end of the runtime is an error, and then all stay as they are.
        let Ok((opened, refused)) = spawn_blocking(prepare).await else { return };
        let names = opened.iter().map(|one| one.name.clone());
        let (changed, added): (Vec<_>, Vec<_>) =
            names.partition(|name| self.running.contains_key(name));
        let stay = self.running.keys().filter(|name| !removed.contains(name));
        let names = stay.chain(&added).cloned().collect();
        self.given.report.rename(names);
        if !opened.is_empty() || !removed.is_empty() {
            self.tell_configured(changed, added, removed.clone());
        }
        for (name, error) in refused {
            let (file, reason) = (self.file(), chain(error.as_ref()));
            let told = Told::NotConfigured { file, reason, line: None, column: None };
            self.given.report.tell(&name, told);
        }
        for name in removed {
            if let Some(live) = self.running.remove(&name) {
                live.end_for(None);
            }
        }
        for one in opened {
            self.launch(one);
        }
    }

    /// Ends the service of this name, if there is one, and then starts the new one.
    fn launch(&mut self, opened: Opened) {
        let Opened { name, live, runner, proxy } = opened;
        for (socket, address) in live.sockets.places() {
            let told = Told::Listening { name: socket.to_owned(), address };
            self.given.report.tell(&name, told);
        }
        let (over, gone, used) = (live.over.clone(), live.gone.clone(), live.proxy.clone());
        let before = self.running.insert(name, Arc::new(live)).map(|before| {
            before.end_for(used.as_ref());
            before.gone.clone()
        });
        let is_free = async move {
            if let Some(gone) = before {
                gone.cancelled_owned().await;
            }
        };
        let is_free = is_free.shared();
        if let Some((proxy, ended)) = proxy {
            let is_free = is_free.clone();
            self.tasks.spawn(async move {
                is_free.await;
                Ok(proxy.serve(ended.cancelled_owned()).await?)
            });
        }
        self.tasks.spawn(async move {
            let _gone = gone.drop_guard();
            let _used = used;
            is_free.await;
            serve(runner, over).await
        });
    }

    fn tell_configured(&self, changed: Vec<String>, added: Vec<String>, removed: Vec<String>) {
        let file = self.file();
        self.given.report.tell_all(Told::Configured { file, changed, added, removed });
    }

    fn file(&self) -> String {
        self.given.file.as_deref().unwrap_or(Path::new("")).display().to_string()
    }
}

/// Opens what services need that are changed or added, and returns which are refused; what those have that are
/// removed may be taken over.
fn prepare_all(
    given: &Given,
    running: &BTreeMap<String, Arc<Live>>,
    changes: Changes,
) -> (Vec<Opened>, Vec<(String, Failure)>) {
    let Changes { removed, mut changed, added } = changes;
    let mut spare = Sockets::default();
    for name in removed {
        let given_up = running.get(&name).map(|live| live.sockets.again());
        // Without another handle, it can't be taken over, and is opened once it is free.
        spare.append(given_up.and_then(Result::ok).unwrap_or_default());
    }
    changed.extend(added);
    let (mut pending, mut opened) = (changed, Vec::new());
    // One may wait for what another gives up.
    loop {
        let (before, mut refused) = (opened.len(), Vec::new());
        for (name, service) in pending.drain(..) {
            let live = running.get(&name).map(Arc::as_ref);
            match Opened::prepare(given, name.clone(), service.clone(), live, &mut spare) {
                Ok(one) => opened.push(one),
                Err(error) => refused.push((name, service, error)),
            }
        }
        if opened.len() == before || refused.is_empty() {
            let refused = refused.into_iter().map(|(name, _, error)| (name, error));
            return (opened, refused.collect());
        }
        pending.extend(refused.into_iter().map(|(name, service, _)| (name, service)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Words;

    #[test]
    fn says_which_service_is_wrong() {
        let mut service = Service::of(Words::parse("server").unwrap());
        service.watch = vec!["nowhere".into()];
        let error = check(&Config { services: [("web".to_owned(), service)].into() }).unwrap_err();
        let is_said = error.starts_with("web: ") && error.contains("nowhere can't be watched");
        assert!(is_said, "{error}");
    }
}
