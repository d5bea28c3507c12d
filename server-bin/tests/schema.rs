//! The schema that an editor checks a configuration by.

mod common;

use common::run;
use jsonschema::{Validator, draft202012};
use serde_json::{Value, json};
use server_lib::ServerConfig;

const CONFIG: &str = include_str!("../../config.toml");

fn schema() -> Value {
    let output = run(&["--print-schema"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn validator() -> Validator {
    let schema = schema();
    draft202012::meta::validate(&schema).unwrap();
    draft202012::new(&schema).unwrap()
}

/// What an editor has of a text in TOML.
fn parsed(text: &str) -> Value {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_configuration_that_comes_along_passes() {
    let validator = validator();
    validator.validate(&parsed(CONFIG)).unwrap();
    // With what is only shown in it as well, above its first table.
    let set = parsed(CONFIG);
    let top = CONFIG.lines().map(|line| line.trim_start_matches("# "));
    let is_shown = |line: &&str| {
        let key = line.split_once(" = ").map_or("", |(key, _value)| key);
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_key && set.get(key).is_none() && toml::from_str::<Value>(line).is_ok()
    };
    let shown: Vec<_> = top.take_while(|line| !line.starts_with('[')).filter(is_shown).collect();
    let shown = shown.join("\n");
    assert!(shown.contains("admin_address"), "{shown}");
    let all = format!("listen_addresses = ['[::1]:0']\n{shown}");
    validator.validate(&parsed(&all)).unwrap();
}

#[test]
fn every_key_is_there_and_explained() {
    // Which keys there are, the parser says of one that is not.
    let error = toml::from_str::<ServerConfig>("not_a_key = 1").unwrap_err();
    let said = error.message().split_once("expected one of ").unwrap().1.to_owned();
    let keys: Vec<&str> = said.split(", ").map(|key| key.trim_matches('`')).collect();
    assert!(keys.contains(&"listen_addresses"), "{said}");
    let schema = schema();
    for key in &keys {
        let description = schema["properties"][key]["description"].as_str();
        let description = description.unwrap_or_else(|| panic!("{key} is not explained"));
        assert!(!description.contains("[`") && !description.contains('\n'), "{description}");
    }
    assert_eq!(schema["properties"].as_object().unwrap().len(), keys.len());
    everywhere_explained(&schema);
    assert_eq!(schema["properties"]["request_timeout_ms"]["default"], 30_000);
}

/// Checks tables within tables as well.
fn everywhere_explained(part: &Value) {
    if let Some(keys) = part.get("properties").and_then(Value::as_object) {
        assert_eq!(part["additionalProperties"], false, "typos are taken: {part}");
        for (key, schema) in keys {
            assert!(schema["description"].is_string(), "{key} is not explained: {part}");
        }
    }
    match part {
        Value::Object(parts) => parts.values().for_each(everywhere_explained),
        Value::Array(parts) => parts.iter().for_each(everywhere_explained),
        _ => {}
    }
}

#[test]
fn what_the_daemon_refuses_is_refused() {
    let validator = validator();
    let headers = |many: usize| {
        let pairs: Vec<_> = (0..many).map(|n| format!("x-{n} = ''")).collect();
        format!("response_headers = {{ {} }}", pairs.join(", "))
    };
    for (line, want) in [
        ("naem = 'one'", false),
        ("id = 'one'", false),
        ("id = -1", false),
        ("id = 4294967295", true),
        ("id = 4294967296", false),
        ("request_timeout_ms = 0", false),
        ("request_timeout_ms = 1", true),
        ("drain_timeout_ms = 0", true),
        ("drain_timeout_ms = 1.5", false),
        ("admin_address = '0.0.0.0:9000'", false),
        ("admin_address = '127.8.0.1:9000'", true),
        ("admin_address = '[::1]:0'", true),
        ("admin_address = '[0:0:0:0:0:0:0:1]:1'", true),
        ("admin_address = '[::2]:1'", false),
        ("admin_address = 'unix:/run/admin.sock'", true),
        ("response_headers = { x-one = 'ü, \\', \"y!\" = '' }", true),
        (&*headers(100), true),
        (&*headers(101), false),
        ("response_headers = { 'a b' = 'c' }", false),
        ("response_headers = { '' = 'c' }", false),
        ("response_headers = { Content-Length = '3' }", false),
        ("response_headers = { content-lengths = '3' }", true),
        ("response_headers = { admin_address = '127.0.0.1:1' }", false),
        ("response_headers = { log = 'info' }", false),
        ("response_headers = { x-log = 'info' }", true),
        ("response_headers = { x = \"a\\nb\" }", false),
        ("response_headers = { x = 3 }", false),
    ] {
        let text = format!("listen_addresses = ['127.0.0.1:0']\n{line}\n");
        assert_eq!(toml::from_str::<ServerConfig>(&text).is_ok(), want, "the daemon: {text}");
        assert_eq!(validator.is_valid(&parsed(&text)), want, "the schema: {text}");
    }
}

#[test]
fn addresses_are_what_the_daemon_takes() {
    let validator = validator();
    for (address, want) in [
        ("127.0.0.1:8080", true),
        ("255.249.199.0:65535", true),
        ("0.0.0.0:00080", true),
        ("[::]:80", true),
        ("[fe80::1%3]:80", true),
        ("[::ffff:127.0.0.1]:80", true),
        ("[2001:db8:0:0:0:0:0:1]:443", true),
        ("unix:/run/http.sock", true),
        ("unix:run/http.sock", false),
        ("unix:", false),
        ("localhost:80", false),
        ("127.0.0.1", false),
        ("127.0.0.1:", false),
        ("127.0.0.1:65536", false),
        ("127.0.0.1:123456", false),
        ("127.0.0.256:80", false),
        ("127.0.0.01:80", false),
        ("127.0.0:80", false),
        ("::1:80", false),
        ("[::1]", false),
        ("[fe80::1%eth0]:80", false),
        (" 127.0.0.1:80", false),
        (":80", false),
        ("", false),
    ] {
        assert_eq!(address.parse::<server_lib::Address>().is_ok(), want, "the daemon: {address:?}");
        let config = json!({ "listen_addresses": [address] });
        assert_eq!(validator.is_valid(&config), want, "the schema: {address:?}");
    }
    for addresses in [json!([]), json!(["[::1]:1", "[::1]:1"]), json!("[::1]:1"), Value::Null] {
        let config = json!({ "listen_addresses": addresses });
        assert!(!validator.is_valid(&config), "{config}");
    }
    assert!(!validator.is_valid(&json!({ "name": "one" })), "without an address");
}
