//! cargo-watch, by cargo-watch(1).

use super::{
    MigrateError,
    flags::{
        Flags, IGNORED, MESSAGES,
        Takes::{Nothing, Value},
        Without,
    },
    shell,
};
use crate::{config::poll_interval, draft::Draft};

const WITHOUT: &[Without] = &[
    (&["-c", "--clear", "-N", "--notify"], Nothing, "it is about the terminal"),
    (&["--debug", "--why", "-q", "--quiet"], Nothing, MESSAGES),
    (&["--ignore-nothing", "--no-gitignore", "--no-vcs-ignores"], Nothing, IGNORED),
    (&["--no-ignore", "--no-dot-ignores"], Nothing, IGNORED),
    (&["--no-restart"], Nothing, "a change always starts a new process"),
    (&["--watch-when-idle"], Nothing, "an edit during a build is never lost"),
    (&["--postpone"], Nothing, "the server is started at once"),
    (&["--skip-local-deps"], Nothing, "only what is in watch = […] is watched"),
    (&["--no-process-group"], Nothing, "processes are always in a group of their own"),
    (&["--use-shell"], Value, "what needs a shell is run by sh"),
];
/// Orders of cargo that end by themselves.
const NO_SERVER: [&str; 8] = ["check", "test", "clippy", "build", "doc", "fmt", "bench", "nextest"];
/// Orders that take features.
const WITH_FEATURES: [&str; 10] =
    ["bench", "build", "check", "clippy", "doc", "run", "rustc", "rustdoc", "test", "install"];

pub(super) fn read(words: &[String], draft: &mut Draft) -> Result<(), MigrateError> {
    let mut flags = Flags::new("cargo watch", words);
    let (mut orders, mut commands, mut features) = (Vec::new(), Vec::new(), None);
    while let Some(flag) = flags.next()? {
        match flag.as_str() {
            "-x" | "--exec" => orders.push(flags.value()?),
            "-s" | "--shell" => commands.push(flags.value()?),
            "-w" | "--watch" => draft.add("watch", flags.value()?),
            "-i" | "--ignore" => draft.add("ignore", flags.value()?),
            "-d" | "--delay" => flags.time("settle", &flag, "s", draft)?,
            "--features" => features = Some(flags.value()?),
            "-C" | "--workdir" => flags.directory(draft)?,
            "-E" | "--env" => flags.variable(draft)?,
            "-L" => shell::variable(draft, "RUST_LOG", &flags.value()?),
            "-B" => shell::variable(draft, "RUST_BACKTRACE", &flags.value()?),
            "--poll" => draft.set("poll", poll_interval().to_string()),
            other => flags.left_out(other, WITHOUT, draft)?,
        }
    }
    let trailing = flags.rest()?;
    let steps = if trailing.is_empty() {
        if orders.is_empty() && commands.is_empty() {
            orders.push("check".to_owned());
        }
        let orders = orders.iter().map(|order| cargo(order, features.as_deref()));
        orders.chain(commands).collect()
    } else {
        // It supersedes the others.
        for order in orders.iter().chain(&commands) {
            draft.note(format!("{order} is left out: cargo watch runs only what is after --"));
        }
        vec![shell::joined(&trailing)]
    };
    let last = steps.last().and_then(|step: &String| step.strip_prefix("cargo "));
    if last.and_then(|last| last.split(' ').next()).is_some_and(|it| NO_SERVER.contains(&it)) {
        draft.note("What is run ends by itself, and serves nothing: server-dev is for servers.");
    }
    shell::steps(draft, &steps, &[]);
    Ok(())
}

/// An order to cargo, with the features where it takes some.
fn cargo(order: &str, features: Option<&str>) -> String {
    let (first, rest) = order.split_once(' ').unwrap_or((order, ""));
    let with = match features {
        Some(features) if WITH_FEATURES.contains(&first) => format!(" --features {features}"),
        _ => String::new(),
    };
    format!("cargo {first}{with} {rest}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    fn of(flags: &str) -> String {
        keys(&format!("systemfd -s tcp::1 -- cargo watch {flags}"))
            .replace("sockets = [\"tcp::1\"]\n", "")
    }

    #[test]
    fn has_a_key_for_each_flag_that_means_one() {
        for (flags, want) in [
            ("-x run", "command = \"cargo run\""),
            ("-x 'run --bin a -- -v'", "command = \"cargo run --bin a -- -v\""),
            ("-x check -x run", "command = \"cargo run\""),
            ("-x clippy -x 'run -q'", "build = \"cargo clippy\"\ncommand = \"cargo run -q\""),
            (
                "-x test -x build -s ./web",
                "build = \"sh -c 'cargo test && cargo build'\"\ncommand = \"./web\"",
            ),
            ("-s ./web -x build", "build = \"cargo build\"\ncommand = \"./web\""),
            ("--features a,b -x 'run -- c'", "command = \"cargo run --features 'a,b' -- c\""),
            (
                "-w src -w Cargo.toml -x run",
                "watch = [\"src\", \"Cargo.toml\"]\ncommand = \"cargo run\"",
            ),
            ("-i '*.md' -x run", "ignore = [\"*.md\"]\ncommand = \"cargo run\""),
            ("-d 0.2 -x run", "settle = \"0.2s\"\ncommand = \"cargo run\""),
            ("--delay=2 -x run", "settle = \"2s\"\ncommand = \"cargo run\""),
            ("--poll -x run", "poll = \"500ms\"\ncommand = \"cargo run\""),
            ("-C api -x run", "directory = \"api\"\ncommand = \"cargo run\""),
            (
                "-E A=b -L debug -B 1 -x run",
                "env = { A = \"b\", RUST_BACKTRACE = \"1\", RUST_LOG = \"debug\" }\ncommand = \"cargo run\"",
            ),
            ("-- ./web 'a b'", "command = \"./web 'a b'\""),
            ("", "command = \"cargo check\""),
        ] {
            assert_eq!(of(flags), want, "{flags}");
        }
    }

    #[test]
    fn names_each_documented_flag_that_has_no_key() {
        for flag in [
            "-c",
            "--clear",
            "--debug",
            "--why",
            "-q",
            "--quiet",
            "--ignore-nothing",
            "--no-gitignore",
            "--no-vcs-ignores",
            "--no-ignore",
            "--no-dot-ignores",
            "--no-restart",
            "-N",
            "--notify",
            "--postpone",
            "--watch-when-idle",
            "--skip-local-deps",
            "--no-process-group",
            "--use-shell bash",
            "-d soon",
            "--new-flag",
            "-Z",
        ] {
            let text = told(&format!("cargo watch {flag} -x run"));
            assert!(text.contains("is left out: "), "{flag}: {text}");
            assert_eq!(of(&format!("{flag} -x run")), "command = \"cargo run\"", "{flag}");
        }
        assert!(told("cargo watch -x test").contains("serves nothing"));
        assert!(told("cargo +nightly watch -x run -- ./web").contains("run is left out: "));
        assert!(told("cargo-watch watch -x run").contains("\ncommand = \"cargo run\"\n"));
    }
}
