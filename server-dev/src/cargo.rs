//! `cargo run`, taken apart: what builds is not what serves, so that a build holds no socket, and may
//! be called off.
//!
//! Which program it is, with which arguments and variables, only cargo knows. So cargo does run
//! something: this executable, as its `runner` (see `target.<triple>.runner` in The Cargo Book), which
//! says what it was to run. A `runner` that the project has configured is not used, neither by a cargo that
//! a build script starts.

mod built;
mod message;

use std::{env::consts::ARCH, ffi::OsString, path::Path};

use crate::config::Words;

pub(crate) use self::{
    built::{Built, WORD, run},
    message::{Message, RustcMessage, Span},
};

/// Those of cargo's own flags that a value follows as another word.
const WITH_VALUE: [&str; 4] = ["--color", "--config", "-C", "-Z"];
/// The C libraries that programs of this machine are built for, unless somebody asks for another target.
const LIBCS: [&str; 2] = ["gnu", "musl"];

/// A `cargo run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CargoRun {
    /// What builds it, and says what was built in a form for programs.
    pub(crate) build: Words,
    /// Targets that a `runner` of the project's own may be for.
    targets: Vec<String>,
}

impl CargoRun {
    /// Returns `None` where the command is another.
    pub(crate) fn of(command: &Words, coloured: bool) -> Option<Self> {
        let arguments = command.arguments();
        let run = run_in(command)?;
        let toolchain = arguments.iter().take_while(|word| word.starts_with('+')).count();
        let flags = || arguments.iter().take_while(|word| *word != "--");
        let mut words = vec![command.program().to_owned()];
        words.extend_from_slice(&arguments[..toolchain]);
        // For each target that none of the variables is for.
        let runner = format!("target.'cfg(all())'.runner=['{}']", runner().join("','"));
        words.extend(["--config".to_owned(), runner]);
        words.extend_from_slice(&arguments[toolchain..=run]);
        // Who asks for another form gets that.
        if !flags().any(|word| word.starts_with("--message-format")) {
            let format = if coloured { "json-diagnostic-rendered-ansi" } else { "json" };
            words.push(format!("--message-format={format}"));
        }
        words.extend_from_slice(&arguments[run + 1..]);
        let asked = flags().zip(flags().skip(1)).filter(|(flag, _)| *flag == "--target");
        let asked = asked.map(|(_, target)| target.as_str());
        let asked = asked.chain(flags().filter_map(|word| word.strip_prefix("--target=")));
        let usual = LIBCS.map(|libc| format!("{ARCH}-unknown-linux-{libc}"));
        let targets = asked.map(str::to_owned).chain(usual).collect();
        Some(Self { build: Words::new(words)?, targets })
    }

    /// Whether a command is one.
    pub(crate) fn is(command: &Words) -> bool {
        run_in(command).is_some()
    }

    /// What cargo finds beside the variables of any build: these come before each `runner` that a file
    /// configures.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let name = |target: &String| {
            format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace(['-', '.'], "_"))
        };
        self.targets.iter().map(move |target| (name(target).into(), runner().join(" ").into()))
    }

    /// Whether a line only says that the runner is run.
    pub(crate) fn is_of_runner(line: &[u8]) -> bool {
        String::from_utf8_lossy(line).contains(&runner().join(" "))
    }
}

/// Where the `run` is among the arguments: `cargo [+toolchain] [OPTIONS] run [OPTIONS] [args]...`.
fn run_in(command: &Words) -> Option<usize> {
    if Path::new(command.program()).file_name()? != "cargo" {
        return None;
    }
    let mut words = command.arguments().iter().enumerate();
    loop {
        match words.next()? {
            (at, word) if word == "run" || word == "r" => return Some(at),
            (_, flag) if WITH_VALUE.contains(&flag.as_str()) => drop(words.next()),
            (_, word) if word != "--" && word.starts_with(['-', '+']) => {}
            _ => return None,
        }
    }
}

/// This executable by its number, as for cargo `/proc/self/exe` is cargo, and who is to be told; there is
/// no blank in it, at which cargo would part it.
fn runner() -> [String; 3] {
    let number = std::process::id();
    [format!("/proc/{number}/exe"), WORD.to_owned(), number.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_form_of_cargo_run_and_nothing_else() {
        for (text, want) in [
            ("cargo run", "cargo RUNNER run JSON"),
            ("cargo r", "cargo RUNNER r JSON"),
            (
                "cargo run -p web --release -- --port 3000",
                "cargo RUNNER run JSON -p web --release -- --port 3000",
            ),
            ("cargo run serve --port 1", "cargo RUNNER run JSON serve --port 1"),
            ("/usr/bin/cargo +nightly r", "/usr/bin/cargo +nightly RUNNER r JSON"),
            ("cargo -q --config a.b=1 run", "cargo RUNNER -q --config a.b=1 run JSON"),
            (
                "cargo -Z unstable-options -C run run",
                "cargo RUNNER -Z unstable-options -C run run JSON",
            ),
            ("cargo run --message-format short", "cargo RUNNER run --message-format short"),
            (
                "cargo run -- --message-format short",
                "cargo RUNNER run JSON -- --message-format short",
            ),
        ] {
            let run = CargoRun::of(&Words::parse(text).unwrap(), false);
            let run = run.unwrap_or_else(|| panic!("{text} is one"));
            let told = format!("--config target.'cfg(all())'.runner=['{}']", runner().join("','"));
            let got = [&[run.build.program().to_owned()], run.build.arguments()].concat().join(" ");
            let got = got.replace(&told, "RUNNER");
            assert_eq!(got.replace("--message-format=json", "JSON"), want, "{text}");
        }
        for other in [
            "cargo test",
            "cargo",
            "go run .",
            "cargo test run",
            "cargo --config run",
            "cargo -- run",
        ] {
            let words = Words::parse(other).unwrap();
            assert!(!CargoRun::is(&words) && CargoRun::of(&words, true).is_none(), "{other}");
        }
    }

    #[test]
    fn comes_before_the_runner_of_each_target_that_is_asked_for() {
        for text in ["cargo run --target a-b.c", "cargo run --target=a-b.c x"] {
            let run = CargoRun::of(&Words::parse(text).unwrap(), false).unwrap();
            let names: Vec<_> = run.variables().map(|(name, _)| name).collect();
            assert_eq!(names.len(), 3, "{text}: {names:?}");
            assert_eq!(names[0], "CARGO_TARGET_A_B_C_RUNNER", "{text}");
        }
    }
}
