//! A process beside this one, which ends what this one has started, and removes what it has made in the file
//! system, should this one be killed.
//!
//! The kernel tells a child of the end of its parent (`PR_SET_PDEATHSIG(2const)`), but not the children of
//! that child: of a shell that runs a server, it would end the shell alone.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fs,
    io::{self, BufRead, Write, stdin},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    orphans,
    process::{is_empty, this_program},
    report::milliseconds,
};

/// The first argument that asks for it; no user writes it.
pub(crate) const WORD: &str = "__guard";
/// Says that this process ends, in order or by a panic.
const OVER: &str = "over";
/// How often groups are looked at, that are to end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The process, as long as it is needed.
#[derive(Debug)]
pub(crate) struct KillGuard {
    process: Child,
    groups: GuardedGroups,
}

/// The groups that it ends.
#[derive(Debug, Clone)]
pub(crate) struct GuardedGroups {
    /// To it; closed by the kernel when this process ends, however that comes about.
    pipe: Option<Arc<Mutex<ChildStdin>>>,
    /// Those of one service that are there.
    at_work: Arc<Mutex<BTreeSet<i32>>>,
}

impl KillGuard {
    /// Starts it; `folder` is what it is to remove in the end, if anything.
    pub(crate) fn begin(folder: Option<&Path>) -> io::Result<Self> {
        let mut command = this_program();
        command
            .arg(WORD)
            .args(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What a terminal sends is for the others.
            .process_group(0);
        let mut process = orphans::start(|| command.spawn())?;
        let pipe = process.stdin.take().map(|pipe| Arc::new(Mutex::new(pipe)));
        let groups = GuardedGroups { pipe, at_work: Arc::default() };
        Ok(Self { process, groups })
    }

    pub(crate) fn groups(&self) -> GuardedGroups {
        self.groups.clone()
    }
}

impl Drop for KillGuard {
    fn drop(&mut self) {
        self.groups.tell(OVER);
        // There is nobody to tell that it can't be waited for.
        let _ = self.process.wait();
    }
}

impl GuardedGroups {
    /// Those of another service, ended by the same process.
    pub(crate) fn of_another(&self) -> Self {
        Self { pipe: self.pipe.clone(), at_work: Arc::default() }
    }

    /// The leaders of those that are there.
    pub(crate) fn at_work(&self) -> Vec<u32> {
        self.numbers().iter().copied().map(i32::cast_unsigned).collect()
    }

    fn numbers(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        // A number is put in, or taken out.
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on a group is ended with this process.
    pub(crate) fn register(&self, group: Pid, grace: Duration) {
        self.numbers().insert(group.as_raw_nonzero().get());
        self.tell(&format!("{} {}", group.as_raw_nonzero(), milliseconds(grace)));
    }

    /// Nothing of a group is left.
    pub(crate) fn unregister(&self, group: Pid) {
        self.numbers().remove(&group.as_raw_nonzero().get());
        self.tell(&group.as_raw_nonzero().to_string());
    }

    fn tell(&self, line: &str) {
        if let Some(pipe) = &self.pipe {
            let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
            // Less than a pipe takes at once. Somebody may have killed it.
            let _ = pipe.write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Is that process.
pub(crate) fn become_it(folder: Option<OsString>) {
    let mut groups = HashMap::new();
    for line in stdin().lock().lines().map_while(Result::ok) {
        if line == OVER {
            break;
        }
        let mut words = line.split(' ').map(|word| word.parse::<u64>().ok());
        let number = words.next().flatten().and_then(|number| i32::try_from(number).ok());
        let Some(group) = number.and_then(Pid::from_raw) else { continue };
        match words.next().flatten() {
            Some(grace) => groups.insert(group, Duration::from_millis(grace)),
            None => groups.remove(&group),
        };
    }
    end(groups);
    // It is gone already where this process is told to end.
    let _ = folder.map(fs::remove_dir_all);
}

fn end(mut groups: HashMap<Pid, Duration>) {
    let start = Instant::now();
    // Whoever has ended already can't be told.
    for group in groups.keys() {
        let _ = kill_process_group(*group, Signal::TERM);
        // One that is stopped finds the other signal only then.
        let _ = kill_process_group(*group, Signal::CONT);
    }
    while !groups.is_empty() {
        groups.retain(|group, grace| {
            let is_over = start.elapsed() >= *grace;
            if is_over {
                let _ = kill_process_group(*group, Signal::KILL);
            }
            !is_over && !is_empty(*group)
        });
        sleep(POLL_INTERVAL);
    }
}
