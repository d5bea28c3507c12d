//! What an `etcd://` URL says.

use percent_encoding::utf8_percent_encode;
use url::Url;

use super::keys::Keys;
use crate::{
    access::Access,
    address::{self, NOT_IN_A_PATH, decoded},
    error::StoreError,
};

/// What etcd listens at for its clients.
const PORT: u16 = 2379;

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

/// What a URL says.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) members: Members,
    pub(super) access: Access,
    /// Whether it names a key, be it an empty one, or a set of them.
    pub(super) keys: Option<Keys>,
}

/// Takes a URL apart. Nothing of it is quoted: what is malformed may have its password anywhere.
pub(super) fn parse(url: &str, access: Access) -> Result<Parts, StoreError> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let is_tls = match scheme {
        "etcd" => false,
        "etcds" => true,
        _ => return Err(malformed("it begins with neither etcd:// nor etcds://")),
    };
    let (rest, is_set) = match rest.split_once('#') {
        None => (rest, false),
        Some((rest, address::SET)) => (rest, true),
        Some(_) => return Err(malformed("only #set may be behind a key; write # in one as %23")),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // Else what is in front of it might be the rest of a password.
    if path.contains(['?', '@']) {
        return Err(malformed("write / in a password as %2F, and ? and @ in a key as %3F and %40"));
    }
    let (who, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = who.split_once(':').map_or((who, None), |(user, it)| (user, Some(it)));
    let part = |part| decoded(part).ok_or_else(|| malformed("its % are not followed by UTF-8"));
    let user = Some(part(user)?.to_string());
    let access = access.or(user, password.map(part).transpose()?).without_token("etcd")?;
    if access.user.is_some() != access.password.is_some() {
        return Err(StoreError::refused("a user and a password go together; give both"));
    }
    let access = if is_tls { access } else { access.without_tls("etcds://")? };
    let addresses = hosts.split(',').map(member).collect::<Result<_, _>>()?;
    let key = part(path)?.to_string();
    let keys = match is_set {
        true => Some(Keys::Prefix(key)),
        false if key.is_empty() => None,
        false => Some(Keys::Key(key)),
    };
    Ok(Parts { members: Members { is_tls, addresses }, access, keys })
}

/// `host` with its port.
fn member(host: &str) -> Result<String, StoreError> {
    let wrong = || malformed("its members can't be understood");
    let url = Url::parse(&format!("etcd://{host}")).map_err(|_| wrong())?;
    let is_host_only = url.path().is_empty() && !host.contains('@');
    let name = url.host_str().filter(|name| !name.is_empty() && is_host_only).ok_or_else(wrong)?;
    Ok(address::authority(name, url.port().unwrap_or(PORT)))
}

fn malformed(what: &str) -> StoreError {
    address::malformed(what, "etcd://host:2379,host:2379/key, or etcds:// for TLS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Secret;

    fn parsed(url: &str) -> (String, Option<Keys>) {
        let Parts { members, keys, .. } = parse(url, Access::new()).unwrap();
        (members.url(keys.as_ref().map_or("", Keys::start)), keys)
    }

    #[test]
    fn names_members_and_a_key() {
        for (url, want, key) in [
            ("etcd://a/k", "etcd://a:2379/k", "k"),
            ("etcd://a:1,b:2/prod/s.toml", "etcd://a:1,b:2/prod/s.toml", "prod/s.toml"),
            ("etcds://[::1]:7//abs", "etcds://[::1]:7//abs", "/abs"),
            ("etcd://a/50%25%3F%20%40x/", "etcd://a:2379/50%25%3F%20%40x/", "50%? @x/"),
        ] {
            assert_eq!(parsed(url), (want.to_owned(), Some(Keys::Key(key.into()))), "{url}");
            // A name is a URL again.
            assert_eq!(parsed(want).0, want);
        }
        for url in ["etcd://a", "etcd://a/"] {
            assert_eq!(parsed(url), ("etcd://a:2379/".to_owned(), None), "{url}");
        }
    }

    #[test]
    fn a_set_is_said_by_the_fragment() {
        for (url, prefix) in
            [("etcd://a/f/#set", "f/"), ("etcd://a/#set", ""), ("etcd://a#set", "")]
        {
            assert_eq!(parsed(url).1, Some(Keys::Prefix(prefix.into())), "{url}");
        }
    }

    #[tokio::test]
    async fn a_password_is_taken_out() {
        let url = "etcd://app:p%40ss@w@a:1,b:2/k";
        let Parts { members, access, .. } = parse(url, Access::new()).unwrap();
        assert_eq!(members.url("k"), "etcd://a:1,b:2/k");
        assert_eq!(access.user.as_deref(), Some("app"));
        assert_eq!(*access.password.unwrap().read().await.unwrap(), "p@ss@w");
        let given = Access::new().user("me").password(Secret::text("mine"));
        let access = parse(url, given).unwrap().access;
        assert_eq!(access.user.as_deref(), Some("me"));
        assert_eq!(*access.password.unwrap().read().await.unwrap(), "mine");
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
            "etcd://app:hunter2@a/k#prefix",
            "etcd://app:hunter2%FF@a/k",
            "etcd://app:hunter2%zz@a/k",
            "etcd://app:1/hunter2@a/k",
            "etcd://app:1#hunter2@a/k",
        ] {
            let told = parse(url, Access::new()).unwrap_err();
            assert!(told.is_refused(), "{url}");
            assert!(!format!("{told:?}").contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_can_not_be_meant_is_told_at_once() {
        for (access, want) in [
            (Access::new().user("app"), "go together"),
            (Access::new().token(Secret::text("hunter2")), "no tokens"),
            (Access::new().ca_file("/ca"), "etcds://"),
        ] {
            let told = parse("etcd://a/k", access).unwrap_err();
            assert!(told.is_refused() && told.to_string().contains(want), "{told}");
        }
    }
}
