//! The main packages of a go.mod.

use std::{fs, path::Path};

use super::sockets;
use crate::draft::Draft;

pub(super) fn find(directory: &Path, name: &str) -> Vec<Draft> {
    let Ok(module) = fs::read_to_string(directory.join("go.mod")) else { return Vec::new() };
    let mut drafts = Vec::new();
    if is_main(directory) {
        let module = module.lines().find_map(|line| line.strip_prefix("module "));
        let name = module.and_then(last).unwrap_or(name);
        drafts.push(draft(directory, name, "main", "."));
    }
    let folders = fs::read_dir(directory.join("cmd")).into_iter().flatten().flatten();
    let mut folders: Vec<_> = folders.map(|entry| entry.path()).filter(|it| is_main(it)).collect();
    folders.sort();
    for folder in folders {
        if let Some(name) = folder.file_name().and_then(|name| name.to_str()) {
            drafts.push(draft(directory, name, name, &format!("./cmd/{name}")));
        }
    }
    drafts
}

fn draft(directory: &Path, name: &str, program: &str, package: &str) -> Draft {
    let mut draft = Draft::new(name);
    let program = format!("./tmp/{program}");
    let build = ["go", "build", "-o", &program, package].map(str::to_owned);
    draft.command("build", &build);
    draft.command("command", &[program]);
    sockets::pass(&mut draft, directory, &["go", "mod"]);
    draft.set("extensions", vec!["go", "mod", "tpl", "tmpl", "html"]);
    draft.set("ignore", vec!["/tmp/", "*_test.go"]);
    draft
}

/// Whether the files of a folder make a program.
fn is_main(folder: &Path) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|it| it == "go")
            && fs::read_to_string(path)
                .is_ok_and(|text| text.lines().any(|line| line.trim() == "package main"))
    })
}

/// The last part of a module's path that is no mere version.
fn last(module: &str) -> Option<&str> {
    let is_version = |part: &str| {
        part.strip_prefix('v').is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()))
    };
    module.trim().rsplit('/').find(|part| !part.is_empty() && !is_version(part))
}
