//! URLs of servers, and of keys in them.

use std::{net::IpAddr, str::FromStr};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::tls::Tls;
use crate::{
    access::{Access, Secret},
    error::StoreError,
};

/// Where a server is, and what in it is named.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) access: Access,
    /// What comes after the database.
    pub(super) key: Option<String>,
}

impl Address {
    /// Takes `url` apart; what `access` says goes before what the URL says.
    pub(super) fn parse(url: &str, mut access: Access) -> Result<Self, StoreError> {
        let wrong = |what: &str| {
            StoreError::refused(format!("{what}; write postgres://host:5432/database/key"))
        };
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| wrong("a URL of another scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (database, key) = match path.split_once('/') {
            Some((database, key)) => (database, Some(key).filter(|key| !key.is_empty())),
            None => (path, None),
        };
        let (credentials, hosts) = match authority.rsplit_once('@') {
            // One that is not encoded would end them too early.
            Some((credentials, hosts)) => (credentials.replace('@', "%40"), hosts),
            None => (String::new(), authority),
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
            config.host("localhost").port(5432);
        }
        if let Some(password) = config.get_password() {
            let password = String::from_utf8(password.to_vec())
                .map_err(|_| wrong("the password is not UTF-8"))?;
            access.password = access.password.take().or(Some(Secret::text(password)));
            config.password("");
        }
        let key = key.map(|key| percent_decoded(key).ok_or_else(|| wrong("the key is not UTF-8")));
        let tls = asked.unwrap_or_else(|| default_tls(&config));
        Ok(Self { config, tls, access, key: key.transpose()? })
    }
}

/// Returns what a name says of the server: no user, no password.
pub(super) fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let with_port = |(index, host): (usize, String)| format!("{host}:{}", port(index));
    let hosts: Vec<String> = if config.get_hosts().is_empty() {
        let addresses =
            config.get_hostaddrs().iter().map(|address| bracketed(&address.to_string()));
        addresses.enumerate().map(with_port).collect()
    } else {
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(host) => bracketed(host),
            Host::Unix(path) => path.display().to_string().replace('/', "%2F"),
        });
        hosts.enumerate().map(with_port).collect()
    };
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// What a server has to prove unless that was said: nothing where nobody is in between, as with libpq;
/// everything where somebody may be.
pub(super) fn default_tls(config: &Config) -> Tls {
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
        (SslMode::Prefer, true) => Tls::Prefer,
        _ => Tls::VerifyFull,
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let hex = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}
