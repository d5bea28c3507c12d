//! Which of the services that run are not as they are wanted.

use std::collections::BTreeMap;

use crate::config::Service;

/// What becomes of services; those that are the same stay as they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) removed: Vec<String>,
    /// As they are to be.
    pub(super) changed: Vec<(String, Service)>,
    pub(super) added: Vec<(String, Service)>,
}

impl Changes {
    pub(super) fn between(
        running: &BTreeMap<&str, &Service>,
        wanted: BTreeMap<String, Service>,
    ) -> Self {
        let removed = running.keys().filter(|name| !wanted.contains_key(**name));
        let removed = removed.map(|name| (*name).to_owned()).collect();
        let is_same =
            |(name, service): &(String, Service)| running.get(name.as_str()) == Some(&service);
        let others = wanted.into_iter().filter(|wanted| !is_same(wanted));
        let (changed, added) = others.partition(|(name, _)| running.contains_key(name.as_str()));
        Self { removed, changed, added }
    }

    pub(super) fn are_none(&self) -> bool {
        self.removed.is_empty() && self.changed.is_empty() && self.added.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Words;

    /// By a letter each, of what it is called and of what it runs.
    fn services(all: &str) -> BTreeMap<String, Service> {
        let service = |one: &str| {
            let (name, command) = one.split_at(1);
            (name.to_owned(), Service::of(Words::parse(command).unwrap()))
        };
        all.split_ascii_whitespace().map(service).collect()
    }

    #[test]
    fn what_is_the_same_stays() {
        for (running, wanted, removed, changed, added) in [
            ("ax", "ax", "", "", ""),
            ("ax by", "by ax", "", "", ""),
            ("ax", "ay", "", "ay", ""),
            ("ax", "ax by", "", "", "by"),
            ("ax by", "by", "a", "", ""),
            // Another name is another service.
            ("ax", "bx", "a", "", "bx"),
            ("ax by cz", "by cx dz", "a", "cx", "dz"),
        ] {
            let live = services(running);
            let live = live.iter().map(|(name, service)| (name.as_str(), service)).collect();
            let want = Changes {
                removed: removed.split_terminator(' ').map(str::to_owned).collect(),
                changed: services(changed).into_iter().collect(),
                added: services(added).into_iter().collect(),
            };
            let changes = Changes::between(&live, services(wanted));
            assert_eq!(changes, want, "{running} -> {wanted}");
            let are_none = [removed, changed, added].iter().all(|names| names.is_empty());
            assert_eq!(changes.are_none(), are_none, "{running} -> {wanted}");
        }
    }
}
