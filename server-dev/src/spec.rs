//! What a socket is to be: `[name=]kind::address`.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf, absolute},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::words::text;

/// A socket that is held for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    /// What `LISTEN_FDNAMES` calls it.
    pub(crate) name: String,
    pub(crate) kind: SocketKind,
    pub(crate) place: Address,
}

/// What is spoken on a socket; to the kernel the first three are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketKind {
    Http,
    Https,
    Tcp,
    Unix,
    Udp,
}

/// Where a socket is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Ip(SocketAddr),
    Path(PathBuf),
}

/// Why a text is no [`Spec`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSpec {
    #[error(
        "a socket is written as http::3000, tcp::127.0.0.1:3000, unix::/run/app.sock or name=http::3000"
    )]
    Form,
    #[error("a socket is http, https, tcp, unix or udp, not {0}")]
    Kind(String),
    #[error("{0} is no port and no address such as 127.0.0.1:3000 or [::1]:3000")]
    Address(String),
    #[error("a name of a socket is of printable ASCII without : and = (sd_listen_fds(3)), not {0}")]
    Name(String),
}

impl SocketKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Udp => "udp",
        }
    }
}

impl Spec {
    /// Has a path be relative to `directory`.
    pub(crate) fn place_in(&mut self, directory: &Path) {
        if let Address::Path(path) = &mut self.place {
            // A path of a socket is short (unix(7)), and `./.` is no part of a name.
            *path = directory.join(&path).components().collect();
        }
    }

    /// Whether a socket that is bound as one of them does for the other.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        let is_udp = |spec: &Self| spec.kind == SocketKind::Udp;
        self.place == other.place && is_udp(self) == is_udp(other)
    }

    /// Whether only one of the two can be held.
    pub(crate) fn conflicts_with(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Address::Ip(a), Address::Ip(b)) => {
                let is_udp = |spec: &Self| spec.kind == SocketKind::Udp;
                a.port() != 0 && is_udp(self) == is_udp(other) && conflicts(*a, *b)
            }
            (Address::Path(a), Address::Path(b)) => {
                a == b || matches!((absolute(a), absolute(b)), (Ok(a), Ok(b)) if a == b)
            }
            _ => false,
        }
    }
}

impl FromStr for Spec {
    type Err = InvalidSpec;

    fn from_str(text: &str) -> Result<Self, InvalidSpec> {
        let (kind, place) = text.split_once("::").ok_or(InvalidSpec::Form)?;
        let (name, kind) = match kind.split_once('=') {
            Some((name, kind)) => (Some(name), kind),
            None => (None, kind),
        };
        let kind = [
            SocketKind::Http,
            SocketKind::Https,
            SocketKind::Tcp,
            SocketKind::Unix,
            SocketKind::Udp,
        ]
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| InvalidSpec::Kind(kind.to_owned()))?;
        let name = name.unwrap_or(kind.as_str());
        let is_name = |c: char| c.is_ascii_graphic() && c != ':' && c != '=';
        // FileDescriptorName= in systemd.socket(5) allows 255.
        if name.is_empty() || name.len() > 255 || !name.chars().all(is_name) {
            return Err(InvalidSpec::Name(name.to_owned()));
        }
        let place = match kind {
            SocketKind::Unix if place.is_empty() => return Err(InvalidSpec::Form),
            SocketKind::Unix => Address::Path(place.into()),
            _ => Address::Ip(ip(place)?),
        };
        Ok(Self { name: name.to_owned(), kind, place })
    }
}

/// Whether two sockets can't be bound at once; `[::]` takes IPv4 as well, or may do so (ipv6(7)).
pub(crate) fn conflicts(wanted: SocketAddr, held: SocketAddr) -> bool {
    let is_any = |ip: IpAddr| ip.is_unspecified();
    wanted.port() == held.port()
        && match (wanted.ip().to_canonical(), held.ip().to_canonical()) {
            (IpAddr::V4(_), it @ IpAddr::V6(_)) | (it @ IpAddr::V6(_), IpAddr::V4(_)) => is_any(it),
            (a, b) => a == b || is_any(a) || is_any(b),
        }
}

/// A port alone is on the loopback address: nobody else is to reach a server in development.
fn ip(text: &str) -> Result<SocketAddr, InvalidSpec> {
    match text.parse::<u16>() {
        Ok(port) => Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()),
        Err(_no_port) => text
            .strip_prefix("localhost:")
            .and_then(|port| port.parse().ok())
            .map(|port: u16| (IpAddr::V4(Ipv4Addr::LOCALHOST), port).into())
            .or_else(|| text.parse().ok())
            .ok_or_else(|| InvalidSpec::Address(text.to_owned())),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Spec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, r#"a socket such as "http::3000""#)
    }
}

impl JsonSchema for Spec {
    fn schema_name() -> Cow<'static, str> {
        "Socket".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([!-9;<>-~]+=)?(http|https|tcp|unix|udp)::.+$",
            "examples": ["http::3000", "admin=tcp::127.0.0.1:0", "unix::/run/app.sock"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_written_for_other_runners() {
        let cases = [
            ("http::3000", "http", "127.0.0.1:3000"),
            ("https::[::1]:3443", "https", "[::1]:3443"),
            ("tcp::0.0.0.0:0", "tcp", "0.0.0.0:0"),
            ("http::localhost:3000", "http", "127.0.0.1:3000"),
            ("admin=http::8081", "admin", "127.0.0.1:8081"),
            ("unix::/run/a b.sock", "unix", "unix:/run/a b.sock"),
            ("dns=udp::5353", "dns", "127.0.0.1:5353"),
        ];
        for (text, name, place) in cases {
            let spec = text.parse::<Spec>().unwrap();
            assert_eq!(
                (spec.name.as_str(), spec.place.to_string().as_str()),
                (name, place),
                "{text}"
            );
        }
    }

    #[test]
    fn tells_which_sockets_are_in_each_others_way() {
        for (wanted, held, is_so) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("127.0.0.1:80", "[::1]:80", false),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
        ] {
            let got = conflicts(wanted.parse().unwrap(), held.parse().unwrap());
            assert_eq!(got, is_so, "{wanted}, {held}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, words) in [
            ("3000", "is written as"),
            ("ftp::21", "not ftp"),
            ("http::web", "web is no port"),
            ("a:b=http::1", "printable ASCII"),
            ("=http::1", "printable ASCII"),
            ("unix::", "is written as"),
            ("http::70000", "no port"),
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
