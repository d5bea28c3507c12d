//! What it costs to restart a daemon whose sockets are its own, and the command that avoids it.

use std::{
    env,
    io::{IsTerminal, stderr},
    os::unix::process::parent_id,
    process,
};

use server_lib::{Endpoint, Inherited, Role, ServerConfig};
use tracing::info;

const NAME: &str = env!("CARGO_PKG_NAME");

/// Tells it whoever develops; in production nobody is there to read it.
pub(crate) fn advise(inherited: &Inherited, config: &ServerConfig) {
    if !inherited.is_empty() || !stderr().is_terminal() || is_by_service_manager() {
        return;
    }
    // Whoever looks after it can ask once more.
    let mut sockets = config.endpoints();
    sockets.retain(|one| one.role != Role::Admin);
    let command = command(&sockets, &started_by());
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

/// How this process was started, and what a new build of it is known by.
struct Started {
    again: Vec<String>,
    rebuilt: Vec<String>,
}

fn started_by() -> Started {
    let mut args = env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| NAME.to_owned());
    // What `cargo run` sets, and an installed program doesn't have.
    let (again, rebuilt) = if env::var("CARGO_PKG_NAME").is_ok_and(|name| name == NAME) {
        let run = ["cargo", "run", "-p", NAME, "--"].map(str::to_owned);
        (run.to_vec(), vec!["--exts".to_owned(), "rs".to_owned()])
    } else {
        let file = env::current_exe().map(|path| path.to_string_lossy().into_owned());
        // A build is where version control is told not to look, and watchexec goes by that.
        let rebuilt = ["--no-vcs-ignore".to_owned(), "--watch".to_owned()].into_iter();
        (vec![program.clone()], rebuilt.chain([file.unwrap_or(program)]).collect())
    };
    Started { again: again.into_iter().chain(args).collect(), rebuilt }
}

/// Returns the command that holds the sockets while a new build takes the place of the old one.
///
/// systemfd becomes what it starts, so it takes something in between that outlives the daemon.
fn command(sockets: &[Endpoint], started: &Started) -> String {
    // systemfd names none, and one without a name is for plain HTTP.
    let names: Vec<_> = sockets.iter().map(|one| one.role.as_str()).collect();
    let is_named = sockets.iter().any(|one| one.role != Role::Http);
    let names = is_named.then(|| ["env".to_owned(), format!("LISTEN_FDNAMES={}", names.join(":"))]);
    let socket = |Endpoint { role, address }: &Endpoint| match address.path() {
        Some(path) => format!("unix::{}", path.display()),
        None => format!("{role}::{address}"),
    };
    let sockets = sockets.iter().flat_map(|one| ["-s".to_owned(), socket(one)]);
    let words: Vec<String> = names
        .into_iter()
        .flatten()
        .chain(["systemfd", "--no-pid"].map(str::to_owned))
        .chain(sockets)
        .chain(["--", "watchexec", "--restart"].map(str::to_owned))
        .chain(started.rebuilt.iter().cloned())
        // Without a shell, which would take the words apart once more.
        .chain(["-n", "--"].map(str::to_owned))
        .chain(started.again.iter().cloned())
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
        let started = Started { again, rebuilt: words("--exts rs") };
        let socket = |role, address: &str| Endpoint { role, address: address.parse().unwrap() };
        let mut sockets = vec![
            socket(Role::Http, "127.0.0.1:80"),
            socket(Role::Http, "[::1]:80"),
            socket(Role::Http, "unix:/a b"),
        ];
        assert_eq!(
            command(&sockets, &started),
            "systemfd --no-pid -s http::127.0.0.1:80 -s 'http::[::1]:80' -s 'unix::/a b' -- \
             watchexec --restart --exts rs -n -- server-bin -c 'a b'"
        );
        sockets.drain(1..);
        sockets.push(socket(Role::Https, "127.0.0.1:443"));
        let command = command(&sockets, &started);
        let want = "env 'LISTEN_FDNAMES=http:https' systemfd --no-pid -s http::127.0.0.1:80 -s \
                    https::127.0.0.1:443 -- ";
        assert!(command.starts_with(want), "{command}");
    }
}
