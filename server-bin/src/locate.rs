//! Where in the file stands what only the server can know to be wrong.

use std::{
    collections::BTreeMap,
    error::Error,
    ops::Range,
    path::{Path, PathBuf},
};

use hot_reload::FileError;
use serde::{Deserialize, de::IgnoredAny};
use server_lib::{Address, BindError, CertificateError, InvalidConfig, ServerConfig, ServerError};
use toml::Spanned;

use crate::{levels, source::Source};

/// As much of the file as is needed to find an address or a path in it.
#[derive(Deserialize)]
struct Places {
    #[serde(default)]
    listen_addresses: Vec<Spanned<Address>>,
    #[serde(default)]
    https_addresses: Vec<Spanned<Address>>,
    admin_address: Option<Spanned<Address>>,
    #[serde(default)]
    tls: TlsTable,
}

#[derive(Default, Deserialize)]
struct TlsTable {
    #[serde(default)]
    certificates: Vec<CertificateFiles>,
}

#[derive(Deserialize)]
struct CertificateFiles {
    certificate: Spanned<PathBuf>,
    key: Spanned<PathBuf>,
}

/// Tells why a server refuses what was loaded as the parser's errors are told: file, line, column and the
/// line itself; `None` of what is nowhere in it. May block.
///
/// Where the file is no longer what was loaded, the file alone is named.
pub(crate) fn tell_refused(source: &Source, refused: &ServerError) -> Option<String> {
    match refused {
        ServerError::Bind(failure) => Some(tell(source, failure)),
        ServerError::Certificate(failure) => Some(tell_certificate(source, failure)),
        ServerError::Invalid(invalid) => Some(tell_invalid(source, invalid)),
        _ => None,
    }
}

/// Tells in the same way which address can't be bound.
pub(crate) fn tell(source: &Source, failure: &BindError) -> String {
    tell_at(source, failure, |text| span(failure.address(), text))
}

/// Tells in the same way which certificate can't be served.
pub(crate) fn tell_certificate(source: &Source, failure: &CertificateError) -> String {
    tell_at(source, failure, |text| path_span(failure.path(), failure.is_of_key(), text))
}

/// Tells in the same way what makes a configuration invalid as a whole.
pub(crate) fn tell_invalid(source: &Source, invalid: &InvalidConfig) -> String {
    let key = invalid.key();
    let table = key.split_once('.').map_or(key, |(table, _)| table);
    let is_so = |config: &ServerConfig| config.validate().as_ref() == Err(invalid);
    // Where it stands says which key it is.
    let found = at(source, invalid.problem(), |text| value_span(table, text, is_so));
    found.unwrap_or_else(|| format!("{}: {invalid}", source.name()))
}

/// Tells in the same way what is wrong with the filter of the log.
pub(crate) fn tell_log(source: &Source, directives: &str, failure: &dyn Error) -> String {
    tell_doubt(source, directives, &format!("log: {}", levels::unquoted(failure)))
}

/// Tells in the same way what is doubtful in the filter of the log.
pub(crate) fn tell_doubt(source: &Source, directives: &str, doubt: &str) -> String {
    let is_so = |config: &ServerConfig| config.log.as_deref() == Some(directives);
    let found = at(source, doubt, |text| value_span("log", text, is_so));
    found.unwrap_or_else(|| format!("{}: {doubt}", source.name()))
}

fn tell_at(
    source: &Source,
    failure: &dyn Error,
    span: impl Fn(&str) -> Option<Range<usize>>,
) -> String {
    let cause = failure.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let message = format!("{failure}{cause}");
    at(source, &message, span).unwrap_or_else(|| format!("{}: {message}", source.name()))
}

fn at(
    source: &Source,
    message: &str,
    span: impl Fn(&str) -> Option<Range<usize>>,
) -> Option<String> {
    let text = source.text()?;
    Some(FileError::at(Path::new(source.name()), &text, span(&text)?, message).to_string())
}

/// The bytes of `text` that are the value of `key`, where it still is a configuration that `is_so`.
fn value_span(
    key: &str,
    text: &str,
    is_so: impl Fn(&ServerConfig) -> bool,
) -> Option<Range<usize>> {
    toml::from_str(text).ok().filter(is_so)?;
    let values: BTreeMap<String, Spanned<IgnoredAny>> = toml::from_str(text).ok()?;
    Some(values.get(key)?.span())
}

/// The bytes of `text` that are the address.
fn span(address: &Address, text: &str) -> Option<Range<usize>> {
    let listed: Places = toml::from_str(text).ok()?;
    let application = listed.listen_addresses.iter().chain(&listed.https_addresses);
    let mut all = application.chain(&listed.admin_address);
    let found = all.find(|listed| listed.as_ref() == address)?;
    Some(found.span())
}

/// The bytes of `text` that are the path of a certificate, or of a key: both may be in one file.
fn path_span(path: &Path, is_of_key: bool, text: &str) -> Option<Range<usize>> {
    let listed: Places = toml::from_str(text).ok()?;
    let pairs = listed.tls.certificates.iter();
    let mut all = pairs.map(|pair| if is_of_key { &pair.key } else { &pair.certificate });
    all.find(|listed| listed.as_ref() == path).map(Spanned::span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{place::Place, source::Patience};

    #[test]
    fn finds_an_address_where_it_stands() {
        let text = "name = 'ü'\nlisten_addresses = [\n  '127.0.0.1:1',\n  # ü\n  '[::1]:2', ]\n";
        let at = |address: &str| span(&address.parse().unwrap(), text);
        assert_eq!(at("[::1]:2").map(|span| &text[span]), Some("'[::1]:2'"));
        assert_eq!(at("[::1]:3"), None);
        assert_eq!(span(&"[::1]:2".parse().unwrap(), "broken"), None);
    }

    /// Whoever saves it once more meanwhile would be shown a line that has nothing to do with it.
    #[test]
    fn names_the_file_alone_once_it_holds_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let file = path.display();
        let bad = "https_addresses = ['[::1]:1']\nlog = 'a=b'\n";
        let config: ServerConfig = toml::from_str(bad).unwrap();
        let invalid = config.validate().unwrap_err();
        let failure = std::io::Error::other("why");
        for (text, at_invalid, at_log) in [
            (bad, Some(":1:19: "), Some(":2:7: ")),
            ("listen_addresses = ['[::1]:1']\nhttps_addresses = []\nlog = 'info'\n", None, None),
            ("log = 'a=b'\nhttps_addresses = ['[::1]:1', '[::1]:1']\n", None, None),
            ("broken", None, None),
        ] {
            std::fs::write(&path, text).unwrap();
            let source = Source::at(&Place::File(path.clone()), Patience::default()).unwrap();
            let told = tell_invalid(&source, &invalid);
            match at_invalid {
                Some(at) => {
                    assert!(told.starts_with(&format!("{file}{at}an address over TLS")), "{told}");
                }
                None => assert_eq!(told, format!("{file}: {invalid}")),
            }
            let told = tell_log(&source, "a=b", &failure);
            match at_log {
                Some(at) => assert!(told.starts_with(&format!("{file}{at}log: why")), "{told}"),
                None => assert_eq!(told, format!("{file}: log: why")),
            }
        }
    }
}
