//! Where in the file an address stands that can't be bound.

use std::{error::Error, net::SocketAddr, path::Path};

use serde::Deserialize;
use server_lib::BindError;
use toml::Spanned;

/// As much of the file as is needed to find an address in it.
#[derive(Deserialize)]
struct Listed {
    listen_addresses: Vec<Spanned<SocketAddr>>,
}

/// Tells `failure` as the parser's errors are told: file, line, column and the line itself.
///
/// Where the file is no longer what was loaded, the file alone is named.
pub(crate) fn tell(path: &Path, failure: &BindError) -> String {
    let cause = failure.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let (path_text, message) = (path.display(), format!("{failure}{cause}"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match Place::of(failure.address(), &text) {
        None => format!("{path_text}: {message}"),
        Some(Place { line, column, width, line_text }) => {
            let gutter = " ".repeat(line.to_string().len());
            let (before, marks) = (" ".repeat(column - 1), "^".repeat(width));
            format!(
                "{path_text}:{line}:{column}: {message}\n{gutter} |\n{line} | {line_text}\n\
                 {gutter} | {before}{marks}"
            )
        }
    }
}

/// Line and column from 1, in characters.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    line: usize,
    column: usize,
    width: usize,
    line_text: &'a str,
}

impl<'a> Place<'a> {
    fn of(address: SocketAddr, text: &'a str) -> Option<Self> {
        let listed: Listed = toml::from_str(text).ok()?;
        let found = listed.listen_addresses.iter().find(|listed| *listed.as_ref() == address)?;
        let span = found.span();
        let before = text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Self {
            line: before.matches('\n').count() + 1,
            column: text[line_start..span.start].chars().count() + 1,
            width: text.get(span)?.chars().count(),
            line_text: text[line_start..].lines().next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_address_where_it_stands() {
        let text = "name = 'ü'\nlisten_addresses = [\n  '127.0.0.1:1',\n  # ü\n  '[::1]:2', ]\n";
        let at = |address: &str| Place::of(address.parse().unwrap(), text);
        let want = Place { line: 5, column: 3, width: 9, line_text: "  '[::1]:2', ]" };
        assert_eq!(at("[::1]:2"), Some(want));
        assert_eq!(at("[::1]:3"), None);
        assert_eq!(Place::of("[::1]:2".parse().unwrap(), "broken"), None);
    }
}
