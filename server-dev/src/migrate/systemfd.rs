//! systemfd, which holds the sockets of another runner; by its --help.

use super::{
    MigrateError, Runner,
    flags::{
        Flags,
        Takes::{Nothing, Value},
        Without,
    },
    read as read_runner,
};
use crate::{cargo::CargoRun, draft::Draft, spec::Spec};

const WITHOUT: &[Without] = &[
    (&["-b", "--backlog"], Value, "the queue of connections is always as long as it may be"),
    (&["--no-reuse"], Nothing, "SO_REUSEPORT, by which two runners share a port, is never set"),
    (&["-q", "--quiet"], Nothing, "it is about messages"),
    (&["--color"], Value, "NO_COLOR says that"),
];

pub(super) fn read(words: &[String], draft: &mut Draft) -> Result<(), MigrateError> {
    let mut flags = Flags::new("systemfd", words);
    let mut no_pid = false;
    while let Some(flag) = flags.next()? {
        match flag.as_str() {
            "-s" | "--socket" => socket(draft, &flags.value()?),
            "--no-pid" => no_pid = true,
            other => flags.left_out(other, WITHOUT, draft)?,
        }
    }
    let command = flags.rest()?;
    if command.is_empty() {
        return Err(MigrateError::Command("systemfd"));
    }
    if no_pid {
        draft.set("listen_pid", false);
    }
    if Runner::of(&command).is_some() {
        read_runner(&command, draft)?;
    } else {
        draft.command("command", &command);
    }
    // Of `cargo run`, the process that is started is the server itself.
    if no_pid && draft.words("command").is_some_and(|command| CargoRun::is(&command)) {
        draft.unset("listen_pid");
    }
    Ok(())
}

/// Takes a socket, in any of the ways in which systemfd and watchexec read one.
pub(super) fn socket(draft: &mut Draft, text: &str) {
    let written = match text {
        _ if text.contains("::") && text.parse::<Spec>().is_ok() => text.to_owned(),
        _ if text.contains('/') => format!("unix::{text}"),
        _ => format!("tcp::{text}"),
    };
    match written.parse::<Spec>() {
        Ok(_) => draft.add("sockets", written),
        Err(error) => draft.note(format!("the socket {text} is left out: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    #[test]
    fn takes_every_form_of_a_socket() {
        for (form, want) in [
            ("3000", "tcp::3000"),
            ("127.0.0.1:3000", "tcp::127.0.0.1:3000"),
            ("[::1]:3000", "tcp::[::1]:3000"),
            ("./web.sock", "unix::./web.sock"),
            ("udp::53", "udp::53"),
            ("https::[::]:3443", "https::[::]:3443"),
            ("unix::/run/a.sock", "unix::/run/a.sock"),
        ] {
            let line = format!("systemfd -s {form} -- ./web");
            assert_eq!(keys(&line), format!("sockets = [\"{want}\"]\ncommand = \"./web\""));
        }
        assert!(told("systemfd -s ftp::a -- ./web").contains("the socket ftp::a is left out"));
    }

    #[test]
    fn no_child_of_a_child_is_thought_of_where_cargo_runs_the_server() {
        for command in ["cargo run", "cargo +nightly -q run serve", "cargo watch -x 'r --bin a'"] {
            let line = format!("systemfd --no-pid -s http::1 -- {command}");
            assert!(!keys(&line).contains("listen_pid"), "{command}");
        }
        assert!(
            keys("systemfd --no-pid -s http::1 -- cargo leptos").contains("listen_pid = false")
        );
    }

    #[test]
    fn keeps_or_names_each_flag_that_is_documented() {
        let line =
            "systemfd --no-pid --no-reuse -q -b 128 --color never --socket http::1 -- npm start";
        assert_eq!(
            keys(line),
            "sockets = [\"http::1\"]\nlisten_pid = false\ncommand = \"npm start\""
        );
        let text = told(line);
        for flag in ["--no-reuse ", "-q ", "-b 128 ", "--color never "] {
            assert!(text.contains(&format!("systemfd {flag}is left out: ")), "{flag}: {text}");
        }
    }
}
