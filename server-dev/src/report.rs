//! What a person, or a program, is told.

use std::{
    io::{IsTerminal, stderr},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, mpsc::error::TryRecvError};

use crate::{
    desktop, diagnostics::Diagnostic, process::Line, ready::Sign, screen::Screen, status::Status,
    terminal::HELP,
};

/// Colours of the names before the lines of several services, after those of warnings and errors.
const COLOURS: [u8; 5] = [36, 35, 34, 32, 33];

/// How long whoever reads what is told may take for the rest of it, at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lines that wait to be written; whoever writes more waits as well.
const LINES: usize = 1024;

/// Something that happened to a service.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Told {
    Listening {
        name: String,
        address: String,
    },
    Watching {
        /// As they were named.
        roots: Vec<String>,
        files: usize,
        folders: usize,
        mechanism: WatchedBy,
        poll_milliseconds: Option<u64>,
        reason: Option<String>,
    },
    Changed {
        files: Vec<String>,
        more: usize,
    },
    Building {
        command: String,
    },
    Built {
        milliseconds: u64,
    },
    BuildFailed {
        reason: String,
        serves: bool,
        /// For programs: a person has seen what was written.
        diagnostics: Vec<Diagnostic>,
    },
    Starting {
        pid: u32,
    },
    Ready {
        pid: u32,
        generation: u64,
        by: Sign,
        milliseconds: u64,
        since_save: Option<u64>,
    },
    NotReady {
        reason: String,
        serves: bool,
        diagnostics: Vec<Diagnostic>,
    },
    Drained {
        pid: u32,
        status: String,
    },
    Exited {
        pid: u32,
        status: String,
        again_in_milliseconds: Option<u64>,
        diagnostics: Vec<Diagnostic>,
    },
    GaveUp,
    /// Processes that have not ended even after SIGKILL.
    Left {
        pids: Vec<i32>,
    },
    Ended,
}

/// How edits are noticed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WatchedBy {
    Events,
    Polling,
    EventsAndPolling,
}

/// How it is told: in the order in which it happened, by a thread that a terminal may hold up.
#[derive(Debug)]
pub(crate) struct Report {
    said: mpsc::UnboundedSender<Said>,
    /// Room for lines of processes, which wait for it.
    room: Arc<Semaphore>,
    is_coloured: bool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Something to be written.
#[derive(Debug)]
enum Said {
    Told(String, Told),
    Line(String, Line, OwnedSemaphorePermit),
    Clear,
    Help,
    Last,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    /// A JSON object a line, on stdout.
    Json,
}

/// What a person wants besides.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wants {
    /// A line under all others that says how everything is.
    pub(crate) status: bool,
    /// An empty screen before each build.
    pub(crate) clear: bool,
    /// Notifications of the desktop.
    pub(crate) notify: bool,
}

impl Report {
    /// `names` are those of all services.
    pub(crate) fn new(form: Form, wants: Wants, names: Vec<String>) -> Self {
        let is_coloured =
            stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let (said, hears) = mpsc::unbounded_channel();
        let status = (wants.status && form == Form::Text).then(|| Status::of(&names));
        let (screen, changed) = (Screen::default(), None);
        let mut writer = Writer { form, wants, is_coloured, names, status, screen, changed };
        let writer = thread::spawn(move || writer.run(hears));
        let room = Arc::new(Semaphore::new(LINES));
        Self { said, room, is_coloured, writer: Mutex::new(Some(writer)) }
    }

    pub(crate) fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// Tells what happened to a service.
    pub(crate) fn tell(&self, service: &str, told: Told) {
        // The other end is gone once everything has ended.
        let _ = self.said.send(Said::Told(service.to_owned(), told));
    }

    /// Passes on what a process has written; waits while there is much to be written yet.
    pub(crate) async fn pass_on(&self, service: &str, line: Line) {
        if let Ok(room) = Arc::clone(&self.room).acquire_owned().await {
            // As above.
            let _ = self.said.send(Said::Line(service.to_owned(), line, room));
        }
    }

    /// Empties the screen.
    pub(crate) fn clear(&self) {
        // As above.
        let _ = self.said.send(Said::Clear);
    }

    /// Says which keys there are.
    pub(crate) fn help(&self) {
        // As above.
        let _ = self.said.send(Said::Help);
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&self) {
        // As above.
        let _ = self.said.send(Said::Last);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let until = Instant::now() + LAST_WORDS;
        while writer.as_ref().is_some_and(|writer| !writer.is_finished()) && Instant::now() < until
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[derive(Debug)]
struct Writer {
    form: Form,
    wants: Wants,
    is_coloured: bool,
    names: Vec<String>,
    status: Option<Status>,
    screen: Screen,
    /// The line on what was changed, for which something may be built next.
    changed: Option<String>,
}

impl Writer {
    fn run(&mut self, mut said: mpsc::UnboundedReceiver<Said>) {
        loop {
            let next = match said.try_recv() {
                Ok(next) => Some(next),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => {
                    if let Some(status) = &self.status {
                        self.screen.draw(&status.to_string());
                    }
                    said.blocking_recv()
                }
            };
            match next {
                Some(Said::Told(service, told)) => {
                    if let Some(status) = &mut self.status {
                        status.take_note(&service, &told);
                    }
                    self.notify(&service, &told);
                    self.tell(&service, &told);
                }
                Some(Said::Line(service, line, _room)) => self.pass_on(&service, &line),
                Some(Said::Clear) => self.screen.clear(),
                Some(Said::Help) => {
                    self.screen.write(true, format!("server-dev: {HELP}\n").as_bytes());
                }
                Some(Said::Last) | None => return self.screen.erase(),
            }
        }
    }

    fn notify(&self, service: &str, told: &Told) {
        let is_urgent = match told {
            Told::BuildFailed { .. }
            | Told::NotReady { .. }
            | Told::Exited { .. }
            | Told::GaveUp
            | Told::Left { .. } => true,
            Told::Ready { .. } => false,
            _ => return,
        };
        if self.wants.notify {
            desktop::show(format!("server-dev: {service}"), words(told), is_urgent);
        }
    }

    fn tell(&mut self, service: &str, told: &Told) {
        match self.form {
            Form::Json => self.json(service, told),
            Form::Text => {
                let colour = match told {
                    Told::BuildFailed { .. }
                    | Told::NotReady { .. }
                    | Told::Exited { .. }
                    | Told::GaveUp
                    | Told::Left { .. } => 31,
                    Told::Ready { .. } => 32,
                    _ => 2,
                };
                let words = self.painted(colour, &format!("server-dev: {}", words(told)));
                let line = format!("{}{words}\n", self.prefix(service));
                match told {
                    Told::Changed { .. } => self.changed = Some(line.clone()),
                    Told::Building { .. } if self.wants.clear => {
                        self.screen.clear();
                        let changed = self.changed.take().unwrap_or_default();
                        self.screen.write(true, changed.as_bytes());
                    }
                    _ => {}
                }
                self.screen.write(true, line.as_bytes());
            }
        }
    }

    fn pass_on(&mut self, service: &str, line: &Line) {
        match self.form {
            Form::Json => {
                #[derive(Serialize)]
                struct Output<'a> {
                    event: &'static str,
                    stream: &'static str,
                    line: std::borrow::Cow<'a, str>,
                }
                let stream = if line.is_error { "stderr" } else { "stdout" };
                let text = String::from_utf8_lossy(&line.text);
                self.json(service, &Output { event: "output", stream, line: text });
            }
            Form::Text => {
                let mut bytes = self.prefix(service).into_bytes();
                bytes.extend_from_slice(&line.text);
                bytes.push(b'\n');
                self.screen.write(line.is_error, &bytes);
            }
        }
    }

    fn json(&mut self, service: &str, told: &impl Serialize) {
        #[derive(Serialize)]
        struct Of<'a, T> {
            service: &'a str,
            #[serde(flatten)]
            told: &'a T,
        }
        // It is made of texts and numbers.
        if let Ok(mut line) = serde_json::to_vec(&Of { service, told }) {
            line.push(b'\n');
            self.screen.write(false, &line);
        }
    }

    fn prefix(&self, service: &str) -> String {
        if self.names.len() < 2 {
            return String::new();
        }
        let width = self.names.iter().map(String::len).max().unwrap_or_default();
        let at = self.names.iter().position(|name| name == service).unwrap_or_default();
        format!("{} ", self.painted(COLOURS[at % COLOURS.len()], &format!("{service:width$} |")))
    }

    fn painted(&self, colour: u8, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn words(told: &Told) -> String {
    let goes_on = |serves: &bool| if *serves { "; the old one goes on" } else { "" };
    match told {
        Told::Listening { name, address } => format!("{name} on {address}"),
        Told::Watching { roots, files, folders, mechanism, poll_milliseconds, reason } => {
            let every = poll_milliseconds.map(seconds).unwrap_or_default();
            let by = match mechanism {
                WatchedBy::Events => "watched by inotify".to_owned(),
                WatchedBy::Polling => format!("looked at every {every}"),
                WatchedBy::EventsAndPolling => {
                    format!("watched by inotify, and looked at every {every}")
                }
            };
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{}: {files} files in {folders} folders are {by}{reason}", roots.join(", "))
        }
        Told::Changed { files, more } => {
            let more = if *more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{}{more} changed", files.join(", "))
        }
        Told::Building { command } => format!("builds: {command}"),
        Told::Built { milliseconds } => format!("built in {}", seconds(*milliseconds)),
        Told::BuildFailed { reason, serves, .. } => {
            format!("the build failed: {reason}{}", goes_on(serves))
        }
        Told::Starting { pid } => format!("starts, pid {pid}"),
        Told::Ready { pid, generation, by, milliseconds, since_save } => {
            let since = since_save.map(|since| format!(", {} after the save", seconds(since)));
            format!(
                "ready in {}{}: generation {generation}, pid {pid} ({})",
                seconds(*milliseconds),
                since.unwrap_or_default(),
                by_words(*by)
            )
        }
        Told::NotReady { reason, serves, .. } => format!("not ready: {reason}{}", goes_on(serves)),
        Told::Drained { pid, status } => format!("pid {pid} has ended, as it was told: {status}"),
        Told::Exited { pid, status, again_in_milliseconds, .. } => match again_in_milliseconds {
            Some(pause) => {
                format!("pid {pid} has ended: {status}; starts again in {}", seconds(*pause))
            }
            None => format!("pid {pid} has ended: {status}; a change starts it again"),
        },
        Told::GaveUp => {
            "it has ended too often, each time soon; a change starts it again".to_owned()
        }
        Told::Left { pids } => {
            let pids = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
            format!(
                "not even SIGKILL has ended all of it; what is left is left alone, see ps -o pid,ppid,stat,wchan,cmd -p {pids}"
            )
        }
        Told::Ended => "has ended".to_owned(),
    }
}

fn by_words(sign: Sign) -> &'static str {
    match sign {
        Sign::Notified => "it said READY=1",
        Sign::Accepts => "it waits for connections",
        Sign::Connects => "its port takes connections",
        Sign::Answers => "it answers",
        Sign::Delay => "it has run for as long as was asked for",
        Sign::Alive => "it is alive",
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn seconds(milliseconds: u64) -> String {
    let duration = Duration::from_millis(milliseconds);
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
