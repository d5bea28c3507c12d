//! Who is let through.
//!
//! What is in development has no passwords yet, and any page of the web that a browser shows may
//! send requests to this machine: by the name of another site that was made to lead here (DNS rebinding)
//! it may even read the answers.

use std::net::IpAddr;

use hyper::{HeaderMap, Uri, header, http::uri::Authority};

/// Names that are answered to.
#[derive(Debug)]
pub(super) struct HostGuard {
    allowed: Vec<String>,
}

/// Why a request is not let through.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "this server in development doesn't answer to the name {0}; `allow_hosts` or --allow-host names others"
    )]
    Host(String),
    #[error(
        "this server in development isn't for pages of {0}; `allow_hosts` or --allow-host names others"
    )]
    Origin(String),
}

impl HostGuard {
    pub(super) fn new(allowed: &[String]) -> Self {
        let lower = |name: &String| name.trim_end_matches('.').to_ascii_lowercase();
        Self { allowed: allowed.iter().map(lower).collect() }
    }

    /// Whether a request that came in at the address `bound` is let through.
    pub(super) fn admit(
        &self,
        bound: IpAddr,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refused> {
        // Both may be there, and a server may go by either (RFC 9112, section 3.2.2).
        let said = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
        for host in said.chain(uri.authority().map(Authority::as_str)) {
            if !self.knows(bound, host) {
                return Err(Refused::Host(host.to_owned()));
            }
        }
        // The browser's own word, which no page can forge (https://www.w3.org/TR/fetch-metadata/): a page
        // that hides where it is from still has its own forms answered.
        let is_own = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("?");
            let host = origin.split_once("://").map(|(_, host)| host);
            if !is_own && !host.is_some_and(|host| self.knows(bound, host)) {
                return Err(Refused::Origin(origin.to_owned()));
            }
        }
        if is_embedded(headers) {
            let from = headers.get(header::REFERER).and_then(|from| from.to_str().ok());
            let host = from.and_then(|from| from.parse::<Uri>().ok()?.host().map(str::to_owned));
            if !host.is_some_and(|host| self.knows(bound, &host)) {
                return Err(Refused::Origin(from.unwrap_or("another site").to_owned()));
            }
        }
        Ok(())
    }

    /// Whether a host, with or without a port, is this machine, or one of those allowed.
    fn knows(&self, bound: IpAddr, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.is_empty() || port.parse::<u16>().is_ok() => name,
            _ => host,
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        if let Ok(address) = address.unwrap_or(name).parse::<IpAddr>() {
            let address = address.to_canonical();
            // Where it listens at all addresses, that is what it prints; no other machine has it.
            return address.is_loopback()
                || address.is_unspecified()
                || address == bound.to_canonical();
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        // What is below it is loopback as well, whatever a name server says (RFC 6761, section 6.3).
        let is_below = |domain: &str| name.strip_suffix(domain).is_some_and(|it| !it.is_empty());
        name == "localhost"
            || is_below(".localhost")
            || self
                .allowed
                .iter()
                .any(|allowed| *allowed == name || allowed.starts_with('.') && is_below(allowed))
    }
}

/// Whether a page of another site takes it for a part of its own, without an `Origin`: so it would run the
/// sources that are in development, and read what they say.
fn is_embedded(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
    says("sec-fetch-site", "cross-site") && says("sec-fetch-mode", "no-cors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_through_what_can_only_mean_this_machine() {
        let guard = HostGuard::new(&["App.test".to_owned(), ".cloud.test".to_owned()]);
        let bound = "192.168.1.5".parse().unwrap();
        for (host, is_known) in [
            ("localhost", true),
            ("LOCALHOST:3000", true),
            ("web.localhost:3000", true),
            ("127.0.0.1:3000", true),
            ("[::1]:3000", true),
            ("[::ffff:127.0.0.1]:3000", true),
            ("0.0.0.0:3000", true),
            ("[::]:3000", true),
            ("192.168.1.5:3000", true),
            ("192.168.1.6", false),
            ("rebound.example", false),
            ("127.0.0.1.example", false),
            ("evil-localhost", false),
            ("app.test:443", true),
            ("app.test.", true),
            ("localhost.:3000", true),
            ("localhost:", true),
            ("localhost:99999", false),
            ("localhost@rebound.example", false),
            ("localhost/", false),
            ("an.app.test", false),
            ("a.cloud.test", true),
            ("cloud.test", false),
            ("", false),
        ] {
            assert_eq!(guard.knows(bound, host), is_known, "{host}");
        }
    }

    #[test]
    fn refuses_what_a_page_of_another_site_sends() {
        let guard = HostGuard::new(&[]);
        let bound = "127.0.0.1".parse().unwrap();
        let admit = |uri: &str, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (name.parse().unwrap(), header::HeaderValue::from_static(value))
            });
            let headers: HeaderMap =
                headers.collect::<Vec<(header::HeaderName, _)>>().into_iter().collect();
            guard.admit(bound, &uri.parse().unwrap(), &headers).is_ok()
        };
        let host = ("host", "localhost:3000");
        let cross = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
        let [site, mode] = cross;
        for (uri, headers, is_let) in [
            ("/", &[][..], true),
            ("/", &[host], true),
            ("http://evil.example/", &[host], false),
            ("/", &[("host", "evil.example")], false),
            ("/", &[host, ("host", "evil.example")], false),
            ("/", &[host, ("origin", "http://localhost:5173")], true),
            ("/", &[host, ("origin", "https://evil.example")], false),
            ("/", &[host, ("origin", "null")], false),
            ("/", &[host, ("origin", "null"), ("sec-fetch-site", "cross-site")], false),
            ("/", &[host, ("origin", "null"), ("sec-fetch-site", "same-origin")], true),
            ("/", &[host, site, mode], false),
            ("/", &[host, site, mode, ("referer", "https://evil.example/")], false),
            ("/", &[host, site, mode, ("referer", "http://127.0.0.1:5173/a")], true),
            ("/", &[host, site, mode, ("referer", "http://[::1]:5173/")], true),
            ("/", &[host, site, ("sec-fetch-mode", "navigate")], true),
            ("/", &[host, ("sec-fetch-site", "same-site"), mode], true),
        ] {
            assert_eq!(admit(uri, headers), is_let, "{uri} {headers:?}");
        }
    }
}
