//! What pages, and requests at the proxy, find of a service.

use std::sync::Arc;

use super::{Runner, Work, heard::Said};
use crate::{
    config::Action,
    machine::{Need, Phase},
    proxy::{Doing, Problem, ProblemKind, Site, Upstream},
    tree::Edit,
};

impl Runner {
    /// Waits until requests find what was said; where there is no proxy, nobody looks.
    pub(super) async fn found(&self, is_it: impl Fn(&Site) -> bool) {
        if let Some(mut found) = self.found.clone() {
            // Whatever publishes it has ended only if everything has.
            let _ = found.wait_for(is_it).await;
        }
    }
}

impl Work {
    /// A new process serves, and nothing is wrong any more but what could not be built.
    pub(super) fn has_switched(&self, upstream: Option<&Upstream>) {
        self.runner.site.update(|site| {
            site.upstream = upstream.cloned();
            site.version.generation = self.generation;
            site.problem.clone_from(&self.unbuilt);
        });
    }

    /// The process that served has ended by itself.
    pub(super) fn is_gone(&self, doing: Doing, status: &str, said: &Said) {
        let problem = problem(ProblemKind::Crash, status, said);
        // At once: who finds neither a process nor one that is to come doesn't wait.
        self.runner.site.update(|site| {
            site.upstream = None;
            site.doing = doing;
            site.problem = Some(problem);
        });
    }

    /// Has pages show what is wrong.
    pub(super) fn is_broken(&mut self, kind: ProblemKind, reason: &str, said: &Said) {
        let problem = problem(kind, reason, said);
        if kind == ProblemKind::Build {
            self.unbuilt = Some(problem.clone());
        }
        self.runner.site.update(|site| site.problem = Some(problem));
    }

    /// Has pages take anew what was edited of them.
    pub(super) fn changes_pages(&self, edits: &[Arc<Edit>], need: Option<Need>) {
        let asks_for = |action| edits.iter().any(|edit| edit.action == action);
        self.runner.site.update(|site| {
            site.version.styles += u64::from(asks_for(Action::Css));
            // What is started anew is loaded anew as well, once it is ready.
            site.version.reloads += u64::from(asks_for(Action::Reload) && need.is_none());
        });
    }
}

fn problem(kind: ProblemKind, reason: &str, said: &Said) -> Problem {
    Problem {
        kind,
        reason: reason.to_owned(),
        places: said.diagnostics.clone(),
        text: said.text.clone(),
    }
}

/// What is under way, as others see it.
pub(super) fn doing(phase: Phase) -> Doing {
    match phase {
        Phase::Building => Doing::Building,
        Phase::Stopping | Phase::Starting => Doing::Starting,
        Phase::Pausing => Doing::Backoff,
        Phase::Idle | Phase::Ending | Phase::Ended => Doing::Nothing,
    }
}
