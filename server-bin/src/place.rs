//! Where the configuration is, as the command line says it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

use hot_reload_sources::{Access, Store, from_url};

/// A file, or a place in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    /// As it was written.
    Url(String),
}

impl TryFrom<OsString> for Place {
    type Error = &'static str;

    fn try_from(written: OsString) -> Result<Self, Self::Error> {
        if written == OsStr::new("-") {
            return Err("standard input can't be followed; the file of that name is ./-");
        }
        Ok(match written.into_string() {
            Ok(text) if is_url(&text) => Self::Url(text),
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

/// Of a URL, what its store calls it, which is without secrets.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => match from_url(url, Access::new()) {
                Ok(store) => f.write_str(&store.name()),
                Err(_) => f.write_str("the URL"),
            },
        }
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
            assert_eq!(matches!(place, Place::Url(_)), is_url, "{written}");
        }
        assert!(Place::try_from(OsString::from("-")).is_err());
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
            assert_eq!(Place::try_from(OsString::from(written)).unwrap().to_string(), shown);
        }
    }
}
