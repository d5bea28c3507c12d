//! Where in the file stands what only the server can know to be wrong.

use std::{
    collections::BTreeMap,
    error::Error,
    ops::Range,
    path::{Path, PathBuf},
};

use hot_reload::FileError;
use serde::{Deserialize, de::IgnoredAny};
use server_lib::{Address, BindError, CertificateError, InvalidConfig};
use toml::Spanned;

/// As much of the file as is needed to find an address or a path in it.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    listen_addresses: Vec<Spanned<Address>>,
    #[serde(default)]
    https_addresses: Vec<Spanned<Address>>,
    admin_address: Option<Spanned<Address>>,
    #[serde(default)]
    tls: Tls,
}

#[derive(Default, Deserialize)]
struct Tls {
    #[serde(default)]
    certificates: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    certificate: Spanned<PathBuf>,
    key: Spanned<PathBuf>,
}

/// Tells `failure` as the parser's errors are told: file, line, column and the line itself.
///
/// Where the file is no longer what was loaded, the file alone is named.
pub(crate) fn tell(path: &Path, failure: &BindError) -> String {
    tell_at(path, failure, |text| span(failure.address(), text))
}

/// Tells in the same way which certificate can't be served.
pub(crate) fn tell_certificate(path: &Path, failure: &CertificateError) -> String {
    tell_at(path, failure, |text| path_span(failure.path(), text))
}

/// Tells in the same way what makes a configuration invalid as a whole.
pub(crate) fn tell_invalid(path: &Path, invalid: &InvalidConfig) -> String {
    let key = invalid.key();
    let table = key.split_once('.').map_or(key, |(table, _)| table);
    // Where it stands says which key it is.
    let found = at(path, invalid.problem(), |text| value_span(table, text));
    found.unwrap_or_else(|| format!("{}: {invalid}", path.display()))
}

fn tell_at(
    path: &Path,
    failure: &dyn Error,
    span: impl Fn(&str) -> Option<Range<usize>>,
) -> String {
    let cause = failure.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let message = format!("{failure}{cause}");
    at(path, &message, span).unwrap_or_else(|| format!("{}: {message}", path.display()))
}

fn at(path: &Path, message: &str, span: impl Fn(&str) -> Option<Range<usize>>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(FileError::at(path, &text, span(&text)?, message).to_string())
}

/// The bytes of `text` that are the value of `key`.
fn value_span(key: &str, text: &str) -> Option<Range<usize>> {
    let values: BTreeMap<String, Spanned<IgnoredAny>> = toml::from_str(text).ok()?;
    Some(values.get(key)?.span())
}

/// The bytes of `text` that are the address.
fn span(address: &Address, text: &str) -> Option<Range<usize>> {
    let listed: Listed = toml::from_str(text).ok()?;
    let application = listed.listen_addresses.iter().chain(&listed.https_addresses);
    let mut all = application.chain(&listed.admin_address);
    let found = all.find(|listed| listed.as_ref() == address)?;
    Some(found.span())
}

/// The bytes of `text` that are the path of a certificate or a key.
fn path_span(path: &Path, text: &str) -> Option<Range<usize>> {
    let listed: Listed = toml::from_str(text).ok()?;
    let mut all = listed.tls.certificates.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    all.find(|listed| listed.as_ref() == path).map(Spanned::span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_address_where_it_stands() {
        let text = "name = 'ü'\nlisten_addresses = [\n  '127.0.0.1:1',\n  # ü\n  '[::1]:2', ]\n";
        let at = |address: &str| span(&address.parse().unwrap(), text);
        assert_eq!(at("[::1]:2").map(|span| &text[span]), Some("'[::1]:2'"));
        assert_eq!(at("[::1]:3"), None);
        assert_eq!(span(&"[::1]:2".parse().unwrap(), "broken"), None);
    }
}
