//! What a person, or a program, is told.

mod told;
mod words;
mod writer;

use std::{
    io::{IsTerminal, stderr},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use self::writer::Writer;
pub(crate) use self::{
    told::{Asked, Told, WatchedBy, Weight},
    words::{counted, milliseconds, seconds},
};
use crate::{desktop::Desktop, process::Line};

/// How long whoever reads what is told may take for the rest of it, at the end.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// Lines that wait to be written; whoever writes more waits as well.
const LINES: usize = 1024;

/// How it is told: in the order in which it happened, by a thread that a terminal may hold up.
#[derive(Debug)]
pub(crate) struct Report {
    messages: mpsc::Sender<Message>,
    /// Room for lines of processes, which wait for it.
    room: Arc<Semaphore>,
    is_coloured: bool,
}

/// Something to be written.
#[derive(Debug)]
enum Message {
    Told(String, Told),
    Line(String, Line, OwnedSemaphorePermit),
    Clear,
    Help,
    /// There are these services from here on.
    Names(Vec<String>),
    /// No status from here on; the other end is dropped once it is so.
    Hide(oneshot::Sender<()>),
    Show,
    /// As [`Hide`](Self::Hide), and for good.
    Last(oneshot::Sender<()>),
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
    /// An empty screen before each build, or start without one, that was asked for.
    pub(crate) clear: bool,
}

impl Report {
    /// `names` are those of all services.
    pub(crate) fn new(
        form: Form,
        wants: Wants,
        names: Vec<String>,
        desktop: Option<Desktop>,
    ) -> Self {
        let is_coloured =
            stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let (messages, hears) = mpsc::channel();
        let writer = Writer::new(form, wants, is_coloured, names, desktop);
        thread::spawn(move || writer.run(&hears));
        Self { messages, room: Arc::new(Semaphore::new(LINES)), is_coloured }
    }

    pub(crate) fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// Tells what happened to a service.
    pub(crate) fn tell(&self, service: &str, told: Told) {
        self.send(Message::Told(service.to_owned(), told));
    }

    /// Tells what happened to no service alone.
    pub(crate) fn tell_all(&self, told: Told) {
        self.tell("", told);
    }

    /// Has these services from here on.
    pub(crate) fn rename(&self, names: Vec<String>) {
        self.send(Message::Names(names));
    }

    /// Passes on what a process has written; waits while there is much to be written yet.
    pub(crate) async fn pass_on(&self, service: &str, line: Line) {
        if let Ok(room) = Arc::clone(&self.room).acquire_owned().await {
            self.send(Message::Line(service.to_owned(), line, room));
        }
    }

    /// Empties the screen.
    pub(crate) fn clear(&self) {
        self.send(Message::Clear);
    }

    /// Says which keys there are.
    pub(crate) fn help(&self) {
        self.send(Message::Help);
    }

    /// Leaves the terminal to somebody else; returns when everything before is written.
    pub(crate) async fn hide(&self) {
        self.wait_for(Message::Hide).await;
    }

    /// Has the terminal again.
    pub(crate) fn show(&self) {
        self.send(Message::Show);
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(&self) {
        self.wait_for(Message::Last).await;
    }

    async fn wait_for(&self, message: impl FnOnce(oneshot::Sender<()>) -> Message) {
        let (done, is_done) = oneshot::channel();
        self.send(message(done));
        // Never sent: it is dropped. Whoever reads so slowly has no use for the rest.
        let _ = timeout(WRITTEN_WITHIN, is_done).await;
    }

    fn send(&self, message: Message) {
        // The other end is gone once everything has ended.
        let _ = self.messages.send(message);
    }
}
