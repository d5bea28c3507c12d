//! URLs: which servers, who asks, and which place.

use async_nats::ServerAddr;
use url::Url;

use crate::{
    access::{Access, Secret},
    error::StoreError,
};

const PORT: u16 = 4222;
const WANTED: &str = "write it as nats://host:4222, or tls://host:4222 for TLS";
const WANTED_PLACE: &str = "write it as nats://host:4222/bucket/key, or natss:// for TLS";

/// Servers of one cluster, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Servers(pub(super) Vec<ServerAddr>);

impl Servers {
    /// Takes the servers of `text`, divided by commas, and the credentials in it, which go into
    /// `access` unless it has others.
    pub(super) fn parse(text: &str, access: &mut Access) -> Result<Self, StoreError> {
        let (scheme, hosts) = text.split_once("://").ok_or_else(|| malformed(WANTED))?;
        let scheme = match scheme {
            "nats" => "nats",
            "tls" | "natss" => "tls",
            _ => return Err(malformed(WANTED)),
        };
        let servers: Result<Vec<_>, _> = hosts
            .split(',')
            .map(|host| {
                // Each may have the scheme in front, as other clients want it.
                let host = host.rsplit_once("://").map_or(host, |(_, host)| host);
                server(scheme, host.trim(), access)
            })
            .collect();
        servers.map(Self)
    }

    /// What logs, errors and the status call them.
    pub(super) fn name(&self) -> String {
        let hosts: Vec<_> = self.0.iter().map(name).collect();
        let is_tls = self.0.iter().any(ServerAddr::tls_required);
        format!("{}://{}", if is_tls { "natss" } else { "nats" }, hosts.join(","))
    }
}

/// Returns the host and the port of a server.
pub(super) fn name(server: &ServerAddr) -> String {
    match server.host() {
        host if host.contains(':') => format!("[{host}]:{}", server.port()),
        host => format!("{host}:{}", server.port()),
    }
}

/// Divides a URL of one place into its servers, its bucket and its key.
pub(super) fn divide(text: &str) -> Result<(&str, String, String), StoreError> {
    let wrong = || malformed(WANTED_PLACE);
    let start = text.find("://").ok_or_else(wrong)? + "://".len();
    // A comma has no meaning to the parser of URLs, and each part is decoded by itself.
    let servers_end = text[start..].find('/').ok_or_else(wrong)? + start;
    let (bucket, key) = text[servers_end + 1..].split_once('/').ok_or_else(wrong)?;
    let (bucket, key) = (decode(bucket)?, decode(key)?);
    if bucket.is_empty() || key.is_empty() || key.contains(['?', '#']) {
        return Err(wrong());
    }
    Ok((&text[..servers_end], bucket, key))
}

fn server(scheme: &str, host: &str, access: &mut Access) -> Result<ServerAddr, StoreError> {
    // None of what the parsers say is told, as it might quote a password.
    let mut url = Url::parse(&format!("{scheme}://{host}")).map_err(|_| malformed(WANTED))?;
    if url.host_str().is_none_or(str::is_empty) || !matches!(url.path(), "" | "/") {
        return Err(malformed(WANTED));
    }
    let user = decode(url.username())?;
    match url.password().map(decode).transpose()? {
        Some(password) => {
            access.user.get_or_insert(user);
            access.password.get_or_insert_with(|| Secret::text(password));
        }
        None if user.is_empty() => {}
        None if access.password.is_some() => {
            access.user.get_or_insert(user);
        }
        // Alone it is a token, as for all clients of NATS.
        None => {
            access.token.get_or_insert_with(|| Secret::text(user));
        }
    }
    let taken_out = url.set_username("").and_then(|()| url.set_password(None));
    taken_out.map_err(|()| malformed(WANTED))?;
    if url.port().is_none() {
        url.set_port(Some(PORT)).map_err(|()| malformed(WANTED))?;
    }
    ServerAddr::from_url(url).map_err(|_| malformed(WANTED))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, StoreError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(bytes.next()), digit(bytes.next()));
        let value = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        decoded.push(value.ok_or_else(|| malformed(WANTED_PLACE))?);
    }
    String::from_utf8(decoded).map_err(|_| malformed(WANTED_PLACE))
}

fn malformed(wanted: &str) -> StoreError {
    StoreError::refused(format!("a URL of NATS that can't be understood; {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(text: &str) -> (String, String) {
        let mut access = Access::new();
        let servers = Servers::parse(text, &mut access).unwrap();
        let read = async |secret: Option<Secret>| match secret {
            Some(secret) => secret.read().await.unwrap().to_string(),
            None => String::new(),
        };
        let (password, token) = (read(access.password).await, read(access.token).await);
        (servers.name(), format!("{}/{password}/{token}", access.user.unwrap_or_default()))
    }

    #[tokio::test]
    async fn credentials_are_taken_out_of_urls() {
        for (text, name, access) in [
            ("nats://host", "nats://host:4222", "//"),
            ("tls://host:1", "natss://host:1", "//"),
            ("nats://[::1]:1", "nats://[::1]:1", "//"),
            ("nats://app:p%40ss@a,nats://b:2", "nats://a:4222,b:2", "app/p@ss/"),
            ("natss://t0ken@a", "natss://a:4222", "//t0ken"),
        ] {
            assert_eq!(parse(text).await, (name.to_owned(), access.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_nats_is_refused_and_not_repeated() {
        for text in
            ["host", "redis://hunter2@host", "nats://", "nats://a:hunter2@b:c", "nats://a/b"]
        {
            let told = Servers::parse(text, &mut Access::new()).unwrap_err().to_string();
            assert!(told.contains("write it as") && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn a_place_has_a_bucket_and_a_key() {
        let (servers, bucket, key) = divide("nats://a:1,b:2/config/app/server.toml").unwrap();
        assert_eq!((servers, &*bucket, &*key), ("nats://a:1,b:2", "config", "app/server.toml"));
        assert_eq!(divide("nats://a/config/flags.%3E").unwrap().2, "flags.>");
        for text in ["nats://a", "nats://a/config", "nats://a/config/", "nats://a//key", "a/b/c%"] {
            assert!(divide(text).unwrap_err().is_refused(), "{text}");
        }
    }
}
