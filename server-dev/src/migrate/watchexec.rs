//! watchexec, by watchexec(1).

use super::{
    MigrateError,
    flags::{
        Flags, IGNORED, MESSAGES,
        Takes::{Maybe, Nothing, Value},
        Without,
    },
    shell, systemfd,
};
use crate::{config::poll_interval, draft::Draft};

const EVENTS: &str = "the server isn't told which files changed";
const KINDS: &str = "contents are compared, whatever happened to the file";
const ALWAYS: &str = "a change always builds, starts the new process and ends the old one";
const GROUP: &str = "processes are always in a group of their own";

const WITHOUT: &[Without] = &[
    (&["-c", "--clear"], Maybe, "it is about the terminal"),
    (&["-N", "--notify"], Maybe, "it is about the terminal"),
    (
        &["--bell", "--timings", "-q", "--quiet", "-v", "--verbose", "--print-events"],
        Nothing,
        MESSAGES,
    ),
    (&["--color"], Value, MESSAGES),
    (&["--log-file"], Maybe, MESSAGES),
    (&["--manual"], Nothing, MESSAGES),
    (&["--completions"], Value, MESSAGES),
    (&["--no-vcs-ignore", "--no-project-ignore", "--no-global-ignore"], Nothing, IGNORED),
    (&["--no-default-ignore", "--no-discover-ignore", "--ignore-nothing"], Nothing, IGNORED),
    (&["--ignore-file", "--filter-file"], Value, "its lines are for ignore = […] and rules = […]"),
    (&["-j", "--filter-prog"], Value, "rules = […] tell files by globs alone"),
    (&["--project-origin"], Value, "paths are relative to `directory`"),
    (&["--fs-events"], Value, KINDS),
    (&["--no-meta"], Nothing, KINDS),
    (&["--emit-events-to"], Value, EVENTS),
    (&["--only-emit-events"], Nothing, EVENTS),
    (&["-p", "--postpone"], Nothing, "the server is started at once"),
    (&["--delay-run"], Value, "settle waits for the files; `build` may wait for anything else"),
    (&["--stdin-quit", "-I", "--interactive"], Nothing, "stdin is not read"),
    (&["--map-signal"], Value, "a signal to server-dev ends it, and the server by SIGTERM"),
    (&["--timeout"], Value, "a server runs until it is replaced"),
    (
        &["--exit-on-error", "--once", "-1"],
        Nothing,
        "a server that fails is started by the next change",
    ),
    (&["--no-process-group"], Nothing, GROUP),
    (&["--wrap-process"], Value, GROUP),
    (&["-F", "--watch-file"], Value, "its lines are for watch = […]"),
];

pub(super) fn read(words: &[String], draft: &mut Draft) -> Result<(), MigrateError> {
    let mut flags = Flags::new("watchexec", words);
    let mut in_shell = true;
    let mut filters = Vec::new();
    while let Some(flag) = flags.next()? {
        match flag.as_str() {
            // What is always done.
            "-r" | "--restart" => {}
            "-o" | "--on-busy-update" => match flags.value()?.as_str() {
                "restart" => {}
                "signal" => signal(draft, "HUP"),
                other => draft.note(format!("watchexec {flag} {other} is left out: {ALWAYS}")),
            },
            "-s" | "--signal" => signal(draft, &flags.value()?),
            "--stop-signal" => {
                let signal = flags.value()?;
                if !["TERM", "15"].contains(&name(&signal).as_str()) {
                    let why = "a server is told to end by SIGTERM";
                    draft.note(format!("watchexec {flag} {signal} is left out: {why}"));
                }
            }
            "--stop-timeout" => flags.time("grace", &flag, "s", draft)?,
            "-d" | "--debounce" => flags.time("settle", &flag, "ms", draft)?,
            "--poll" | "--force-poll" => match flags.maybe() {
                Some(interval) => {
                    draft.set_time("poll", &format!("watchexec {flag}"), &interval, "ms");
                }
                None => draft.set("poll", poll_interval().to_string()),
            },
            "-e" | "--exts" => {
                for extension in flags.value()?.split(',').filter(|it| !it.is_empty()) {
                    draft.add("extensions", extension.trim_start_matches('.'));
                }
            }
            "-f" | "--filter" => filters.push(flags.value()?),
            "-i" | "--ignore" => draft.add("ignore", flags.value()?),
            "-w" | "--watch" => draft.add("watch", flags.value()?),
            "-W" | "--watch-non-recursive" => {
                let folder = flags.value()?;
                draft.note(format!("watchexec {flag}: what is below {folder} counts as well."));
                draft.add("watch", folder);
            }
            "--workdir" => flags.directory(draft)?,
            "-E" | "--env" => flags.variable(draft)?,
            "--socket" => {
                systemfd::socket(draft, &flags.value()?);
                draft.set("listen_pid", false);
            }
            "-n" | "--no-shell" => in_shell = false,
            "--shell" => {
                let shell = flags.value()?;
                in_shell = shell != "none";
                if in_shell && shell != "sh" {
                    let why = "what needs a shell is run by sh";
                    draft.note(format!("watchexec {flag} {shell} is left out: {why}"));
                }
            }
            other => flags.left_out(other, WITHOUT, draft)?,
        }
    }
    only(draft, &filters);
    let command = flags.rest()?;
    if command.is_empty() {
        return Err(MigrateError::Command("watchexec"));
    }
    if in_shell {
        shell::steps(draft, &[command.join(" ")], &[]);
    } else {
        draft.command("command", &command);
    }
    Ok(())
}

/// Has only these files count, beside those with an extension that is asked for.
fn only(draft: &mut Draft, filters: &[String]) {
    let all =
        (!filters.is_empty() && draft.get("extensions").is_none()).then_some(("*", "nothing"));
    let rules = filters.iter().map(|filter| (filter.as_str(), "build")).chain(all);
    for (files, action) in rules {
        draft.rule(files, action);
    }
}

fn signal(draft: &mut Draft, signal: &str) {
    if ["HUP", "1"].contains(&name(signal).as_str()) {
        draft.rule("*", "signal");
    } else {
        draft.note(format!(
            "watchexec --signal {signal} is left out: rules = [{{ do = \"signal\", files = \"*\" }}] \
             sends SIGHUP"
        ));
    }
}

/// A signal without what its name begins with.
fn name(signal: &str) -> String {
    let name = signal.to_ascii_uppercase();
    name.strip_prefix("SIG").map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    /// The line that a flag adds to that of a mere command.
    fn adds(flags: &str) -> String {
        let keys = keys(&format!("watchexec -r --socket 1 {flags} -- ./web"));
        let known = ["sockets = [\"tcp::1\"]", "listen_pid = false", "command = \"./web\""];
        keys.lines().filter(|line| !known.contains(line)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn has_a_key_for_each_flag_that_means_one() {
        for (flags, want) in [
            ("-e js,.css -e html", "extensions = [\"js\", \"css\", \"html\"]"),
            ("--exts=js", "extensions = [\"js\"]"),
            ("-i 'a*' --ignore b", "ignore = [\"a*\", \"b\"]"),
            ("-wsrc -w lib", "watch = [\"src\", \"lib\"]"),
            ("-W src", "watch = [\"src\"]"),
            ("-d 20", "settle = \"20ms\""),
            ("--debounce '1s 5ms'", "settle = \"1s 5ms\""),
            ("--poll", "poll = \"500ms\""),
            ("--poll=2s", "poll = \"2s\""),
            ("--force-poll=300", "poll = \"300ms\""),
            ("--stop-timeout 3", "grace = \"3s\""),
            ("-E A=b=c --env D=e", "env = { A = \"b=c\", D = \"e\" }"),
            ("--workdir api", "directory = \"api\""),
            ("-s SIGHUP", "rules = [{ do = \"signal\", files = \"*\" }]"),
            ("-o signal", "rules = [{ do = \"signal\", files = \"*\" }]"),
            ("-o restart", ""),
            ("--stop-signal SIGTERM", ""),
            ("--socket udp::53", "sockets = [\"tcp::1\", \"udp::53\"]"),
            (
                "-f 'src/*.c'",
                "rules = [{ do = \"build\", files = \"src/*.c\" }, { do = \"nothing\", files = \"*\" }]",
            ),
        ] {
            assert_eq!(adds(flags), want, "{flags}");
        }
    }

    #[test]
    fn names_each_documented_flag_that_has_no_key() {
        for flag in [
            "--bell",
            "-c",
            "--clear",
            "--clear=reset",
            "--color never",
            "-d soon",
            "--delay-run 1s",
            "--emit-events-to stdio",
            "--exit-on-error",
            "--filter-file a",
            "-j 'true'",
            "--filter-prog x",
            "--fs-events create",
            "--ignore-file a",
            "--ignore-nothing",
            "-I",
            "--interactive",
            "--log-file",
            "--log-file=a",
            "--map-signal INT:TERM",
            "-N",
            "--notify",
            "--no-default-ignore",
            "--no-discover-ignore",
            "--no-global-ignore",
            "--no-meta",
            "--no-process-group",
            "--no-project-ignore",
            "--no-vcs-ignore",
            "-o queue",
            "--on-busy-update do-nothing",
            "--only-emit-events",
            "-p",
            "--postpone",
            "--print-events",
            "--project-origin a",
            "-q",
            "--quiet",
            "-s USR1",
            "--shell bash",
            "--stdin-quit",
            "--stop-signal INT",
            "--timeout 1s",
            "--timings",
            "-v",
            "-vvv",
            "--verbose",
            "-F a",
            "--watch-file a",
            "--wrap-process session",
            "--new-flag",
            "--new-flag=3",
            "-Z",
        ] {
            let line = format!("watchexec --socket 1 {flag} -- ./web");
            let text = told(&line);
            assert!(text.contains(" is left out: "), "{flag}: {text}");
            assert_eq!(adds(flag), "", "{flag}");
        }
    }

    #[test]
    fn reads_a_command_as_the_shell_would_have() {
        for (command, want) in [
            ("-- ./web --port 3", "command = \"./web --port 3\""),
            ("'go build -o m . && ./m -x'", "build = \"go build -o m .\"\ncommand = \"./m -x\""),
            ("'a && b && c'", "build = \"sh -c 'a && b'\"\ncommand = \"c\""),
            (
                "'echo \"x && y\" && ./web'",
                "command = [\"sh\", \"-c\", 'echo \"x && y\" && ./web']",
            ),
            ("'./web > log'", "command = \"sh -c './web > log'\""),
            ("'A=1 ./web'", "env = { A = \"1\" }\ncommand = \"./web\""),
            ("-n -- sh -c 'a && b'", "command = \"sh -c 'a && b'\""),
            ("--shell=none ./web '*'", "command = \"./web '*'\""),
        ] {
            let got = keys(&format!("watchexec {command}"));
            assert_eq!(got.replace("\noverlap = false", ""), want, "{command}");
        }
    }
}
