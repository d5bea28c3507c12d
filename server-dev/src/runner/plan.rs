//! What edits ask for: decided at once for all that have come.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::SystemTime};

use crate::{
    config::Action,
    machine::Need,
    tree::{Edit, Edits},
};

/// Files of one change that are named; of more, how many.
const NAMED_FILES: usize = 3;

/// What is to be done about some edits.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The first few of what was edited.
    pub(super) files: Vec<PathBuf>,
    /// How many there are besides.
    pub(super) more: usize,
    /// When the last of them was saved, if they need anything.
    pub(super) saved: Option<SystemTime>,
    pub(super) need: Option<Need>,
    /// Which they are that need it; none where not all are remembered.
    pub(super) needing: Vec<Arc<Edit>>,
    /// Whether the process is told.
    pub(super) signal: bool,
    /// Whether pages are to be loaded anew, or their style sheets alone.
    pub(super) reload: bool,
    pub(super) css: bool,
}

impl Plan {
    /// Whether pages are loaded anew at once: what is started anew is loaded anew as well, once it is ready.
    pub(super) fn reloads(&self) -> bool {
        self.reload && self.need.is_none()
    }
}

/// Returns what the edits after `seen` ask for, if there are any.
pub(super) fn plan(seen: &Edits, latest: &Edits) -> Option<Plan> {
    let files: BTreeSet<_> = latest.since(seen).map(|edit| &edit.path).collect();
    if files.is_empty() {
        return None;
    }
    let asks_for = |action| latest.ask_since(seen, action);
    let need = [(Action::Build, Need::Build), (Action::Restart, Need::Restart)]
        .into_iter()
        .find_map(|(action, need)| asks_for(action).then_some(need));
    let needs = |edit: &Edit| matches!(edit.action, Action::Build | Action::Restart);
    // Those that are remembered no more are not told apart.
    let forgotten = latest.number() - seen.number() - latest.since(seen).count() as u64;
    let forgotten = usize::try_from(forgotten).unwrap_or(usize::MAX);
    Some(Plan {
        more: files.len().saturating_sub(NAMED_FILES).saturating_add(forgotten),
        files: files.into_iter().take(NAMED_FILES).cloned().collect(),
        saved: need.and_then(|_| latest.since(seen).filter_map(|edit| edit.modified).max()),
        need,
        needing: latest.since(seen).filter(|edit| forgotten == 0 && needs(edit)).cloned().collect(),
        signal: asks_for(Action::Signal),
        reload: asks_for(Action::Reload),
        css: asks_for(Action::Css),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn push(edits: &mut Edits, path: &str, action: Action, modified: u64) {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(modified));
        edits.push(Edit { path: path.into(), action, modified });
    }

    #[test]
    fn takes_the_largest_need_and_whatever_else_is_asked_for() {
        /// A need, a signal, a reload, style sheets.
        type Want = (Option<Need>, bool, bool, bool);
        use Action::{Build, Css, Nothing, Reload, Restart, Signal};
        let (build, restart) = (Some(Need::Build), Some(Need::Restart));
        let table: &[(&[Action], Want)] = &[
            (&[Nothing], (None, false, false, false)),
            (&[Restart], (restart, false, false, false)),
            (&[Restart, Build], (build, false, false, false)),
            (&[Signal], (None, true, false, false)),
            (&[Signal, Restart], (restart, true, false, false)),
            (&[Reload], (None, false, true, false)),
            (&[Css, Reload, Signal], (None, true, true, true)),
            (&[Css, Reload, Build], (build, false, false, true)),
        ];
        for (actions, want) in table {
            let mut edits = Edits::default();
            // It was seen, and asks for nothing any more.
            push(&mut edits, "before", Build, 0);
            let seen = edits.clone();
            for &action in *actions {
                push(&mut edits, "file", action, 1);
            }
            let plan = plan(&seen, &edits).unwrap();
            let found = (plan.need, plan.signal, plan.reloads(), plan.css);
            assert_eq!(found, *want, "{actions:?}");
        }
    }

    /// The reload was lost, as only the last edits are remembered, and of 301 files 256 were counted.
    #[test]
    fn forgets_neither_what_the_first_of_many_asks_for_nor_how_many_there_are() {
        let mut edits = Edits::default();
        push(&mut edits, "a.html", Action::Reload, 1);
        for n in 0..300 {
            push(&mut edits, &format!("z/{n}.css"), Action::Css, 1);
        }
        let plan = plan(&Edits::default(), &edits).unwrap();
        assert!(plan.reload && plan.css);
        assert_eq!((plan.files.len(), plan.more), (3, 298));
        // Nothing starts for it, of which it would be the time.
        assert_eq!((plan.need, plan.saved), (None, None));
    }

    /// What was remembered was taken for all.
    #[test]
    fn names_none_that_need_something_where_some_are_forgotten() {
        let mut edits = Edits::default();
        push(&mut edits, "code", Action::Build, 1);
        for n in 0..300 {
            push(&mut edits, &n.to_string(), Action::Css, 1);
        }
        push(&mut edits, "app.log", Action::Build, 1);
        let plan = plan(&Edits::default(), &edits).unwrap();
        assert_eq!((plan.need, plan.needing.len()), (Some(Need::Build), 0));
    }

    #[test]
    fn names_a_few_files_once_and_the_time_of_the_last() {
        let mut edits = Edits::default();
        assert_eq!(plan(&Edits::default(), &edits), None);
        for (path, saved) in [("e", 1), ("a", 7), ("a", 9), ("b", 3), ("d", 2), ("c", 5)] {
            push(&mut edits, path, Action::Build, saved);
        }
        let plan = plan(&Edits::default(), &edits).unwrap();
        assert_eq!(plan.files, ["a", "b", "c"].map(PathBuf::from));
        assert_eq!(plan.more, 2);
        assert_eq!(plan.saved, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(9)));
    }
}
