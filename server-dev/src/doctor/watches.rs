//! Whether the kernel's limits leave room for the watches of all services, see inotify(7).

use std::{fs, io::ErrorKind};

use procfs::process::all_processes;

use super::Finding;

/// What is needed.
#[derive(Debug, Default)]
pub(super) struct Need {
    pub(super) folders: usize,
    pub(super) instances: usize,
}

/// What there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    limit: usize,
    used: usize,
}

pub(super) fn check(need: &Need) -> Vec<Finding> {
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
        judge(watches, "folders to watch", need.folders, room(most_watches, used_watches)),
        judge(instances, "watchers", need.instances, room(most_instances, used_instances)),
    ]
}

fn judge(name: &str, what: &str, need: usize, room: Room) -> Finding {
    let left = room.limit.saturating_sub(room.used);
    let told = format!(
        "{need} {what}, of {left} that fs.inotify.{name} = {} leaves beside {} in use",
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

/// The watches and instances of this user's processes, by `proc_pid_fdinfo(5)`.
fn used() -> (usize, usize) {
    let me = rustix::process::geteuid().as_raw();
    let processes = all_processes().into_iter().flatten().flatten();
    let mine = processes.filter(|process| process.uid().is_ok_and(|uid| uid == me));
    let (mut watches, mut instances) = (0, 0);
    for process in mine {
        for fd in fs::read_dir(format!("/proc/{}/fd", process.pid)).into_iter().flatten().flatten()
        {
            let is_inotify =
                fs::read_link(fd.path()).is_ok_and(|it| it.as_os_str() == "anon_inode:inotify");
            if !is_inotify {
                continue;
            }
            instances += 1;
            let info = format!("/proc/{}/fdinfo/{}", process.pid, fd.file_name().display());
            match fs::read_to_string(info) {
                Ok(info) => {
                    watches += info.lines().filter(|line| line.starts_with("inotify ")).count();
                }
                // It has been closed meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => instances -= 1,
                Err(_) => {}
            }
        }
    }
    (watches, instances)
}

#[cfg(test)]
mod tests {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

    use super::{super::Level, *};

    #[test]
    fn counts_what_is_left_and_says_what_is_missing() {
        for (need, limit, used, level, words) in [
            (10, 100, 0, Level::Fine, "10 folders, of 100 that"),
            (10, 100, 90, Level::Fine, "leaves beside 90 in use"),
            (10, 100, 91, Level::Error, "fs.inotify.max_user_watches=256"),
            (1, 100, 200, Level::Error, "of 0 that"),
        ] {
            let found = judge("max_user_watches", "folders", need, Room { limit, used });
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.text.contains(words), "{found:?}");
        }
    }

    #[test]
    fn sees_the_watches_that_are_in_use() {
        let (before, folders) =
            (used(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
        let inotify = init(CreateFlags::CLOEXEC).unwrap();
        for folder in &folders {
            add_watch(&inotify, folder.path(), WatchFlags::CREATE).unwrap();
        }
        // Others come and go meanwhile; these two are there.
        let mine = fs::read_dir("/proc/self/fd").unwrap().flatten().any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|it| it.as_os_str() == "anon_inode:inotify")
        });
        let after = used();
        assert!(mine && after.0 >= 2 && after.1 >= 1, "{before:?}, {after:?}");
    }
}
