//! Which certificate a client gets.

use std::{fmt, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::pair::{CertificateStatus, Pair};
use crate::{
    config::{CertificatePaths, TlsConfig},
    live::Live,
};

/// The pairs of a configuration, in its order.
#[derive(Default)]
pub(crate) struct Certificates(pub(super) Vec<Arc<Pair>>);

/// Chooses among those of the configuration in use.
pub(super) struct Resolver(pub(super) Arc<Live>);

/// How well a name of a certificate fits, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Wildcard,
    Exact,
}

impl Certificates {
    pub(super) fn find(&self, paths: &CertificatePaths) -> Option<Arc<Pair>> {
        self.0.iter().find(|pair| pair.paths == *paths).cloned()
    }

    /// Returns how each is doing.
    pub(crate) fn status(&self, config: &TlsConfig) -> Vec<CertificateStatus> {
        self.0.iter().map(|pair| pair.status(config.expiry_warning_days)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the one that fits best among those whose key the client understands: there may be
    /// several for a name, with keys of different kinds. Otherwise the first.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let all = self.0.iter().map(|pair| pair.material.load_full());
        let suits = |certified: &CertifiedKey| certified.key.choose_scheme(schemes).is_some();
        let rated = all.map(|material| {
            let fit = name.and_then(|name| fit(&material.names, name));
            let certified = Arc::clone(&material.certified);
            // No name helps a client that can't check the signature.
            ((suits(&certified), fit), certified)
        });
        // Of equals the first, and `max_by` would take the last.
        rated
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, certified)| certified)
    }
}

/// A list of paths: what is in the files is nobody's business.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|pair| &pair.paths)).finish()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().certificates.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Tells how `name` fits the names of a certificate: RFC 9525, section 6.3.
fn fit(names: &[String], name: &str) -> Option<Fit> {
    let fits = |pattern: &String| {
        if pattern.eq_ignore_ascii_case(name) {
            return Some(Fit::Exact);
        }
        // In place of one label, the first, and of no part of it.
        let (_, parent) = name.split_once('.')?;
        let wanted = pattern.strip_prefix("*.")?;
        wanted.eq_ignore_ascii_case(parent).then_some(Fit::Wildcard)
    };
    names.iter().filter_map(fits).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_names_as_clients_do() {
        let names = ["example.com", "*.example.com", "b.example.com"].map(str::to_owned);
        for (name, want) in [
            ("example.com", Some(Fit::Exact)),
            ("EXAMPLE.com", Some(Fit::Exact)),
            ("a.example.com", Some(Fit::Wildcard)),
            ("A.Example.Com", Some(Fit::Wildcard)),
            ("b.example.com", Some(Fit::Exact)),
            ("a.b.example.com", None),
            ("example.org", None),
            ("com", None),
            ("", None),
        ] {
            assert_eq!(fit(&names, name), want, "{name}");
        }
    }
}
