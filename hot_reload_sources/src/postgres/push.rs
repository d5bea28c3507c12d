//! What a notification of the conventional table says.

/// One change, as the trigger of `hot_reload.sql` tells it: a line `<revision> <epoch> <sign><key>`, and
/// after it the value where that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) revision: u64,
    /// Which table it is of; another schema may have one too.
    pub(super) epoch: String,
    pub(super) told: Told,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Value(String),
    Removed,
    /// Too large to be told, or all keys at once.
    Elsewhere,
}

/// What a payload is to those who follow some key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Push(Push),
    /// It may be of any key, or was sent by somebody else: only a read can tell.
    Unclear,
    /// It is of a key that is not followed here.
    Another,
}

/// Tells what `payload` is to those who follow what `is_followed` says.
pub(super) fn hear(payload: &str, is_followed: impl Fn(&str) -> bool) -> Heard {
    let (header, value) = match payload.split_once('\n') {
        Some((header, value)) => (header, Some(value)),
        None => (payload, None),
    };
    let mut parts = header.splitn(3, ' ');
    let revision = parts.next().and_then(|revision| revision.parse().ok());
    let (Some(revision), Some(epoch), Some(change)) = (revision, parts.next(), parts.next()) else {
        return Heard::Unclear;
    };
    let told = match (change.split_at_checked(1), value) {
        (Some(("=" | "-" | ">", key)), _) if !is_followed(key) => return Heard::Another,
        (Some(("=", _)), Some(value)) => Told::Value(value.to_owned()),
        (Some(("-", _)), None) => Told::Removed,
        (Some((">", _) | ("*", "")), None) => Told::Elsewhere,
        _ => return Heard::Unclear,
    };
    Heard::Push(Push { revision, epoch: epoch.to_owned(), told })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_told_apart() {
        let push = |told| Heard::Push(Push { revision: 7, epoch: "5c1a".into(), told });
        for (payload, want) in [
            ("7 5c1a =a\nn = 1\nm = 2\n", push(Told::Value("n = 1\nm = 2\n".into()))),
            ("7 5c1a =a\n", push(Told::Value(String::new()))),
            ("7 5c1a -a", push(Told::Removed)),
            ("7 5c1a >a", push(Told::Elsewhere)),
            ("7 5c1a *", push(Told::Elsewhere)),
            ("7 5c1a =a b\nn = 1", Heard::Another),
            ("7 5c1a -b", Heard::Another),
            ("7 5c1a =a", Heard::Unclear),
            ("7 5c1a ", Heard::Unclear),
            ("7 5c1a éa", Heard::Unclear),
            ("-7 5c1a -a", Heard::Unclear),
            ("", Heard::Unclear),
        ] {
            assert_eq!(hear(payload, |key| key == "a"), want, "{payload}");
        }
    }
}
