//! What a URL says of a server, and of a place in it.

use std::path::PathBuf;

use url::{Host, Url};
use zeroize::Zeroizing;

use super::{
    dial::{Place, Server},
    name::FIELDS,
    query::Shape,
    sentinel::Sentinels,
};
use crate::{
    access::Access,
    address::{self, SET},
    error::StoreError,
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const FORM: &str = "redis://host:6379/0/key, redis://host:6379/0/hash#set, \
                    rediss://host:6379/0/key, redis+unix:///run/redis.sock?db=0&key=key or \
                    redis+sentinel://host:26379/primary/0/key";

pub(super) struct Address {
    pub(super) server: Server,
    pub(super) key: Option<String>,
    pub(super) shape: Shape,
}

impl Address {
    /// Parses `url`, and takes the user and the password out of it; no error quotes it.
    pub(super) fn parse(url: &str, access: Access) -> Result<Self, StoreError> {
        let url = Url::parse(url).map_err(|error| malformed("not a URL").because(error))?;
        let shape = match url.fragment() {
            None => Shape::Text,
            Some(SET | FIELDS) => Shape::Hash,
            Some(_) => return Err(malformed("a fragment that is not #set; write %23 in a key")),
        };
        // The rest of a password that has a slash in it would be told as a part of the key.
        if url.path().contains('@') {
            return Err(malformed(
                "an @ behind the host; write %40 in a key, and %2F in a password",
            ));
        }
        let mut user = Some(decoded(url.username())?.to_string());
        let mut password = url.password().map(decoded).transpose()?;
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let (mut at, mut db, mut key) = match url.scheme() {
            "redis" | "valkey" => {
                let (host, port) = host(&url, PORT)?;
                let (db, key) = place(path)?;
                (Place::Tcp { host, port }, db, key)
            }
            "rediss" | "valkeys" => {
                let (host, port) = host(&url, PORT)?;
                let (db, key) = place(path)?;
                (Place::Tls { host, port }, db, key)
            }
            scheme @ ("redis+sentinel" | "rediss+sentinel") => {
                let hosts = vec![host(&url, SENTINEL_PORT)?];
                let (primary, rest) = path.split_once('/').unwrap_or((path, ""));
                let (db, key) = place(rest)?;
                let (primary, is_tls) =
                    (decoded(primary)?.to_string(), scheme.starts_with("rediss"));
                (Place::Sentinels(Sentinels { hosts, primary, is_tls }), db, key)
            }
            "redis+unix" | "valkey+unix" => {
                (Place::Unix(PathBuf::from(&*decoded(url.path())?)), 0, None)
            }
            _ => return Err(malformed("a URL of something else")),
        };
        let is_socket = matches!(at, Place::Unix(_));
        for (name, value) in url.query_pairs() {
            match &*name {
                "sentinel" if let Place::Sentinels(sentinels) = &mut at => {
                    let url = Url::parse(&format!("redis://{value}"));
                    let url = url.map_err(|_| malformed("a sentinel that is no host"))?;
                    sentinels.hosts.push(host(&url, SENTINEL_PORT)?);
                }
                "db" if is_socket => db = number(&value).ok_or_else(no_database)?,
                "key" if is_socket => key = Some(value.into_owned()),
                "user" if is_socket => user = Some(value.into_owned()),
                "pass" if is_socket => password = Some(Zeroizing::new(value.into_owned())),
                // What it may be is not quoted: it could be a secret in the wrong place.
                _ => return Err(malformed("a query that means nothing here")),
            }
        }
        let access = access.without_token("redis")?.or(user, password);
        let access = match &at {
            Place::Tls { .. } | Place::Sentinels(Sentinels { is_tls: true, .. }) => access,
            Place::Sentinels(_) => access.without_tls("rediss+sentinel")?,
            _ => access.without_tls("rediss")?,
        };
        Ok(Self { server: Server::new(at, db, access), key, shape })
    }
}

fn host(url: &Url, port: u16) -> Result<(String, u16), StoreError> {
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?.to_string(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        _ => return Err(malformed("no host")),
    };
    Ok((host, url.port().unwrap_or(port)))
}

/// The database is the first segment, if that is a number; the key is the rest.
fn place(path: &str) -> Result<(i64, Option<String>), StoreError> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let (db, key) = number(first).map_or((0, path), |db| (db, rest));
    Ok((db, Some(decoded(key)?.to_string()).filter(|key| !key.is_empty())))
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn decoded(part: &str) -> Result<Zeroizing<String>, StoreError> {
    address::decoded(part).ok_or_else(|| malformed("a % that begins no byte, or not UTF-8"))
}

fn no_database() -> StoreError {
    malformed("a database that is no number")
}

fn malformed(what: &str) -> StoreError {
    address::malformed(what, FORM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Secret;

    fn parsed(url: &str) -> (String, Option<String>) {
        let address = Address::parse(url, Access::new()).unwrap();
        (address.server.name(), address.key)
    }

    #[test]
    fn a_url_names_a_server_a_database_and_a_key() {
        for (url, server, key) in [
            ("redis://h", "redis://h:6379/0", None),
            ("redis://h:1/2", "redis://h:1/2", None),
            ("redis://h/0/prod/server.toml", "redis://h:6379/0", Some("prod/server.toml")),
            ("redis://h/prod/server.toml", "redis://h:6379/0", Some("prod/server.toml")),
            ("redis://h/0/1/2", "redis://h:6379/0", Some("1/2")),
            ("redis://h/0/a%20b%23", "redis://h:6379/0", Some("a b#")),
            ("rediss://[::1]:1/0/k#set", "rediss://[::1]:1/0", Some("k")),
            ("valkey://h/k", "redis://h:6379/0", Some("k")),
            ("redis+unix:///run/a.sock?db=3&key=k", "redis+unix:///run/a.sock?db=3", Some("k")),
            ("redis://u:p%40ss@h/0/k", "redis://h:6379/0", Some("k")),
            ("redis+sentinel://h/main/1/k", "redis+sentinel://h:26379/main/1", Some("k")),
            (
                "rediss+sentinel://u:p@a:1/main/0/k/l?sentinel=b&sentinel=[::1]:2#set",
                "rediss+sentinel://a:1/main/0?sentinel=b:26379&sentinel=[::1]:2",
                Some("k/l"),
            ),
        ] {
            assert_eq!(parsed(url), (server.to_owned(), key.map(str::to_owned)), "{url}");
        }
    }

    #[tokio::test]
    async fn a_password_is_taken_out_unless_there_is_another() {
        for url in ["redis://app:p%40ss@h/0/k", "redis+unix:///s?user=app&pass=p%40ss&key=k"] {
            let server = Address::parse(url, Access::new()).unwrap().server;
            assert_eq!(server.access().user.as_deref(), Some("app"));
            assert_eq!(*server.access().password.as_ref().unwrap().read().await.unwrap(), "p@ss");
            let access = Access::new().user("me").password(Secret::text("mine"));
            let server = Address::parse(url, access).unwrap().server;
            assert_eq!(server.access().user.as_deref(), Some("me"));
            assert_eq!(*server.access().password.as_ref().unwrap().read().await.unwrap(), "mine");
        }
    }

    #[test]
    fn what_is_no_such_url_is_told_without_being_quoted() {
        for url in [
            "hunter2",
            "http://u:hunter2@h/0/k",
            "redis:hunter2",
            "redis://u:hunter2@h/0/k#hunter2",
            "redis://h/0/k?password=hunter2",
            "redis+unix:///s?db=hunter2",
            "redis://u:hunter2@h/%ff",
            // A password that is not encoded.
            "redis://u:1/hunter2@h/0/k",
            "redis://u:/hunter2@h/0/k",
            "redis://u:1?hunter2@h/0/k",
            "redis://u:1#hunter2@h/0/k",
            "redis+sentinel://u:1/hunter2@h/main/0/k",
        ] {
            let told = Address::parse(url, Access::new()).err().unwrap();
            assert!(told.is_refused() && !format!("{told:?}").contains("hunter2"), "{told:?}");
        }
        let access = Access::new().token(Secret::text("hunter2"));
        assert!(Address::parse("redis://h/0/k", access).err().unwrap().is_refused());
    }

    #[test]
    fn who_trusts_certificates_speaks_tls() {
        for (url, want) in [
            ("redis://h/0/k", "use rediss"),
            ("redis+sentinel://h/main/0/k", "use rediss+sentinel"),
            ("rediss://h/0/k", ""),
            ("rediss+sentinel://h/main/0/k", ""),
        ] {
            let told = Address::parse(url, Access::new().ca_file("/ca.pem"));
            let told = told.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.ends_with(want) && told.is_empty() == want.is_empty(), "{url}: {told}");
        }
    }
}
