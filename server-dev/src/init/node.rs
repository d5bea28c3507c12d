//! The start script of a package.json.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::sockets;
use crate::draft::Draft;

/// Programs that listen at the port that `PORT` names.
const BY_PORT: [&str; 4] = ["next", "nuxt", "react-scripts", "remix-serve"];

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
}

pub(super) fn find(directory: &Path, name: &str) -> Option<Draft> {
    let text = fs::read_to_string(directory.join("package.json")).ok()?;
    let package: Package = serde_json::from_str(&text).ok()?;
    let start = package.scripts.get("start")?;
    let locks = [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun")];
    let tool = locks.iter().find(|(lock, _)| directory.join(lock).exists());
    let tool = tool.map_or("npm", |(_, tool)| tool);
    let name = package.name.as_deref().and_then(|name| name.rsplit('/').next()).unwrap_or(name);
    let mut draft = Draft::new(name);
    if package.scripts.contains_key("build") {
        draft.set("build", format!("{tool} run build"));
    }
    // A script is for a shell; of one that is a mere command, the process is the server itself.
    let is_plain =
        start.starts_with("node ") && !start.contains(['&', '|', ';', '$', '<', '>', '"']);
    if is_plain {
        draft.set("command", start.as_str());
    } else {
        draft.set("command", format!("{tool} run start"));
        draft.set("listen_pid", false);
    }
    if BY_PORT.iter().any(|program| start.split(' ').any(|word| word == *program)) {
        sockets::behind_a_proxy(&mut draft);
    } else {
        sockets::pass(&mut draft, directory, &["js", "mjs", "cjs", "ts"]);
    }
    draft.set("extensions", vec!["js", "mjs", "cjs", "ts", "tsx", "json"]);
    draft.set("ignore", vec!["dist/", "build/", ".next/"]);
    Some(draft)
}
