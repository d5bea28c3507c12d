//! Edits that are put off, as the server itself may have written the files.

use tokio::time::Instant;

use super::{Work, plan::Plan};
use crate::{machine::Need, report::Told};

/// What is done about them once it is known that somebody has made them.
pub(super) struct PutOff {
    plan: Plan,
    /// Once the start is over.
    pub(super) until: Option<Instant>,
}

impl Work {
    /// Takes from a plan what may be for nothing.
    pub(super) fn put_off(&mut self, plan: &mut Plan) {
        let Some(need) = plan.need.take() else { return };
        let files = plan.needing.iter().map(|edit| edit.path.clone()).collect();
        let need = Some(self.with_put_off(need));
        let plan = Plan { files, need, saved: plan.saved.take(), ..Plan::default() };
        self.put_off = Some(PutOff { plan, until: None });
        if self.starting.is_none() {
            self.start_is_over();
        }
    }

    /// Has them wait for no more than a pause.
    pub(super) fn start_is_over(&mut self) {
        let until = Instant::now() + *self.runner.service.settle + self.own_writes.pause();
        if let Some(put_off) = &mut self.put_off {
            put_off.until = Some(until);
        }
    }

    /// What is needed together with what was put off, which is not any more.
    pub(super) fn with_put_off(&mut self, need: Need) -> Need {
        let before = self.put_off.take().and_then(|put_off| put_off.plan.need);
        before.map_or(need, |before| before.max(need))
    }

    /// Does what was put off, unless the server itself has written the files.
    pub(super) async fn heed_put_off(&mut self) -> Option<Need> {
        let PutOff { plan, .. } = self.put_off.take()?;
        if let Some(files) = self.own_writes.found() {
            let files = files.iter().map(|file| self.named(file)).collect();
            self.tell(Told::OwnWrites { files });
            return None;
        }
        self.carry_on(plan).await
    }
}
