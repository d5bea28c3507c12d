//! How long something takes or may take, as it is written: `50ms`, `10s`, `1m 30s`.

use std::{borrow::Cow, fmt, ops::Deref, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::words::text;

/// A duration that is read from, and written as, a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timespan(Duration);

/// Nobody waits for longer, and moments that far ahead can be told on every machine (`Instant` ends somewhere).
const LONGEST: Timespan = Timespan::seconds(365 * 24 * 60 * 60);

/// A text that is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTimespan {
    #[error("{0} is no duration such as 50ms or 10s")]
    Form(String),
    #[error("{0} is too long: the longest duration is 365days")]
    TooLong(String),
}

impl Timespan {
    pub(crate) const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Deref for Timespan {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Timespan> for Duration {
    fn from(timespan: Timespan) -> Self {
        timespan.0
    }
}

impl FromStr for Timespan {
    type Err = InvalidTimespan;

    fn from_str(text: &str) -> Result<Self, InvalidTimespan> {
        // Its own words are about single characters.
        match humantime::parse_duration(text) {
            Ok(read) if read <= *LONGEST => Ok(Self(read)),
            Ok(_) | Err(humantime::DurationError::NumberOverflow) => {
                Err(InvalidTimespan::TooLong(text.to_owned()))
            }
            Err(_) => Err(InvalidTimespan::Form(text.to_owned())),
        }
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, r#"a duration such as "50ms" or "10s""#)
    }
}

impl Serialize for Timespan {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// As [`humantime::parse_duration`] takes it, but for the names of its units.
impl JsonSchema for Timespan {
    fn schema_name() -> Cow<'static, str> {
        "Timespan".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zA-Zµ]+\s*)+$|^0$",
            "examples": ["50ms", "10s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_it_is_read() {
        for (text, milliseconds) in [("50ms", 50), ("10s", 10_000), ("1m 30s", 90_000)] {
            let read: Timespan = text.parse().unwrap();
            assert_eq!((read.to_string().as_str(), read.as_millis()), (text, milliseconds));
        }
        assert_eq!("0.5s".parse::<Timespan>().unwrap().to_string(), "500ms");
        for text in ["", "50", "soon", "-1s"] {
            let error = text.parse::<Timespan>().unwrap_err().to_string();
            assert_eq!(error, format!("{text} is no duration such as 50ms or 10s"));
        }
    }

    #[test]
    fn is_never_so_long_that_its_end_can_not_be_told() {
        assert_eq!("365days".parse::<Timespan>().unwrap(), LONGEST);
        for text in ["365days 1ns", "300000000000y", "99999999999999999999s"] {
            let error = text.parse::<Timespan>().unwrap_err().to_string();
            assert_eq!(error, format!("{text} is too long: the longest duration is 365days"));
        }
    }
}
