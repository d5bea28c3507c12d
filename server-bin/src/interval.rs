//! Intervals as people write them.

use std::time::Duration;

/// Parses `500ms`, `10s`, `1m 30s`; a plain number is in seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let interval = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_not_a_number) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; a time is such as 500ms or 10s")),
    }?;
    if interval.is_zero() { Err("an interval is longer than 0".to_owned()) } else { Ok(interval) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_a_time_is_written() {
        let told = parse("abc").unwrap_err();
        assert_eq!(told, "expected number at 0; a time is such as 500ms or 10s");
    }

    #[test]
    fn takes_units_and_plain_seconds() {
        for (text, want) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("1m 30s", Some(90_000)),
            ("2", Some(2_000)),
            ("0.25", Some(250)),
            ("0", None),
            ("0s", None),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok(), want.map(Duration::from_millis), "{text}");
        }
    }
}
