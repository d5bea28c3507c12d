//! What is printed for other programs: completions and a manual page.

use std::io::{self, Write, stdout};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, roman};

use crate::{cli::Cli, help};

const NAME: &str = env!("CARGO_PKG_NAME");

/// Writes to standard output; whoever has read enough of it may close it.
pub(crate) fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Returns what has `shell` complete the command line.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    script
}

/// Returns the manual page, in roff: one page, in which each command has its own help.
pub(crate) fn manual() -> io::Result<Vec<u8>> {
    let mut command = Cli::command().term_width(help::WIDTH);
    command.build();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let usage: Vec<_> = help::USAGE.lines().map(str::trim).collect();
    part("SH", "SYNOPSIS", &usage.join("\n")).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    part("SH", "COMMANDS", "").to_writer(&mut page)?;
    for one in command.get_subcommands_mut().filter(|one| one.get_name() != "help") {
        let text = one.render_long_help().to_string();
        let name = format!("{NAME} {}", one.get_name());
        part("SS", &name, &text).to_writer(&mut page)?;
    }
    for (heading, text) in help::SECTIONS {
        part("SH", &heading.to_uppercase(), text).to_writer(&mut page)?;
    }
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// A part of the page whose lines stay as they are.
fn part(kind: &str, heading: &str, text: &str) -> Roff {
    let mut part = Roff::new();
    part.control(kind, [heading]).control("nf", []);
    for line in text.lines() {
        part.text([roman(line)]);
    }
    part.control("fi", []);
    part
}
