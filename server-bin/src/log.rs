//! What is logged, which follows the configuration.

mod queue;

use std::{
    env,
    io::{IsTerminal, Write, stderr},
    mem,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use hot_reload::{Reload, ReloaderService};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use server_lib::ServerConfig;
use tokio::task::spawn_blocking;
use tracing::warn;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    EnvFilter, Registry,
    filter::{Directive, LevelFilter},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::{levels, locate, source::Source};

/// What a service calls this part of the program, when it refuses a value.
const PART: &str = "log";

/// The filter of the log, to be replaced while the program runs.
#[derive(Clone)]
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

/// The end of the log.
#[derive(Clone)]
pub(crate) struct Written(Arc<Mutex<Option<WorkerGuard>>>);

impl Written {
    /// Waits until all that was logged is written, for a second at the most; nothing is logged from then on.
    pub(crate) fn wait(&self) {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Where nobody takes what is queued, it says so on stdout, which may be just as stuck.
        in_time(move || drop(guard));
    }
}

/// How long is waited at the end for whoever takes what is written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Does what writes to where nobody may read, and waits for that for no longer than a second.
///
/// Where no thread can be had, it is done here if stderr takes something at once, and else not at all.
pub(crate) fn in_time(writes: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    // A thread that isn't had takes what it was given along.
    let writes = Arc::new(Mutex::new(Some(writes)));
    let taken =
        |writes: &Mutex<Option<_>>| writes.lock().unwrap_or_else(PoisonError::into_inner).take();
    let there = Arc::clone(&writes);
    let thread = thread::Builder::new().name("last words".to_owned()).spawn(move || {
        if let Some(writes) = taken(&there) {
            writes();
        }
        // Nobody waits for it any more where it took too long.
        let _late = done.send(());
    });
    if thread.is_ok() {
        let _given_up = is_done.recv_timeout(LAST_WORDS);
    } else if let Some(writes) = taken(&writes) {
        if is_taken_at_once() {
            writes();
        } else {
            // The end of the log would be waited for as it is dropped.
            mem::forget(writes);
        }
    }
}

/// Whether stderr takes a line without having whoever writes it wait.
fn is_taken_at_once() -> bool {
    let stderr = stderr();
    let mut asked = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec::default())).is_ok()
        && asked[0].revents().contains(PollFlags::OUT)
}

/// Starts to log to stderr, by `RUST_LOG`, and tells what of that is no filter.
pub(crate) fn to_stderr() -> (Filter, Written) {
    let (of_env, ignored) = lenient(&env_directives());
    let (filter, handle) = reload::Layer::new(of_env);
    let (mut lines, written) = queue::to_stderr();
    for told in ignored {
        // No line of the log, which it might silence. What is queued is waited for by nobody.
        let _queued = writeln!(lines, "warning: {}: {told}", EnvFilter::DEFAULT_ENV);
    }
    let lines = fmt::layer().with_writer(move || lines.clone()).with_ansi(is_coloured());
    tracing_subscriber::registry().with(filter).with(lines).init();
    (Filter(handle), Written(Arc::new(Mutex::new(Some(written)))))
}

impl Filter {
    /// Logs by `filter` from here on.
    fn set(&self, filter: EnvFilter) {
        if let Err(error) = self.0.reload(filter) {
            warn!(%error, "the filter of the log stays as it is");
        }
    }

    /// Has each value of `service` set the filter, or be refused as a whole.
    pub(crate) fn follow<T>(
        self,
        source: &Source,
        service: ReloaderService<T, ServerConfig, String>,
    ) -> ReloaderService<T, ServerConfig, String>
    where
        T: Reload<ServerConfig, String> + Clone,
    {
        let source = source.clone();
        service.prepare(PART, move |candidate| {
            // Told once it is used: what is refused is prepared again and again.
            let doubts = levels::new_doubts(&candidate);
            let (source, filter) = (source.clone(), self.clone());
            let directives = candidate.new.log.clone();
            async move {
                // It reads the file to say where it is wrong.
                let parsed = spawn_blocking(move || parse(&source, directives.as_deref())).await;
                let parsed = parsed.map_err(|failure| failure.to_string())??;
                Ok::<_, String>(move || {
                    // Before it is in use: by then it may be that nothing is heard.
                    for doubt in &doubts {
                        warn!("{doubt}");
                    }
                    filter.set(parsed);
                })
            }
        })
    }
}

/// Makes the filter that is asked for; where none is, that of `RUST_LOG`. May block.
///
/// A failure is told as the parser's errors are told: file, line, column and the line itself.
pub(crate) fn parse(source: &Source, directives: Option<&str>) -> Result<EnvFilter, String> {
    let Some(directives) = directives else { return Ok(from_env()) };
    let filter = builder().parse(trimmed(directives));
    let filter = filter.map_err(|error| locate::tell_log(source, directives, &error))?;
    Ok(without_clients(filter, directives))
}

/// The filter of `RUST_LOG`; what of that is ignored was told at the start.
fn from_env() -> EnvFilter {
    lenient(&env_directives()).0
}

fn env_directives() -> String {
    env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default()
}

/// Makes the filter of what is good in `directives`, and says of the rest that it is ignored, and why.
fn lenient(directives: &str) -> (EnvFilter, Vec<String>) {
    let (mut good, mut ignored) = (Vec::new(), Vec::new());
    for one in directives.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match one.parse::<Directive>() {
            Ok(_) => good.push(one),
            Err(error) => {
                ignored.push(format!("{one:?} is ignored: {}", levels::unquoted(&error)));
            }
        }
    }
    // All of it is good by now.
    let filter = builder().parse_lossy(good.join(","));
    (without_clients(filter, directives), ignored)
}

fn builder() -> tracing_subscriber::filter::Builder {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into())
}

/// Takes blanks from around each directive, which would be taken for a part of its name.
fn trimmed(directives: &str) -> String {
    directives.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}

/// Has nothing logged that any client can cause as often as it likes, as h2 warns of each that resets many
/// streams; unless that is asked for.
fn without_clients(filter: EnvFilter, directives: &str) -> EnvFilter {
    let is_of_h2 = |one: &str| one.split(['=', '[', ':']).next() == Some("h2");
    match "h2=error".parse() {
        Ok(errors_alone) if !directives.split(',').map(str::trim).any(is_of_h2) => {
            filter.add_directive(errors_alone)
        }
        _ => filter,
    }
}

/// Whether whoever reads the log wants colours (<https://no-color.org>).
fn is_coloured() -> bool {
    let is_refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_refused && stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The process once waited for whoever took no line of it, also at its end.
    #[test]
    fn what_nobody_takes_is_not_waited_for_at_the_end() {
        let (_held, never) = mpsc::channel::<()>();
        in_time(move || {
            let _ = never.recv();
        });
    }

    #[test]
    fn what_a_client_can_cause_is_logged_only_where_it_is_asked_for() {
        for (directives, want) in [
            ("", "h2=error,info"),
            ("debug", "h2=error,debug"),
            ("info, h2=debug", "h2=debug,info"),
            ("info,oauth2=debug", "oauth2=debug,h2=error,info"),
            ("server_lib=trace, info", "server_lib=trace,h2=error,info"),
            // Of which nothing is left.
            ("server_lib=verbose", "h2=error,info"),
            (",", "h2=error,info"),
            ("server_lib=verbose, warn", "h2=error,warn"),
        ] {
            let (filter, ignored) = lenient(directives);
            assert_eq!(filter.to_string(), want, "{directives:?}");
            assert_eq!(ignored.len(), directives.matches("verbose").count(), "{ignored:?}");
        }
    }
}
