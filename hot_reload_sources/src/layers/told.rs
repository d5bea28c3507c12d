//! Words of others, without the values that they may quote.

/// Returns `words` with `…` wherever `text` stands as a word of its own.
pub(super) fn hide(words: &str, text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return words.to_owned();
    }
    let mut rest = words;
    let mut hidden = String::with_capacity(words.len());
    while let Some(at) = rest.find(text) {
        let (before, behind) = (&rest[..at], &rest[at + text.len()..]);
        let joins = |c: Option<char>, own: Option<char>| {
            c.is_some_and(char::is_alphanumeric) && own.is_some_and(char::is_alphanumeric)
        };
        let last = before.chars().next_back().or_else(|| hidden.chars().next_back());
        let is_word = !joins(last, text.chars().next())
            && !joins(behind.chars().next(), text.chars().next_back());
        hidden.push_str(before);
        hidden.push_str(if is_word { "…" } else { text });
        rest = behind;
    }
    hidden + rest
}

/// Returns `words` with `…` for all between the first quote and the last.
pub(super) fn mask(words: &str) -> String {
    let is_quote = |c: char| matches!(c, '"' | '`');
    let opens = words.char_indices().find(|&(at, c)| {
        // An apostrophe inside a word, as in "can't", opens no quotation.
        let before = words[..at].chars().next_back();
        is_quote(c) || c == '\'' && !before.is_some_and(char::is_alphanumeric)
    });
    let Some((open, quote)) = opens else { return words.to_owned() };
    let behind = open + quote.len_utf8();
    let rest = &words[behind..];
    match rest.rfind(|c| is_quote(c) || c == '\'') {
        Some(close) => format!("{}…{}", &words[..open], &rest[close + 1..]),
        None => format!("{}…", &words[..open]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_words_alone() {
        for (words, text, want) in [
            ("port 70000 is too large", "70000", "port … is too large"),
            ("170000 is more than 70000", "70000", "170000 is more than …"),
            ("hunter2", "hunter2", "…"),
            ("hunter2hunter2 hunter2", "hunter2", "hunter2hunter2 …"),
            ("nothing", "", "nothing"),
            ("a/b=c", "/b=", "a…c"),
        ] {
            assert_eq!(hide(words, text), want, "{words}");
        }
    }

    #[test]
    fn masks_what_is_quoted() {
        for (words, want) in [
            ("can't be read", "can't be read"),
            ("unit \"foo\" is not one of \"s\"", "unit …"),
            ("unknown `x` here", "unknown … here"),
            ("open 'x", "open …"),
        ] {
            assert_eq!(mask(words), want, "{words}");
        }
    }
}
