//! `server-dev doctor`: what keeps the services of a file from running, or from seeing an edit.

mod filesystem;
mod ignored;
mod ports;
mod tools;
mod watches;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Arg, Id, builder::Resettable};

use crate::{
    Failure,
    cli::{Asked, PARTS, say},
    config::{Config, Service},
    sockets::asked_twice,
};

/// What may be said to it.
#[derive(Debug, clap::Args)]
#[command(mut_args = without_command)]
#[command(mut_arg("config", |arg| arg.conflicts_with_all(PARTS)))]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Fine,
    /// It runs, but not as one may expect.
    Warning,
    /// It doesn't run.
    Error,
}

/// What was found of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    text: String,
}

/// A port may be asked after before there is a command.
fn without_command(arg: Arg) -> Arg {
    if PARTS.contains(&arg.get_id().as_str()) { arg.requires(Resettable::<Id>::Reset) } else { arg }
}

/// Exit code 1 where something doesn't run.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let config = args.asked.config_or_part()?;
    let mut is_fine = true;
    for (name, findings) in findings(&config, args.asked.is_part()) {
        for finding in findings {
            is_fine &= finding.level != Level::Error;
            // Names of files and programs may hold anything.
            let text = finding.text.replace(char::is_control, " ");
            say(&format!("{}: {name}: {text}\n", finding.level))?;
        }
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings(config: &Config, is_part: bool) -> Vec<(&str, Vec<Finding>)> {
    let mut need = watches::WatchNeed::default();
    let mut all: Vec<_> = config
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), of_service(service, is_part, &mut need)))
        .collect();
    for twice in asked_twice(&config.services) {
        let name = config.services.get_key_value(&twice.by[1]);
        all.extend(name.map(|(name, _)| (name.as_str(), vec![Finding::error(twice.to_string())])));
    }
    all.push(("all services", watches::check(&need)));
    all
}

fn of_service(service: &Service, is_part: bool, need: &mut watches::WatchNeed) -> Vec<Finding> {
    let mut found = ports::check(service);
    if !is_part {
        found.extend(tools::check(service));
    }
    found.extend(filesystem::check(service));
    found.extend(ignored::check(service, need));
    found
}

/// A root as a person names it: `./.` is `.`.
fn below(service: &Service, root: &Path) -> PathBuf {
    service.directory.join(root).components().collect()
}

impl Finding {
    fn fine(text: impl Into<String>) -> Self {
        Self { level: Level::Fine, text: text.into() }
    }

    fn warning(text: impl Into<String>) -> Self {
        Self { level: Level::Warning, text: text.into() }
    }

    fn error(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}
