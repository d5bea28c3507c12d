//! What an `etcd://` URL says.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    access::{Access, Secret},
    error::StoreError,
};

/// What etcd listens at for its clients.
const PORT: u16 = 2379;
/// A path has these as they are.
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'=')
    .remove(b'+')
    .remove(b',');

/// The members of a cluster, by host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) is_tls: bool,
    pub(super) addresses: Vec<String>,
}

impl Members {
    /// What the gRPC client calls the member at `address`.
    pub(super) fn endpoint(&self, address: &str) -> String {
        format!("{}://{address}", if self.is_tls { "https" } else { "http" })
    }

    /// The URL of `key`, without secrets.
    pub(super) fn url(&self, key: &str) -> String {
        let scheme = if self.is_tls { "etcds" } else { "etcd" };
        format!("{scheme}://{}/{}", self.addresses.join(","), encode(key))
    }
}

/// `key` as a path.
pub(super) fn encode(key: &str) -> impl std::fmt::Display {
    utf8_percent_encode(key, NOT_IN_A_PATH)
}

/// Takes a URL apart: members, who comes, and the key, which may be empty.
pub(super) fn parse(url: &str, access: Access) -> Result<(Members, Access, String), StoreError> {
    // Nothing of the URL is quoted: what is malformed may have its password anywhere.
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let is_tls = match scheme {
        "etcd" => false,
        "etcds" => true,
        _ => return Err(malformed("begin it with etcd://, or with etcds:// for TLS")),
    };
    if rest.contains(['?', '#']) {
        return Err(malformed("etcd has no query and no fragment; write %3F and %23 in a key"));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (access, hosts) = match authority.rsplit_once('@') {
        Some((who, hosts)) => (with_user(access, who)?, hosts),
        None => (access, authority),
    };
    let addresses = hosts.split(',').map(address).collect::<Result<_, _>>()?;
    let key = decode(path).ok_or_else(|| malformed("its path is not UTF-8"))?;
    Ok((Members { is_tls, addresses }, access, key.to_string()))
}

fn with_user(access: Access, who: &str) -> Result<Access, StoreError> {
    if access.user.is_some() || access.password.is_some() {
        return Err(malformed("it names a user, and so do the credentials; keep one of them"));
    }
    let (user, password) = who.split_once(':').map_or((who, None), |(user, it)| (user, Some(it)));
    let part = |part| decode(part).ok_or_else(|| malformed("its user or password is not UTF-8"));
    let access = access.user(part(user)?.as_str());
    Ok(match password {
        Some(password) => access.password(Secret::text(part(password)?.as_str())),
        None => access,
    })
}

/// `host` with its port.
fn address(host: &str) -> Result<String, StoreError> {
    let wrong = || malformed("name the members as host:port, with commas between them");
    let url = Url::parse(&format!("etcd://{host}")).map_err(|_| wrong())?;
    let is_host_only = url.path().is_empty() && !host.contains('@');
    let name = url.host_str().filter(|name| !name.is_empty() && is_host_only).ok_or_else(wrong)?;
    Ok(format!("{name}:{}", url.port().unwrap_or(PORT)))
}

fn decode(part: &str) -> Option<Zeroizing<String>> {
    let text = percent_decode_str(part).decode_utf8().ok()?;
    Some(Zeroizing::new(text.into_owned()))
}

fn malformed(what: &str) -> StoreError {
    StoreError::refused(format!("not the URL of an etcd: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, String) {
        let (members, _, key) = parse(url, Access::new()).unwrap();
        (members.url(&key), key)
    }

    #[test]
    fn names_members_and_a_key() {
        for (url, want, key) in [
            ("etcd://a/k", "etcd://a:2379/k", "k"),
            ("etcd://a:1,b:2/prod/s.toml", "etcd://a:1,b:2/prod/s.toml", "prod/s.toml"),
            ("etcds://[::1]:7//abs", "etcds://[::1]:7//abs", "/abs"),
            ("etcd://a", "etcd://a:2379/", ""),
            ("etcd://a/", "etcd://a:2379/", ""),
            ("etcd://a/50%25%3F%20x", "etcd://a:2379/50%25%3F%20x", "50%? x"),
        ] {
            assert_eq!(parsed(url), (want.to_owned(), key.to_owned()), "{url}");
        }
    }

    #[tokio::test]
    async fn a_password_is_taken_out() {
        let url = "etcd://app:p%40ss@w@a:1,b:2/k";
        let (members, access, key) = parse(url, Access::new()).unwrap();
        assert_eq!(members.url(&key), "etcd://a:1,b:2/k");
        assert_eq!(access.user.as_deref(), Some("app"));
        assert_eq!(*access.password.unwrap().read().await.unwrap(), "p@ss@w");
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_not_quoted() {
        for url in [
            "hunter2",
            "http://app:hunter2@a/k",
            "etcd://app:hunter2@/k",
            "etcd://app:hunter2@a:port/k",
            "etcd://app:hunter2@a,,b/k",
            "etcd://app:hunter2@a/k?prefix",
            "etcd://app:hunter2%FF@a/k",
        ] {
            let told = format!("{:?}", parse(url, Access::new()).unwrap_err());
            assert!(!told.contains("hunter2"), "{told}");
        }
        let twice = parse("etcd://app:hunter2@a/k", Access::new().user("b")).unwrap_err();
        assert!(twice.to_string().contains("keep one"), "{twice}");
    }
}
