//! Where the configuration is, as the command line says it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

use hot_reload_sources::{Access, Store, from_url};

/// A file, or a place in a store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    Store(Url),
}

/// The URL of a place in a store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// As it was written, which may be with a password.
    pub(crate) written: String,
    /// What its store calls it, which is without secrets.
    name: String,
}

impl Url {
    fn new(written: String) -> Self {
        let store = from_url(&written, Access::new());
        let name = store.map_or_else(|_| "the URL".to_owned(), |store| store.name());
        Self { written, name }
    }

    /// Whether there is a password in it, which whoever is on this machine sees in the list of processes.
    pub(crate) fn has_password(&self) -> bool {
        let (_scheme, rest) = self.written.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, _hosts) = authority.rsplit_once('@').unwrap_or_default();
        user.split_once(':').is_some_and(|(_user, password)| !password.is_empty())
            || ["?pass=", "&pass=", "?password=", "&password="].iter().any(|key| rest.contains(key))
    }
}

impl TryFrom<OsString> for Place {
    type Error = &'static str;

    fn try_from(written: OsString) -> Result<Self, Self::Error> {
        if written == OsStr::new("-") {
            return Err("standard input can't be followed; the file of that name is ./-");
        }
        if written.is_empty() {
            return Err("it is empty; name a file, or the URL of a place in a store");
        }
        Ok(match written.into_string() {
            Ok(text) if is_url(&text) => Self::Store(Url::new(text)),
            Ok(text) => Self::File(text.into()),
            Err(written) => Self::File(written.into()),
        })
    }
}

/// Whether it begins as a URL does (RFC 3986, section 3.1); no path of a file needs two slashes there.
fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Store(url) => f.write_str(&url.name),
        }
    }
}

/// As it is shown, without secrets.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_from_a_path() {
        for (written, is_url) in [
            ("config.toml", false),
            ("./etcd://host", false),
            ("://x", false),
            ("1a://x", false),
            ("C:/x", false),
            ("etcd://host/key", true),
            ("nats+tls://host/bucket/key", true),
        ] {
            let place = Place::try_from(OsString::from(written)).unwrap();
            assert_eq!(matches!(place, Place::Store(_)), is_url, "{written}");
        }
        for written in ["-", ""] {
            assert!(Place::try_from(OsString::from(written)).is_err(), "{written:?}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_password_is_not_shown() {
        for (written, shown) in [
            ("redis://app:hunter2@host/0/key", "redis://host:6379/0/key"),
            ("redis+unix:///s?pass=hunter2&key=k", "redis+unix:///s?db=0&key=k"),
            ("redis://host/0/k?pass=hunter2", "the URL"),
            ("nowhere://hunter2", "the URL"),
        ] {
            let place = Place::try_from(OsString::from(written)).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(format!("{place:?}"), shown);
        }
    }

    #[test]
    fn a_password_in_a_url_is_found() {
        for (written, has_password) in [
            ("redis://:hunter2@host/0/key", true),
            ("postgres://app:hunter2@a,b/db/key", true),
            ("postgres://host/db/key?user=app&password=hunter2", true),
            ("redis+unix:///s?pass=hunter2&key=k", true),
            ("redis://app@host:6379/0/key", false),
            ("redis://app:@host:6379/0/key", false),
            ("etcd://a:2379,b:2379/key:of@mine", false),
            ("https://host/config.toml?passage=1", false),
        ] {
            assert_eq!(Url::new(written.to_owned()).has_password(), has_password, "{written}");
        }
    }
}
