//! `server-dev schema`: what an editor completes and checks a `server-dev.toml` by.

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Value, json};

use crate::config::Config;

/// Where an editor looks for it, beside the file.
const FILE: &str = "server-dev.schema.json";
/// What an editor says of the whole.
const TITLE: &str = "Services of server-dev";

/// The first lines of a file of services: where its schema is, and how it comes there.
pub(crate) fn head() -> String {
    format!(
        "#:schema ./{FILE}\n# For an editor to complete and check this file: server-dev schema > {FILE}\n"
    )
}

/// A key of a service.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// What it is for, in a line.
    pub(crate) description: String,
    /// `None` where it has to be set, or nothing is taken in its place.
    pub(crate) default: Option<Value>,
    /// What it may be, where it has no default.
    pub(crate) example: Option<Value>,
}

/// Returns the JSON Schema, as text.
pub(crate) fn text() -> String {
    format!("{:#}\n", whole().to_value())
}

/// Returns everything that a service may say.
pub(crate) fn keys() -> Vec<Key> {
    let whole = whole();
    let keys = whole.pointer("/$defs/Service/properties").and_then(Value::as_object);
    let key = |(name, key): (&String, &Value)| Key {
        name: name.clone(),
        description: key["description"].as_str().unwrap_or_default().to_owned(),
        default: match key.get("default") {
            // An empty list, where its parts can't be written.
            None if key["type"] == "array" => Some(json!([])),
            default => default.cloned(),
        },
        example: example(key).cloned(),
    };
    keys.into_iter().flatten().map(key).collect()
}

/// The first that is given, of itself or of one of its forms.
fn example(key: &Value) -> Option<&Value> {
    let own = key.pointer("/examples/0");
    own.or_else(|| key["anyOf"].as_array()?.iter().find_map(example))
}

fn whole() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with_transform(RecursiveTransform(for_people_and_toml));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), json!(TITLE));
    schema
}

/// Makes of what was written for Rust what is read in an editor of TOML, which has no null.
fn for_people_and_toml(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
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

#[cfg(test)]
mod tests {
    use jsonschema::draft202012;

    use super::*;

    #[test]
    fn takes_what_the_parser_takes_and_refuses_what_it_refuses() {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        draft202012::meta::validate(&schema).unwrap();
        let validator = draft202012::new(&schema).unwrap();
        for (text, is_good) in [
            ("command = 'cargo run'", true),
            ("command = ['cargo', 'run']\nbuild = 'make'", true),
            ("command = 'a'\nsockets = ['http::3000', 'admin=unix::/a b']", true),
            ("command = 'a'\nsettle = '50ms'\ngrace = '1m 30s'\npoll = '0.5s'", true),
            ("command = 'a'\nready = 'notify'", true),
            ("command = 'a'\nready = { delay = '1s' }", true),
            ("command = 'a'\nready = '/up'", true),
            ("command = 'a'\nready = '500ms'\nproxy = true\npoll = true", true),
            ("command = 'a'\nproxy = 'socket'\npoll = false", true),
            ("command = 'a'\nrules = [{ files = '*.css', do = 'css' }]", true),
            ("command = 'a'\nenv = { A = '1' }\nenv_file = 'x'", true),
            ("", false),
            ("command = ''", false),
            ("command = []", false),
            ("command = 'a'\nsockets = ['3000']", false),
            ("command = 'a'\nsockets = ['ftp::21']", false),
            ("command = 'a'\nsettle = 'soon'", false),
            ("command = 'a'\nsettle = 50", false),
            ("command = 'a'\nready = 'soon'", false),
            ("command = 'a'\nready = { delay = 1 }", false),
            ("command = 'a'\nready = { delay = '1s', http = '/' }", false),
            ("command = 'a'\nproxy = 'pipe'", false),
            ("command = 'a'\npoll = 500", false),
            ("command = 'a'\nrules = [{ files = '*.css', do = 'paint' }]", false),
            ("command = 'a'\nenv = { A = 1 }", false),
            ("command = 'a'\nextension = ['rs']", false),
        ] {
            let text = format!("[services.web]\n{text}");
            assert_eq!(toml::from_str::<Config>(&text).is_ok(), is_good, "{text}");
            let value: Value = toml::from_str(&text).unwrap();
            assert_eq!(validator.is_valid(&value), is_good, "{text}");
        }
    }

    #[test]
    fn says_of_each_key_what_it_is_for_and_its_default() {
        let keys = keys();
        assert!(keys.iter().all(|key| !key.description.is_empty()), "{keys:#?}");
        let default = |name: &str| {
            keys.iter().find(|key| key.name == name).unwrap().default.clone().unwrap_or_default()
        };
        assert_eq!(default("settle"), "50ms");
        assert_eq!(default("watch"), json!(["."]));
        assert_eq!((default("overlap"), default("sockets")), (json!(true), json!([])));
        assert_eq!(default("ready"), "auto");
        assert_eq!(default("poll"), Value::Null);
        assert_eq!(default("command"), Value::Null);
    }
}
