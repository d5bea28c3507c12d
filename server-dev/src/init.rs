//! `server-dev init`: writes a first file of services, by what is there to be run.

mod cargo;
mod dune;
mod go;
mod node;
mod python;
mod sockets;

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueHint;

use crate::{
    Failure,
    cli::{FILE, say},
    draft::Draft,
    schema,
};

/// The first port that is given to a server; others follow it.
const PORT: u16 = 3000;

/// What may be said to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to write, for the servers of the folder that it is in
    #[arg(short, long, value_name = "FILE", default_value = FILE, value_hint = ValueHint::FilePath)]
    config: PathBuf,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error(
        "{} holds nothing that init knows: a Cargo.toml with a binary, a go.mod with a main package, a \
         dune-project with an executable, a main.py with a FastAPI or Starlette application, a \
         package.json with a start script; write a [services.NAME] with a command by hand", .0.display()
    )]
    Nothing(PathBuf),
    #[error("{} is there already, and is left as it is", .0.display())]
    There(PathBuf),
    #[error("{} can't be written", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let file = &args.config;
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if file.exists() {
        return Err(InitError::There(file.clone()).into());
    }
    let drafts = find(directory);
    if drafts.is_empty() {
        return Err(InitError::Nothing(directory.to_owned()).into());
    }
    write(file, &text(&drafts))?;
    let names: Vec<_> = drafts.iter().map(|draft| draft.name.as_str()).collect();
    say(&format!(
        "{} is written: {}\n`server-dev doctor` looks whether they can run, `server-dev` runs them\n",
        file.display(),
        names.join(", ")
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there; somebody may have made it meanwhile.
fn write(file: &Path, text: &str) -> Result<(), InitError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => InitError::There(file.to_owned()),
        _ => InitError::Write(file.to_owned(), error),
    };
    let mut new = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)
}

fn text(drafts: &[Draft]) -> String {
    let mut text = schema::head();
    text.push_str("# What `server-dev` runs here; `server-dev --help` says more.\n");
    for draft in drafts {
        text.push('\n');
        text.push_str(&draft.commented());
    }
    // Once: they are the same for all.
    if let Some(last) = drafts.last() {
        text.push('\n');
        text.push_str(&last.others());
    }
    text
}

/// Finds the servers of a folder; of the folders in it where it has none itself.
fn find(directory: &Path) -> Vec<Draft> {
    let mut drafts = find_in(directory, "");
    if drafts.is_empty() {
        let walk = ignore::WalkBuilder::new(directory)
            .require_git(false)
            .max_depth(Some(1))
            .sort_by_file_name(Ord::cmp)
            .build();
        let folders = walk.flatten().filter(|entry| {
            entry.depth() == 1 && entry.file_type().is_some_and(|kind| kind.is_dir())
        });
        for folder in folders {
            let name = folder.file_name().to_string_lossy();
            for mut draft in find_in(folder.path(), &name) {
                draft.set("directory", name.as_ref());
                drafts.push(draft);
            }
        }
    }
    for (at, port) in (0..drafts.len()).zip(PORT..) {
        let twins = drafts[..at].iter().filter(|other| other.name == drafts[at].name).count();
        let draft = &mut drafts[at];
        if twins > 0 {
            draft.name = format!("{}-{}", draft.name, twins + 1);
        }
        if draft.get("sockets").is_some() {
            draft.set("sockets", vec![format!("http::{port}")]);
        }
    }
    drafts
}

/// `name` is what a server is called that has no name of its own.
fn find_in(directory: &Path, name: &str) -> Vec<Draft> {
    let name = if name.is_empty() { "server" } else { name };
    let mut drafts = cargo::find(directory);
    drafts.extend(go::find(directory, name));
    drafts.extend(dune::find(directory));
    drafts.extend(python::find(directory, name));
    drafts.extend(node::find(directory, name));
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Service};

    fn found(files: &[(&str, &str)]) -> Vec<(String, Service)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
        let text = text(&find(folder.path()));
        assert!(text.starts_with("#:schema ./server-dev.schema.json\n"), "{text}");
        if !text.contains("[services") {
            return Vec::new();
        }
        let config: Config = toml::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        config.services.into_iter().collect()
    }

    /// The name, the build, the command and the sockets of the only one.
    fn only(files: &[(&str, &str)]) -> (String, String, String, usize) {
        let mut all = found(files);
        let (name, service) = all.pop().unwrap();
        assert!(all.is_empty(), "{all:#?}");
        let build = service.build.map(|words| words.to_string()).unwrap_or_default();
        assert_eq!(service.overlap, !service.sockets.is_empty());
        (name, build, service.command.to_string(), service.sockets.len())
    }

    fn is(
        name: &str,
        build: &str,
        command: &str,
        sockets: usize,
    ) -> (String, String, String, usize) {
        (name.to_owned(), build.to_owned(), command.to_owned(), sockets)
    }

    const CARGO: &str = "[package]\nname = \"web\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

    #[test]
    fn finds_each_kind_of_server() {
        let main = ("src/main.rs", "fn main() {}");
        assert_eq!(
            only(&[("Cargo.toml", CARGO), ("src/main.rs", "// listenfd::ListenFd")]),
            is("web", "", "cargo run", 1)
        );
        assert_eq!(only(&[("Cargo.toml", CARGO), main]), is("web", "", "cargo run", 0));
        assert_eq!(
            only(&[("go.mod", "module example.com/shop/v2\n"), ("main.go", "package main\n")]),
            is("shop", "go build -o ./tmp/main .", "./tmp/main", 0)
        );
        assert_eq!(
            only(&[
                ("dune-project", "(lang dune 3.0)"),
                (
                    "bin/dune",
                    "; (executable (name no))\n(executable\n (name main)\n (libraries a))"
                ),
                ("bin/main.ml", "Sys.getenv \"LISTEN_FDS\""),
            ]),
            is("main", "dune build ./bin/main.exe", "./_build/default/bin/main.exe", 1)
        );
        assert_eq!(
            only(&[("main.py", "from fastapi import FastAPI\napi = FastAPI(title='x')\n")]),
            is("server", "", "uvicorn main:api --fd 3", 1)
        );
        assert_eq!(
            only(&[("app/main.py", "app: Starlette = Starlette()\n"), ("uv.lock", "")]),
            is("server", "", "uv run uvicorn app.main:app --fd 3", 1)
        );
        assert_eq!(
            only(&[("package.json", r#"{"name":"@a/shop","scripts":{"start":"node server.js"}}"#)]),
            is("shop", "", "node server.js", 0)
        );
        assert_eq!(
            only(&[
                ("package.json", r#"{"scripts":{"start":"next start","build":"next build"}}"#),
                ("pnpm-lock.yaml", ""),
            ]),
            is("server", "pnpm run build", "pnpm run start", 0)
        );
    }

    #[test]
    fn of_several_programs_it_takes_those_that_serve() {
        let manifest = |name: &str, depends: &str| {
            format!("{}[dependencies]\n{depends}", CARGO.replace("web", name))
        };
        let all = found(&[
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n"),
            ("crates/web/Cargo.toml", &manifest("web", "axum = \"0.8\"\n")),
            ("crates/web/src/main.rs", ""),
            ("crates/web/src/bin/admin.rs", ""),
            ("crates/tool/Cargo.toml", &manifest("tool", "")),
            ("crates/tool/src/main.rs", ""),
        ]);
        let commands: Vec<_> =
            all.iter().map(|(name, it)| (name.as_str(), it.command.to_string())).collect();
        assert_eq!(
            commands,
            [
                ("admin", "cargo run -p web --bin admin".to_owned()),
                ("web", "cargo run -p web --bin web".to_owned()),
            ]
        );
    }

    #[test]
    fn of_a_workspace_it_takes_what_is_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            let source = folder.path().join(name).join("src");
            std::fs::create_dir_all(&source).unwrap();
            std::fs::write(source.join("main.rs"), "").unwrap();
            let manifest = source.with_file_name("Cargo.toml");
            std::fs::write(manifest, CARGO.replace("web", name)).unwrap();
        }
        let workspace = "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n";
        std::fs::write(folder.path().join("Cargo.toml"), workspace).unwrap();
        let names = |folder: &Path| find(folder).into_iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!(names(folder.path()), ["one", "two"]);
        assert_eq!(names(&folder.path().join("two")), ["two"]);
    }

    #[test]
    fn looks_into_folders_where_there_is_no_server_above() {
        let all = found(&[
            ("api/go.mod", "module api\n"),
            ("api/cmd/one/main.go", "package main\n// LISTEN_FDS"),
            ("api/cmd/two/main.go", "package main\n"),
            ("web/package.json", r#"{"scripts":{"start":"node ."}}"#),
        ]);
        let told: Vec<_> = all
            .iter()
            .map(|(name, it)| (name.as_str(), it.directory.to_str().unwrap(), it.sockets.len()))
            .collect();
        assert_eq!(told, [("one", "api", 1), ("two", "api", 1), ("web", "web", 0)]);
        let ports: Vec<_> =
            all.iter().flat_map(|(_, it)| &it.sockets).map(|it| it.place.to_string()).collect();
        assert_eq!(ports, ["127.0.0.1:3000", "127.0.0.1:3001"]);
    }

    #[test]
    fn takes_nothing_for_a_server_that_is_none() {
        let none: [&[(&str, &str)]; 5] = [
            &[("Cargo.toml", CARGO), ("src/lib.rs", "")],
            &[("go.mod", "module a\n"), ("a.go", "package a\n")],
            &[("main.py", "# app = FastAPI()\nprint('FastAPI()')\n")],
            &[("package.json", r#"{"scripts":{"test":"true"}}"#)],
            &[("package.json", "no json"), ("Cargo.toml", "no toml"), ("README.md", "")],
        ];
        for files in none {
            assert!(found(files).is_empty(), "{files:?}");
        }
    }
}
