//! One service: carries out what its machine decides.

mod build;
mod effect;
mod environment;
mod heard;
mod outcome;
mod own_writes;
mod pages;
mod plan;
mod put_off;
mod start;

use std::{path::Path, sync::Arc, time::SystemTime};

use hot_reload::ReloaderReceiver;
use tokio::{
    sync::broadcast,
    task::JoinError,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    build::Outcome,
    heard::Heard,
    outcome::Exited,
    own_writes::{OwnWrites, Verdict},
    plan::{Plan, plan},
    put_off::PutOff,
    start::{NotReady, ReadyProcess},
};
use crate::{
    cargo::{Built, CargoRun},
    config::Service,
    guard::GuardedGroups,
    input::Input,
    machine::{Event, Machine, Need, Phase},
    process::{End, Line, Output, Running},
    proxy::{Behind, Problem, Publisher, Upstream},
    ready::{self, MainProcess, Notified, Place},
    report::{Asked, Report, Told},
    sockets::Sockets,
    tree::{Edits, Tree},
};

/// What a runner is given.
pub(crate) struct Runner {
    pub(crate) name: String,
    pub(crate) service: Service,
    pub(crate) sockets: Sockets,
    /// Where there is a proxy.
    pub(crate) behind: Option<Behind>,
    /// Where it is said what pages and requests find.
    pub(crate) site: Publisher,
    pub(crate) tree: Tree,
    /// Where the sockets are at which processes say that they are ready.
    pub(crate) notify: Place,
    pub(crate) report: Arc<Report>,
    /// What somebody asks for who has edited nothing.
    pub(crate) asked: broadcast::Receiver<Need>,
    /// What the server reads, if it is passed on.
    pub(crate) input: Option<Input>,
    /// Once this is cancelled, whatever runs is killed.
    pub(crate) hurry: CancellationToken,
    /// Who ends what runs if this process can't.
    pub(crate) guarded: GuardedGroups,
}

/// What the processes of a service write.
impl Output for Runner {
    async fn line(&self, line: Line) {
        self.report.pass_on(&self.name, line).await;
    }

    fn left(&self, pids: Vec<i32>) {
        self.report.tell(&self.name, Told::Left { pids });
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
    starting: Option<Job<Result<ReadyProcess, NotReady>>>,
    /// Until it serves, or another has begun to start.
    ready: Option<ReadyProcess>,
    serving: Option<Serving>,
    /// Until it is told.
    exited: Option<Exited>,
    /// What was told to end last. Where two can't run at once, the machine waits for it before it has
    /// another started; where they can, nobody does, and there may be others.
    stopping: Option<tokio::task::JoinHandle<()>>,
    backoff_until: Option<Instant>,
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
    /// When the file was saved that is the reason for what is under way.
    saved: Option<SystemTime>,
    own_writes: OwnWrites,
    /// What somebody may have edited, unless the server itself has.
    put_off: Option<PutOff>,
}

/// Something that goes on beside, and may be called off.
struct Job<T> {
    off: CancellationToken,
    task: tokio::task::JoinHandle<T>,
}

/// A process that answers.
struct Serving {
    running: Running,
    notified: Notified,
    /// Seen at its sockets.
    main: Option<MainProcess>,
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
            ready: None,
            serving: None,
            exited: None,
            stopping: None,
            backoff_until: None,
            leaving: TaskTracker::new(),
            built: None,
            unbuilt: None,
            heard: None,
            owes_signal: false,
            saved: None,
            own_writes: OwnWrites::default(),
            put_off: None,
            runner,
        };
        let mut is_followed = true;
        let mut seen = edits.get().unwrap_or_default();
        work.take(Event::Changed(Need::Build)).await;
        while work.machine.phase != Phase::Ended {
            let put_off = work.put_off.as_ref().and_then(|put_off| put_off.until);
            let event = tokio::select! {
                biased;
                () = over.cancelled(), if work.machine.phase != Phase::Ending => Event::Shutdown,
                event = work.happens() => event,
                Ok(need) = asked.recv() => {
                    work.own_writes.asked();
                    let need = work.with_put_off(need);
                    work.tell(Told::Asked { asks_for: work.asked(need) });
                    Event::Changed(need)
                }
                changed = edits.changed(), if is_followed && work.machine.phase != Phase::Ending => {
                    // The tree's service ends with the runner; should it before, all else goes on.
                    is_followed = changed.is_ok();
                    let latest = edits.get().unwrap_or_default();
                    let plan = plan(&seen, &latest);
                    seen = latest;
                    match plan.and_then(|plan| work.heed(plan)) {
                        Some(need) => Event::Changed(need),
                        None => continue,
                    }
                }
                () = at(put_off), if work.machine.phase != Phase::Ending => match work.heed_put_off() {
                    Some(need) => Event::Changed(need),
                    None => continue,
                },
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
        let backoff_over = at(self.backoff_until);
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
            (status, after) = serving => self.has_exited(status, after),
            // However it went, it is over.
            _ = stopping => {
                self.stopping = None;
                Event::Stopped
            }
            () = backoff_over => {
                self.backoff_until = None;
                Event::BackoffOver
            }
            () = self.leaving.wait(), if is_ending => Event::Gone,
        }
    }

    /// Does what edits ask for at once, and returns what the machine is to know of it.
    fn heed(&mut self, mut plan: Plan) -> Option<Need> {
        if plan.need.is_some() {
            let edits = plan.needing.iter().map(|edit| (edit.path.as_path(), edit.modified));
            match self.own_writes.judge(edits) {
                Verdict::Heeded => plan.need = plan.need.map(|need| self.with_put_off(need)),
                Verdict::PutOff => self.put_off(&mut plan),
                Verdict::Ignored => plan.need = None,
            }
            if self.asked_by(&plan).is_empty() {
                return None;
            }
        }
        self.carry_on(plan)
    }

    /// Does it, whoever has made the edits.
    fn carry_on(&mut self, plan: Plan) -> Option<Need> {
        self.tell(Told::Changed {
            files: plan.files.iter().map(|file| self.named(file)).collect(),
            more: plan.more,
            asks_for: self.asked_by(&plan),
        });
        if plan.need.is_some() {
            self.saved = plan.saved;
        }
        if plan.signal {
            if let Some(serving) = &self.serving {
                serving.hang_up();
            }
            // One that is on its way may have read the file already.
            self.owes_signal = self.starting.is_some();
        }
        self.publish_edits(&plan);
        plan.need
    }

    fn named(&self, file: &Path) -> String {
        self.runner.tree.named(file).to_string_lossy().into_owned()
    }

    /// What is done where something is needed.
    fn asked(&self, need: Need) -> Asked {
        let is_built = self.cargo.is_some() || self.runner.service.build.is_some();
        if is_built && self.machine.builds_for(need) { Asked::Build } else { Asked::Restart }
    }

    fn asked_by(&self, plan: &Plan) -> Vec<Asked> {
        let others =
            [(plan.signal, Asked::Signal), (plan.reloads(), Asked::Reload), (plan.css, Asked::Css)];
        let others = others.into_iter().filter_map(|(is_asked, what)| is_asked.then_some(what));
        plan.need.map(|need| self.asked(need)).into_iter().chain(others).collect()
    }

    /// Moves on by an event, and does what that asks for.
    async fn take(&mut self, event: Event) {
        let (machine, effects) = self.machine.next(event);
        self.machine = machine;
        if machine.phase != Phase::Backoff {
            self.backoff_until = None;
        }
        for effect in effects {
            self.carry_out(effect).await;
        }
        // Whoever found nothing under way would not wait for what is ready by now, so it comes last.
        self.publish_doing();
        // What can't be had at once comes as an event of its own.
        tokio::task::yield_now().await;
    }

    fn end(&self) -> End {
        let Runner { service, hurry, guarded, .. } = &*self.runner;
        End { grace: *service.grace, hurry: hurry.clone(), guarded: guarded.clone() }
    }
}

impl Serving {
    /// Tells it that its files have changed: the process that has said so, else that which was seen.
    fn hang_up(&self) {
        let main = self.notified.main().or_else(|| self.main.clone());
        ready::hang_up(main.as_ref(), self.running.group);
    }
}

/// Waits until then, forever where there is no such moment.
async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Waits for a job, forever where there is none.
async fn finished<T>(job: &mut Option<Job<T>>) -> Result<T, JoinError> {
    match job {
        Some(job) => (&mut job.task).await,
        None => std::future::pending().await,
    }
}
