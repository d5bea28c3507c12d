//! All services that run, and what becomes of them as the file is edited that they come from.

mod changes;
mod live;
mod prepare;
mod serve;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::broadcast,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::{
    changes::Changes,
    live::{Live, Opened},
    prepare::{Before, Prepared},
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
    spec::Spec,
    tree::{Filter, InvalidFilter},
};

/// How long it may take until a socket is closed whose service is gone: by then its proxy has ended.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);
/// The pause before it is looked whether it is.
const LOOKED_AT: Duration = Duration::from_millis(50);

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
    /// Those that were told to end, until they have.
    leaving: Vec<(String, Arc<Live>)>,
    /// Their sockets, while others may still hold them.
    closing: Vec<(Instant, Vec<Spec>)>,
    /// What the file says.
    wanted: BTreeMap<String, Service>,
    /// Of which these can't be had, and why, as was told.
    refused: BTreeMap<String, String>,
    /// And these once others have ended.
    waiting: Vec<String>,
    /// What has run of those, and is ended.
    replaced: BTreeSet<String>,
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
        let mut services = Self {
            given: Arc::new(given),
            running: BTreeMap::new(),
            leaving: Vec::new(),
            closing: Vec::new(),
            wanted: config.services.clone(),
            refused: BTreeMap::new(),
            waiting: Vec::new(),
            replaced: BTreeSet::new(),
            tasks: JoinSet::new(),
        };
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

    /// Runs them until all have ended, and no edit can start another.
    pub(crate) async fn run(mut self, mut followed: Option<Followed>) -> Result<(), Failure> {
        let over = self.given.over.clone();
        let mut is_over = false;
        while !(self.tasks.is_empty() && (is_over || followed.is_none())) {
            let edit = or_never(followed.as_mut().map(Followed::next));
            let waits = !(self.waiting.is_empty() || self.closing.is_empty());
            tokio::select! {
                biased;
                () = over.cancelled(), if !is_over => {
                    is_over = true;
                    self.running.clear();
                    self.leaving.clear();
                }
                Some(ended) = self.tasks.join_next() => {
                    ended??;
                    if !is_over {
                        self.settle(false).await;
                    }
                }
                edit = edit, if !is_over => self.heed(edit).await,
                () = sleep(LOOKED_AT), if waits && !is_over => self.settle(false).await,
            }
        }
        Ok(())
    }

    async fn heed(&mut self, edit: FileEdit) {
        match edit {
            FileEdit::Taken(config) => {
                self.wanted = config.services;
                self.settle(true).await;
            }
            FileEdit::Mended if self.refused.is_empty() => self.tell_mended(),
            FileEdit::Mended => self.settle(true).await,
            FileEdit::Refused { reason, line, column } => {
                let (file, goes_on) = (self.file(), !self.running.is_empty());
                let told = Told::NotConfigured { file, reason, line, column, goes_on };
                self.given.report.tell_all(told);
            }
        }
    }

    /// Ends, starts and replaces those that are not as they are to be by now, as far as that can be had; why
    /// it can't is told `anew`, or once.
    async fn settle(&mut self, anew: bool) {
        self.forget_gone();
        let running = self.running.iter().map(|(name, live)| (name.as_str(), &live.service));
        let asked_for = Changes::between(&running.collect(), self.wanted.clone());
        if asked_for.are_none() {
            self.waiting.clear();
            if !std::mem::take(&mut self.refused).is_empty() {
                self.tell_mended();
            }
            return;
        }
        let before = Before {
            running: self.running.clone(),
            leaving: self.leaving.clone(),
            closing: self.closing.iter().flat_map(|(_, specs)| specs).cloned().collect(),
        };
        let given = Arc::clone(&self.given);
        let prepare = move || before.prepare(&given, asked_for);
        // Only a panic or the end of the runtime is an error, and then all stay as they are.
        let Ok(prepared) = spawn_blocking(prepare).await else { return };
        let Prepared { opened, waiting, refused, removed } = prepared;
        let names = opened.iter().map(|one| one.name.clone());
        let (changed, added): (Vec<_>, Vec<_>) =
            names.partition(|name| self.running.contains_key(name) || self.replaced.contains(name));
        let stay = self.running.keys().filter(|name| !removed.contains(name));
        let names = stay.chain(&added).chain(&waiting).cloned().collect::<BTreeSet<_>>();
        self.given.report.rename(names.into_iter().collect());
        let is_mended = refused.is_empty() && waiting.is_empty() && !self.refused.is_empty();
        if is_mended || !opened.is_empty() || !removed.is_empty() {
            self.tell_configured(changed, added, removed.clone());
        }
        for name in removed.iter().chain(&waiting) {
            if let Some(live) = self.running.remove(name) {
                if waiting.contains(name) {
                    live.end_for(None);
                } else {
                    live.end();
                }
                self.leaving.push((name.clone(), live));
                self.replaced.insert(name.clone());
            }
        }
        self.replaced.retain(|name| waiting.contains(name));
        self.waiting = waiting;
        self.tell_refused(refused, anew);
        for one in opened {
            self.launch(one);
        }
    }

    /// Closes the sockets of those of which nothing is left.
    fn forget_gone(&mut self) {
        let now = Instant::now();
        self.closing.retain(|(until, _)| *until > now);
        let closed = self.leaving.extract_if(.., |(_, live)| live.gone.is_cancelled());
        let closed = closed.map(|(_, live)| (now + CLOSED_WITHIN, live.service.sockets.clone()));
        self.closing.extend(closed);
    }

    fn tell_refused(&mut self, refused: Vec<(String, Failure)>, anew: bool) {
        let before = std::mem::take(&mut self.refused);
        for (name, error) in refused {
            let (file, reason) = (self.file(), chain(error.as_ref()));
            if anew || before.get(&name) != Some(&reason) {
                let (goes_on, reason) = (self.running.contains_key(&name), reason.clone());
                let told = Told::NotConfigured { file, reason, line: None, column: None, goes_on };
                self.given.report.tell(&name, told);
            }
            self.refused.insert(name, reason);
        }
    }

    /// Ends the service of this name, if there is one, and once all are gone that have to be, starts the new
    /// one.
    fn launch(&mut self, opened: Opened) {
        let Opened { name, live, runner, proxy, mut after } = opened;
        for (socket, address) in live.sockets.places() {
            let told = Told::Listening { name: socket.to_owned(), address };
            self.given.report.tell(&name, told);
        }
        let (gone, used) = (live.gone.clone(), live.proxy.clone());
        if let Some(before) = self.running.insert(name.clone(), Arc::new(live)) {
            before.end_for(used.as_ref());
            after.push(before.gone.clone());
            self.leaving.push((name, before));
        }
        let is_free = async move {
            for gone in after {
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
            serve(runner).await
        });
    }

    /// Tells that what runs is what the file says.
    fn tell_mended(&self) {
        self.tell_configured(Vec::new(), Vec::new(), Vec::new());
    }

    fn tell_configured(&self, changed: Vec<String>, added: Vec<String>, removed: Vec<String>) {
        let file = self.file();
        self.given.report.tell_all(Told::Configured { file, changed, added, removed });
    }

    fn file(&self) -> String {
        self.given.file.as_deref().unwrap_or(Path::new("")).display().to_string()
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
