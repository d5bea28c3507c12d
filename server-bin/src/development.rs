//! What it costs to restart a daemon whose sockets are its own, and the command that avoids it.

use std::{
    env,
    io::{IsTerminal, stderr},
    os::unix::process::parent_id,
    process,
};

use server_lib::{Endpoint, Inherited, Role, ServerConfig};
use tracing::info;

use crate::place::Place;

const NAME: &str = env!("CARGO_PKG_NAME");

/// Tells it whoever develops; in production nobody is there to read it.
pub(crate) fn advise(inherited: &Inherited, place: &Place, config: &ServerConfig) {
    if !inherited.is_empty() || !stderr().is_terminal() || is_by_service_manager() {
        return;
    }
    let command = command(&config.endpoints(), &restart_of(place));
    info!(
        "no inherited socket: while this is restarted, connections are refused; to keep it open: \
         {command}"
    );
}

/// Whether systemd has started this process, or whoever has started it; or a container has, whose
/// first process it is.
///
/// A shell of a desktop has the variables too that its terminal was started with, so they count only
/// where the process is the one that is meant: `SYSTEMD_EXEC_PID`, systemd.exec(5), since 248.
fn is_by_service_manager() -> bool {
    let is_set = |name| env::var_os(name).is_some();
    let meant = env::var("SYSTEMD_EXEC_PID").ok().and_then(|pid| pid.parse::<u32>().ok());
    process::id() == 1
        || is_set("NOTIFY_SOCKET")
        || match meant {
            Some(pid) => pid == process::id() || pid == parent_id(),
            None => is_set("INVOCATION_ID") || is_set("JOURNAL_STREAM"),
        }
}

/// What restarts this process once there is a new build of it.
struct Restart {
    /// `server-dev`, however it is to be had.
    runner: Vec<String>,
    /// By which that knows of a new build.
    watched: Vec<String>,
    /// As this process was started.
    command: Vec<String>,
}

fn restart_of(place: &Place) -> Restart {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut args = env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| NAME.to_owned());
    // What `cargo run` sets, and an installed program doesn't have.
    let (runner, watched, command) = if env::var("CARGO_PKG_NAME").is_ok_and(|name| name == NAME) {
        let mut watched = words(&["-e", "rs,toml"]);
        // It takes an edit of that without a restart.
        if let Place::File(path) = place
            && let Some(file) = path.file_name()
        {
            watched.extend(["-i".to_owned(), file.to_string_lossy().into_owned()]);
        }
        let run = |package| words(&["cargo", "run", "-p", package, "--"]);
        (run("server-dev"), watched, run(NAME))
    } else {
        let file = env::current_exe().map(|path| path.to_string_lossy().into_owned());
        let watched = vec!["-w".to_owned(), file.unwrap_or_else(|_| program.clone())];
        (words(&["server-dev"]), watched, vec![program])
    };
    Restart { runner, watched, command: command.into_iter().chain(args).collect() }
}

/// Returns the command that holds the sockets while a new build takes the place of the old one.
///
/// Every socket, that of the admin as well: the new process starts beside the old one.
fn command(sockets: &[Endpoint], restart: &Restart) -> String {
    // One that has no name of ours is for plain HTTP.
    let socket = |Endpoint { role, address }: &Endpoint| match (role, address.path()) {
        (Role::Http, Some(path)) => format!("unix::{}", path.display()),
        (_, Some(path)) => format!("{role}=unix::{}", path.display()),
        (Role::Http | Role::Https, None) => format!("{role}::{address}"),
        (_, None) => format!("{role}=tcp::{address}"),
    };
    let sockets = sockets.iter().flat_map(|one| ["-s".to_owned(), socket(one)]);
    let Restart { runner, watched, command } = restart;
    let words: Vec<String> = runner
        .iter()
        .cloned()
        .chain(sockets)
        .chain(watched.iter().cloned())
        .chain(["--".to_owned()])
        .chain(command.iter().cloned())
        .collect();
    // No argument has a NUL in it: the system would not have passed it on.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_keeps_every_address_and_argument() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let mut again: Vec<_> = words("server-bin -c");
        again.push("a b".to_owned());
        let restart =
            Restart { runner: words("server-dev"), watched: words("-e rs"), command: again };
        let socket = |role, address: &str| Endpoint { role, address: address.parse().unwrap() };
        let sockets = [
            socket(Role::Http, "127.0.0.1:80"),
            socket(Role::Http, "[::1]:80"),
            socket(Role::Http, "unix:/a b"),
            socket(Role::Https, "127.0.0.1:443"),
            socket(Role::Https, "unix:/tls"),
            socket(Role::Admin, "127.0.0.1:81"),
        ];
        assert_eq!(
            command(&sockets, &restart),
            "server-dev -s http::127.0.0.1:80 -s 'http::[::1]:80' -s 'unix::/a b' -s \
             https::127.0.0.1:443 -s 'https=unix::/tls' -s 'admin=tcp::127.0.0.1:81' -e rs -- \
             server-bin -c 'a b'"
        );
    }
}
