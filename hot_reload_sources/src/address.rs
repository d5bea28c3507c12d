//! Parts that the URLs of all stores have.

use percent_encoding::percent_decode_str;
#[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use zeroize::Zeroizing;

use crate::{
    access::{Access, Secret},
    error::StoreError,
};

/// What a URL ends in that means all keys that begin with what it names.
#[cfg(any(feature = "etcd", feature = "nats", feature = "postgres", feature = "redis"))]
pub(crate) const SET: &str = "set";

/// What is encoded in the path of a URL, which has these as they are.
#[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
pub(crate) const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'=')
    .remove(b'+')
    .remove(b',');

/// Returns what a part of a URL stands for; `None` where `%` begins no byte, and where it is not UTF-8.
///
/// A password may pass here, so no trace of it is left.
pub(crate) fn decoded(part: &str) -> Option<Zeroizing<String>> {
    let bytes = part.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let is_whole = (0..bytes.len()).all(|at| bytes[at] != b'%' || is_hex(at + 1) && is_hex(at + 2));
    let decoded = is_whole.then(|| percent_decode_str(part).decode_utf8())?.ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

/// Returns a host and a port as URLs have them.
#[cfg(any(feature = "etcd", feature = "nats", feature = "postgres", feature = "redis"))]
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Says that a URL is not of the form that it has to be; it is not quoted, as it may hold a password.
pub(crate) fn malformed(what: &str, form: &str) -> StoreError {
    StoreError::refused(format!("{what}; a URL has to be like {form}"))
}

impl Access {
    /// Takes the user and the password of a URL, each where there is none; empty ones are none.
    pub(crate) fn or(mut self, user: Option<String>, password: Option<Zeroizing<String>>) -> Self {
        let user = user.filter(|user| !user.is_empty());
        let password = password.filter(|password| !password.is_empty());
        self.user = self.user.or(user);
        self.password = self.password.or(password.map(|text| Secret::text(text.as_str())));
        self
    }

    /// Refuses a token, for a store that knows none.
    #[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
    pub(crate) fn without_token(self, store: &str) -> Result<Self, StoreError> {
        if self.token.is_some() {
            let told = format!("{store} knows no tokens; give a user and a password");
            return Err(StoreError::refused(told));
        }
        Ok(self)
    }

    /// Refuses files of certificates where nothing is encrypted, as whoever names them thinks it is.
    pub(crate) fn without_tls(self, encrypted: &str) -> Result<Self, StoreError> {
        if self.ca_file.is_some() || self.client_certificate.is_some() {
            let told =
                format!("certificates are given, and the URL is not encrypted; use {encrypted}");
            return Err(StoreError::refused(told));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_percent_encoding_is_told() {
        for (part, want) in [
            ("", Some("")),
            ("a%20b%2Fc", Some("a b/c")),
            ("%c3%bc", Some("ü")),
            ("%", None),
            ("a%2", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(part).as_ref().map(|text| text.as_str()), want, "{part}");
        }
    }

    #[cfg(any(feature = "etcd", feature = "nats", feature = "postgres", feature = "redis"))]
    #[test]
    fn addresses_of_the_sixth_version_have_brackets() {
        assert_eq!(authority("::1", 5), "[::1]:5");
        assert_eq!(authority("host", 5), "host:5");
    }

    #[tokio::test]
    async fn what_is_given_goes_before_what_the_url_says() {
        let secret = || Some(Zeroizing::new("url".to_owned()));
        let mine = Access::new().user("me").password(Secret::text("mine"));
        let mine = mine.or(Some("url".into()), secret());
        assert_eq!(mine.user.as_deref(), Some("me"));
        assert_eq!(*mine.password.unwrap().read().await.unwrap(), "mine");
        let theirs = Access::new().or(Some("url".into()), secret());
        assert_eq!(theirs.user.as_deref(), Some("url"));
        assert_eq!(*theirs.password.unwrap().read().await.unwrap(), "url");
        assert!(Access::new().or(Some(String::new()), None).user.is_none());
    }
}
