//! What proc(5) says of where a process belongs.
//!
//! The calls for it (getsid(2), getpgid(2)) are of no use where the leader is outside the PID namespace, as
//! the shell is that has entered a container: they say 0 then (see `pid_namespaces(7)`), which isn't the
//! number of a process.

use std::{fs, path::Path};

/// Read from `proc_pid_stat(5)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) is_zombie: bool,
    pub(crate) parent: i32,
    /// 0 for one whose leader is outside the PID namespace, -1 for a process that is about to be reaped.
    pub(crate) group: i32,
    pub(crate) session: i32,
}

impl Stat {
    pub(crate) fn own() -> Option<Self> {
        Self::of(Path::new("/proc/self"))
    }

    /// Of a process or a thread, by its folder; none for one that is gone.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(folder.join("stat")).ok()?)
    }

    /// The fields come after the name, which may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let is_zombie = fields.next()? == "Z";
        let mut number = || -> Option<i32> { fields.next()?.parse().ok() };
        Some(Self { is_zombie, parent: number()?, group: number()?, session: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_comes_behind_any_name() {
        for (text, want) in [
            ("9 (sh) S 1 77 78 0", Some((false, 1, 77, 78))),
            ("9 (a) b) (Z S) Z 1 77 78 0", Some((true, 1, 77, 78))),
            // Both once ended a task by a panic.
            ("9 (sh) X 0 -1 -1 0", Some((false, 0, -1, -1))),
            ("9 (sh) S 1 0 0 0", Some((false, 1, 0, 0))),
            ("9 (sh) S 1 77", None),
            ("9 (sh", None),
        ] {
            let read = Stat::parse(text);
            let read = read.map(|stat| (stat.is_zombie, stat.parent, stat.group, stat.session));
            assert_eq!(read, want, "{text}");
        }
    }

    #[test]
    fn this_process_is_in_its_own_list() {
        assert!(Stat::own().is_some_and(|own| !own.is_zombie));
    }
}
