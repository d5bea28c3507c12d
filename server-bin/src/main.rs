//! Serves HTTP by a configuration, in a file or a store, that takes effect as it is saved.

#![forbid(unsafe_code)]

mod ask;
mod check;
mod cli;
mod descriptors;
mod development;
mod help;
mod interval;
mod levels;
mod locate;
mod log;
mod place;
mod print;
mod report;
mod schema;
mod serve;
mod signals;
mod source;
mod task;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use tokio::runtime::{Builder, Runtime};

use self::{print::print, task::Task};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let task = Task::read();
    let (filter, written) = log::to_stderr();
    let carried_out = carry_out(task, filter, &written);
    // What went before an error is above it.
    written.wait();
    carried_out.unwrap_or_else(|failure| {
        print_error(failure.as_ref());
        ExitCode::FAILURE
    })
}

fn carry_out(task: Task, filter: log::Filter, written: &log::Written) -> Result<ExitCode, Failure> {
    match task {
        Task::Serve(following) => serve::serve(following, filter, written)?,
        Task::Check { place, patience } => check::check(&place, patience)?,
        Task::Schema => print(schema::text())?,
        Task::Status { at, as_json } => {
            return on_this_thread()?.block_on(ask::status(&at, as_json));
        }
        Task::Order { at, order } => return on_this_thread()?.block_on(ask::order(&at, order)),
        Task::Completions(shell) => print(print::completions(shell))?,
        Task::Man => print(print::manual()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_this_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Prints an error and its causes, as a compiler does.
fn print_error(failure: &(dyn Error + 'static)) {
    let mut told = format!("error: {failure}");
    let mut next = failure.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // Some errors are their own cause.
        if !told.ends_with(&words) {
            told = format!("{told}\n  caused by: {words}");
        }
        next = cause.source();
    }
    log::in_time(move || {
        // There is nowhere else to say it.
        let _unsaid = writeln!(io::stderr(), "{told}");
    });
}
