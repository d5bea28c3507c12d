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
/// the program was made with, in the words that serde puts it into, and symbols that a parser expects.
pub(crate) fn mask(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    if text.starts_with("missing field `") || names_symbols(text) {
        return text.to_owned();
    }
    let told = ["invalid type: ", "invalid value: ", "unknown field `", "unknown variant `"];
    // The last one: what stands before it may hold another.
    match text.rfind(", expected ").filter(|_| told.iter().any(|told| text.starts_with(told))) {
        Some(at) => mask_quoted(&text[..at]) + &text[at..],
        None => mask_quoted(text),
    }
}

/// Whether all that is quoted are symbols, of a character each, behind the only "expected": a parser's
/// own words, as no secret is so short.
fn names_symbols(text: &str) -> bool {
    let Some((at, _)) = first_quote(text) else { return false };
    let (before, quoted) = text.split_at(at);
    let before = before.strip_suffix("newline, ").unwrap_or(before);
    let is_expected = before == "expected " || before.ends_with(" expected ");
    is_expected && quoted.split(" or ").flat_map(|some| some.split(", ")).all(is_symbol)
}

/// Whether it is a character in quotes, which may be a quote of another kind.
fn is_symbol(quoted: &str) -> bool {
    let &[open, symbol, close] = quoted.as_bytes() else { return false };
    open == close && matches!(open, b'"' | b'\'' | b'`') && symbol.is_ascii_punctuation()
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
            ("key with no value, expected `=`", "key with no value, expected `=`"),
            ("invalid basic string, expected `\"`", "invalid basic string, expected `\"`"),
            ("invalid literal string, expected `'`", "invalid literal string, expected `'`"),
            ("an odd one, expected '`'", "an odd one, expected '`'"),
            ("expected `,` or `}`", "expected `,` or `}`"),
            ("a second value, expected newline, `#`", "a second value, expected newline, `#`"),
            ("no header, expected `]]`", "no header, expected `…`"),
            ("no key, expected `a`", "no key, expected `…`"),
            ("no key, expected `=` and `hunter2`", "no key, expected `…`"),
            ("no key, expected `=`hunter2", "no key, expected `…`hunter2"),
            ("no key, expected `=", "no key, expected `…"),
            ("unexpected `=`", "unexpected `…`"),
            ("custom `a` hunter2, expected `=`", "custom `…`"),
            ("open \"hunter2, expected `=`", "open \"…"),
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
