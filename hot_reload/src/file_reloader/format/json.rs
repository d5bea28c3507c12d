//! JSON.

use serde::de::DeserializeOwned;

use super::{Format, FormatFile, sealed::Sealed, text};
use crate::file_reloader::error::ParseProblem;

/// The format of RFC 8259.
#[derive(Debug, Clone, Copy)]
pub struct Json;

/// A JSON file as a live value; used like a TOML file.
///
/// Its methods, [`watch`](FormatFile::watch) and [`from_path`](FormatFile::from_path) among them,
/// are those of [`FormatFile`].
///
/// # Examples
///
/// ```
/// use hot_reload::JsonFile;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("allowed.json");
/// # std::fs::write(&path, r#"["10.0.0.1"]"#)?;
/// let allowed = JsonFile::<Vec<String>>::watch(&path).await?;
/// assert_eq!(allowed.get().unwrap(), ["10.0.0.1"]);
/// # Ok(())
/// # }
/// ```
pub type JsonFile<V> = FormatFile<V, Json>;

impl Format for Json {}

impl Sealed for Json {
    #[allow(private_interfaces, reason = "only this module implements it")]
    fn parse<V: DeserializeOwned>(text: &str) -> Result<V, ParseProblem> {
        serde_json::from_str(text).map_err(|error| {
            // The place is told apart from the words, which end with it.
            let words = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = words.strip_suffix(&place).unwrap_or(&words).to_owned();
            text::at_line(text, error.line(), error.column(), message)
        })
    }
}
