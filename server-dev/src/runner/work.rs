//! A service at work: what is under way, and what comes of it.

use std::{path::Path, sync::Arc, time::SystemTime};

use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Runner,
    build::Outcome,
    heard::Heard,
    outcome::Exited,
    own_writes::{Judged, OwnWrites},
    plan::Plan,
    put_off::PutOff,
    start::{NotReady, ReadyProcess},
};
use crate::{
    cargo::{Built, CargoRun},
    machine::{Event, Machine, Need, Phase},
    never::or_never,
    process::{End, Running},
    proxy::{Problem, Upstream},
    ready::{self, MainProcess, Notified},
    report::{Asked, Told},
};

/// A service at work.
pub(super) struct Work {
    pub(super) runner: Arc<Runner>,
    pub(super) cargo: Option<CargoRun>,
    pub(super) machine: Machine,
    pub(super) building: Option<Job<Outcome>>,
    /// Builds that end; the next one is not to find them at work.
    pub(super) called_off: Option<tokio::task::JoinHandle<()>>,
    pub(super) starting: Option<Job<Result<ReadyProcess, NotReady>>>,
    /// Until it serves, or another has begun to start.
    pub(super) ready: Option<ReadyProcess>,
    pub(super) serving: Option<Serving>,
    /// Until it is told.
    pub(super) exited: Option<Exited>,
    /// What was told to end last. Where two can't run at once, the machine waits for it before it has
    /// another started; where they can, nobody does, and there may be others.
    pub(super) stopping: Option<tokio::task::JoinHandle<()>>,
    pub(super) backoff_until: Option<Instant>,
    /// Whatever was called off or replaced, until nothing of it is left.
    pub(super) leaving: TaskTracker,
    /// What cargo has built last.
    pub(super) built: Option<Built>,
    /// What is wrong with the sources, until they are built.
    pub(super) unbuilt: Option<Problem>,
    /// What the process has written that was started last.
    pub(super) heard: Option<Arc<Heard>>,
    /// Whether the process that starts is to be told of an edit, once it is ready.
    pub(super) owes_signal: bool,
    /// When the file was saved that is the reason for what is under way.
    pub(super) saved: Option<SystemTime>,
    pub(super) own_writes: OwnWrites,
    /// What somebody may have edited, unless the server itself has.
    pub(super) put_off: Option<PutOff>,
}

/// Something that goes on beside, and may be called off.
pub(super) struct Job<T> {
    pub(super) off: CancellationToken,
    pub(super) task: tokio::task::JoinHandle<T>,
}

/// A process that answers.
pub(super) struct Serving {
    pub(super) running: Running,
    pub(super) notified: Notified,
    /// Seen at its sockets.
    pub(super) main: Option<MainProcess>,
    pub(super) upstream: Option<Upstream>,
    pub(super) heard: Option<Arc<Heard>>,
    pub(super) since: Instant,
}

impl Work {
    pub(super) fn new(runner: Arc<Runner>) -> Self {
        Self {
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
        }
    }

    pub(super) fn tell(&self, told: Told) {
        self.runner.report.tell(&self.runner.name, told);
    }

    /// Waits for whatever comes next of what is under way.
    ///
    /// Cancel safe.
    pub(super) async fn happens(&mut self) -> Event {
        let building = self.building.as_mut().map(|building| &mut building.task);
        let starting = self.starting.as_mut().map(|starting| &mut starting.task);
        let serving = self
            .serving
            .as_mut()
            .map(|serving| async { (serving.running.ended().await, serving.since.elapsed()) });
        let stopping = self.stopping.as_mut();
        let backoff_over = self.backoff_until.map(sleep_until);
        let is_ending = self.machine.phase == Phase::Ending;
        tokio::select! {
            biased;
            outcome = or_never(building) => {
                self.building = None;
                self.has_built(outcome.unwrap_or_else(|error| Outcome::failed(&error)))
            }
            ready = or_never(starting) => {
                self.starting = None;
                self.has_started(ready.unwrap_or_else(|error| Err(NotReady::Start(error.into()))))
            }
            (status, after) = or_never(serving) => self.has_exited(status, after),
            // However it went, it is over.
            _ = or_never(stopping) => {
                self.stopping = None;
                Event::Stopped
            }
            () = or_never(backoff_over) => {
                self.backoff_until = None;
                Event::BackoffOver
            }
            () = self.leaving.wait(), if is_ending => Event::Gone,
        }
    }

    /// Does what edits ask for at once, and returns what the machine is to know of it.
    pub(super) async fn heed(&mut self, mut plan: Plan) -> Option<Need> {
        if plan.need.is_some() {
            let edits = plan.needing.iter().map(|edit| (edit.path.as_path(), edit.modified));
            match self.own_writes.judge(edits) {
                Judged::Heeded => plan.need = plan.need.map(|need| self.with_put_off(need)),
                Judged::PutOff => self.put_off(&mut plan),
                Judged::Ignored => plan.need = None,
            }
            if self.asked_by(&plan).is_empty() {
                return None;
            }
        }
        self.carry_on(plan).await
    }

    /// Does it, whoever has made the edits.
    pub(super) async fn carry_on(&mut self, plan: Plan) -> Option<Need> {
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
                serving.hang_up().await;
            }
            // One that is on its way may have read the file already.
            self.owes_signal = self.starting.is_some();
        }
        self.publish_edits(&plan);
        plan.need
    }

    pub(super) fn named(&self, file: &Path) -> String {
        self.runner.tree.named(file).to_string_lossy().into_owned()
    }

    /// What is done where something is needed.
    pub(super) fn asked(&self, need: Need) -> Asked {
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
    pub(super) async fn take(&mut self, event: Event) {
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

    pub(super) fn end(&self) -> End {
        let Runner { service, hurry, guarded, .. } = &*self.runner;
        End { grace: *service.grace, hurry: hurry.clone(), guarded: guarded.clone() }
    }
}

impl Serving {
    /// Tells it that its files have changed: the process that has said so, else that which was seen.
    pub(super) async fn hang_up(&self) {
        let main = self.notified.main().or_else(|| self.main.clone());
        ready::hang_up(main.as_ref(), self.running.group).await;
    }
}
