//! What a URL says of a server, and of a place in it, and the URL that names them.

use std::{fmt::Display, path::PathBuf};

use ::redis::ConnectionAddr;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{
    dial::{Place, Server, Way},
    query::Shape,
    sentinel::Sentinels,
};
use crate::{
    access::Access,
    address::{self, SET, authority},
    error::StoreError,
};

/// What a URL ends in that names a hash, so that the name of a field may follow.
const FIELDS: &str = "set/";
/// What means nothing in a path but itself; the same as for the keys of other stores.
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'=')
    .remove(b'+')
    .remove(b',');
const NOT_IN_A_SEGMENT: &AsciiSet = &NOT_IN_A_PATH.add(b'/');
const NOT_IN_A_VALUE: &AsciiSet = &NOT_IN_A_PATH.add(b'=').add(b'+');

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

impl Server {
    /// Its URL, without a user and a password.
    pub(super) fn name(&self) -> String {
        self.url(None)
    }

    /// The URL of `key` in it, which the name of a field may follow where that is a hash.
    pub(super) fn name_of(&self, key: &str, shape: Shape) -> String {
        let url = self.url(Some(key));
        match shape {
            Shape::Text => url,
            Shape::Hash => format!("{url}#{FIELDS}"),
        }
    }

    fn url(&self, key: Option<&str>) -> String {
        let db = self.db;
        let in_path = key.map(|key| format!("/{}", path(key))).unwrap_or_default();
        let at = |scheme: &str, host: &str, port: u16| {
            format!("{scheme}://{}/{db}{in_path}", authority(host, port))
        };
        let at_socket = |socket: &str| {
            let socket = utf8_percent_encode(socket, NOT_IN_A_PATH);
            let key = key.map(|key| utf8_percent_encode(key, NOT_IN_A_VALUE));
            let key = key.map(|key| format!("&key={key}")).unwrap_or_default();
            format!("redis+unix://{socket}?db={db}{key}")
        };
        match &self.way {
            Way::Place(Place::Tcp { host, port }) => at("redis", host, *port),
            Way::Place(Place::Tls { host, port }) => at("rediss", host, *port),
            Way::Place(Place::Unix(path)) => at_socket(&path.to_string_lossy()),
            Way::Place(Place::Sentinels(sentinels)) => sentinels.url(&format!("{db}{in_path}")),
            Way::Client(client) => match client.get_connection_info().addr() {
                ConnectionAddr::Tcp(host, port) => at("redis", host, *port),
                ConnectionAddr::TcpTls { host, port, .. } => at("rediss", host, *port),
                other => at_socket(&other.to_string()),
            },
        }
    }
}

impl Sentinels {
    /// The URL of what is at `path` of their primary.
    fn url(&self, path: &str) -> String {
        let mut hosts = self.hosts.iter().map(|(host, port)| authority(host, *port));
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        let first = hosts.next().unwrap_or_default();
        let primary = utf8_percent_encode(&self.primary, NOT_IN_A_SEGMENT);
        let others: Vec<_> = hosts.map(|host| format!("sentinel={host}")).collect();
        let query = if others.is_empty() { "" } else { "?" };
        format!("{scheme}+sentinel://{first}/{primary}/{path}{query}{}", others.join("&"))
    }
}

/// `key` as a path.
fn path(key: &str) -> impl Display {
    // URLs know what these mean in a path, and would leave them out.
    let has_dots = key.split('/').any(|segment| matches!(segment, "." | ".."));
    utf8_percent_encode(key, if has_dots { NOT_IN_A_SEGMENT } else { NOT_IN_A_PATH })
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

    #[test]
    fn a_name_is_a_url_of_the_same_place() {
        let keys = [
            "k",
            "prod/a b.toml",
            "1/2",
            "#set",
            "a%20b",
            "?a=b&c",
            "ü@+\"",
            "/a//b/",
            "a/../b",
            "\n",
        ];
        for url in [
            "redis://h",
            "rediss://[::1]:1/2",
            "redis+unix:///run/a%20b.sock?db=3",
            "redis+sentinel://h/my%20primary/1",
            "rediss+sentinel://a:1/main/0?sentinel=b&sentinel=[::1]:2",
        ] {
            let server = Address::parse(url, Access::new()).unwrap().server;
            for key in keys {
                for shape in [Shape::Text, Shape::Hash] {
                    let name = server.name_of(key, shape);
                    let again = Address::parse(&name, Access::new()).unwrap();
                    assert_eq!(again.server.name_of(key, shape), name);
                    assert_eq!((again.key.as_deref(), again.shape), (Some(key), shape), "{name}");
                }
                let field = format!("{}a", server.name_of(key, Shape::Hash));
                assert!(Address::parse(&field, Access::new()).is_err(), "{field}");
            }
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
