//! A server that is named on the command line.

use std::path::Path;

use super::{found, sockets};
use crate::{config::Words, draft::Draft};

/// What is looked at of what a program runs; of another, everything counts.
const MADE_OF: [(&str, &[&str]); 8] = [
    ("cargo", &["rs", "toml"]),
    ("go", &["go", "mod", "tpl", "tmpl", "html"]),
    ("dune", &["ml", "mli"]),
    ("node", &["js", "mjs", "cjs", "ts", "json"]),
    ("npm", &["js", "mjs", "cjs", "ts", "json"]),
    ("python", &["py"]),
    ("uvicorn", &["py"]),
    ("ruby", &["rb"]),
];
/// Where a socket is looked for in sources of any language.
const SOURCES: [&str; 9] = ["rs", "go", "ml", "js", "mjs", "ts", "py", "rb", "c"];

pub(super) fn draft(directory: &Path, command: &Words) -> Draft {
    let mut draft = Draft::new("server");
    draft.command("command", command.all());
    let name = Path::new(command.program()).file_name().unwrap_or_default().to_string_lossy();
    // `python3.11` is one as well.
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let of = MADE_OF.iter().find(|(known, _)| *known == name).map(|(_, extensions)| *extensions);
    sockets::pass(&mut draft, directory, of.unwrap_or(&SOURCES));
    if let Some(extensions) = of {
        draft.set("extensions", extensions.to_vec());
    }
    found::number(std::slice::from_mut(&mut draft));
    draft
}
