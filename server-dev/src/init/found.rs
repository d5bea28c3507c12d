//! Which servers there are in a folder.

use std::path::Path;

use super::{cargo, dune, go, node, python};
use crate::draft::Draft;

/// The first port that is given to a server; others follow it.
const PORT: u16 = 3000;

/// Finds the servers of a folder; of the folders in it where it has none itself.
pub(super) fn find(directory: &Path) -> Vec<Draft> {
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
    number(&mut drafts);
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

/// Gives each a name and a port of its own.
pub(super) fn number(drafts: &mut [Draft]) {
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
}

#[cfg(test)]
mod tests {
    use super::{super::text, *};
    use crate::config::{Config, ProxyMode, Service};

    fn found(files: &[(&str, &str)]) -> Vec<(String, Service)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
        let text = text(&find(folder.path()));
        assert!(text.starts_with("#:schema ./server-dev.schema.json\n"), "{text}");
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
            is("server", "pnpm run build", "pnpm run start", 1)
        );
    }

    #[test]
    fn finds_each_kind_of_server_in_python() {
        let flask = "from flask import Flask\napp = Flask(__name__)\n";
        let serve =
            "from http.server import HTTPServer\nHTTPServer(('', 8000), None).serve_forever()\n";
        for (files, command, port) in [
            (
                &[("app.py", flask)][..],
                "sh -c 'exec flask --app app:app run --no-reload --port $PORT'",
                true,
            ),
            (
                &[("shop/site.py", flask), ("requirements.txt", "flask==3.0\n"), ("uv.lock", "")],
                "sh -c 'exec uv run flask --app shop.site:app run --no-reload --port $PORT'",
                true,
            ),
            (
                &[
                    ("app.py", flask),
                    (
                        "pyproject.toml",
                        "[project]\nname = \"a\"\ndependencies = [\"gunicorn>=20\"]",
                    ),
                ],
                "gunicorn app:app",
                false,
            ),
            (
                &[("manage.py", "import django\n"), (".venv/bin/python", "")],
                "sh -c 'exec .venv/bin/python manage.py runserver --noreload 127.0.0.1:$PORT'",
                true,
            ),
            (
                &[("main.py", "async def app(scope, receive, send):\n    pass\n")],
                "uvicorn main:app --fd 3",
                false,
            ),
            (
                &[
                    (
                        "web.py",
                        "import os\nfrom http.server import HTTPServer\nHTTPServer(('', int(os.environ['PORT'])), None)\n",
                    ),
                    ("pyproject.toml", ""),
                ],
                "python3 web.py",
                true,
            ),
        ] {
            let mut all = found(files);
            let (_, service) = all.pop().unwrap_or_else(|| panic!("{files:?}"));
            assert!(all.is_empty(), "{all:#?}");
            let shown = service.command.to_string();
            assert_eq!(shown, command, "{files:?}");
            assert_eq!((service.sockets.len(), service.overlap), (1, true), "{files:?}");
            assert_eq!(service.proxy, port.then_some(ProxyMode::Port), "{files:?}");
        }
        assert_eq!(only(&[("server.py", serve)]), is("server", "", "python3 server.py", 0));
        let named = found(&[("app.py", flask), ("pyproject.toml", "[project]\nname = \"shop\"\n")]);
        assert_eq!(named[0].0, "shop");
    }

    #[test]
    fn a_server_that_reads_port_is_put_behind_a_proxy() {
        let script = r#"{"scripts":{"start":"node server.js"}}"#;
        for source in ["listen(process.env.PORT || 3000)", "const { PORT } = process.env"] {
            let all = found(&[("package.json", script), ("server.js", source)]);
            let (_, service) = &all[0];
            assert_eq!(service.proxy, Some(ProxyMode::Port), "{source}");
            assert_eq!((service.sockets.len(), service.overlap), (1, true), "{source}");
        }
        let all = found(&[("package.json", r#"{"scripts":{"start":"next start"}}"#)]);
        assert_eq!(all[0].1.proxy, Some(ProxyMode::Port));
        let other = ("node_modules/a/index.js", "process.env.PORT");
        let all = found(&[("package.json", script), ("server.js", "listen(3000)"), other]);
        assert_eq!(all[0].1.proxy, None);
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
        let none: [&[(&str, &str)]; 6] = [
            &[("Cargo.toml", CARGO), ("src/lib.rs", "")],
            &[("go.mod", "module a\n"), ("a.go", "package a\n")],
            &[("main.py", "# app = FastAPI()\nprint('FastAPI()')\n")],
            &[("requirements.txt", "fastapi\n"), ("a.py", "print('Flask()')\n")],
            &[("package.json", r#"{"scripts":{"test":"true"}}"#)],
            &[("package.json", "no json"), ("Cargo.toml", "no toml"), ("README.md", "")],
        ];
        for files in none {
            assert!(found(files).is_empty(), "{files:?}");
        }
    }
}
