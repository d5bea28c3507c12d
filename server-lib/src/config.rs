//! What can be set on a server, nearly all of it hot.

mod admin;
mod headers;
mod invalid;
mod limits;
mod listen;
mod number;
mod parts;
#[cfg(feature = "schema")]
mod schema;
mod table;
mod threads;
mod tls;
mod validate;

use std::{
    collections::BTreeMap,
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

pub use self::{
    invalid::InvalidConfig,
    limits::{Limits, RateLimit, RatePer},
    tls::{CertificatePaths, TlsConfig},
};
use crate::{address::Address, endpoint::Endpoint, role::Role};

/// Longer than people wait for an answer, and shorter than the minute that a proxy in front gives it
/// (<https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout>).
const REQUEST_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(30_000).unwrap();

/// As elsewhere: enough for a form, and too little to fill the memory with
/// (<https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size>).
const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// Well within the time after which a process that was told to end is killed: 90 s by systemd
/// (`DefaultTimeoutStopSec=`, systemd-system.conf(5)), 30 s by Kubernetes.
const DRAIN_TIMEOUT_MS: u64 = 10_000;

/// Everything that a running server takes from its configuration.
///
/// Only an address must be given: one of `listen_addresses` or of `https_addresses`. A key that is not
/// known is an error, so that a typo is one with line and column. Compared as a whole, to tell a change
/// from a repetition.
///
/// # Examples
///
/// ```
/// use server_lib::ServerConfig;
///
/// let config: ServerConfig = toml::from_str("name = 'one'\nlisten_addresses = ['[::1]:8080']")?;
/// assert_eq!(config.request_timeout_ms.get(), 30_000);
/// config.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("anyOf" = [
        {"required": ["listen_addresses"]},
        {"required": ["https_addresses"]},
    ]))
)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Number of this server; 0 by default.
    #[serde(deserialize_with = "number::number")]
    pub id: u32,
    /// Name of this server; `server` by default.
    pub name: String,
    /// Addresses to listen on in clear text; none by default. An IPv6 one is for IPv6 alone. Port 0
    /// is any free port, kept for as long as the address is listed.
    #[serde(deserialize_with = "listen::addresses")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("uniqueItems" = true)))]
    pub listen_addresses: Vec<Address>,
    /// Addresses to listen on over TLS, with the certificates of `tls`; none by default.
    #[serde(deserialize_with = "listen::addresses")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("uniqueItems" = true)))]
    pub https_addresses: Vec<Address>,
    /// Which certificates are served over TLS.
    #[serde(deserialize_with = "table::table")]
    pub tls: TlsConfig,
    /// Where whoever looks after the server is listened to: a loopback address, which is open to every
    /// user of the machine, or a socket of the file system, which only its owner can connect to;
    /// nowhere by default.
    #[serde(deserialize_with = "admin::address")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::local_address"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_address: Option<Address>,
    /// What `GET /` says beside id and name; empty by default.
    pub greeting: String,
    /// How long a request may take in all, in milliseconds; 30 000 by default.
    #[serde(deserialize_with = "number::number")]
    pub request_timeout_ms: NonZeroU64,
    /// Size up to which the body of a request is taken, in bytes; 1 MiB by default.
    #[serde(deserialize_with = "number::number")]
    pub max_body_bytes: u64,
    /// How long requests under way may go on once their address is closed, in milliseconds;
    /// 10 000 by default.
    #[serde(deserialize_with = "number::number")]
    pub drain_timeout_ms: u64,
    /// What is logged, such as `info` or `server_lib=debug,info`; for the program to check, to apply,
    /// and to choose where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Threads that serve, at most 1024; for the program to start, which by default has as many as
    /// there are cores. Needs a restart.
    #[serde(deserialize_with = "threads::threads")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1024)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_threads: Option<NonZeroUsize>,
    /// What a client may ask of the server, and all of them together.
    #[serde(deserialize_with = "table::table")]
    pub limits: Limits,
    /// Headers of every response to a request that could be read: the 400 and the 431 to one that could
    /// not have none of them. At most 100, none by default.
    #[serde(deserialize_with = "headers::pairs")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schema::headers"))]
    pub response_headers: BTreeMap<String, String>,
}

impl ServerConfig {
    /// Returns every address to listen on, and what for.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let http = self.listen_addresses.iter().map(|address| (Role::Http, address));
        let https = self.https_addresses.iter().map(|address| (Role::Https, address));
        let admin = self.admin_address.iter().map(|address| (Role::Admin, address));
        let all = http.chain(https).chain(admin);
        all.map(|(role, address)| Endpoint { role, address: address.clone() }).collect()
    }

    pub(crate) fn headers(&self) -> Result<HeaderMap, InvalidConfig> {
        headers::map(&self.response_headers)
            .map_err(|problem| InvalidConfig::new("response_headers", problem))
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.get())
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

impl Default for ServerConfig {
    /// Every default, and no address yet: it takes one to be valid.
    fn default() -> Self {
        Self {
            id: 0,
            name: "server".to_owned(),
            listen_addresses: Vec::new(),
            https_addresses: Vec::new(),
            tls: TlsConfig::default(),
            admin_address: None,
            greeting: String::new(),
            request_timeout_ms: REQUEST_TIMEOUT_MS,
            max_body_bytes: MAX_BODY_BYTES,
            drain_timeout_ms: DRAIN_TIMEOUT_MS,
            log: None,
            worker_threads: None,
            limits: Limits::default(),
            response_headers: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses what is wrong, and returns what is said of which part of it.
    pub(super) fn problem(text: &str) -> (String, &str) {
        let error = toml::from_str::<ServerConfig>(text).unwrap_err();
        (error.message().to_owned(), &text[error.span().unwrap()])
    }

    #[test]
    fn what_is_kept_is_read_as_it_was() {
        for text in [
            "",
            "id = 7\nname = 'one'\nlisten_addresses = ['127.0.0.1:1', 'unix:/run/a b']\n\
             https_addresses = ['[::1]:2']\nadmin_address = '127.0.0.1:3'\nworker_threads = 2\n\
             log = 'debug'\nresponse_headers = { x-a = 'b' }\n\
             limits.rate = { requests_per_second = 5, burst = 6, per = 'client' }\n\
             limits.max_connections_per_client = 3\n\
             tls.certificates = [{ certificate = 'a.pem', key = 'b.pem' }]",
        ] {
            let config: ServerConfig = toml::from_str(text).unwrap();
            let kept = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ServerConfig>(&kept).unwrap(), config, "{kept}");
        }
    }

    #[test]
    fn points_at_what_is_wrong() {
        for (line, at, says) in [
            ("greating = 'hello'", "greating", "unknown field `greating`"),
            (
                "request_timeout_ms = 0",
                "0",
                "invalid value: integer `0`, expected a whole number, at least 1",
            ),
            (
                "limits.max_connections = 0",
                "0",
                "invalid value: integer `0`, expected a whole number, at least 1",
            ),
            (
                "worker_threads = 0",
                "0",
                "invalid value: integer `0`, expected a whole number, at least 1",
            ),
            (
                "id = -1",
                "-1",
                "invalid value: integer `-1`, expected a whole number, at least 0 and at most 4294967295",
            ),
            (
                "limits.rate.requests_per_second = 'many'",
                "'many'",
                "invalid type: string \"many\", expected a whole number, at least 1 and at most",
            ),
            ("limits.max_header_bytes = 1", "1", "it is at least 8192 and at most 1048576"),
            ("worker_threads = 1025", "1025", "there are at most 1024 threads"),
            ("limits = 3", "3", "invalid type: integer `3`, expected a table"),
            ("[limits]\nmax_conections = 1", "max_conections", "unknown field `max_conections`"),
            ("[limits]\nlog = 'info'", "log", "log is a key of the file itself: write it above"),
            ("[limits.rate]\nid = 1", "id", "id is a key of the file itself: write it above"),
            ("[tls]\nname = 'one'", "name", "name is a key of the file itself: write it above"),
            (
                "[[tls.certificates]]\ngreeting = 'hello'",
                "greeting",
                "greeting is a key of the file itself: write it above the first [table]",
            ),
        ] {
            let (said, span) = problem(line);
            assert!(said.starts_with(says), "{line}: {said}");
            assert_eq!(span, at, "{line}");
        }
    }
}
