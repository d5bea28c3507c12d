//! All services that run, and what becomes of them as the file is edited that they come from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hot_reload::{ReloaderOptions, ReloaderService};
use tokio::{sync::broadcast, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Failure, chain,
    config::{Config, Service},
    followed::{Edit, Followed},
    guard::GuardedGroups,
    input::Input,
    machine::Need,
    proxy::{self, Fronted, Publisher},
    report::{Report, Told, WatchedBy, milliseconds},
    runner::Runner,
    sockets::Sockets,
    tree::{Filter, Mechanism, Tree},
};

/// A large tree on another machine takes its time; it is not given up on, as nothing else would help.
const LONGEST_LOOK: Duration = Duration::from_secs(3600);

/// What all services are given.
pub(crate) struct Given {
    pub(crate) report: Arc<Report>,
    /// See [`Runner`].
    pub(crate) notify: PathBuf,
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
    given: Given,
    running: BTreeMap<String, Live>,
    tasks: JoinSet<Result<(), Failure>>,
}

/// A service that runs.
struct Live {
    service: Service,
    /// They stay open for the one that takes its place.
    sockets: Sockets,
    over: CancellationToken,
    /// Cancelled once nothing of it is left.
    gone: CancellationToken,
}

/// A service of which nothing can be refused any more.
struct Opened {
    name: String,
    live: Live,
    runner: Runner,
    proxy: Option<Fronted>,
}

/// Refuses what can't be run, wherever it is.
pub(crate) fn check(name: &str, service: &Service) -> Result<(), Failure> {
    proxy::check(name, service)?;
    Filter::of(service)?;
    Ok(())
}

impl Services {
    /// Makes everything that may be refused, of all services, before any of them is started.
    pub(crate) fn open(given: Given, config: Config) -> Result<Self, Failure> {
        let mut services = Self { given, running: BTreeMap::new(), tasks: JoinSet::new() };
        let mut none = Sockets::default();
        let open = config.services.into_iter().map(|(name, service)| {
            let opened = services.prepare(name, service, &mut none)?;
            Ok(opened)
        });
        for opened in open.collect::<Result<Vec<_>, Failure>>()? {
            services.launch(opened);
        }
        Ok(services)
    }

    /// Runs them until all have ended.
    pub(crate) async fn run(mut self, mut followed: Option<Followed>) -> Result<(), Failure> {
        let over = self.given.over.clone();
        let mut is_over = false;
        loop {
            let edit = async {
                match &mut followed {
                    Some(followed) => followed.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = over.cancelled(), if !is_over => {
                    is_over = true;
                    for name in self.running.keys() {
                        self.given.report.tell(name, Told::Ending);
                    }
                }
                ended = self.tasks.join_next() => match ended {
                    Some(ended) => ended??,
                    None => return Ok(()),
                },
                edit = edit, if !is_over => self.heed(edit),
            }
        }
    }

    fn heed(&mut self, edit: Edit) {
        match edit {
            Edit::Taken(config) => self.become_of(config),
            Edit::Mended => self.tell_configured(Vec::new(), Vec::new(), Vec::new()),
            Edit::Refused { reason, line, column } => {
                let file = self.file();
                self.given.report.tell_all(Told::NotConfigured { file, reason, line, column });
            }
        }
    }

    /// Ends, starts and replaces those that are not as they are to be by now.
    fn become_of(&mut self, config: Config) {
        let is_same = |(name, service): &(String, Service)| {
            self.running.get(name).is_some_and(|live| live.service == *service)
        };
        let gone = self.running.keys().filter(|name| !config.services.contains_key(*name));
        let removed: Vec<_> = gone.cloned().collect();
        let mut pending: Vec<_> =
            config.services.into_iter().filter(|service| !is_same(service)).collect();
        if pending.is_empty() && removed.is_empty() {
            return;
        }
        let mut spare = Sockets::default();
        for name in &removed {
            let given_up = self.running.get(name).map(|live| live.sockets.again());
            // Without another handle, it can't be taken over, and is opened once it is free.
            spare.append(given_up.and_then(Result::ok).unwrap_or_default());
        }
        let (mut opened, mut refused) = (Vec::new(), Vec::new());
        // One may wait for what another gives up.
        loop {
            let before = opened.len();
            for (name, service) in pending.drain(..) {
                match self.prepare(name.clone(), service.clone(), &mut spare) {
                    Ok(one) => opened.push(one),
                    Err(error) => refused.push((name, service, error)),
                }
            }
            if opened.len() == before || refused.is_empty() {
                break;
            }
            pending.extend(refused.drain(..).map(|(name, service, _)| (name, service)));
        }
        let names = opened.iter().map(|one| one.name.clone());
        let (changed, added): (Vec<_>, Vec<_>) =
            names.partition(|name| self.running.contains_key(name));
        let stay = self.running.keys().filter(|name| !removed.contains(name));
        let names = stay.chain(&added).cloned().collect();
        self.given.report.rename(names);
        if !opened.is_empty() || !removed.is_empty() {
            self.tell_configured(changed, added, removed.clone());
        }
        for (name, _, error) in refused {
            let (file, reason) = (self.file(), chain(error.as_ref()));
            let told = Told::NotConfigured { file, reason, line: None, column: None };
            self.given.report.tell(&name, told);
        }
        for name in removed {
            if let Some(live) = self.running.remove(&name) {
                live.over.cancel();
            }
        }
        for one in opened {
            self.launch(one);
        }
    }

    /// Opens what a service needs; what is open already for the one before it stays so, and what that has
    /// no use for any more is `spare`.
    fn prepare(
        &self,
        name: String,
        service: Service,
        spare: &mut Sockets,
    ) -> Result<Opened, Failure> {
        let Given { report, notify, asked, input, guarded, file, over, hurry } = &self.given;
        proxy::check(&name, &service)?;
        let filter = Filter::of(&service)?.without(file.as_deref());
        let tree = Tree::new(filter, *service.settle, service.poll.map(Duration::from));
        let mut kept = match self.running.get(&name) {
            Some(live) => live.sockets.again()?,
            None => Sockets::default(),
        };
        kept.append(spare.again()?);
        let sockets = Sockets::reopen(&service.sockets, &mut kept)?;
        let mut passed_on = sockets.again()?;
        let over = over.child_token();
        let site = Publisher::default();
        let front = service.proxy.and_then(|_| passed_on.take_front());
        let fronted = front.map(|front| Fronted::put_before(&name, &service, front, &site, &over));
        let (proxy, behind) = fronted.transpose()?.unzip();
        let runner = Runner {
            name: name.clone(),
            service: service.clone(),
            sockets: passed_on,
            behind,
            site,
            tree,
            notify: notify.clone(),
            report: Arc::clone(report),
            asked: asked.resubscribe(),
            input: input.clone(),
            hurry: hurry.clone(),
            guarded: guarded.clone(),
        };
        *spare = kept;
        let live = Live { service, sockets, over, gone: CancellationToken::new() };
        Ok(Opened { name, live, runner, proxy })
    }

    /// Ends the service of this name, if there is one, and then starts the new one.
    fn launch(&mut self, opened: Opened) {
        let Opened { name, live, runner, proxy } = opened;
        for (socket, address) in live.sockets.places() {
            let told = Told::Listening { name: socket.to_owned(), address };
            self.given.report.tell(&name, told);
        }
        let (over, gone) = (live.over.clone(), live.gone.clone());
        let before = self.running.insert(name, live);
        if let Some(before) = &before {
            before.over.cancel();
        }
        self.tasks.spawn(async move {
            let _gone = gone.drop_guard();
            if let Some(before) = before {
                before.gone.cancelled().await;
            }
            serve(runner, proxy, over).await
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

/// Follows the files of a service, and runs it.
async fn serve(
    runner: Runner,
    proxy: Option<Fronted>,
    over: CancellationToken,
) -> Result<(), Failure> {
    let tree = runner.tree.clone();
    let options = ReloaderOptions::realtime().load_timeout(LONGEST_LOOK);
    let (service, mut edits) = ReloaderService::from_reloader(tree.clone(), options);
    let service = service.with_shutdown(over.clone().cancelled_owned());
    let following = tokio::spawn(async move { service.start_with_realtime().await });
    // The files as they were before the first build.
    tokio::select! {
        biased;
        () = over.cancelled() => return Ok(()),
        read = edits.changed() => read?,
    }
    let mut mechanism = tree.watch_mechanism();
    let now = mechanism.borrow_and_update().clone();
    runner.report.tell(&runner.name, watching(&tree, now));
    if !tree.has_files() {
        let (roots, extensions) = (tree.roots(), tree.extensions().to_vec());
        runner.report.tell(&runner.name, Told::NothingCounts { roots, extensions });
    }
    let _telling = AbortOnDropHandle::new(tokio::spawn({
        let (report, name) = (Arc::clone(&runner.report), runner.name.clone());
        async move {
            while mechanism.changed().await.is_ok() {
                let now = mechanism.borrow_and_update().clone();
                report.tell(&name, watching(&tree, now));
            }
        }
    }));
    let running = runner.run(edits, over);
    match proxy {
        Some(proxy) => proxy.serve(running).await?,
        None => running.await,
    }
    following.await??;
    Ok(())
}

fn watching(tree: &Tree, by: Mechanism) -> Told {
    let (files, folders) = tree.size();
    let mechanism = match (by.is_told, by.poll) {
        (true, None) => WatchedBy::Events,
        (true, Some(_)) => WatchedBy::EventsAndPolling,
        (false, _) => WatchedBy::Polling,
    };
    let poll_milliseconds = by.poll.map(milliseconds);
    Told::Watching {
        roots: tree.roots(),
        files,
        folders,
        mechanism,
        poll_milliseconds,
        reason: by.reason,
    }
}
