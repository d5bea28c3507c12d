//! What a process has written last.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Lines that are kept, and bytes of them together: more than a window shows.
const LINES: usize = 200;
const BYTES: usize = 64 * 1024;

/// The last lines of a process, without their colours.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    last: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    pub(super) fn push(&self, line: &[u8]) {
        let line = without_colours(&String::from_utf8_lossy(line));
        // It is pushed to, or read.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.bytes += line.len();
        lines.last.push_back(line);
        while lines.last.len() > LINES || lines.bytes > BYTES {
            lines.bytes -= lines.last.pop_front().map_or(0, |line| line.len());
        }
    }

    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Takes away what is for a terminal: control sequences (ECMA-48, section 5.4), and other controls.
fn without_colours(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.as_str().starts_with('[') => {
                rest.next();
                // It ends by its final byte.
                rest.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\t' => text.push(c),
            _ if c.is_control() => {}
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_away_what_is_for_a_terminal() {
        for (line, text) in [
            ("\x1b[0m\x1b[1m\x1b[38;5;9merror\x1b[0m: a\tb", "error: a\tb"),
            ("done\r", "done"),
            ("\x1b[", ""),
            ("\x1b(Ä", "(Ä"),
        ] {
            assert_eq!(without_colours(line), text, "{line:?}");
        }
    }

    #[test]
    fn keeps_the_last_lines_within_bounds() {
        let tail = Tail::default();
        for n in 0..LINES + 5 {
            tail.push(n.to_string().as_bytes());
        }
        assert!(tail.text().starts_with("5\n6\n"));
        tail.push("a".repeat(BYTES).as_bytes());
        assert_eq!(tail.text().len(), BYTES);
    }
}
