//! Whether a server takes the sockets that it is passed, or listens at the port that it is told.

use std::{fs, path::Path};

use crate::{draft::Draft, tree::CACHE};

/// What the sources of a server say that reads `LISTEN_FDS`, itself or by a library.
const SIGNS: [&str; 7] = [
    "LISTEN_FDS",
    "listenfd",
    "sd_listen_fds",
    "go-systemd",
    "libsystemd",
    "tokio-listener",
    "systemd_socket",
];
/// Folders of what others have written.
const OF_OTHERS: [&str; 4] = ["node_modules", "venv", "vendor", "site-packages"];
/// More files than that are not read: a first guess is not worth the wait.
const MOST_FILES: usize = 2000;
/// Sources of more bytes have been made by a program.
const LARGEST_SOURCE: u64 = 1 << 20;

/// How a server comes by the place where it listens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listens {
    /// At one of its own.
    Itself,
    /// At the port that `PORT` names.
    AtPort,
    /// On a socket that it is passed.
    OnSocket,
}

/// Has a server be passed a socket where its sources say that it takes one, be put behind a proxy where they
/// say that it reads `PORT`, and otherwise end before another starts.
pub(super) fn pass(draft: &mut Draft, directory: &Path, extensions: &[&str]) {
    match listens(directory, extensions) {
        // The port is given later.
        Listens::OnSocket => draft.set("sockets", vec!["http::0"]),
        Listens::AtPort => behind_a_proxy(draft),
        Listens::Itself => {
            draft.note(
                "Nothing in the sources says that the server takes a socket by LISTEN_FDS or listens at the port \
                 that PORT names, so that it binds its own, and two of it can't run at once. Once it takes one, \
                 say sockets = [\"http::3000\"], with proxy = \"port\" where it reads PORT, and leave overlap out: \
                 no connection is lost any more.",
            );
            draft.set("overlap", false);
        }
    }
}

/// Has each process listen at a port of its own, behind a proxy.
pub(super) fn behind_a_proxy(draft: &mut Draft) {
    // The port is given later.
    draft.set("sockets", vec!["http::0"]);
    draft.set("proxy", "port");
}

fn listens(directory: &Path, extensions: &[&str]) -> Listens {
    let walk = ignore::WalkBuilder::new(directory)
        .require_git(false)
        .filter_entry(|entry| {
            !OF_OTHERS.iter().any(|name| entry.file_name() == *name)
                && !entry.path().join(CACHE).exists()
        })
        .build();
    let sources = walk.flatten().filter(|entry| {
        let extension = entry.path().extension().and_then(|it| it.to_str());
        extension.is_some_and(|it| extensions.contains(&it))
            && entry.metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST_SOURCE)
    });
    let texts = sources.take(MOST_FILES).filter_map(|entry| fs::read(entry.path()).ok());
    let signs = texts.map(|bytes| sign(&String::from_utf8_lossy(&bytes)));
    signs.max().unwrap_or(Listens::Itself)
}

fn sign(text: &str) -> Listens {
    if SIGNS.iter().any(|sign| text.contains(sign)) {
        Listens::OnSocket
    } else if text.lines().any(reads_port) {
        Listens::AtPort
    } else {
        Listens::Itself
    }
}

/// Whether a line takes `PORT` from the environment, in whatever language.
fn reads_port(line: &str) -> bool {
    let names = ["\"PORT\"", "'PORT'", "env.PORT", "{ PORT }", "{PORT}"];
    line.to_ascii_lowercase().contains("env") && names.iter().any(|name| line.contains(name))
}
