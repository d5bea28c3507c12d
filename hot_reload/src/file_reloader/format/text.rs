//! Bytes as text, and places in it.

use crate::file_reloader::error::ParseProblem;

/// Returns the text that `bytes` are, without a byte order mark.
///
/// NULs are refused here, since they are what a crash in the middle of a write leaves behind, and a
/// parser would only say that it did not expect them.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, ParseProblem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let lossy = String::from_utf8_lossy(bytes);
        // Up to the error the lossy text is the text.
        at(&lossy, error.valid_up_to(), 1, "this is not UTF-8; save the file as UTF-8".to_owned())
    })?;
    if bytes.contains(&0)
        && let Some(nul) = text.find('\0')
    {
        let message = "a NUL byte; the file was torn by a crash, or is binary".to_owned();
        return Err(at(text, nul, 1, message));
    }
    Ok(text.strip_prefix(MARK).unwrap_or(text))
}

/// What some editors begin each file with that is UTF-8.
const MARK: &str = "\u{feff}";

pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK.as_bytes()).unwrap_or(bytes)
}

/// Describes a problem at the byte `offset` of `text`, over `length` bytes.
pub(in crate::file_reloader) fn at(
    text: &str,
    offset: usize,
    length: usize,
    message: String,
) -> ParseProblem {
    let offset = floor(text, offset);
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line_text = text[start..].lines().next().unwrap_or_default();
    let end = floor(text, offset.saturating_add(length)).min(start + line_text.len());
    ParseProblem {
        line: text[..offset].matches('\n').count() + 1,
        column: text[start..offset].chars().count() + 1,
        width: text.get(offset..end).map_or(1, |meant| meant.chars().count().max(1)),
        line_text: line_text.to_owned(),
        message,
        loggable: None,
    }
}

/// Describes a problem at a line and column that a parser counted, both from 1.
#[cfg(any(feature = "json", feature = "yaml"))]
pub(super) fn at_line(text: &str, line: usize, column: usize, message: String) -> ParseProblem {
    let line = line.max(1);
    ParseProblem {
        line,
        column: column.max(1),
        width: 1,
        line_text: text.lines().nth(line - 1).unwrap_or_default().to_owned(),
        message,
        loggable: None,
    }
}

/// The nearest place at or before `offset` where a character begins.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        for (text, offset, length, line, column, width) in [
            ("", 0, 0, 1, 1, 1),
            ("abc", 3, 0, 1, 4, 1),
            ("a\nbc", 2, 1, 2, 1, 1),
            ("a\nbc", 2, 99, 2, 1, 2),
            ("é = x", 5, 1, 1, 5, 1),
            ("é", 1, 1, 1, 1, 1),
            ("a\r\nb", 1, 9, 1, 2, 1),
        ] {
            let problem = at(text, offset, length, String::new());
            assert_eq!(
                (problem.line, problem.column, problem.width),
                (line, column, width),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_text_is_refused_where_it_begins() {
        let problem = decode(b"a = 1\nb = \xff").unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 5));
        let problem = decode(b"a = 1\nb\0").unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 2));
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        assert_eq!(decode("\u{feff}a".as_bytes()).unwrap(), "a");
    }
}
