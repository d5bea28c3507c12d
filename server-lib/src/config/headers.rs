//! Which headers a configuration may set.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};

use super::table;

/// Those that frame a message or belong to one connection: RFC 9110, sections 7.6.1 and 8.6.
pub(super) const OURS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// More than anybody sets. A map of headers has room for some thousands and panics beyond; a client that reads 100
/// in all, as hyper's does, takes fewer of ours.
pub(super) const MOST_HEADERS: usize = 100;

const TWICE: &str = "this header is listed twice; keep one";

/// Makes headers of pairs of text.
pub(super) fn map(pairs: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    if pairs.len() > MOST_HEADERS {
        return Err(too_many());
    }
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (key, text) in pairs {
        let told = |problem: &str| format!("{key:?}: {problem}");
        let name = name(key).map_err(|problem| told(&problem))?;
        if headers.insert(name, value(text).map_err(told)?).is_some() {
            return Err(told(TWICE));
        }
    }
    Ok(headers)
}

/// Deserializes pairs that are headers; an error stands where the name or the value does.
pub(super) fn pairs<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Pairs)
}

fn too_many() -> String {
    format!("there are at most {MOST_HEADERS} headers of every response: take some out")
}

fn name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.parse().map_err(|_invalid| "not a name of a header")?;
    if OURS.contains(&name) {
        return Err("this header is the server's own".to_owned());
    }
    // Whatever is written below the table would be sent to every client, and nothing be set by it.
    table::check(text)?;
    Ok(name)
}

// A value may be a secret, so no error of it quotes it.
fn value(text: &str) -> Result<HeaderValue, &'static str> {
    text.parse().map_err(|_invalid| "not a value of a header")
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers and their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut pairs, mut known) = (BTreeMap::new(), HashSet::new());
        // Beside those before it, so that an error stands where the second one does.
        while let Some(name) = map.next_key_seed(Beside(&mut known))? {
            let Value(value) = map.next_value()?;
            pairs.insert(name, value);
        }
        Ok(pairs)
    }
}

/// A name that none of those before is, in whatever case (RFC 9110, section 5.1); it is added to them.
struct Beside<'a>(&'a mut HashSet<HeaderName>);

impl<'de> DeserializeSeed<'de> for Beside<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        // One is in lower case, however it is written.
        if !self.0.insert(name(&text).map_err(Error::custom)?) {
            return Err(Error::custom(TWICE));
        }
        if self.0.len() > MOST_HEADERS {
            return Err(Error::custom(too_many()));
        }
        Ok(text)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Value(String);

impl TryFrom<String> for Value {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        value(&text).map(|_value| Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_HEADERS, too_many};
    use crate::config::{ServerConfig, tests::problem};

    #[test]
    fn points_at_the_name_or_the_value_that_is_wrong() {
        for (pairs, at, says) in [
            ("'a b' = 'c'", "'a b'", "not a name of a header"),
            ("x = \"a\\nb\"", "\"a\\nb\"", "not a value of a header"),
            ("Content-Length = '3'", "Content-Length", "this header is the server's own"),
            ("X-A = '1'\nx-a = '2'", "x-a", super::TWICE),
            (
                "admin_address = '127.0.0.1:1'",
                "admin_address",
                "admin_address is a key of the file itself: write it above the first [table]",
            ),
            (
                "worker_threads = 2",
                "worker_threads",
                "worker_threads is a key of the file itself: write it above the first [table]",
            ),
        ] {
            let text = format!("[response_headers]\n{pairs}");
            assert_eq!(problem(&text), (says.to_owned(), at), "{text}");
        }
    }

    /// More than a map of headers has room for panicked as they were put into one.
    #[test]
    fn points_at_the_first_header_that_is_too_many() {
        let text = |many: usize| {
            let headers: Vec<_> = (0..many).map(|n| format!("x-{n:05} = 'v'")).collect();
            let headers = headers.join("\n");
            format!("listen_addresses = ['[::1]:1']\n[response_headers]\n{headers}")
        };
        let most: ServerConfig = toml::from_str(&text(MOST_HEADERS)).unwrap();
        assert_eq!(most.validate(), Ok(()));
        for many in [MOST_HEADERS + 1, 30_000] {
            assert_eq!(problem(&text(many)), (too_many(), "x-00100"));
        }
        let pairs = (0..30_000).map(|n| (format!("x-{n}"), String::new())).collect();
        let config = ServerConfig { response_headers: pairs, ..most };
        let invalid = config.validate().unwrap_err();
        assert_eq!((invalid.key(), invalid.problem()), ("response_headers", &*too_many()));
    }
}
