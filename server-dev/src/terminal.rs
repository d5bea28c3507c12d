//! The keyboard of whoever sits before it, a key at a time.
//!
//! Signals and newlines are left to the terminal: Ctrl-C and Ctrl-Z are what they always are, and
//! whatever a process writes to it looks as it should.

use std::{
    io::{IsTerminal, Read, stderr, stdin},
    thread,
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
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

/// Said of the keys.
pub(crate) const HELP: &str =
    "r restarts, b builds, c clears the screen, q quits, ? says this; Ctrl-C twice ends at once";

/// A terminal that passes on each key; dropped, it is as it was before.
#[derive(Debug)]
pub(crate) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Returns `None` where nobody sits before one, or somebody else has it.
    pub(crate) fn take() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_dumb || !stderr().is_terminal() || !is_ours() {
            return None;
        }
        let terminal = Self { before: tcgetattr(stdin()).ok()? };
        terminal.set();
        Some(terminal)
    }

    /// Once more, as a shell has its own way while this is stopped.
    pub(crate) fn set(&self) {
        if !is_ours() {
            return;
        }
        let mut each_key = self.before.clone();
        each_key.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        each_key.special_codes[SpecialCodeIndex::VMIN] = 1;
        each_key.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Without it, a key is read with the next line.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &each_key);
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
        // A read of a terminal can't be called off, so it is on a thread that nobody waits for.
        thread::spawn(move || {
            for byte in stdin().lock().bytes().map_while(Result::ok) {
                if let Some(key) = Key::of(byte)
                    && pressed.send(key).is_err()
                {
                    return;
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
