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
mod work;

use std::sync::Arc;

use hot_reload::ReloaderReceiver;
use tokio::{sync::broadcast, time::sleep_until};
use tokio_util::sync::CancellationToken;

use self::{
    plan::plan,
    work::{Job, Serving, Work},
};
use crate::{
    config::Service,
    guard::GuardedGroups,
    input::Input,
    machine::{Event, Need, Phase},
    never::or_never,
    over::Over,
    process::{Line, Output},
    proxy::{Behind, Publisher},
    ready::Place,
    report::{Report, Told},
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
    /// Once this has come, it ends.
    pub(crate) over: Over,
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

    fn left(&self, pids: Vec<u32>) {
        self.report.tell(&self.name, Told::Left { pids });
    }
}

impl Runner {
    /// Runs the service until it is to end, and returns once nothing of it is left.
    pub(crate) async fn run(self, mut edits: ReloaderReceiver<Edits, String>) {
        let over = self.over.clone();
        let mut asked = self.asked.resubscribe();
        let mut work = Work::new(Arc::new(self));
        let mut is_followed = true;
        let mut seen = edits.get().unwrap_or_default();
        work.take(Event::Changed(Need::Build)).await;
        while work.machine.phase != Phase::Ended {
            let put_off = work.put_off.as_ref().and_then(|put_off| put_off.until);
            let event = tokio::select! {
                biased;
                () = over.come(), if work.machine.phase != Phase::Ending => Event::Shutdown,
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
                    let Some(plan) = plan else { continue };
                    let Some(need) = work.heed(plan).await else { continue };
                    Event::Changed(need)
                }
                () = or_never(put_off.map(sleep_until)), if work.machine.phase != Phase::Ending => {
                    let Some(need) = work.heed_put_off().await else { continue };
                    Event::Changed(need)
                }
            };
            work.take(event).await;
        }
        work.tell(Told::Ended { because: over.why() });
    }
}
