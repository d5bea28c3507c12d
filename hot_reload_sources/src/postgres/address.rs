//! URLs of servers, and of keys in them.

use std::{net::IpAddr, str::FromStr};

use percent_encoding::{AsciiSet, utf8_percent_encode};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use zeroize::Zeroizing;

use super::{STORE, asked::Keys, tls::Tls};
use crate::{
    access::Access,
    address::{NOT_IN_A_PATH, SET, authority, decoded, malformed},
    error::StoreError,
};

const PORT: u16 = 5432;
const FORM: &str = "postgres://host:5432/database/key";

const NOT_IN_A_SEGMENT: &AsciiSet = &NOT_IN_A_PATH.add(b'/');

/// Where a server is, and what in it is named.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) access: Access,
    /// What comes after the database.
    pub(super) keys: Option<Keys>,
}

impl Address {
    /// Takes `url` apart; what `access` says goes before what the URL says.
    pub(super) fn parse(url: &str, access: Access) -> Result<Self, StoreError> {
        let wrong = |what: &str| malformed(what, FORM);
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| wrong("a URL of another scheme"))?;
        let (rest, is_set) = match rest.split_once('#') {
            Some((rest, SET)) => (rest, true),
            // One that is not encoded, in a password, may be what it begins in.
            Some(_) => {
                return Err(wrong("what comes after # may be set; write %23 for a # in a part"));
            }
            None => (rest, false),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The end of a password may be taken for a path, and a path is told.
        if path.contains('@') {
            return Err(wrong("write %2F for a / in a password, and %40 for an @ after the host"));
        }
        let (database, key) = match path.split_once('/') {
            // All keys begin with nothing.
            Some((database, key)) => (database, Some(key).filter(|key| is_set || !key.is_empty())),
            None => (path, None),
        };
        let (credentials, hosts) = match server.rsplit_once('@') {
            // One that is not encoded would end them too early.
            Some((credentials, hosts)) => (credentials.replace('@', "%40"), hosts),
            None => (String::new(), server),
        };
        let mut asked = None;
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => {
                    let tls = Tls::parse(mode).ok_or_else(|| wrong("an unknown sslmode"))?;
                    asked = Some(tls);
                }
                Some(("sslrootcert" | "sslcert" | "sslkey" | "sslpassword", _)) => {
                    return Err(wrong("certificates are named by Access, not by the URL"));
                }
                Some(_) => parameters.push(parameter),
                None => return Err(wrong("a parameter without a value")),
            }
        }
        let plain = format!("postgres://{credentials}@{hosts}/{database}?{}", parameters.join("&"));
        let plain = if credentials.is_empty() { plain.replacen('@', "", 1) } else { plain };
        // Its cause may quote a part of the URL.
        let mut config =
            Config::from_str(&plain).map_err(|_| wrong("the URL has a part that can't be read"))?;
        if config.get_hosts().is_empty() {
            config.host("localhost").port(PORT);
        }
        let password = config.get_password().map(|password| String::from_utf8(password.to_vec()));
        let password = password.transpose().map_err(|_| wrong("the password is not UTF-8"))?;
        config.password("");
        let user = config.get_user().map(str::to_owned);
        let access = access.or(user, password.map(Zeroizing::new)).without_token(STORE)?;
        let tls = asked.unwrap_or_else(|| default_tls(&config, &access));
        let access = match tls {
            Tls::Disable => access.without_tls("sslmode=verify-full")?,
            _ => access,
        };
        let keys = match key {
            Some(key) => {
                let key = decoded(key).ok_or_else(|| wrong("the key can't be decoded"))?;
                Some(if is_set { Keys::Prefix((**key).into()) } else { Keys::One((**key).into()) })
            }
            None if is_set => {
                return Err(wrong("write what its keys begin with, or /, before #set"));
            }
            None => None,
        };
        Ok(Self { config, tls, access, keys })
    }
}

/// Returns the URL of `keys` on the server of that name.
pub(super) fn name_of(server: &str, keys: &Keys) -> String {
    let path = utf8_percent_encode(keys.start(), NOT_IN_A_PATH);
    match keys {
        Keys::One(_) => format!("{server}/{path}"),
        Keys::Prefix(_) => format!("{server}/{path}#{SET}"),
    }
}

/// Returns what a name says of the server: its URL, without user and password.
pub(super) fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
    let with_port = |(index, host): (usize, String)| authority(&host, port(index));
    let hosts: Vec<String> = if config.get_hosts().is_empty() {
        let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
        addresses.enumerate().map(with_port).collect()
    } else {
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(host) => host.clone(),
            Host::Unix(path) => path.display().to_string().replace('/', "%2F"),
        });
        hosts.enumerate().map(with_port).collect()
    };
    let database = config.get_dbname().unwrap_or_default();
    let database = utf8_percent_encode(database, NOT_IN_A_SEGMENT);
    format!("postgres://{}/{database}", hosts.join(","))
}

/// What a server has to prove unless that was said: nothing where nobody is in between, as with libpq;
/// everything where somebody may be, or where it is said whom to trust.
pub(super) fn default_tls(config: &Config, access: &Access) -> Tls {
    let is_here = |host: &Host| match host {
        Host::Tcp(host) => {
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    let are_here = config.get_hosts().iter().all(is_here)
        && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    match (config.get_ssl_mode(), are_here) {
        (SslMode::Disable, _) => Tls::Disable,
        // What the client has by default.
        (SslMode::Prefer, true) if access.ca_file.is_none() => Tls::Prefer,
        _ => Tls::VerifyFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Secret;

    fn parsed(url: &str) -> Result<Address, String> {
        Address::parse(url, Access::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, server, key, tls) in [
            ("postgres://h/db", "postgres://h:5432/db", None, Tls::VerifyFull),
            ("postgresql://u:p@h:1/db/", "postgres://h:1/db", None, Tls::VerifyFull),
            ("postgres://h/db/a/b.toml", "postgres://h:5432/db", Some("a/b.toml"), Tls::VerifyFull),
            ("postgres://h/db/a/", "postgres://h:5432/db", Some("a/"), Tls::VerifyFull),
            ("postgres://h/d%20b/%40%2F+", "postgres://h:5432/d%20b", Some("@/+"), Tls::VerifyFull),
            (
                "postgres://u:p%40@h/db/a?sslmode=require",
                "postgres://h:5432/db",
                Some("a"),
                Tls::Require,
            ),
            ("postgres://u:p@w@h/db", "postgres://h:5432/db", None, Tls::VerifyFull),
            ("postgres://a,b:1/db", "postgres://a:5432,b:1/db", None, Tls::VerifyFull),
            ("postgres://127.0.0.9/db", "postgres://127.0.0.9:5432/db", None, Tls::Prefer),
            ("postgres://[::1]:1/db", "postgres://[::1]:1/db", None, Tls::Prefer),
            (
                "postgres://localhost,h/db",
                "postgres://localhost:5432,h:5432/db",
                None,
                Tls::VerifyFull,
            ),
            (
                "postgres:///db/a?host=/run/p",
                "postgres://%2Frun%2Fp:5432/db",
                Some("a"),
                Tls::Prefer,
            ),
            ("postgres:///db/a", "postgres://localhost:5432/db", Some("a"), Tls::Prefer),
        ] {
            let address = parsed(url).unwrap();
            assert_eq!(name(&address.config), server, "{url}");
            assert_eq!(address.keys.as_ref().map(Keys::start), key, "{url}");
            assert_eq!(address.tls, tls, "{url}");
        }
    }

    #[tokio::test]
    async fn passwords_are_taken_out() {
        for (url, want) in [
            ("postgres://u:p%2Fw@h/db", "p/w"),
            ("postgres://u:p@w@h/db", "p@w"),
            ("postgres://h/db?password=p", "p"),
        ] {
            let address = parsed(url).unwrap();
            assert_eq!(*address.access.password.unwrap().read().await.unwrap(), want, "{url}");
            assert_eq!(address.config.get_password(), Some(&b""[..]), "{url}");
        }
        let access = Access::new().password(Secret::text("given"));
        let address = Address::parse("postgres://u:p@h/db", access).unwrap();
        assert_eq!(*address.access.password.unwrap().read().await.unwrap(), "given");
    }

    #[test]
    fn a_password_that_is_not_encoded_is_not_told_as_a_path() {
        for url in ["postgres://u:1/hunter2@h/db", "postgres://u:p@1/hunter2@h/db/a"] {
            let told = parsed(url).err().unwrap();
            assert!(told.contains("%2F") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_set_is_what_its_fragment_says() {
        let keys = |url| parsed(url).map(|address| address.keys);
        assert_eq!(keys("postgres://h/db/a"), Ok(Some(Keys::One("a".into()))));
        assert_eq!(keys("postgres://h/db/#set"), Ok(Some(Keys::Prefix("".into()))));
        assert_eq!(keys("postgres://h/db/a/#set"), Ok(Some(Keys::Prefix("a/".into()))));
        let asked = keys("postgres://h/db/a?sslmode=require#set");
        assert_eq!(asked, Ok(Some(Keys::Prefix("a".into()))));
        for (url, want) in [
            ("postgres://h/db#set", "begin with"),
            ("postgres://u:p#hunter2@h/db/a", "%23"),
            ("postgres://h/db/%zz", "decoded"),
            ("postgres://h/db/%ff", "decoded"),
        ] {
            let told = parsed(url).err().unwrap();
            assert!(told.contains(want) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn who_says_whom_to_trust_is_not_served_by_others() {
        let parsed = |url| Address::parse(url, Access::new().ca_file("/ca.pem"));
        assert_eq!(parsed("postgres://localhost/db").unwrap().tls, Tls::VerifyFull);
        let told = parsed("postgres://localhost/db?sslmode=disable").err().unwrap().to_string();
        assert!(told.contains("sslmode=verify-full"), "{told}");
        let token = Access::new().token(Secret::text("hunter2"));
        let told = Address::parse("postgres://h/db", token).err().unwrap();
        assert!(told.is_refused() && told.to_string().contains("token"), "{told}");
    }
}
