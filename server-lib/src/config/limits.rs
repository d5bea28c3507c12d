//! What a client may ask of the server.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{number, table};

/// What hyper takes for the head of a request at the least.
const LEAST_HEADER_BYTES: u32 = 8192;

/// More than any head of a request has; what a client may have the server hold for each connection.
const MOST_HEADER_BYTES: u32 = 1024 * 1024;

/// A head is a few packets: what is lost of them has been sent again several times by then.
const HEADER_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(10_000).unwrap();

/// As elsewhere; the client of a keep-alive mostly gives up earlier
/// (<https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout>).
const KEEP_ALIVE_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(75_000).unwrap();

/// By then TCP has sent again what nobody took some five times: RFC 6298, from 1 s on, doubled each
/// time.
const WRITE_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(30_000).unwrap();

/// Some cookies of 4 KiB, which is what a browser keeps of each (RFC 6265, section 6.1), and the rest.
const HEADER_BYTES: u32 = 16 * 1024;

/// With a full head of each, 160 MB: what a small machine has.
const CONNECTIONS: NonZeroU64 = NonZeroU64::new(10_000).unwrap();

/// What one client may ask of the server, and all of them together; the table `[limits]`.
///
/// What is said of a connection holds for those that begin after it is in use; what is said of
/// requests, or of all connections together, for those that are open as well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long the head of a request may take from its first byte to its last, and the first one
    /// from the beginning of its connection, in milliseconds; 10 000 by default. Of a connection.
    #[serde(deserialize_with = "number::number")]
    pub header_timeout_ms: NonZeroU64,
    /// How long a connection may lie idle between two requests, in milliseconds; 75 000 by default.
    /// Of a connection.
    #[serde(deserialize_with = "number::number")]
    pub keep_alive_timeout_ms: NonZeroU64,
    /// How long a client may take nothing of an answer that is on its way, or send nothing of a body that
    /// is waited for once the answer has begun, in milliseconds; 30 000 by default. Of a connection.
    #[serde(deserialize_with = "number::number")]
    pub write_timeout_ms: NonZeroU64,
    /// Size up to which the head of a request is taken, in bytes; a larger one is answered 431.
    /// 16 KiB by default, at least 8 KiB and at most 1 MiB. Of a connection.
    #[serde(deserialize_with = "header_bytes")]
    #[cfg_attr(
        feature = "schema",
        schemars(range(min = LEAST_HEADER_BYTES, max = MOST_HEADER_BYTES))
    )]
    pub max_header_bytes: u32,
    /// How many connections are served at once; 10 000 by default, and fewer where the process may
    /// not have as many descriptors and some to spare. Further ones wait to be accepted, in the
    /// system's queue, until one ends; once any wait, each of HTTP/1 ends after its next answer, until
    /// there is room to spare. Those to the admin address don't count; of these there may be 32.
    #[serde(deserialize_with = "number::number")]
    pub max_connections: NonZeroU64,
    /// How many of them one client may have, as a [`RateLimit`] counts clients; all of them by
    /// default. Further ones are closed at once.
    #[serde(deserialize_with = "number::optional")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_client: Option<NonZeroU64>,
    /// How many requests are answered in a time; all of them by default.
    #[serde(deserialize_with = "table::optional")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateLimit>,
}

/// How many requests are answered in a time, the table `[limits.rate]`; those beyond it are answered
/// 429, with the time to wait in `Retry-After`.
///
/// Nobody who is limited gets more by an edit that leaves this table as it was; one that changes it
/// starts to count anew.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests in a second, over a longer time.
    #[serde(deserialize_with = "number::number")]
    pub requests_per_second: NonZeroU32,
    /// How many at once, after a time of none; as many as in a second by default.
    #[serde(default, deserialize_with = "number::optional")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Who is counted as one; each client by default.
    #[serde(default)]
    pub per: RatePer,
}

/// Who is counted as one by a [`RateLimit`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RatePer {
    /// Each IPv4 address, and each IPv6 network of 64 bits, which is what a client has of its own
    /// (RFC 6177); on sockets of the file system, all clients together.
    #[default]
    Client,
    /// All clients together.
    Server,
}

impl Limits {
    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms.get())
    }

    pub(crate) fn keep_alive_timeout(&self) -> Duration {
        Duration::from_millis(self.keep_alive_timeout_ms.get())
    }

    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms.get())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout_ms: HEADER_TIMEOUT_MS,
            keep_alive_timeout_ms: KEEP_ALIVE_TIMEOUT_MS,
            write_timeout_ms: WRITE_TIMEOUT_MS,
            max_header_bytes: HEADER_BYTES,
            max_connections: CONNECTIONS,
            max_connections_per_client: None,
            rate: None,
        }
    }
}

pub(super) fn check_header_bytes(bytes: u32) -> Result<(), String> {
    if (LEAST_HEADER_BYTES..=MOST_HEADER_BYTES).contains(&bytes) {
        return Ok(());
    }
    Err(format!("it is at least {LEAST_HEADER_BYTES} and at most {MOST_HEADER_BYTES}"))
}

fn header_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let bytes = number::number(deserializer)?;
    check_header_bytes(bytes).map_err(D::Error::custom)?;
    Ok(bytes)
}
