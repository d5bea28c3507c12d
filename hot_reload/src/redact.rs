//! Failures as a log may have them: what and where, without what was loaded.

use std::fmt::Display;

use crate::error::ReloaderError;

/// Returns the reason of `error` without any text that it may quote from the source.
///
/// Parsers put the value that they refuse into their message, in quotes, and the line that it
/// stands in below; either may be a secret. What is left is the first line, quoted parts masked.
pub(crate) fn for_log<V, S>(error: &ReloaderError<V, S>) -> String
where
    S: Display,
{
    #[cfg(feature = "file-reloader")]
    if let Some(error) = error.file_error() {
        return error.without_content();
    }
    mask(&error.words())
}

/// Returns the first line of `text`, with `…` for all from the first quote to the last of its kind.
///
/// What is quoted may hold quotes itself, so nothing in between is trusted to be outside; save what
/// the program was made with, in the words that serde puts it into.
pub(crate) fn mask(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    if text.starts_with("missing field `") {
        return text.to_owned();
    }
    let told = ["invalid type: ", "invalid value: ", "unknown field `", "unknown variant `"];
    // The last one: what stands before it may hold another.
    match text.rfind(", expected ").filter(|_| told.iter().any(|told| text.starts_with(told))) {
        Some(at) => mask_quoted(&text[..at]) + &text[at..],
        None => mask_quoted(text),
    }
}

fn mask_quoted(text: &str) -> String {
    let mut rest = text;
    let mut masked = String::with_capacity(rest.len());
    while let Some((open, quote)) = first_quote(rest) {
        let behind = open + quote.len_utf8();
        masked.push_str(&rest[..behind]);
        masked.push('…');
        match rest[behind..].rfind(quote) {
            Some(close) => rest = &rest[behind + close..],
            None => return masked,
        }
        masked.push(quote);
        rest = &rest[quote.len_utf8()..];
    }
    masked.push_str(rest);
    masked
}

fn first_quote(text: &str) -> Option<(usize, char)> {
    let mut before = ' ';
    text.char_indices().find(|&(_, c)| {
        // An apostrophe inside a word, as in "can't", opens no quotation.
        let opens = matches!(c, '"' | '`') || c == '\'' && !before.is_alphanumeric();
        before = c;
        opens
    })
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn keeps_where_and_masks_what() {
        for (text, want) in [
            ("no such file", "no such file"),
            ("can't read it", "can't read it"),
            (
                "invalid type: string \"hunter2\", expected u16 at line 3 column 7",
                "invalid type: string \"…\", expected u16 at line 3 column 7",
            ),
            ("invalid value: integer `42`, expected u8", "invalid value: integer `…`, expected u8"),
            ("missing field `port`", "missing field `port`"),
            (
                "unknown field `hunter2`, expected one of `id`, `port`",
                "unknown field `…`, expected one of `id`, `port`",
            ),
            (
                "unknown variant `a`, expected `hunter2`, expected `on` or `off`",
                "unknown variant `…`, expected `on` or `off`",
            ),
            ("custom `hunter2`, expected `hunter3`", "custom `…`"),
            ("string \"a\\\"hunter2\" ends", "string \"…\" ends"),
            ("open \"hunter2", "open \"…"),
            ("'it's hunter2' here", "'…' here"),
            ("\"a\\\\\" and \"hunter2\"", "\"…\""),
            ("key `a`b` is no `c`", "key `…`"),
            ("unknown 'hunter2' here", "unknown '…' here"),
            ("TOML parse error at line 1\n  |\n1 | key = hunter2", "TOML parse error at line 1"),
            ("", ""),
        ] {
            assert_eq!(mask(text), want, "{text}");
        }
    }
}
