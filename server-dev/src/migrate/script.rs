//! A script of a package.json, for what it runs.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::MigrateError;

/// What it is in.
const FILE: &str = "package.json";

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    scripts: BTreeMap<String, String>,
}

/// The name of a script that is run by `words`, and what is said to it.
pub(super) fn named(words: &[String]) -> Option<(&str, &[String])> {
    let (tool, rest) = words.split_first()?;
    let tool = Path::new(tool).file_name()?.to_str()?;
    if !["npm", "pnpm", "yarn", "bun"].contains(&tool) {
        return None;
    }
    let (name, rest) = match rest {
        [order, name, rest @ ..] if order == "run" || order == "run-script" => (name, rest),
        [name, rest @ ..] if name == "start" || (tool != "npm" && tool != "bun") => (name, rest),
        _ => return None,
    };
    let rest = if rest.first().is_some_and(|word| word == "--") { &rest[1..] } else { rest };
    (!name.starts_with('-') && name != "exec" && name != "dlx").then_some((name, rest))
}

/// The words of a script of the package.json here, with what is said to it.
pub(super) fn words(name: &str, arguments: &[String]) -> Result<Vec<String>, MigrateError> {
    let text = fs::read_to_string(FILE).map_err(|error| MigrateError::Read(FILE.into(), error))?;
    let package: Package = serde_json::from_str(&text).map_err(MigrateError::Package)?;
    let script = package.scripts.get(name);
    let script = script.ok_or_else(|| MigrateError::Script(name.to_owned()))?;
    let words = shlex::split(script).ok_or_else(|| MigrateError::Quotes(script.clone()))?;
    Ok([&words, arguments].concat())
}
