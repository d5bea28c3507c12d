//! The URL that names a server, and a place in it.

use std::fmt::Display;

use ::redis::ConnectionAddr;
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::{
    dial::{Place, Server, Way},
    query::Shape,
    sentinel::Sentinels,
};
use crate::address::{NOT_IN_A_PATH, authority};

/// What a URL ends in that names a hash, so that the name of a field may follow.
pub(super) const FIELDS: &str = "set/";
const NOT_IN_A_SEGMENT: &AsciiSet = &NOT_IN_A_PATH.add(b'/');
const NOT_IN_A_VALUE: &AsciiSet = &NOT_IN_A_PATH.add(b'=').add(b'+');

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

#[cfg(test)]
mod tests {
    use super::{super::address::Address, *};
    use crate::access::Access;

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
}
