//! What an editor can check of a configuration: patterns that take whatever the parser takes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{headers, table};
use crate::address::Address;

const UNIX: &str = "unix:/.+";
/// As `std` parses it: leading zeros are no harm to a port, and none are allowed in an octet.
const PORT: &str =
    "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})";
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let ipv4 = format!(r"{OCTET}(\.{OCTET}){{3}}");
        let ipv6 = r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[0-9]+)?\]";
        one_of(&ipv4, ipv6, ["127.0.0.1:8080", "unix:/run/server-bin/http.sock"])
    }
}

/// An address that nobody else can reach.
pub(super) fn local_address(_: &mut SchemaGenerator) -> Schema {
    let ipv4 = format!(r"127(\.{OCTET}){{3}}");
    // `::1` in all its spellings.
    let ipv6 = r"\[[0:.]*:[0:.]*1(%[0-9]+)?\]";
    one_of(&ipv4, ipv6, ["127.0.0.1:8081", "unix:/run/server-bin/admin.sock"])
}

fn one_of(ipv4: &str, ipv6: &str, examples: [&str; 2]) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": format!("^({UNIX}|({ipv4}|{ipv6}):{PORT})$"),
        "examples": examples,
    })
}

/// Headers and their values.
pub(super) fn headers(_: &mut SchemaGenerator) -> Schema {
    let ours: Vec<String> = headers::OURS.iter().map(|name| in_any_case(name.as_str())).collect();
    let not_here = [ours, table::top_keys().iter().map(|&key| key.to_owned()).collect()].concat();
    json_schema!({
        "type": "object",
        "maxProperties": headers::MOST_HEADERS,
        // RFC 9110, section 5.6.2.
        "propertyNames": {
            "pattern": "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$",
            "not": { "pattern": format!("^({})$", not_here.join("|")) },
        },
        "additionalProperties": {
            "type": "string",
            "pattern": r"^[^\u0000-\u0008\u000a-\u001f\u007f]*$",
        },
    })
}

/// A pattern of `text` in whatever case; JSON Schema's have no flag for it (ECMA-262).
fn in_any_case(text: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' => format!("[{}{letter}]", letter.to_ascii_uppercase()),
        other => other.to_string(),
    };
    text.chars().map(letter).collect()
}
