//! What pages, and requests at the proxy, find of a service.

use super::{Runner, Work, heard::LastWords, plan::Plan};
use crate::{
    machine::Phase,
    proxy::{Doing, Problem, ProblemKind, Site, Upstream},
};

impl Runner {
    /// Waits until requests find what was said; where there is no proxy, nobody looks.
    pub(super) async fn found(&self, is_it: impl Fn(&Site) -> bool) {
        if let Some(behind) = &self.behind {
            // Whatever publishes it has ended only if everything has.
            let _ = behind.found.clone().wait_for(is_it).await;
        }
    }
}

impl Work {
    /// What is under way, alone.
    pub(super) fn publish_doing(&self) {
        self.runner.site.set_doing(doing(self.machine.phase));
    }

    /// A new process serves, and nothing is wrong any more but what could not be built. Returns its number.
    pub(super) fn publish_switch(&self, upstream: Option<&Upstream>) -> u64 {
        let mut generation = 0;
        self.publish(|site| {
            site.upstream = upstream.cloned();
            site.version.generation += 1;
            generation = site.version.generation;
            site.problem.clone_from(&self.unbuilt);
        });
        generation
    }

    /// The process that served is told to end.
    pub(super) fn publish_stop(&self) {
        self.publish(|site| site.upstream = None);
    }

    /// The process that served has ended by itself.
    pub(super) fn publish_crash(&self, status: &str, said: &LastWords) {
        let problem = problem(ProblemKind::Crash, status, said);
        self.publish(|site| {
            site.upstream = None;
            site.problem = Some(problem);
        });
    }

    /// Has pages show what is wrong.
    pub(super) fn publish_problem(&mut self, kind: ProblemKind, reason: &str, said: &LastWords) {
        let problem = problem(kind, reason, said);
        if kind == ProblemKind::Build {
            self.unbuilt = Some(problem.clone());
        }
        self.runner.site.update(|site| site.problem = Some(problem));
    }

    /// Has pages take anew what was edited of them.
    pub(super) fn publish_edits(&self, plan: &Plan) {
        self.runner.site.update(|site| {
            site.version.styles += u64::from(plan.css);
            site.version.reloads += u64::from(plan.reloads());
        });
    }

    /// With what is under way, in one step: who finds neither a process nor one that is to come doesn't wait.
    fn publish(&self, change: impl FnOnce(&mut Site)) {
        let doing = doing(self.machine.phase);
        self.runner.site.update(|site| {
            site.doing = doing;
            change(site);
        });
    }
}

fn problem(kind: ProblemKind, reason: &str, said: &LastWords) -> Problem {
    Problem {
        kind,
        reason: reason.to_owned(),
        places: said.diagnostics.clone(),
        text: said.text.clone(),
    }
}

/// What is under way, as others see it.
fn doing(phase: Phase) -> Doing {
    match phase {
        Phase::Building => Doing::Building,
        Phase::Stopping | Phase::Starting => Doing::Starting,
        Phase::Backoff => Doing::Backoff,
        Phase::Idle => Doing::Nothing,
        // Another may take its place; where all is to end, nobody waits.
        Phase::Ending | Phase::Ended => Doing::NotBegun,
    }
}
