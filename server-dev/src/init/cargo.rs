//! The programs of a Cargo.toml, as cargo itself tells of them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::sockets;
use crate::draft::Draft;

/// Libraries that only a server needs.
const SERVE: [&str; 17] = [
    "actix-web",
    "axum",
    "dropshot",
    "hyper",
    "iron",
    "listenfd",
    "ntex",
    "pavex",
    "pingora",
    "poem",
    "rocket",
    "salvo",
    "server-lib",
    "tide",
    "tiny_http",
    "tonic",
    "warp",
];

/// See cargo-metadata(1).
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    fn serves(&self) -> bool {
        self.dependencies.iter().any(|it| SERVE.contains(&it.name.as_str()))
    }
}

pub(super) fn find(directory: &Path) -> Vec<Draft> {
    let mut packages = packages(directory).unwrap_or_default();
    // In a folder of a workspace, cargo tells of all of it.
    if let Ok(directory) = directory.canonicalize() {
        packages.retain(|package| package.manifest_path.starts_with(&directory));
    }
    let all: Vec<_> = packages
        .iter()
        .flat_map(|package| package.targets.iter().map(move |target| (package, target)))
        .filter(|(_, target)| target.kind.iter().any(|kind| kind == "bin"))
        .collect();
    let some_serve = all.iter().any(|(package, _)| package.serves());
    let taken = all.iter().filter(|(package, _)| package.serves() || !some_serve);
    let drafts = taken.map(|(package, target)| {
        let mut draft = Draft::new(&target.name);
        let command = match (packages.len(), all.len()) {
            (_, 1) => "cargo run".to_owned(),
            (1, _) => format!("cargo run --bin {}", target.name),
            _ => format!("cargo run -p {} --bin {}", package.name, target.name),
        };
        draft.set("command", command);
        let home = package.manifest_path.parent().unwrap_or(directory);
        sockets::pass(&mut draft, home, &["rs", "toml"]);
        draft.set("extensions", vec!["rs", "toml"]);
        draft
    });
    drafts.collect()
}

/// Asks cargo, which looks at no registry for this.
fn packages(directory: &Path) -> Option<Vec<Package>> {
    let manifest = directory.join("Cargo.toml");
    if !manifest.exists() {
        return None;
    }
    let told = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match told {
        Ok(told) => Some(serde_json::from_slice::<Metadata>(&told.stdout).ok()?.packages),
        Err(error) => {
            eprintln!("server-dev: cargo, to look into the Cargo.toml, can't be started: {error}");
            None
        }
    }
}
