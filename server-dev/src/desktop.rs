//! Notifications of the desktop, by notify-send(1).

use std::{
    collections::VecDeque,
    env,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::{guard::GuardedGroups, orphans};

const PROGRAM: &str = "notify-send";
/// How long a desktop may take; one that doesn't answer is no reason to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the program is looked at meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Notifications that wait for those before; of more, the last ones count.
const WAITING: usize = 8;

/// Whether there is a program for it.
pub(crate) fn is_there() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file())
}

/// Shows one notification after the other; dropped, none is shown any more.
#[derive(Debug)]
pub(crate) struct Desktop {
    notes: Option<Sender<Note>>,
    shows: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Note {
    title: String,
    text: String,
    is_urgent: bool,
}

impl Desktop {
    pub(crate) fn begin(guarded: GuardedGroups) -> Self {
        let (notes, asked) = channel();
        let shows = thread::spawn(move || show_all(&asked, &guarded));
        Self { notes: Some(notes), shows: Some(shows) }
    }

    /// Returns at once.
    pub(crate) fn show(&self, title: String, text: String, is_urgent: bool) {
        if let Some(notes) = &self.notes {
            // What is not shown was written all the same.
            let _ = notes.send(Note { title, text, is_urgent });
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        drop(self.notes.take());
        if let Some(shows) = self.shows.take() {
            // It has nothing to say if it has panicked.
            let _ = shows.join();
        }
    }
}

fn show_all(asked: &Receiver<Note>, guarded: &GuardedGroups) {
    let mut waiting = VecDeque::new();
    loop {
        let Some(note) = waiting.pop_front().or_else(|| asked.recv().ok()) else { return };
        // What is not shown was written all the same.
        let Ok(mut child) = orphans::start(|| note.command().spawn()) else { continue };
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        group.inspect(|group| guarded.register(*group, Duration::ZERO));
        let goes_on = attend(&mut child, asked, &mut waiting);
        // It may have ended already; it is waited for either way.
        let _ = child.kill();
        let _ = child.wait();
        group.inspect(|group| {
            guarded.unregister(*group);
            orphans::unregister(*group);
        });
        if !goes_on {
            return;
        }
    }
}

/// Waits until it has ended, or has had its time; returns whether there may be more to show.
fn attend(child: &mut Child, asked: &Receiver<Note>, waiting: &mut VecDeque<Note>) -> bool {
    let until = Instant::now() + PATIENCE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        match asked.recv_timeout(POLL_INTERVAL) {
            Ok(note) => {
                waiting.push_back(note);
                if waiting.len() > WAITING {
                    waiting.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}

impl Note {
    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["--app-name=server-dev", "--urgency"]);
        command.arg(if self.is_urgent { "critical" } else { "normal" });
        // Either may begin with a dash.
        command.args(["--", &self.title, &self.text]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0);
        command
    }
}
