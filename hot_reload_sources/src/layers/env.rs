//! The environment as a layer.

use std::{collections::BTreeMap, env, ffi::OsString, fmt, sync::Arc};

use figment::value::{Dict, Value};

use super::tree::Tree;

type Variables = dyn Fn() -> Vec<(OsString, OsString)> + Send + Sync;

/// Keys from variables of the environment, read at each look.
///
/// Names and values mean what they do to the `Env` of [`figment`]: case does not matter, and values are
/// numbers, booleans, `[lists]`, `{tables}` or text; `"7"`, with the quotes, is text.
///
/// # Examples
///
/// ```
/// use hot_reload_sources::layers::{Env, Layer};
///
/// // APP_LIMITS__RPS=100 is limits.rps.
/// let layer = Layer::env(Env::prefixed("APP_").split("__"));
/// # let _ = layer;
/// ```
#[derive(Clone)]
#[must_use]
pub struct Env {
    prefix: String,
    split: Option<String>,
    only: Option<Vec<String>>,
    ignored: Vec<String>,
    variables: Arc<Variables>,
}

impl Env {
    /// Takes the variables whose name begins with `prefix`, without it.
    pub fn prefixed(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            split: None,
            only: None,
            ignored: Vec::new(),
            variables: Arc::new(|| env::vars_os().collect()),
        }
    }

    /// Takes every variable that is UTF-8; [`only`](Self::only) says which.
    pub fn raw() -> Self {
        Self::prefixed("")
    }

    /// Has `pattern` in a name lead one level down, as a dot does.
    pub fn split(mut self, pattern: impl Into<String>) -> Self {
        self.split = Some(pattern.into());
        self
    }

    /// Takes these keys alone, named as they are in the value: `limits.rps`.
    pub fn only<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.only = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves out these keys, named as they are in the value.
    pub fn ignore<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.ignored.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Reads what `variables` returns in place of the environment, as a test does: there, setting a
    /// variable is unsafe.
    pub fn with_variables(
        mut self,
        variables: impl Fn() -> Vec<(OsString, OsString)> + Send + Sync + 'static,
    ) -> Self {
        self.variables = Arc::new(variables);
        self
    }

    /// What the layer is called.
    pub(super) fn name(&self) -> String {
        format!("environment variables {}*", self.prefix)
    }

    /// Reads what there is now.
    pub(super) fn read(&self) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        // In an order that is the same each time, should two names be the same key.
        let variables: BTreeMap<_, _> = (self.variables)().into_iter().collect();
        for (variable, value) in variables {
            let variable = variable.to_string_lossy();
            let Some(path) = self.path(variable.trim()) else { continue };
            let name = format!("environment variable {}", variable.trim());
            let Ok(value) = value.into_string() else {
                // What nobody has named may be anybody's.
                if self.prefix.is_empty() && self.only.is_none() {
                    continue;
                }
                anyhow::bail!("{name}: not UTF-8");
            };
            let Ok(value) = value.parse::<Value>();
            put(&mut tree.keys, &path, value);
            tree.names.insert(path.join("."), name.into());
        }
        Ok(tree)
    }

    /// Where in the value a variable belongs, if it does.
    fn path(&self, variable: &str) -> Option<Vec<String>> {
        let (prefix, name) = variable.split_at_checked(self.prefix.len())?;
        if !prefix.eq_ignore_ascii_case(&self.prefix) {
            return None;
        }
        let key = match &self.split {
            Some(pattern) => name.replace(pattern, "."),
            None => name.to_owned(),
        };
        let key = key.to_ascii_lowercase();
        let is_named = |keys: &[String]| keys.iter().any(|named| named.eq_ignore_ascii_case(&key));
        if self.only.as_deref().is_some_and(|only| !is_named(only)) || is_named(&self.ignored) {
            return None;
        }
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        path.iter().all(|segment| !segment.is_empty()).then_some(path)
    }
}

/// Puts `value` at `path`, beside what is there already.
fn put(keys: &mut Dict, path: &[String], value: Value) {
    let [segment, below @ ..] = path else { return };
    if below.is_empty() {
        match (keys.get_mut(segment), value) {
            (Some(Value::Dict(_, there)), Value::Dict(_, new)) => {
                for (key, value) in new {
                    put(there, &[key], value);
                }
            }
            (_, value) => drop(keys.insert(segment.clone(), value)),
        }
        return;
    }
    if !matches!(keys.get(segment), Some(Value::Dict(..))) {
        keys.insert(segment.clone(), Dict::new().into());
    }
    if let Some(Value::Dict(_, there)) = keys.get_mut(segment) {
        put(there, below, value);
    }
}

/// Without the values, any of which may be a secret.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("prefix", &self.prefix)
            .field("split", &self.split)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: Env, variables: &'static [(&str, &str)]) -> String {
        let variables = move || variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        let tree = env.with_variables(variables).read().unwrap();
        format!("{:?}", flat(&tree.keys, ""))
    }

    fn flat(keys: &Dict, at: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, value) in keys {
            match value {
                Value::Dict(_, below) => lines.extend(flat(below, &format!("{at}{key}."))),
                Value::String(_, text) => lines.push(format!("{at}{key}={text}")),
                other => lines.push(format!("{at}{key}: {}", other.to_actual())),
            }
        }
        lines
    }

    #[test]
    fn names_are_keys_and_values_have_types() {
        let env = || Env::prefixed("APP_").split("__");
        for (variables, want) in [
            (
                &[("APP_LIMITS__RPS", "5"), ("PATH", "/bin")][..],
                "[\"limits.rps: unsigned int `5`\"]",
            ),
            (&[("app_name", "one")], "[\"name=one\"]"),
            (&[("APP_NAME", "\"7\"")], "[\"name=7\"]"),
            (&[("APP_ON", "true")], "[\"on: bool true\"]"),
            (&[("APP___X", "1"), ("APP_", "2"), ("APP_Y__", "3")], "[]"),
            (
                &[("APP_LIMITS", "{rps=5}"), ("APP_LIMITS__BURST", "6")],
                "[\"limits.burst: unsigned int `6`\", \"limits.rps: unsigned int `5`\"]",
            ),
            (
                &[("APP_LIMITS", "5"), ("APP_LIMITS__RPS", "6")],
                "[\"limits.rps: unsigned int `6`\"]",
            ),
            (&[("é", "5")], "[]"),
        ] {
            assert_eq!(read(env(), variables), want, "{variables:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_utf_8_is_told_where_it_was_named() {
        use std::os::unix::ffi::OsStringExt;

        let read = |env: Env| {
            let variables = || vec![("APP_A".into(), OsString::from_vec(vec![0xff]))];
            env.with_variables(variables).read()
        };
        assert!(read(Env::raw()).unwrap().keys.is_empty());
        for env in [Env::prefixed("APP_"), Env::raw().only(["app_a"])] {
            assert!(read(env).unwrap_err().to_string().contains("APP_A: not UTF-8"));
        }
    }

    #[test]
    fn keys_can_be_chosen() {
        let variables = &[("A", "x"), ("B", "y"), ("C", "z")];
        assert_eq!(read(Env::raw().only(["a", "B"]), variables), "[\"a=x\", \"b=y\"]");
        assert_eq!(read(Env::raw().ignore(["a", "b"]), variables), "[\"c=z\"]");
    }
}
