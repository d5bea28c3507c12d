//! `--print-schema`: what an editor completes and checks a configuration by.

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value, json};
use server_lib::ServerConfig;

/// What an editor calls the whole.
const TITLE: &str = "Configuration of server-bin";

/// Returns the JSON Schema of a configuration, as text.
pub(crate) fn text() -> String {
    let mut schema = settings().into_generator().into_root_schema_for::<ServerConfig>();
    schema.insert("title".to_owned(), json!(TITLE));
    let description = format!(
        "What server-bin serves by. Save the file, and it is in use, all but what takes a restart: {}.",
        ServerConfig::NOT_HOT.join(", ")
    );
    schema.insert("description".to_owned(), json!(description));
    format!("{:#}\n", schema.to_value())
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(for_people_and_toml))
}

/// Makes of what was written for Rust what is read in an editor of TOML.
fn for_people_and_toml(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = plain(description);
    }
    without_null(schema);
    // Formats that nobody but Rust knows; what they say is said so that it is checked. TOML has no
    // integer beyond 64 bits.
    let greatest = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => Some(json!(u8::MAX)),
        Some("uint16") => Some(json!(u16::MAX)),
        Some("uint32") => Some(json!(u32::MAX)),
        Some("uint64" | "uint") => None,
        _ => return,
    };
    schema.remove("format");
    if let Some(greatest) = greatest {
        schema.entry("maximum").or_insert(greatest);
    }
}

/// Takes away the null of an optional key: TOML has none.
fn without_null(schema: &mut Map<String, Value>) {
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = &mut types[..] {
            let one = one.take();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
    }
}

/// Makes plain text of documentation: paragraphs of one line each, without examples, and links that
/// are only their text.
fn plain(documentation: &str) -> String {
    let prose = documentation.split("\n\n").take_while(|paragraph| !paragraph.starts_with('#'));
    let paragraphs = prose.map(|text| text.replace('\n', " "));
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, bracketed)) = rest.split_once('[') {
        plain.push_str(before);
        let linked = bracketed.split_once(']').and_then(|(name, after)| {
            let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
            match target {
                Some((_target, after)) => Some((name, after)),
                None => name.starts_with('`').then_some((name, after)),
            }
        });
        let (text, after) = linked.unwrap_or(("[", bracketed));
        plain.push_str(text);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;

    #[test]
    fn optional_keys_have_no_null() {
        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its shape counts")]
        struct Table {
            port: Option<u16>,
            #[serde(default)]
            within: Option<Within>,
        }
        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its shape counts")]
        struct Within {
            bytes: u64,
        }
        let schema = settings().into_generator().into_root_schema_for::<Table>();
        assert_eq!(
            schema.get("properties"),
            Some(&json!({
                "port": { "type": "integer", "minimum": 0, "maximum": 65535 },
                "within": { "anyOf": [{ "$ref": "#/$defs/Within" }] },
            }))
        );
        let within = schema.pointer("/$defs/Within/properties/bytes");
        assert_eq!(within, Some(&json!({ "type": "integer", "minimum": 0 })));
    }

    #[test]
    fn documentation_becomes_plain_text() {
        for (documentation, want) in [
            ("one\ntwo\n\nthree", "one two\n\nthree"),
            ("see [`a`], [`b`](c::b) and [::]:80", "see `a`, `b` and [::]:80"),
            ("an end [`without", "an end [`without"),
        ] {
            assert_eq!(plain(documentation), want);
        }
    }
}
