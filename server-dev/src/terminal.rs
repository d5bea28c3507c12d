//! The keyboard of whoever sits before it, a key at a time.
//!
//! Signals and newlines are left to the terminal: Ctrl-C and Ctrl-Z are what they always are, and
//! whatever a process writes to it looks as it should.

use std::{
    io::{IsTerminal, stderr, stdin},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
    },
};
use tokio::sync::mpsc;

use crate::stat::Stat;

/// What somebody may ask for by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Restart,
    Build,
    Clear,
    Quit,
    Help,
}

/// How often a terminal is looked at in which something is typed for somebody else.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Said of the keys.
pub(crate) const HELP: &str =
    "r restarts, b builds, c clears the screen, q quits, ? says this; Ctrl-C twice ends at once";

/// A terminal that passes on each key while it is this process's; dropped, it is as it was before.
#[derive(Debug)]
pub(crate) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Returns `None` where nobody sits before one.
    pub(crate) fn find() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_dumb || !stderr().is_terminal() || !stdin().is_terminal() {
            return None;
        }
        Some(Self { before: tcgetattr(stdin()).ok()? })
    }

    /// Has each key passed on; returns whether it can, as somebody else has the terminal otherwise.
    pub(crate) fn take(&self) -> bool {
        if !is_ours() {
            return false;
        }
        let mut each_key = self.before.clone();
        each_key.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        each_key.special_codes[SpecialCodeIndex::VMIN] = 1;
        each_key.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Without it, a key is read with the next line.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &each_key);
        true
    }

    /// As it was before.
    pub(crate) fn give_back(&self) {
        // In the background it would stop this process instead (tcsetattr(3)), and is somebody else's.
        if is_ours() {
            // There is nobody to tell who could do better.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        }
    }

    /// Reads keys from here on, until the process ends.
    pub(crate) fn keys() -> mpsc::UnboundedReceiver<Key> {
        let (pressed, keys) = mpsc::unbounded_channel();
        // What waits for a terminal can't be called off, so it is on a thread that nobody waits for.
        thread::spawn(move || {
            let stdin = stdin();
            while poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) != Err(Errno::BADF) {
                if !is_ours() {
                    // To read would stop this process (SIGTTIN in termios(3)).
                    thread::sleep(POLL_INTERVAL);
                    continue;
                }
                let mut byte = [0];
                match rustix::io::read(&stdin, &mut byte) {
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Ok(0) | Err(_) => return,
                    Ok(_) => {
                        if Key::of(byte[0]).is_some_and(|key| pressed.send(key).is_err()) {
                            return;
                        }
                    }
                }
            }
        });
        keys
    }
}

impl Key {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'r' => Self::Restart,
            b'b' => Self::Build,
            b'c' => Self::Clear,
            b'q' => Self::Quit,
            b'?' | b'h' => Self::Help,
            _ => return None,
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Whether what is typed is for this process and its group.
fn is_ours() -> bool {
    let own = Stat::own().map(|own| own.group);
    stdin().is_terminal()
        && tcgetpgrp(stdin()).is_ok_and(|foreground| own == Some(foreground.as_raw_nonzero().get()))
}
