//! What is written to a terminal, or to wherever else: lines, and under them how everything is.

use std::io::{IsTerminal, Write, stderr, stdout};

use rustix::termios::tcgetwinsize;

/// To the first column, and nothing on the line from there on (ECMA-48, CR and EL).
const ERASE: &[u8] = b"\r\x1b[K";
/// The screen, what was scrolled off it, and the cursor to its beginning (ECMA-48, ED and CUP).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J\x1b[3J";
/// Where a terminal doesn't say how wide it is.
const WIDTH: usize = 80;

#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The line that is under all others at the moment.
    drawn: Option<String>,
}

impl Screen {
    /// Writes whole lines.
    pub(crate) fn write(&mut self, is_error: bool, bytes: &[u8]) {
        self.erase();
        // Whoever has closed the other end doesn't want to know.
        let _ = if is_error { stderr().write_all(bytes) } else { stdout().write_all(bytes) };
    }

    /// How many columns a line may have.
    pub(crate) fn columns() -> usize {
        let width = tcgetwinsize(stderr()).map_or(WIDTH, |size| size.ws_col.into());
        // After the last one, some terminals go on with the next line.
        if width == 0 { WIDTH } else { width - 1 }
    }

    /// Draws a line under all others, cut where it would need two.
    pub(crate) fn draw(&mut self, line: &str) {
        let line: String = line.chars().take(Self::columns()).collect();
        if self.drawn.as_ref() == Some(&line) {
            return;
        }
        self.erase();
        // As above.
        let _ = stderr().write_all(format!("\x1b[2m{line}\x1b[0m").as_bytes());
        self.drawn = Some(line);
    }

    pub(crate) fn erase(&mut self) {
        if self.drawn.take().is_some() {
            // As above.
            let _ = stderr().write_all(ERASE);
        }
    }

    pub(crate) fn clear(&mut self) {
        if stderr().is_terminal() {
            self.drawn = None;
            // As above.
            let _ = stderr().write_all(CLEAR);
        }
    }
}
