//! What proc(5) says of where a process belongs.
//!
//! The calls for it (getsid(2), getpgid(2)) are of no use where the leader is outside the PID namespace, as
//! the shell is that has entered a container: they say 0 then (see `pid_namespaces(7)`), which isn't the
//! number of a process.
//!
//! And not by `procfs`, as the rest of proc(5): it opens the folder of each process as well, and reads some
//! fifty fields, where all processes are looked at every few milliseconds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Pid;

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
        Self::read(Path::new("/proc/self"))
    }

    /// None for one that is gone.
    pub(crate) fn of(process: Pid) -> Option<Self> {
        Self::read(&folder(process))
    }

    fn read(folder: &Path) -> Option<Self> {
        Self::parse(&fs::read(folder.join("stat")).ok()?)
    }

    /// The fields come after the name, which may hold anything: also half of a character, as it is cut.
    fn parse(text: &[u8]) -> Option<Self> {
        let name_ends = text.iter().rposition(|&byte| byte == b')')?;
        let mut fields = std::str::from_utf8(&text[name_ends + 1..]).ok()?.split_ascii_whitespace();
        let is_zombie = fields.next()? == "Z";
        let mut number = || -> Option<i32> { fields.next()?.parse().ok() };
        Some(Self { is_zombie, parent: number()?, group: number()?, session: number()? })
    }
}

/// Where proc(5) says what it says of a process.
pub(crate) fn folder(process: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()))
}

/// All processes that are there.
pub(crate) fn all() -> impl Iterator<Item = (Pid, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).filter_map(|process| Some((process, Stat::of(process)?)))
}

/// The processes of a group.
pub(crate) fn members(group: Pid) -> impl Iterator<Item = Pid> {
    let is_member = move |stat: &Stat| stat.group == group.as_raw_nonzero().get();
    all().filter(move |(_, stat)| is_member(stat)).map(|(process, _)| process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_comes_behind_any_name() {
        for (text, want) in [
            (&b"9 (sh) S 1 77 78 0"[..], Some((false, 1, 77, 78))),
            (b"9 (a) b) (Z S) Z 1 77 78 0", Some((true, 1, 77, 78))),
            // Of fifteen bytes, the last is half of a letter; such a process once was not seen at all.
            (b"9 (sssssssssssss\xc3) S 1 77 78 0", Some((false, 1, 77, 78))),
            // Both once ended a task by a panic.
            (b"9 (sh) X 0 -1 -1 0", Some((false, 0, -1, -1))),
            (b"9 (sh) S 1 0 0 0", Some((false, 1, 0, 0))),
            (b"9 (sh) S 1 77", None),
            (b"9 (sh", None),
        ] {
            let read = Stat::parse(text);
            let read = read.map(|stat| (stat.is_zombie, stat.parent, stat.group, stat.session));
            assert_eq!(read, want, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn this_process_is_in_its_own_list() {
        assert!(Stat::own().is_some_and(|own| !own.is_zombie));
    }
}
