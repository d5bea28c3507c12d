//! Values that a file takes in the forms of the command line as well.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use super::{ProxyMode, poll_interval};
use crate::timespan::{InvalidTimespan, Timespan};

/// When a new process is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Ready {
    /// By `READY=1`, or once it is seen to wait for connections, whichever is first.
    #[default]
    Auto,
    /// By `READY=1` alone, see `sd_notify(3)`.
    Notify,
    /// After so long.
    Delay(Timespan),
    /// Once it answers a request for this path with success; behind the proxy only, since a socket
    /// that several hold doesn't say who answers.
    Http(String),
}

/// The forms of it that are tables.
const TABLES: &[&str] = &["delay", "http"];

/// A text that says it of no process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidReady {
    #[error("{0} is none of: auto, notify, a time such as 500ms, a path such as /health")]
    Form(String),
    #[error(transparent)]
    TooLong(InvalidTimespan),
}

impl FromStr for Ready {
    type Err = InvalidReady;

    fn from_str(text: &str) -> Result<Self, InvalidReady> {
        match text {
            "auto" => Ok(Self::Auto),
            "notify" => Ok(Self::Notify),
            path if path.starts_with('/') => Ok(Self::Http(path.to_owned())),
            _ => text.parse().map(Self::Delay).map_err(|error| match error {
                InvalidTimespan::Form(text) => InvalidReady::Form(text),
                error @ InvalidTimespan::TooLong(_) => InvalidReady::TooLong(error),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Ready {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = Ready;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    r#""auto", "notify", a time such as "500ms" or a path such as "/health""#,
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Ready, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ready, A::Error> {
                let ready = match map.next_key::<String>()?.as_deref() {
                    Some("delay") => Ready::Delay(map.next_value()?),
                    Some("http") => Ready::Http(map.next_value()?),
                    Some(other) => return Err(A::Error::unknown_field(other, TABLES)),
                    None => return Err(A::Error::invalid_length(0, &self)),
                };
                match map.next_key::<String>()? {
                    Some(_) => Err(A::Error::invalid_length(2, &self)),
                    None => Ok(ready),
                }
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for Ready {
    fn schema_name() -> Cow<'static, str> {
        "Ready".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let time = Timespan::json_schema(generator);
        let path = json_schema!({ "type": "string" });
        let table = |key: &str, value: &Schema| {
            json_schema!({
                "type": "object",
                "properties": { key: value },
                "required": [key],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": ["auto", "notify"] },
                time,
                { "type": "string", "pattern": "^/" },
                table("delay", &time),
                table("http", &path),
            ],
            "examples": ["auto", "notify", "500ms", "/health"],
        })
    }
}

/// Reads how a process is reached behind the proxy; `true` is what the bare flag means.
pub(super) fn proxy<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ProxyMode>, D::Error> {
    switch(from, ProxyMode::Port, r#"true, "port" or "socket""#)
}

/// Reads how often files are looked at; `true` is what the bare flag means.
pub(super) fn poll<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timespan>, D::Error> {
    switch(from, poll_interval(), r#"true, or a time such as "500ms""#)
}

/// What is written as a text, or switched on and off.
fn switch<'de, D: Deserializer<'de>, T: Written>(
    from: D,
    on: T,
    forms: &'static str,
) -> Result<Option<T>, D::Error> {
    struct Forms<T>(T, &'static str);

    impl<T: Written> Visitor<'_> for Forms<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.1)
        }

        fn visit_bool<E: Error>(self, is_on: bool) -> Result<Option<T>, E> {
            Ok(is_on.then_some(self.0))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
            let invalid = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
            T::read(text).map(Some).ok_or_else(invalid)
        }
    }

    from.deserialize_any(Forms(on, forms))
}

/// What is read from a text.
trait Written: Sized {
    fn read(text: &str) -> Option<Self>;
}

impl Written for ProxyMode {
    fn read(text: &str) -> Option<Self> {
        clap::ValueEnum::from_str(text, false).ok()
    }
}

impl Written for Timespan {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The schema of what is switched on and off, or says more of itself.
pub(super) struct Switch<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Switch_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let said = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, said] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Service};

    fn one(text: &str) -> Result<Service, toml::de::Error> {
        toml::from_str::<Config>(&format!("[services.web]\ncommand = \"a\"\n{text}"))
            .map(|config| config.services.into_values().next().unwrap())
    }

    #[test]
    fn readiness_is_written_as_on_the_command_line_or_as_a_table() {
        let half = Ready::Delay(Timespan::milliseconds(500));
        for (text, want) in [
            ("'auto'", Ready::Auto),
            ("'notify'", Ready::Notify),
            ("'500ms'", half.clone()),
            ("{ delay = '500ms' }", half),
            ("'/health'", Ready::Http("/health".into())),
            ("{ http = '/health' }", Ready::Http("/health".into())),
        ] {
            assert_eq!(one(&format!("ready = {text}")).unwrap().ready, want, "{text}");
        }
    }

    #[test]
    fn a_switch_is_what_the_bare_flag_means() {
        for (text, want) in [
            ("true", Some(ProxyMode::Port)),
            ("false", None),
            ("'port'", Some(ProxyMode::Port)),
            ("'socket'", Some(ProxyMode::Socket)),
        ] {
            assert_eq!(one(&format!("proxy = {text}")).unwrap().proxy, want, "{text}");
        }
        for (text, want) in
            [("true", Some(poll_interval())), ("false", None), ("'2s'", Some(Timespan::seconds(2)))]
        {
            assert_eq!(one(&format!("poll = {text}")).unwrap().poll, want, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_all_forms_that_are_right() {
        for (text, words) in [
            ("ready = 'soon'", "auto, notify, a time such as 500ms, a path such as /health"),
            (
                "ready = 1",
                r#""auto", "notify", a time such as "500ms" or a path such as "/health""#,
            ),
            ("ready = { tcp = 1 }", "expected `delay` or `http`"),
            ("proxy = 1", r#"true, "port" or "socket""#),
            ("proxy = 'pipe'", r#"true, "port" or "socket""#),
            ("poll = 500", r#"true, or a time such as "500ms""#),
            ("settle = 200", r#"a duration such as "50ms" or "10s""#),
            ("sockets = [3000]", r#"a socket such as "http::3000""#),
        ] {
            let error = one(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
