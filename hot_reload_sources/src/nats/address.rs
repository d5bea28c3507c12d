//! URLs: which servers, who asks, and which place.

use async_nats::ServerAddr;
use url::Url;
use zeroize::Zeroizing;

use super::place::Keys;
use crate::{
    access::{Access, Secret},
    address::{self, decoded},
    error::StoreError,
};

const PORT: u16 = 4222;

/// Servers of one cluster, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Servers(pub(super) Vec<ServerAddr>);

/// Who asks, as far as a URL says.
#[derive(Default)]
struct Asking {
    user: Option<String>,
    password: Option<Zeroizing<String>>,
}

impl Servers {
    /// Takes the servers of `text`, divided by commas, and the credentials in it, which go into
    /// `access` unless it has others.
    pub(super) fn parse(text: &str, access: Access) -> Result<(Self, Access), StoreError> {
        let (scheme, hosts) = text.split_once("://").unwrap_or(("", text));
        let scheme = known(scheme).ok_or_else(|| malformed("its scheme is not one of NATS"))?;
        let mut asking = Asking::default();
        let servers: Result<Vec<_>, _> = hosts
            .split(',')
            .map(|host| {
                // Each may have the scheme in front, as other clients want it.
                let (own, host) = host
                    .split_once("://")
                    .map_or((Some(scheme), host), |(own, host)| (known(own), host));
                if own != Some(scheme) {
                    return Err(malformed("TLS is spoken with all of its servers, or with none"));
                }
                server(scheme, host.trim(), &mut asking)
            })
            .collect();
        let servers = Self(servers?);
        let access = asking.or_else_of(access);
        let access = if servers.is_tls() { access } else { access.without_tls("natss://")? };
        Ok((servers, access))
    }

    /// What logs, errors and the status call them.
    pub(super) fn name(&self) -> String {
        let hosts: Vec<_> = self.0.iter().map(name).collect();
        format!("{}://{}", if self.is_tls() { "natss" } else { "nats" }, hosts.join(","))
    }

    fn is_tls(&self) -> bool {
        self.0.iter().any(ServerAddr::tls_required)
    }
}

impl Asking {
    /// Puts `access` before it.
    fn or_else_of(self, access: Access) -> Access {
        let Self { user, password } = self;
        let is_alone = user.is_some() && password.is_none() && access.password.is_none();
        match user {
            // Alone it is a token, as for all clients of NATS.
            Some(token) if is_alone => match access.token {
                Some(_) => access,
                None => access.token(Secret::text(token)),
            },
            user => access.or(user, password),
        }
    }
}

/// Returns the host and the port of a server.
pub(super) fn name(server: &ServerAddr) -> String {
    address::authority(server.host(), server.port())
}

/// Divides a URL of one place into its servers, its bucket and its keys.
pub(super) fn divide(text: &str) -> Result<(&str, String, Keys), StoreError> {
    let wrong = || malformed("it names no bucket and key");
    let start = text.find("://").ok_or_else(wrong)? + "://".len();
    // A comma has no meaning to the parser of URLs, and each part is decoded by itself.
    let servers_end = text[start..].find('/').ok_or_else(wrong)? + start;
    let rest = &text[servers_end + 1..];
    // Else what is in front of it might be the rest of a password.
    if rest.contains('@') {
        return Err(malformed("write / in a password as %2F"));
    }
    let (bucket, key) = rest.split_once('/').ok_or_else(wrong)?;
    let (key, is_set) = match key.split_once('#') {
        None => (key, false),
        Some((key, address::SET)) => (key, true),
        Some(_) => return Err(malformed("only #set may be behind a key")),
    };
    let (bucket, key) = (part(bucket)?.to_string(), part(key)?.to_string());
    if bucket.is_empty() || key.is_empty() && !is_set {
        return Err(wrong());
    }
    let keys = if is_set { Keys::Prefix(key) } else { Keys::One(key) };
    Ok((&text[..servers_end], bucket, keys))
}

/// What the client calls a scheme.
fn known(scheme: &str) -> Option<&'static str> {
    match scheme {
        "nats" => Some("nats"),
        "tls" | "natss" => Some("tls"),
        _ => None,
    }
}

fn server(scheme: &str, host: &str, asking: &mut Asking) -> Result<ServerAddr, StoreError> {
    // None of what the parsers say is told, as it might quote a password.
    let wrong = || malformed("its servers can't be understood");
    let mut url = Url::parse(&format!("{scheme}://{host}")).map_err(|_| wrong())?;
    let has_more = url.query().is_some() || url.fragment().is_some();
    if url.host_str().is_none_or(str::is_empty) || has_more {
        return Err(wrong());
    }
    if !matches!(url.path(), "" | "/") {
        return Err(StoreError::refused(
            "the URL of servers has no bucket; name it by `bucket`, or take NatsPlace::from_url",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let user = part(url.username())?.to_string();
        let password = url.password().map(part).transpose()?;
        asking.user.get_or_insert(user);
        if let Some(password) = password {
            asking.password.get_or_insert(password);
        }
    }
    let taken_out = url.set_username("").and_then(|()| url.set_password(None));
    taken_out.map_err(|()| wrong())?;
    if url.port().is_none() {
        url.set_port(Some(PORT)).map_err(|()| wrong())?;
    }
    ServerAddr::from_url(url).map_err(|_| wrong())
}

fn part(text: &str) -> Result<Zeroizing<String>, StoreError> {
    decoded(text).ok_or_else(|| malformed("its % are not followed by UTF-8"))
}

fn malformed(what: &str) -> StoreError {
    address::malformed(what, "nats://host:4222/bucket/key, or natss:// for TLS")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(text: &str, access: Access) -> (String, String) {
        let (servers, access) = Servers::parse(text, access).unwrap();
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
            ("natss://t0ken@a,tls://b", "natss://a:4222,b:4222", "//t0ken"),
        ] {
            let parsed = parse(text, Access::new()).await;
            assert_eq!(parsed, (name.to_owned(), access.to_owned()), "{text}");
        }
    }

    #[tokio::test]
    async fn those_that_are_given_go_before_them() {
        let password = || Access::new().password(Secret::text("mine"));
        let token = || Access::new().token(Secret::text("mine"));
        for (text, access, want) in [
            ("nats://app:p@a", password().user("me"), "me/mine/"),
            ("nats://app:p@a", password(), "app/mine/"),
            ("nats://app@a", password(), "app/mine/"),
            ("nats://t0ken@a", token(), "//mine"),
        ] {
            assert_eq!(parse(text, access).await.1, want, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_nats_is_refused_and_not_repeated() {
        for text in [
            "host",
            "redis://hunter2@host",
            "nats://",
            "nats://a:hunter2@b:c",
            "nats://a:hunter2@b?c",
            "nats://a:hunter2%zz@b",
            "nats://app:a://hunter2@b",
            "nats://a:hunter2@b,tls://c",
            "tls://a:hunter2@b,nats://c",
        ] {
            let told = Servers::parse(text, Access::new()).unwrap_err();
            assert!(told.is_refused(), "{text}");
            let told = told.to_string();
            assert!(told.contains("has to be like") && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn whom_to_trust_is_not_said_where_nothing_is_encrypted() {
        let told = Servers::parse("nats://a", Access::new().ca_file("/ca")).unwrap_err();
        assert!(told.is_refused() && told.to_string().contains("natss://"), "{told}");
        assert!(Servers::parse("natss://a", Access::new().ca_file("/ca")).is_ok());
    }

    #[test]
    fn a_place_has_a_bucket_and_a_key_or_is_a_set() {
        let one = |key: &str| Keys::One(key.into());
        let set = |key: &str| Keys::Prefix(key.into());
        for (text, want) in [
            ("nats://a:1,b:2/config/app/server.toml", one("app/server.toml")),
            ("nats://a/config/a%2Fb", one("a/b")),
            ("nats://a/config/flags.#set", set("flags.")),
            ("nats://a/config/#set", set("")),
        ] {
            let (servers, bucket, keys) = divide(text).unwrap();
            assert!(text.starts_with(&format!("{servers}/config/")), "{text}");
            assert_eq!((&*bucket, keys), ("config", want), "{text}");
        }
        for text in [
            "nats://a",
            "nats://a/config",
            "nats://a/config/",
            "nats://a//key",
            "a/b/c%",
            "nats://a/config/key#",
            "nats://a/config/key#watch",
            "nats://app:1/hunter2@host/config/key",
            "nats://app:/hunter2@host/config/key",
        ] {
            let told = divide(text).unwrap_err();
            assert!(told.is_refused() && !told.to_string().contains("hunter2"), "{text}: {told}");
        }
    }
}
