//! Where in a page the place for a script is.

/// Where in a page a scan is, as far as it matters before the first element
/// (<https://html.spec.whatwg.org/multipage/parsing.html#tokenization>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scan {
    /// Before the first byte.
    #[default]
    Begin,
    Text,
    /// In the tag of `html` or of `head`.
    Tag {
        is_head: bool,
        value: Value,
    },
    /// After `<!`, and so many dashes.
    Bang {
        dashes: u8,
    },
    /// In a comment, after so many dashes in a row.
    Comment {
        dashes: u8,
    },
    /// In anything else that ends by `>`.
    Other,
}

/// Where in an attribute a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Not in its value.
    Outside,
    /// Right after the `=`.
    Begins,
    Quoted(u8),
    Bare,
}

/// What a scan has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The snippet goes to this place.
    Place(usize),
    /// Everything may pass.
    Nothing,
    /// Everything may pass, and there is no place: it is UTF-16, as its first two bytes say
    /// (<https://encoding.spec.whatwg.org/#bom-sniff>).
    Never,
    /// What follows from here may be the first element.
    Maybe(usize),
}

/// The name of a tag, as far as it has come.
enum Name {
    Html,
    Head,
    Another,
    Unfinished,
}

impl Scan {
    /// Goes on with what comes next of a page, and with what it has said [`Found::Maybe`] of.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Found {
        if *self == Self::Begin {
            match bytes {
                [] => return Found::Nothing,
                [0xfe | 0xff] => return Found::Maybe(0),
                [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => return Found::Never,
                _ => *self = Self::Text,
            }
        }
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if *self == Self::Text && byte == b'<' {
                let rest = &bytes[at + 1..];
                *self = match rest.first() {
                    None => return Found::Maybe(at),
                    Some(b'!') => Self::Bang { dashes: 0 },
                    Some(b'?' | b'/') => Self::Other,
                    Some(letter) if letter.is_ascii_alphabetic() => match name(rest) {
                        Name::Another => return Found::Place(at),
                        Name::Unfinished => return Found::Maybe(at),
                        Name::Html => Self::Tag { is_head: false, value: Value::Outside },
                        Name::Head => Self::Tag { is_head: true, value: Value::Outside },
                    },
                    Some(_) => Self::Text,
                };
                at += match self {
                    // What comes after it may be another.
                    Self::Text => "<".len(),
                    Self::Tag { .. } => "<html".len(),
                    _ => "<!".len(),
                };
                continue;
            }
            at += 1;
            if byte == b'>'
                && let Self::Tag { is_head: true, value } = *self
                && !matches!(value, Value::Quoted(_))
            {
                return Found::Place(at);
            }
            *self = self.after(byte);
        }
        Found::Nothing
    }

    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Begin | Self::Text, _)
            | (
                Self::Tag { value: Value::Outside | Value::Begins | Value::Bare, .. }
                | Self::Comment { dashes: 2.. }
                | Self::Bang { .. }
                | Self::Other,
                b'>',
            ) => Self::Text,
            (Self::Tag { is_head, value }, _) => Self::Tag { is_head, value: value.after(byte) },
            (Self::Bang { dashes: 1 }, b'-') => Self::Comment { dashes: 2 },
            (Self::Bang { dashes }, b'-') => Self::Bang { dashes: dashes + 1 },
            (Self::Comment { dashes }, b'-') => Self::Comment { dashes: dashes.saturating_add(1) },
            (Self::Comment { dashes: 2.. }, b'!') => self,
            (Self::Comment { .. }, _) => Self::Comment { dashes: 0 },
            (Self::Bang { .. } | Self::Other, _) => Self::Other,
        }
    }
}

impl Value {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Outside, b'=') => Self::Begins,
            (Self::Begins, b'"' | b'\'') => Self::Quoted(byte),
            (Self::Begins, _) if byte.is_ascii_whitespace() => Self::Begins,
            (Self::Begins, _) => Self::Bare,
            (Self::Quoted(quote), _) if quote == byte => Self::Outside,
            (Self::Bare, _) if byte.is_ascii_whitespace() => Self::Outside,
            (same, _) => same,
        }
    }
}

fn name(bytes: &[u8]) -> Name {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
    let length = bytes.iter().position(is_end);
    let so_far = &bytes[..length.unwrap_or(bytes.len())];
    let begins = |name: &str| {
        so_far.len() <= name.len() && so_far.eq_ignore_ascii_case(&name.as_bytes()[..so_far.len()])
    };
    match length {
        None if begins("html") || begins("head") => Name::Unfinished,
        Some(4) if begins("html") => Name::Html,
        Some(4) if begins("head") => Name::Head,
        _ => Name::Another,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_or_where_it_may_be() {
        for (pieces, wanted) in [
            (&["<head>x"][..], Found::Place(6)),
            (&["<html lang=a><head a='>'", " >x"], Found::Place(2)),
            (&["<html><body>"], Found::Place(6)),
            (&["text <p>"], Found::Place(5)),
            (&["text"], Found::Nothing),
            (&[""], Found::Nothing),
            (&["text <"], Found::Maybe(5)),
            (&["<he"], Found::Maybe(0)),
            (&["<html", "><h"], Found::Maybe(1)),
            (&["<!-- <p> -", "-><p>"], Found::Place(2)),
            (&["<!doctype html", ">"], Found::Nothing),
            (&["<head a=\"", ">", "\">"], Found::Place(2)),
        ] {
            let mut scan = Scan::default();
            let found = pieces.iter().map(|piece| scan.scan(piece.as_bytes())).last();
            // What may be the beginning of a name is put before what comes next, but not by this test.
            assert_eq!(found, Some(wanted), "{pieces:?}");
        }
    }

    #[test]
    fn finds_none_in_what_is_wide() {
        for (bytes, wanted) in [
            (&[0xff][..], Found::Maybe(0)),
            (&[0xff, 0xfe, b'<', 0], Found::Never),
            (&[0xfe, 0xff, 0, b'<'], Found::Never),
            // Of UTF-8, and of nothing.
            (&[0xef, 0xbb, 0xbf, b'<', b'p', b'>'], Found::Place(3)),
            (&[0xff, b'<', b'p', b'>'], Found::Place(1)),
        ] {
            assert_eq!(Scan::default().scan(bytes), wanted, "{bytes:?}");
        }
    }
}
