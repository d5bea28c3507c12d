//! The executables of a dune-project.

use std::{fs, path::Path};

use super::sockets;
use crate::draft::Draft;

/// Folders below the project in which a dune file is looked for.
const DEPTH: usize = 3;

pub(super) fn find(directory: &Path) -> Vec<Draft> {
    if !directory.join("dune-project").exists() {
        return Vec::new();
    }
    let walk = ignore::WalkBuilder::new(directory)
        .require_git(false)
        .max_depth(Some(DEPTH))
        .filter_entry(|entry| entry.file_name() != "_build" && entry.file_name() != "test")
        .sort_by_file_name(Ord::cmp)
        .build();
    let files = walk.flatten().filter(|entry| entry.file_name() == "dune");
    let mut drafts = Vec::new();
    for file in files {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let home = file.path().parent().and_then(|home| home.strip_prefix(directory).ok());
        for name in executables(&text) {
            let program = home.unwrap_or(Path::new("")).join(format!("{name}.exe"));
            drafts.push(draft(directory, &name, &program.to_string_lossy()));
        }
    }
    drafts
}

fn draft(directory: &Path, name: &str, program: &str) -> Draft {
    let mut draft = Draft::new(name);
    draft.command("build", &["dune".into(), "build".into(), format!("./{program}")]);
    draft.command("command", &[format!("./_build/default/{program}")]);
    sockets::pass(&mut draft, directory, &["ml", "opam"]);
    draft.set("extensions", vec!["ml", "mli", "mll", "mly"]);
    // They have no extension.
    draft.rule("dune", "build");
    draft.rule("dune-project", "build");
    draft.set("ignore", vec!["_build/"]);
    draft
}

/// The names of a file's `(executable (name a))` and `(executables (names a b))`.
fn executables(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split(';').next().unwrap_or_default().to_owned() + " ")
        .collect();
    let spaced = code.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (mut names, mut depth, mut inside) = (Vec::new(), 0_usize, false);
    for (at, word) in words.iter().enumerate() {
        match *word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "executable" | "executables" if depth == 1 => inside = true,
            "name" | "names" if depth == 2 && inside => {
                let found = words[at + 1..].iter().take_while(|word| **word != ")");
                names.extend(found.map(|&name| name.to_owned()));
            }
            _ if depth == 1 => inside = false,
            _ => {}
        }
    }
    names
}
