//! Where in the file an address stands that can't be bound.

use std::{error::Error, ops::Range, path::Path};

use hot_reload::FileError;
use serde::Deserialize;
use server_lib::{Address, BindError};
use toml::Spanned;

/// As much of the file as is needed to find an address in it.
#[derive(Deserialize)]
struct Listed {
    listen_addresses: Vec<Spanned<Address>>,
    admin_address: Option<Spanned<Address>>,
}

/// Tells `failure` as the parser's errors are told: file, line, column and the line itself.
///
/// Where the file is no longer what was loaded, the file alone is named.
pub(crate) fn tell(path: &Path, failure: &BindError) -> String {
    let cause = failure.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let message = format!("{failure}{cause}");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match span(failure.address(), &text) {
        None => format!("{}: {message}", path.display()),
        Some(span) => FileError::at(path, &text, span, message).to_string(),
    }
}

/// The bytes of `text` that are the address.
fn span(address: &Address, text: &str) -> Option<Range<usize>> {
    let listed: Listed = toml::from_str(text).ok()?;
    let mut all = listed.listen_addresses.iter().chain(&listed.admin_address);
    let found = all.find(|listed| listed.as_ref() == address)?;
    Some(found.span())
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
