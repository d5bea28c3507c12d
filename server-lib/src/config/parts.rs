//! What a configuration is made of, for whoever tells what has changed.

use super::{Limits, ServerConfig};

/// The name of a part in a file, and whether it differs.
type Compared = (&'static str, bool);

impl ServerConfig {
    /// The parts that are not hot, by their names in a file: a process takes them once, at its start.
    pub const NOT_HOT: &'static [&'static str] = &["worker_threads"];

    /// Returns the parts in which `other` differs, by their names in a file.
    pub fn changed_parts(&self, other: &Self) -> Vec<&'static str> {
        self.compared(other)
            .into_iter()
            .chain(self.limits.compared(&other.limits))
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }

    /// Returns the parts in which `other` differs and that are [not hot](Self::NOT_HOT).
    ///
    /// # Examples
    ///
    /// ```
    /// use server_lib::ServerConfig;
    ///
    /// let one = ServerConfig::default();
    /// let two = ServerConfig { id: 2, worker_threads: 4.try_into().ok(), ..one.clone() };
    /// assert_eq!(one.changed_parts(&two), ["id", "worker_threads"]);
    /// assert_eq!(one.restart_parts(&two), ["worker_threads"]);
    /// ```
    pub fn restart_parts(&self, other: &Self) -> Vec<&'static str> {
        let mut changed = self.changed_parts(other);
        changed.retain(|part| Self::NOT_HOT.contains(part));
        changed
    }

    fn compared(&self, other: &Self) -> [Compared; 13] {
        // Taken apart, so that a key that is forgotten here does not compile.
        let Self {
            id,
            name,
            listen_addresses,
            https_addresses,
            tls,
            admin_address,
            greeting,
            request_timeout_ms,
            max_body_bytes,
            drain_timeout_ms,
            log,
            worker_threads,
            limits: _by_its_own_parts,
            response_headers,
        } = self;
        [
            ("id", *id != other.id),
            ("name", *name != other.name),
            ("listen_addresses", *listen_addresses != other.listen_addresses),
            ("https_addresses", *https_addresses != other.https_addresses),
            ("tls", *tls != other.tls),
            ("admin_address", *admin_address != other.admin_address),
            ("greeting", *greeting != other.greeting),
            ("request_timeout_ms", *request_timeout_ms != other.request_timeout_ms),
            ("max_body_bytes", *max_body_bytes != other.max_body_bytes),
            ("drain_timeout_ms", *drain_timeout_ms != other.drain_timeout_ms),
            ("log", *log != other.log),
            ("worker_threads", *worker_threads != other.worker_threads),
            ("response_headers", *response_headers != other.response_headers),
        ]
    }
}

impl Limits {
    fn compared(&self, other: &Self) -> [Compared; 7] {
        let Self {
            header_timeout_ms,
            keep_alive_timeout_ms,
            write_timeout_ms,
            max_header_bytes,
            max_connections,
            max_connections_per_client,
            rate,
        } = self;
        [
            ("limits.header_timeout_ms", *header_timeout_ms != other.header_timeout_ms),
            ("limits.keep_alive_timeout_ms", *keep_alive_timeout_ms != other.keep_alive_timeout_ms),
            ("limits.write_timeout_ms", *write_timeout_ms != other.write_timeout_ms),
            ("limits.max_header_bytes", *max_header_bytes != other.max_header_bytes),
            ("limits.max_connections", *max_connections != other.max_connections),
            (
                "limits.max_connections_per_client",
                *max_connections_per_client != other.max_connections_per_client,
            ),
            ("limits.rate", *rate != other.rate),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The keys that the parser takes, as it says of one that it doesn't.
    fn keys(table: &str) -> BTreeSet<String> {
        let error = toml::from_str::<ServerConfig>(&format!("{table}not_a_key = 1")).unwrap_err();
        let (_, listed) = error.message().split_once("expected one of ").unwrap();
        listed.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn each_key_is_told_alone_by_the_name_that_it_has_in_a_file() {
        let before = ServerConfig::default();
        let mut told = BTreeSet::new();
        for text in [
            "id = 1",
            "name = 'one'",
            "listen_addresses = ['127.0.0.1:1']",
            "https_addresses = ['127.0.0.1:1']",
            "tls.expiry_warning_days = 1",
            "admin_address = '127.0.0.1:1'",
            "greeting = 'hello'",
            "request_timeout_ms = 1",
            "max_body_bytes = 1",
            "drain_timeout_ms = 1",
            "log = 'debug'",
            "worker_threads = 1",
            "response_headers.a = 'b'",
            "limits.header_timeout_ms = 1",
            "limits.keep_alive_timeout_ms = 1",
            "limits.write_timeout_ms = 1",
            "limits.max_header_bytes = 10_000",
            "limits.max_connections = 1",
            "limits.max_connections_per_client = 1",
            "limits.rate.requests_per_second = 1",
        ] {
            let after: ServerConfig = toml::from_str(text).unwrap();
            let parts = before.changed_parts(&after);
            let [part] = parts[..] else { panic!("{text}: {parts:?}") };
            assert!(text.starts_with(part), "{text}: {part}");
            told.insert(part.to_owned());
        }
        let mut want = keys("");
        assert!(want.remove("limits"));
        want.extend(keys("[limits]\n").iter().map(|key| format!("limits.{key}")));
        assert_eq!(told, want);
        assert_eq!(before.changed_parts(&before), [""; 0]);
    }
}
