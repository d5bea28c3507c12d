//! YAML.

use serde::de::DeserializeOwned;

use super::{Format, FormatFile, sealed::Sealed, text};
use crate::file_reloader::error::ParseProblem;

/// The format of <https://yaml.org>.
#[derive(Debug, Clone, Copy)]
pub struct Yaml;

/// A YAML file as a live value; used like a TOML file.
///
/// Its methods, [`watch`](FormatFile::watch) and [`from_path`](FormatFile::from_path) among them,
/// are those of [`FormatFile`].
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
/// use hot_reload::YamlFile;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("weights.yaml");
/// # std::fs::write(&path, "blue: 90\ngreen: 10\n")?;
/// let weights = YamlFile::<BTreeMap<String, u8>>::watch(&path).await?;
/// assert_eq!(weights.get().unwrap()["green"], 10);
/// # Ok(())
/// # }
/// ```
pub type YamlFile<V> = FormatFile<V, Yaml>;

impl Format for Yaml {}

impl Sealed for Yaml {
    #[allow(private_interfaces, reason = "only this module implements it")]
    fn parse<V: DeserializeOwned>(text: &str) -> Result<V, ParseProblem> {
        serde_saphyr::from_str(text).map_err(|error| {
            let location = error.location();
            let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let (line, column) =
                location.map_or((1, 1), |at| (number(at.line()), number(at.column())));
            let words = error.without_snippet().to_string();
            let first = words.lines().next().unwrap_or_default();
            // The place is told apart from the words, which end with it.
            let place = format!(" at line {line}, column {column}");
            let message = first.strip_suffix(&place).unwrap_or(first).to_owned();
            let problem = text::at_line(text, line, column, message);
            // This parser names what it refuses without quotes.
            ParseProblem { loggable: Some("no YAML, or not what is expected"), ..problem }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Weights {
        #[serde(rename = "first")]
        _first: u32,
    }

    #[test]
    fn the_place_of_a_problem_is_told_once() {
        for text in ["second: 1\n", "first: many\n", "first: [1\n", "first: 1\nfirst: 2\n"] {
            let problem = Yaml::parse::<Weights>(text).unwrap_err();
            assert!(!problem.message.contains("line"), "{text:?}: {}", problem.message);
        }
    }
}
