//! What is checked of a configuration before anything is done for it.

use super::{InvalidConfig, ServerConfig, admin, limits, listen, threads, tls};

impl ServerConfig {
    /// Checks what can be checked without asking the system.
    ///
    /// Of one that was deserialized, what stands in one key was checked as it was read, with line and
    /// column of what is wrong; this checks the keys against each other too, and those that are made
    /// otherwise.
    ///
    /// # Errors
    ///
    /// When there is no address, two of them get in each other's way, there is no certificate for
    /// those over TLS or one is listed twice, a limit is out of its range, or a header is none or not
    /// ours to set, or there are too many.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let invalid = |key| move |problem| InvalidConfig::new(key, problem);
        let (http, https) = (&self.listen_addresses[..], &self.https_addresses[..]);
        listen::check(http, https).map_err(invalid("listen_addresses"))?;
        listen::check_beside(https, http).map_err(invalid("https_addresses"))?;
        tls::suffice(&self.tls, !https.is_empty()).map_err(invalid("https_addresses"))?;
        tls::check(&self.tls).map_err(invalid("tls.certificates"))?;
        if let Some(address) = &self.admin_address {
            admin::check(address)
                .and_then(|()| {
                    listen::check_beside(std::slice::from_ref(address), &[http, https].concat())
                })
                .map_err(invalid("admin_address"))?;
        }
        threads::check(self.worker_threads).map_err(invalid("worker_threads"))?;
        limits::check_header_bytes(self.limits.max_header_bytes)
            .map_err(invalid("limits.max_header_bytes"))?;
        self.headers().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{address::Address, config::Limits};

    fn listed(addresses: &[&str]) -> Vec<Address> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn good() -> ServerConfig {
        ServerConfig { listen_addresses: listed(&["127.0.0.1:1"]), ..ServerConfig::default() }
    }

    #[test]
    fn checks_what_was_not_deserialized() {
        assert_eq!(good().validate(), Ok(()));
        let of_limits = |limits| ServerConfig { limits, ..good() };
        for (bad, key) in [
            (ServerConfig { admin_address: "0.0.0.0:2".parse().ok(), ..good() }, "admin_address"),
            (ServerConfig { worker_threads: 1025.try_into().ok(), ..good() }, "worker_threads"),
            (
                ServerConfig {
                    response_headers: BTreeMap::from([("a b".to_owned(), String::new())]),
                    ..good()
                },
                "response_headers",
            ),
            (
                of_limits(Limits { max_header_bytes: 8191, ..Limits::default() }),
                "limits.max_header_bytes",
            ),
            (
                of_limits(Limits { max_header_bytes: 1 << 21, ..Limits::default() }),
                "limits.max_header_bytes",
            ),
        ] {
            assert_eq!(bad.validate().unwrap_err().key(), key);
        }
    }

    #[test]
    fn checks_the_keys_against_each_other() {
        let certificate = "[[tls.certificates]]\ncertificate = 'a'\nkey = 'b'\n";
        for (text, key) in [
            ("", Some("listen_addresses")),
            ("https_addresses = ['[::1]:1']", Some("https_addresses")),
            (&format!("https_addresses = ['[::1]:1']\n{certificate}"), None),
            (
                &format!("{}{certificate}{certificate}", "listen_addresses = ['[::1]:1']\n"),
                Some("tls.certificates"),
            ),
            (
                &format!(
                    "listen_addresses = ['[::1]:1']\nhttps_addresses = ['[::1]:1']\n{certificate}"
                ),
                Some("https_addresses"),
            ),
            (
                "listen_addresses = ['0.0.0.0:1']\nadmin_address = '127.0.0.1:1'",
                Some("admin_address"),
            ),
            ("listen_addresses = ['127.0.0.1:0']\nadmin_address = '127.0.0.1:0'", None),
        ] {
            let config: ServerConfig = toml::from_str(text).unwrap();
            let invalid = config.validate().err();
            assert_eq!(invalid.as_ref().map(InvalidConfig::key), key, "{text}: {invalid:?}");
        }
    }
}
