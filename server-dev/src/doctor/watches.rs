//! Whether the kernel's limits leave room for the watches of all services, see inotify(7).

use std::{ffi::OsString, fs, io::ErrorKind};

use procfs::process::all_processes;

use super::Finding;

/// What is needed.
#[derive(Debug, Default)]
pub(super) struct WatchNeed {
    pub(super) watches: usize,
    pub(super) instances: usize,
}

/// What there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    limit: usize,
    used: usize,
}

pub(super) fn check(need: &WatchNeed) -> Vec<Finding> {
    let limit = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?;
        text.trim().parse::<usize>().ok()
    };
    let (watches, instances) = ("max_user_watches", "max_user_instances");
    let (Some(most_watches), Some(most_instances)) = (limit(watches), limit(instances)) else {
        return vec![Finding::warning(
            "the kernel has no inotify: say poll = \"500ms\" for each service",
        )];
    };
    let (used_watches, used_instances) = used();
    let room = |limit, used| Room { limit, used };
    vec![
        judge(
            watches,
            "watches of folders and files",
            need.watches,
            room(most_watches, used_watches),
        ),
        judge(instances, "watchers", need.instances, room(most_instances, used_instances)),
    ]
}

fn judge(name: &str, what: &str, need: usize, room: Room) -> Finding {
    let left = room.limit.saturating_sub(room.used);
    let told = format!(
        "{what}: {need} needed, {left} left (fs.inotify.{name} is {}, {} in use)",
        room.limit, room.used
    );
    if need <= left {
        return Finding::fine(told);
    }
    // Twice what is needed is round, and leaves room for the next tool.
    let enough = (2 * (need + room.used)).next_power_of_two();
    Finding::error(format!(
        "{told}: raise it (sysctl fs.inotify.{name}={enough}), name fewer folders by watch = […], or \
         say poll = \"500ms\""
    ))
}

/// The watches and instances of this user's processes.
fn used() -> (usize, usize) {
    let me = rustix::process::geteuid().as_raw();
    let processes = all_processes().into_iter().flatten().flatten();
    let mine = processes.filter(|process| process.uid().is_ok_and(|uid| uid == me));
    let instances: Vec<_> = mine.flat_map(|process| instances(process.pid)).collect();
    (instances.iter().map(|(_, watches)| watches).sum(), instances.len())
}

/// The descriptors of inotify that a process has, and the watches of each, by `proc_pid_fdinfo(5)`.
fn instances(pid: i32) -> Vec<(OsString, usize)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let instances = descriptors.filter(|fd| {
        fs::read_link(fd.path()).is_ok_and(|it| it.as_os_str() == "anon_inode:inotify")
    });
    let watches = instances.filter_map(|fd| {
        match fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", fd.file_name().display())) {
            Ok(info) => {
                let watches = info.lines().filter(|line| line.starts_with("inotify ")).count();
                Some((fd.file_name(), watches))
            }
            // It has been closed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(_) => Some((fd.file_name(), 0)),
        }
    });
    watches.collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

    use super::{super::Level, *};

    #[test]
    fn counts_what_is_left_and_says_what_is_missing() {
        for (need, limit, used, level, words) in [
            (10, 100, 0, Level::Fine, "folders: 10 needed, 100 left ("),
            (10, 100, 90, Level::Fine, "10 left (fs.inotify.max_user_watches is 100, 90 in use)"),
            (10, 100, 91, Level::Error, "fs.inotify.max_user_watches=256"),
            (1, 100, 200, Level::Error, "1 needed, 0 left ("),
        ] {
            let found = judge("max_user_watches", "folders", need, Room { limit, used });
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.text.contains(words), "{found:?}");
        }
    }

    #[test]
    fn sees_the_watches_that_are_in_use() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let inotify = init(CreateFlags::CLOEXEC).unwrap();
        let watches = || {
            let fd = inotify.as_raw_fd().to_string();
            let found = instances(std::process::id().cast_signed());
            found.into_iter().find(|(name, _)| *name == *fd).map(|(_, watches)| watches)
        };
        assert_eq!(watches(), Some(0));
        for folder in &folders {
            add_watch(&inotify, folder.path(), WatchFlags::CREATE).unwrap();
        }
        assert_eq!(watches(), Some(2));
        let (all_watches, all_instances) = used();
        assert!(all_watches >= 2 && all_instances >= 1);
    }
}
