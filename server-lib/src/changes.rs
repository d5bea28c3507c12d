//! Which keys each configuration changed.

use std::{collections::VecDeque, sync::Mutex};

use crate::lock::lock;

/// As many as anybody goes back to; each is some bytes.
const KEPT: usize = 256;

/// Which keys each of the last configurations changed, and never to what.
#[derive(Default)]
pub(crate) struct Changes(Mutex<VecDeque<(u64, Vec<&'static str>)>>);

impl Changes {
    /// Takes note of a configuration that is in the place of another.
    pub(crate) fn note(&self, generation: u64, keys: Vec<&'static str>) {
        let mut all = lock(&self.0);
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back((generation, keys));
    }

    /// Returns what a generation changed, where that is known: the first has changed nothing.
    pub(crate) fn of(&self, generation: u64) -> Option<Vec<&'static str>> {
        let all = lock(&self.0);
        let found = all.iter().find(|(of, _)| *of == generation);
        found.map(|(_, keys)| keys.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_the_last_ones_changed() {
        let changes = Changes::default();
        for generation in 2..=u64::try_from(KEPT).unwrap() + 2 {
            changes.note(generation, vec!["name"]);
        }
        assert_eq!(changes.of(2), None);
        assert_eq!(changes.of(3), Some(vec!["name"]));
    }
}
