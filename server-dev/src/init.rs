//! `server-dev init`: writes a first file of services, by what is there to be run.

mod cargo;
mod dune;
mod found;
mod given;
mod go;
mod node;
mod python;
mod skeleton;
mod sockets;

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueHint;

use crate::{
    cli::{FILE, say},
    config::Words,
    draft::Draft,
    failure::Failure,
    schema,
};

/// What is said of a folder where nothing is found.
const NONE: &str = "no Cargo.toml with a binary, no go.mod with a main package, no dune-project with an \
                    executable, no package.json with a start script, and nothing in Python that serves, such \
                    as an app.py with a Flask or FastAPI application or a manage.py";

/// What may be said to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to write, for the servers of the folder that it is in
    #[arg(short, long, value_name = "FILE", default_value = FILE, value_hint = ValueHint::FilePath)]
    config: PathBuf,

    /// The server and its arguments, where they are not to be found by what is in the folder
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("{} is there already, and is left as it is", .0.display())]
    There(PathBuf),
    #[error("{} can't be written", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let file = &args.config;
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // What was written where nothing was known, or nothing at all, says nothing that could be lost.
    if std::fs::read_to_string(file).is_ok_and(|text| skeleton::says_nothing(&text)) {
        std::fs::remove_file(file).map_err(|error| InitError::Write(file.clone(), error))?;
    }
    if file.exists() {
        return Err(InitError::There(file.clone()).into());
    }
    let drafts = match Words::new(args.command.clone()) {
        Some(command) => vec![given::draft(directory, &command)],
        None => found::find(directory),
    };
    if drafts.is_empty() {
        write(file, &skeleton::text())?;
        say(&format!(
            "{file} is written, but nothing in it runs yet: {directory} holds {NONE}\n\
             say the command in it, or by `server-dev init -- COMMAND`\n",
            file = file.display(),
            directory = directory.display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    write(file, &text(&drafts))?;
    let names: Vec<_> = drafts.iter().map(|draft| draft.name.as_str()).collect();
    say(&format!(
        "{} is written: {}\n`server-dev doctor` looks whether they can run, `server-dev` runs them\n",
        file.display(),
        names.join(", ")
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there; somebody may have made it meanwhile.
fn write(file: &Path, text: &str) -> Result<(), InitError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => InitError::There(file.to_owned()),
        _ => InitError::Write(file.to_owned(), error),
    };
    let mut new = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)
}

fn text(drafts: &[Draft]) -> String {
    let mut text = schema::head();
    text.push_str("# What `server-dev` runs here; `server-dev --help` says more.\n");
    for draft in drafts {
        text.push('\n');
        text.push_str(&draft.commented());
    }
    // Once: they are the same for all.
    if let Some(last) = drafts.last() {
        text.push('\n');
        text.push_str(&last.others());
    }
    text
}
