//! One service: carries out what its machine decides.

mod build;
mod environment;
mod heard;
mod pages;
mod start;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hot_reload::ReloaderReceiver;
use rustix::process::Signal;
use tokio::{
    sync::broadcast,
    task::JoinError,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cargo::{Built, CargoRun},
    config::{Action, Service},
    input::Input,
    machine::{Effect, Event, Exit, Machine, Need, Phase},
    process::{End, Line, Output, Running},
    proxy::{Problem, ProblemKind, Publisher, Site, Upstream},
    ready::Notified,
    report::{Report, Told},
    sockets::{Front, Sockets},
    tree::{Edits, Tree},
};
use build::Outcome;
use heard::{Heard, Said};
use pages::doing;
use start::NotReady;

/// A server that ended before this has crashed; after it, it had worked.
const SOON: Duration = Duration::from_secs(5);
/// What a process that is told to end may say to those who follow a stream of it, before the proxy ends
/// it.
const GOODBYE: Duration = Duration::from_millis(500);
/// What the proxy has begun may take so long before the process is told to end, where somebody waits for
/// that: it may be an answer without an end.
const WAITED_FOR: Duration = Duration::from_secs(1);
/// Files of one change that are named; of more, how many.
const NAMED: usize = 3;

/// What a runner is given.
pub(crate) struct Runner {
    pub(crate) name: String,
    pub(crate) service: Service,
    pub(crate) sockets: Sockets,
    /// The socket that the proxy answers on, if there is one.
    pub(crate) front: Option<Front>,
    /// Where it is said what pages and requests find, and what they find by now.
    pub(crate) site: Publisher,
    pub(crate) found: Option<ReloaderReceiver<Site, String>>,
    pub(crate) tree: Tree,
    pub(crate) report: Arc<Report>,
    /// What somebody asks for who has edited nothing.
    pub(crate) asked: broadcast::Receiver<Need>,
    /// What the server reads, if it is passed on.
    pub(crate) input: Option<Input>,
    /// Once this is cancelled, whatever runs is killed.
    pub(crate) hurry: CancellationToken,
}

/// What the processes of a service write.
impl Output for Runner {
    async fn line(&self, line: Line) {
        self.report.pass_on(&self.name, line).await;
    }
}

/// A service at work.
struct Work {
    runner: Arc<Runner>,
    cargo: Option<CargoRun>,
    machine: Machine,
    building: Option<Job<Outcome>>,
    /// Builds that end; the next one is not to find them at work.
    called_off: Option<tokio::task::JoinHandle<()>>,
    starting: Option<Job<Result<Ready, NotReady>>>,
    serving: Option<Serving>,
    /// What is left to be done for it.
    switch: Option<Switch>,
    /// Told to end, and waited for by the machine.
    stopping: Option<tokio::task::JoinHandle<()>>,
    rests_until: Option<Instant>,
    /// Whatever was called off or replaced, until nothing of it is left.
    leaving: TaskTracker,
    /// What cargo has built last.
    built: Option<Built>,
    /// What is wrong with the sources, until they are built.
    unbuilt: Option<Problem>,
    /// What the process has written that was started last.
    heard: Option<Arc<Heard>>,
    /// Whether the process that starts is to be told of an edit, once it is ready.
    owes_signal: bool,
    generation: u64,
    /// When the file was saved that is the reason for what is under way.
    saved: Option<SystemTime>,
}

/// Something that goes on beside, and may be called off.
struct Job<T> {
    off: CancellationToken,
    task: tokio::task::JoinHandle<T>,
}

/// A process that is ready.
struct Ready {
    running: Running,
    notified: Notified,
    upstream: Option<Upstream>,
    by: &'static str,
    took: Duration,
}

/// A new process serves, and this is to be told, and this one to be ended.
struct Switch {
    told: Told,
    old: Option<Serving>,
}

struct Serving {
    running: Running,
    notified: Notified,
    upstream: Option<Upstream>,
    heard: Option<Arc<Heard>>,
    since: Instant,
}

impl Runner {
    /// Runs the service until `over` is cancelled, and returns once nothing of it is left.
    pub(crate) async fn run(
        self,
        mut edits: ReloaderReceiver<Edits, String>,
        over: CancellationToken,
    ) {
        let mut asked = self.asked.resubscribe();
        let runner = Arc::new(self);
        let mut work = Work {
            cargo: match &runner.service.build {
                Some(_) => None,
                None => CargoRun::of(&runner.service.command, runner.report.is_coloured()),
            },
            machine: Machine::new(runner.service.overlap),
            building: None,
            called_off: None,
            starting: None,
            serving: None,
            switch: None,
            stopping: None,
            rests_until: None,
            leaving: TaskTracker::new(),
            built: None,
            unbuilt: None,
            heard: None,
            owes_signal: false,
            generation: 0,
            saved: None,
            runner,
        };
        let mut seen = edits.get().unwrap_or_default();
        work.take(Event::Changed(Need::Build)).await;
        while work.machine.phase != Phase::Ended {
            let event = tokio::select! {
                biased;
                () = over.cancelled(), if work.machine.phase != Phase::Ending => Event::Shutdown,
                event = work.happens() => event,
                Ok(need) = asked.recv() => Event::Changed(need),
                changed = edits.changed(), if work.machine.phase != Phase::Ending => {
                    // The tree's service ends with the runner, not before it.
                    if changed.is_err() {
                        over.cancelled().await;
                        continue;
                    }
                    let latest = edits.get().unwrap_or_default();
                    let need = work.need(&seen, &latest);
                    seen = latest;
                    match need {
                        Some(need) => Event::Changed(need),
                        None => continue,
                    }
                }
            };
            work.take(event).await;
        }
        work.tell(Told::Ended);
    }
}

impl Work {
    fn tell(&self, told: Told) {
        self.runner.report.tell(&self.runner.name, told);
    }

    /// Waits for whatever comes next of what is under way.
    ///
    /// Cancel safe.
    async fn happens(&mut self) -> Event {
        let building = finished(&mut self.building);
        let starting = finished(&mut self.starting);
        let serving = async {
            match &mut self.serving {
                Some(serving) => (serving.running.ended().await, serving.since.elapsed()),
                None => std::future::pending().await,
            }
        };
        let stopping = async {
            match &mut self.stopping {
                Some(stopping) => stopping.await,
                None => std::future::pending().await,
            }
        };
        let rested = async {
            match self.rests_until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let is_ending = self.machine.phase == Phase::Ending;
        tokio::select! {
            biased;
            outcome = building => {
                self.building = None;
                self.has_built(outcome.unwrap_or_else(|error| Outcome::failed(&error)))
            }
            ready = starting => {
                self.starting = None;
                self.has_started(ready.unwrap_or_else(|error| Err(NotReady::Start(error.into()))))
            }
            (status, after) = serving => {
                match self.serving.take() {
                    Some(serving) => self.has_exited(&serving, status, after),
                    None => Event::Stopped,
                }
            }
            _ = stopping => {
                self.stopping = None;
                Event::Stopped
            }
            () = rested => {
                self.rests_until = None;
                Event::Rested
            }
            () = self.leaving.wait(), if is_ending => Event::Gone,
        }
    }

    /// What the edits after `seen` ask for, once told.
    fn need(&mut self, seen: &Edits, latest: &Edits) -> Option<Need> {
        let edits: Vec<_> = latest.since(seen).cloned().collect();
        let files = edits.iter().map(|edit| &edit.path).collect::<std::collections::BTreeSet<_>>();
        if files.is_empty() {
            return None;
        }
        let named = files
            .iter()
            .take(NAMED)
            .map(|file| self.runner.tree.named(file).to_string_lossy().into_owned());
        self.tell(Told::Changed {
            files: named.collect(),
            more: files.len().saturating_sub(NAMED),
        });
        let modified = |file: &&std::path::PathBuf| file.metadata().ok()?.modified().ok();
        self.saved = files.iter().filter_map(modified).max();
        if latest.ask_since(seen, Action::Signal) {
            if let Some(serving) = &self.serving {
                serving.running.signal(Signal::HUP);
            }
            // One that is on its way may have read the file already.
            self.owes_signal = self.starting.is_some();
        }
        let need = [(Action::Build, Need::Build), (Action::Restart, Need::Restart)]
            .into_iter()
            .find_map(|(action, need)| latest.ask_since(seen, action).then_some(need));
        self.changes_pages(&edits, need);
        need
    }

    /// Moves on by an event, and does what that asks for.
    async fn take(&mut self, event: Event) {
        let (machine, effects) = self.machine.next(event);
        let gave_up = machine.has_given_up() && !self.machine.has_given_up();
        self.machine = machine;
        if machine.phase != Phase::Pausing {
            self.rests_until = None;
        }
        self.runner.site.is(doing(machine.phase));
        for effect in effects {
            self.carry_out(effect);
        }
        if let Some(Switch { told, old }) = self.switch.take() {
            // Whoever hears of it finds it.
            self.runner.found(|site| site.version.generation >= self.generation).await;
            self.tell(told);
            if let Some(old) = old {
                let drained = self.drain(old, *self.runner.service.grace);
                self.leaving.spawn(drained);
            }
        }
        if gave_up {
            self.tell(Told::GaveUp { reason: "it has ended too often, each time soon".to_owned() });
        }
        // What can't be had at once comes as an event of its own.
        tokio::task::yield_now().await;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Build => self.build(),
            Effect::CancelBuild => {
                if let Some(building) = self.building.take() {
                    building.off.cancel();
                    let before = self.called_off.take();
                    self.called_off = Some(self.leaving.spawn(async move {
                        // It has ended the process by then, and so has the one before.
                        let _ = building.task.await;
                        if let Some(before) = before {
                            let _ = before.await;
                        }
                    }));
                }
            }
            Effect::Start => self.start(),
            Effect::CancelStart => self.cancel_start(),
            Effect::Switch => {}
            Effect::Stop => {
                self.runner.site.update(|site| site.upstream = None);
                if let Some(serving) = self.serving.take() {
                    let drained = self.drain(serving, WAITED_FOR.min(*self.runner.service.grace));
                    self.stopping = Some(self.leaving.spawn(drained));
                }
            }
            Effect::Rest(pause) => self.rests_until = Some(Instant::now() + pause),
            Effect::End => {
                self.carry_out(Effect::CancelBuild);
                self.cancel_start();
                self.carry_out(Effect::Stop);
                self.leaving.close();
            }
        }
    }

    fn cancel_start(&mut self) {
        let Some(starting) = self.starting.take() else { return };
        self.leaving.spawn(async move {
            starting.off.cancel();
            // It may have become ready in between.
            if let Ok(Ok(ready)) = starting.task.await {
                let _ = ready.running.end().await;
            }
        });
    }

    /// Ends a process once what the proxy has begun is answered, or has had its time, and tells how it
    /// did.
    fn drain(&self, old: Serving, patience: Duration) -> impl Future<Output = ()> + Send + 'static {
        let runner = Arc::clone(&self.runner);
        let pid = old.running.pid();
        async move {
            if let Some(upstream) = &old.upstream {
                // Whoever asks from then on goes to the next.
                runner.found(|site| site.upstream.as_ref() != Some(upstream)).await;
                tokio::select! {
                    () = upstream.drained(patience) => {}
                    () = runner.hurry.cancelled() => {}
                }
                tokio::spawn(upstream.clone().cut_after(GOODBYE));
            }
            let status = match old.running.end().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            // Until here it may have had something to say.
            drop(old.notified);
            runner.report.tell(&runner.name, Told::Drained { pid, status });
        }
    }

    fn has_built(&mut self, outcome: Outcome) -> Event {
        match outcome {
            Outcome::Built { took, built } => {
                if let Some(took) = took {
                    self.tell(Told::Built { milliseconds: milliseconds(took) });
                }
                self.built = built;
                self.unbuilt = None;
                Event::Built
            }
            Outcome::Failed { reason, said } => {
                self.is_broken(ProblemKind::Build, &reason, &said);
                let serves = self.machine.serves;
                self.tell(Told::BuildFailed { reason, serves, diagnostics: said.diagnostics });
                Event::BuildFailed
            }
        }
    }

    fn has_started(&mut self, ready: Result<Ready, NotReady>) -> Event {
        match ready {
            Ok(Ready { mut running, notified, upstream, by, took }) => {
                if let Some((input, stdin)) = self.runner.input.as_ref().zip(running.stdin.take()) {
                    input.is_for(stdin);
                }
                self.generation += 1;
                if std::mem::take(&mut self.owes_signal) {
                    running.signal(Signal::HUP);
                }
                self.has_switched(upstream.as_ref());
                let since_save = self.saved.take().and_then(|saved| saved.elapsed().ok());
                let told = Told::Ready {
                    pid: running.pid(),
                    generation: self.generation,
                    by,
                    milliseconds: milliseconds(took),
                    since_save: since_save.map(milliseconds),
                };
                let (heard, since) = (self.heard.take(), Instant::now());
                let new = Serving { running, notified, upstream, heard, since };
                self.switch = Some(Switch { told, old: self.serving.replace(new) });
                Event::Ready
            }
            Err(reason) => {
                let said = self.heard.take().map(|heard| reason.said(&heard)).unwrap_or_default();
                let (reason, serves) = (reason.to_string(), self.machine.serves);
                self.is_broken(ProblemKind::Start, &reason, &said);
                self.tell(Told::NotReady { reason, serves, diagnostics: said.diagnostics });
                Event::StartFailed
            }
        }
    }

    fn has_exited(
        &mut self,
        serving: &Serving,
        status: std::io::Result<std::process::ExitStatus>,
        after: Duration,
    ) -> Event {
        let exit = match &status {
            Ok(status) if status.success() => Exit::Done,
            _ if after < SOON => Exit::Soon,
            _ => Exit::Late,
        };
        let status = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let pid = serving.running.pid();
        let event = Event::Exited(exit);
        let (next, effects) = self.machine.next(event);
        let said = match &serving.heard {
            // What it has written was no complaint.
            Some(heard) if exit != Exit::Done => heard.said(),
            _ => Said::default(),
        };
        self.is_gone(doing(next.phase), &status, &said);
        let again = effects.into_iter().find_map(|effect| match effect {
            Effect::Rest(pause) => Some(milliseconds(pause)),
            _ => None,
        });
        let diagnostics = said.diagnostics;
        self.tell(Told::Exited { pid, status, again_in_milliseconds: again, diagnostics });
        event
    }

    fn end(&self) -> End {
        End { grace: *self.runner.service.grace, hurry: self.runner.hurry.clone() }
    }
}

/// Waits for a job, forever where there is none.
async fn finished<T>(job: &mut Option<Job<T>>) -> Result<T, JoinError> {
    match job {
        Some(job) => (&mut job.task).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
