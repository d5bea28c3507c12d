//! What a URL says of a server, and of a place in it.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{
    dial::{Endpoint, Server},
    place::Shape,
    sentinel::Sentinels,
};
use crate::{
    access::{Access, Secret},
    error::StoreError,
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const FORM: &str = "redis://host:6379/0/key, rediss://host:6379/0/key, \
                    redis+unix:///run/redis.sock?db=0&key=key or \
                    redis+sentinel://host:26379/primary/0/key";

pub(super) struct Address {
    pub(super) server: Server,
    pub(super) key: Option<String>,
    pub(super) shape: Shape,
}

impl Address {
    /// Parses `url`, and takes the user and the password out of it; no error quotes it.
    pub(super) fn parse(url: &str, mut access: Access) -> Result<Self, StoreError> {
        let url =
            Url::parse(url).map_err(|error| refused("no URL; it has to be like").because(error))?;
        if url.fragment().is_some() {
            return Err(refused("a URL with a fragment, which must be written %23; it is like"));
        }
        if access.token.is_some() {
            return Err(StoreError::refused("redis knows no tokens; give a user and a password"));
        }
        let mut user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
        let mut password = url.password().map(decoded).transpose()?;
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let (mut endpoint, mut db, mut key) = match url.scheme() {
            "redis" | "valkey" => {
                let (host, port) = host(&url, PORT)?;
                let (db, key) = place(path)?;
                (Endpoint::Tcp { host, port }, db, key)
            }
            "rediss" | "valkeys" => {
                let (host, port) = host(&url, PORT)?;
                let (db, key) = place(path)?;
                (Endpoint::Tls { host, port }, db, key)
            }
            scheme @ ("redis+sentinel" | "rediss+sentinel") => {
                let hosts = vec![host(&url, SENTINEL_PORT)?];
                let (primary, rest) = path.split_once('/').unwrap_or((path, ""));
                let (db, key) = place(rest)?;
                let (primary, is_tls) = (decoded(primary)?, scheme.starts_with("rediss"));
                (Endpoint::Sentinels(Sentinels { hosts, primary, is_tls }), db, key)
            }
            "redis+unix" | "valkey+unix" | "unix" => {
                (Endpoint::Unix(PathBuf::from(decoded(url.path())?)), 0, None)
            }
            _ => return Err(refused("not a URL of redis; one is like")),
        };
        let is_socket = matches!(endpoint, Endpoint::Unix(_));
        let mut shape = Shape::Text;
        for (name, value) in url.query_pairs() {
            match &*name {
                "hash" => shape = Shape::Hash,
                "sentinel" if let Endpoint::Sentinels(sentinels) = &mut endpoint => {
                    let url = Url::parse(&format!("redis://{value}"));
                    let url = url.map_err(|_| refused("a sentinel that is no host; it is like"))?;
                    sentinels.hosts.push(host(&url, SENTINEL_PORT)?);
                }
                "db" if is_socket => db = number(&value).ok_or_else(no_database)?,
                "key" if is_socket => key = Some(value.into_owned()),
                "user" if is_socket => user = Some(value.into_owned()),
                "pass" if is_socket => password = Some(value.into_owned()),
                // What it may be is not quoted: it could be a secret in the wrong place.
                _ => return Err(refused("a URL with a query that means nothing here; it is like")),
            }
        }
        access.user = access.user.or(user);
        access.password = access.password.or(password.map(Secret::text));
        Ok(Self { server: Server::new(endpoint, db, access), key, shape })
    }
}

fn host(url: &Url, port: u16) -> Result<(String, u16), StoreError> {
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?,
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        _ => return Err(refused("a URL without a host; it is like")),
    };
    Ok((host, url.port().unwrap_or(port)))
}

/// The database is the first segment, if that is a number; the key is the rest.
fn place(path: &str) -> Result<(i64, Option<String>), StoreError> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let (db, key) = number(first).map_or((0, path), |db| (db, rest));
    Ok((db, Some(decoded(key)?).filter(|key| !key.is_empty())))
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| refused("a URL that is not UTF-8; it is like"))?.into_owned())
}

fn no_database() -> StoreError {
    refused("a database that is no number; the URL is like")
}

fn refused(told: &str) -> StoreError {
    StoreError::refused(format!("{told} {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("rediss://[::1]:1/0/k?hash", "rediss://[::1]:1/0", Some("k")),
            ("valkey://h/k", "redis://h:6379/0", Some("k")),
            ("redis+unix:///run/a.sock?db=3&key=k", "redis+unix:///run/a.sock?db=3", Some("k")),
            ("redis://u:p%40ss@h/0/k", "redis://h:6379/0", Some("k")),
            ("redis+sentinel://h/main/1/k", "redis+sentinel://h:26379/main/1", Some("k")),
            (
                "rediss+sentinel://u:p@a:1/main/0/k/l?sentinel=b&sentinel=[::1]:2&hash",
                "rediss+sentinel://a:1,b:26379,[::1]:2/main/0",
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
        ] {
            let told = Address::parse(url, Access::new()).err().unwrap();
            assert!(told.is_refused() && !format!("{told:?}").contains("hunter2"), "{told:?}");
        }
        let access = Access::new().token(Secret::text("hunter2"));
        assert!(Address::parse("redis://h/0/k", access).err().unwrap().is_refused());
    }
}
