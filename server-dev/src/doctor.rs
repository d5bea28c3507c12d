//! `server-dev doctor`: what keeps the services of a file from running, or from seeing an edit.

mod filesystem;
mod ignored;
mod ports;
mod tools;
mod watches;

use std::{fmt, path::Path, process::ExitCode};

use clap::{Arg, Id, builder::Resettable};
use serde::Serialize;

use crate::{
    cli::{PARTS, ServiceArgs, say},
    config::{Config, Service},
    failure::Failure,
    report::counted,
    sockets::asked_twice,
    spec::{Address, Spec},
};

/// A finding, and the service that it is of; `None` of all together.
#[derive(Debug, Serialize)]
struct Found {
    service: Option<String>,
    #[serde(flatten)]
    finding: Finding,
}

/// A line of what is told.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Report {
    Finding(Found),
    Summary { errors: usize, warnings: usize },
}

/// What may be said to it.
#[derive(Debug, clap::Args)]
#[command(mut_args = without_command)]
#[command(mut_arg("config", |arg| arg.conflicts_with_all(PARTS)))]
pub(crate) struct Args {
    #[command(flatten)]
    asked: ServiceArgs,

    /// Tell what is found by JSON, an object a line
    #[arg(long)]
    json: bool,
}

/// How bad something is; what is worse comes later, where it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Fine,
    /// It runs, but not as one may expect.
    Warning,
    /// It doesn't run.
    Error,
}

/// What was found of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    let mut all = findings(&config, args.asked.is_part());
    all.sort_by_key(|found| found.finding.level);
    for found in &mut all {
        // Names of files and programs may hold anything.
        found.finding.text = found.finding.text.replace(char::is_control, " ");
    }
    let count = |level| all.iter().filter(|found| found.finding.level == level).count();
    let end = Report::Summary { errors: count(Level::Error), warnings: count(Level::Warning) };
    let is_fine = count(Level::Error) == 0;
    for report in all.into_iter().map(Report::Finding).chain([end]) {
        let line = if args.json { serde_json::to_string(&report)? } else { report.to_string() };
        say(&format!("{line}\n"))?;
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings(config: &Config, is_part: bool) -> Vec<Found> {
    let mut need = watches::WatchNeed::default();
    let mut all = Vec::new();
    for (name, service) in &config.services {
        let findings = of_service(service, is_part, &mut need).into_iter();
        all.extend(findings.map(|finding| Found { service: Some(name.clone()), finding }));
    }
    for twice in asked_twice(&config.services) {
        let finding = Finding::error(twice.to_string());
        let [_, service] = twice.by;
        all.push(Found { service: Some(service), finding });
    }
    let of_all = watches::check(&need).into_iter();
    all.extend(of_all.map(|finding| Found { service: None, finding }));
    all
}

fn of_service(service: &Service, is_part: bool, need: &mut watches::WatchNeed) -> Vec<Finding> {
    if !service.directory.is_dir() {
        let is_ip = |socket: &&Spec| matches!(socket.place, Address::Ip(_));
        let mut found = ports::check(service.sockets.iter().filter(is_ip));
        found.push(Finding::error(format!("there is no folder {}", service.directory.display())));
        return found;
    }
    let mut found = ports::check(&service.sockets);
    if !is_part {
        found.extend(tools::check(service));
    }
    found.extend(filesystem::check(service));
    found.extend(ignored::check(service, need));
    found
}

/// A path as a person has written it, from where `server-dev` is run.
fn shown(service: &Service, path: &Path) -> String {
    let is_here = |folder: &Path| folder.components().eq(Path::new(".").components());
    let path = match (is_here(&service.directory), is_here(path)) {
        (true, _) => path.to_owned(),
        (false, true) => service.directory.clone(),
        (false, false) => service.directory.join(path).components().collect(),
    };
    path.display().to_string()
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finding(Found { service, finding: Finding { level, text } }) => {
                write!(f, "{level}: {}: {text}", service.as_deref().unwrap_or("all services"))
            }
            Self::Summary { errors: 0, warnings: 0 } => f.write_str("nothing is in the way"),
            Self::Summary { errors: 0, warnings } => {
                write!(f, "{}; it runs all the same", counted(*warnings, "warning"))
            }
            Self::Summary { errors, warnings } => {
                f.write_str(&counted(*errors, "error"))?;
                if *warnings > 0 {
                    write!(f, " and {}", counted(*warnings, "warning"))?;
                }
                f.write_str("; it doesn't run as it is")
            }
        }
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
