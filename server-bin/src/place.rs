//! Where the configuration is, as the command line says it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

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

/// Without what stands before the host, where a password may be.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Self::File(path) => return path.display().fmt(f),
            Self::Url(url) => url,
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let authority = rest.find('/').unwrap_or(rest.len());
        let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
        write!(f, "{scheme}://{}", &rest[host..])
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

    #[test]
    fn a_password_is_not_shown() {
        for (written, shown) in [
            ("etcd://app:hunter2@host:2379/key", "etcd://host:2379/key"),
            ("etcd://app:hunter@2@host/k@y", "etcd://host/k@y"),
            ("etcd://host", "etcd://host"),
        ] {
            assert_eq!(Place::try_from(OsString::from(written)).unwrap().to_string(), shown);
        }
    }
}
