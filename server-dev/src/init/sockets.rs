//! Whether a server takes the sockets that it is passed.

use std::{fs, path::Path};

use crate::draft::Draft;

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
/// More files than that are not read: a first guess is not worth the wait.
const MOST_FILES: usize = 2000;
/// Sources of more bytes have been made by a program.
const LARGEST_SOURCE: u64 = 1 << 20;

/// Has a server be passed a socket where its sources say that it takes one, and has it end before
/// another starts where they don't.
pub(super) fn pass(draft: &mut Draft, directory: &Path, extensions: &[&str]) {
    if takes(directory, extensions) {
        // The port is given later.
        draft.set("sockets", vec!["http::0"]);
    } else {
        draft.note(
            "Nothing in the sources says that the server takes a socket by LISTEN_FDS, so that it binds \
             its own, and two of it can't run at once. Once it takes one, say sockets = [\"http::3000\"] \
             and leave overlap out: no connection is lost any more.",
        );
        draft.set("overlap", false);
    }
}

fn takes(directory: &Path, extensions: &[&str]) -> bool {
    let walk = ignore::WalkBuilder::new(directory).require_git(false).build();
    let sources = walk.flatten().filter(|entry| {
        let extension = entry.path().extension().and_then(|it| it.to_str());
        extension.is_some_and(|it| extensions.contains(&it))
            && entry.metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST_SOURCE)
    });
    let mut texts = sources.take(MOST_FILES).filter_map(|entry| fs::read(entry.path()).ok());
    texts.any(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        SIGNS.iter().any(|sign| text.contains(sign))
    })
}
