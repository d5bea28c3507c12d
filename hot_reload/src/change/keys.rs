//! Which keys of a value changed.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Change;

impl<V: Serialize> Change<V> {
    /// Returns the paths of what is new, gone or different, as `limits.body`, `hosts[1]` or
    /// `routes."/api"`; never a value. Of a first change, every path.
    ///
    /// What has no parts, or is another kind of thing than before, is one path. A value that is no
    /// table itself has the path `.`.
    ///
    /// # Errors
    ///
    /// When the value can't be serialised as JSON: it has a map whose keys are no strings, or its own
    /// `Serialize` fails.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
    /// # struct Limits { body: u64 }
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
    /// # struct Config { workers: u32, name: String, limits: Limits }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "workers = 2\nname = 'one'\n[limits]\nbody = 1024")?;
    /// # let mut config = hot_reload::TomlFile::<Config>::watch(&path).await?;
    /// config.changed_with().await?;
    /// std::fs::write(&path, "workers = 4\nname = 'one'\n[limits]\nbody = 4096")?;
    ///
    /// let change = config.changed_with().await?;
    /// println!("changed: {}", change.keys()?.join(", "));
    /// assert_eq!(change.keys()?, ["limits.body", "workers"]);
    /// # Ok(()) }).await? }
    /// ```
    pub fn keys(&self) -> anyhow::Result<Vec<String>> {
        let new = serde_json::to_value(&*self.new)?;
        let mut paths = Vec::new();
        match &self.old {
            Some(old) => differ(".", Some(&serde_json::to_value(&**old)?), Some(&new), &mut paths),
            None => differ(".", None, Some(&new), &mut paths),
        }
        Ok(paths)
    }
}

/// Notes the paths below `path` at which the two differ.
fn differ(path: &str, old: Option<&Value>, new: Option<&Value>, paths: &mut Vec<String>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                differ(&below(path, name), old.get(name), new.get(name), paths);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                differ(&at_index(path, at), old.get(at), new.get(at), paths);
            }
        }
        (None, Some(only)) | (Some(only), None) => each(path, only, paths),
        _ => paths.push(path.to_owned()),
    }
}

/// Notes the paths of everything in `value`.
fn each(path: &str, value: &Value, paths: &mut Vec<String>) {
    let nothing = Map::new();
    match value {
        Value::Object(parts) if *parts != nothing => {
            for (name, part) in parts {
                each(&below(path, name), part, paths);
            }
        }
        Value::Array(parts) if !parts.is_empty() => {
            for (at, part) in parts.iter().enumerate() {
                each(&at_index(path, at), part, paths);
            }
        }
        _ => paths.push(path.to_owned()),
    }
}

/// As TOML writes dotted keys.
fn below(path: &str, name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
    if path == "." { name } else { format!("{path}.{name}") }
}

fn at_index(path: &str, at: usize) -> String {
    if path == "." { format!("[{at}]") } else { format!("{path}[{at}]") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_what_differs() {
        for (old, new, want) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), vec!["b"]),
            (json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {"c": 2}}}), vec!["a.b.c"]),
            (json!({"a": [1, 2]}), json!({"a": [1, 3, 4]}), vec!["a[1]", "a[2]"]),
            (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]}), vec!["a[0].b"]),
            (json!({"a": 1}), json!({"b": {"c": 1, "d": []}}), vec!["a", "b.c", "b.d"]),
            (json!({"a": {"b": 1}}), json!({"a": "secret"}), vec!["a"]),
            (
                json!({"/api/v1": 1, "": 2}),
                json!({"/api/v1": 2, "": 3}),
                vec!["\"\"", "\"/api/v1\""],
            ),
            (json!(1), json!(2), vec!["."]),
            (json!([1]), json!([2]), vec!["[0]"]),
        ] {
            let mut paths = Vec::new();
            differ(".", Some(&old), Some(&new), &mut paths);
            assert_eq!(paths, want, "{old} {new}");
        }
    }
}
