//! TOML.

use serde::de::DeserializeOwned;

use super::{Format, FormatFile, sealed::Sealed, text};
use crate::file_reloader::error::ParseProblem;

/// The format of <https://toml.io>.
#[derive(Debug, Clone, Copy)]
pub struct Toml;

/// A TOML file as a live value.
///
/// Its methods, [`watch`](FormatFile::watch) and [`from_path`](FormatFile::from_path) among them,
/// are those of [`FormatFile`].
///
/// # Examples
///
/// ```
/// use hot_reload::TomlFile;
///
/// #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
/// struct Config {
///     name: String,
///     workers: u32,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.toml");
/// # std::fs::write(&path, "name = 'one'\nworkers = 2")?;
/// let mut config = TomlFile::<Config>::watch(&path).await?;
/// assert_eq!(config.borrow().as_ref().unwrap().workers, 2);
///
/// # config.changed().await?;
/// std::fs::write(&path, "name = 'one'\nworkers = 4")?;
/// config.changed().await?;
/// assert_eq!(config.borrow().as_ref().unwrap().workers, 4);
/// # Ok(())
/// # }
/// ```
pub type TomlFile<V> = FormatFile<V, Toml>;

impl Format for Toml {}

impl Sealed for Toml {
    #[allow(private_interfaces, reason = "only this module implements it")]
    fn parse<V: DeserializeOwned>(text: &str) -> Result<V, ParseProblem> {
        ::toml::from_str(text).map_err(|error| problem(text, &error))
    }
}

#[cold]
fn problem(text: &str, error: &::toml::de::Error) -> ParseProblem {
    let span = error.span().unwrap_or(0..0);
    text::at(text, span.start, span.len(), error.message().to_owned())
}
