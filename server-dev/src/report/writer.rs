//! The thread that writes, which a terminal may hold up.

use std::{
    borrow::Cow,
    sync::mpsc::{Receiver, TryRecvError},
};

use serde::Serialize;

use super::{Form, Message, Told, Wants, Weight};
use crate::{desktop::Desktop, process::Line, screen::Screen, status::Status, terminal::HELP};

/// Colours of the names before the lines of several services, after those of warnings and errors.
const COLOURS: [u8; 5] = [36, 35, 34, 32, 33];

#[derive(Debug)]
pub(super) struct Writer {
    form: Form,
    wants: Wants,
    is_coloured: bool,
    names: Vec<String>,
    status: Option<Status>,
    desktop: Option<Desktop>,
    screen: Screen,
    /// The line on what was changed or asked for, for which something is built or started next.
    asked: Option<String>,
}

impl Writer {
    pub(super) fn new(
        form: Form,
        wants: Wants,
        is_coloured: bool,
        names: Vec<String>,
        desktop: Option<Desktop>,
    ) -> Self {
        let status = (wants.status && form == Form::Text).then(|| Status::of(&names));
        let screen = Screen::default();
        Self { form, wants, is_coloured, names, status, desktop, screen, asked: None }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        // Until it is said that the terminal is this process's.
        let mut is_hidden = true;
        loop {
            let next = match messages.try_recv() {
                Err(TryRecvError::Empty) => {
                    if let Some(status) = self.status.as_ref().filter(|_| !is_hidden) {
                        self.screen.draw(&status.line(Screen::columns()));
                    }
                    messages.recv().ok()
                }
                next => next.ok(),
            };
            match next {
                Some(Message::Told(service, told)) => self.take_note(&service, &told),
                Some(Message::Line(service, line, _room)) => self.pass_on(&service, &line),
                Some(Message::Clear) => self.screen.clear(),
                Some(Message::Help) => {
                    self.screen.write(true, format!("server-dev: {HELP}\n").as_bytes());
                }
                Some(Message::Names(names)) => {
                    if let Some(status) = &mut self.status {
                        status.rename(&names);
                    }
                    // Those that are gone may have something to say yet.
                    let new = names.into_iter().filter(|name| !self.names.contains(name));
                    self.names.extend(new.collect::<Vec<_>>());
                }
                Some(Message::Hide(done)) => {
                    self.screen.erase();
                    is_hidden = true;
                    drop(done);
                }
                Some(Message::Show) => is_hidden = false,
                Some(Message::Last(done)) => {
                    self.screen.erase();
                    drop(self.desktop.take());
                    return drop(done);
                }
                None => return,
            }
        }
    }

    fn take_note(&mut self, service: &str, told: &Told) {
        if let Some(status) = &mut self.status {
            status.take_note(service, told);
        }
        if let Some(desktop) = self.desktop.as_ref().filter(|_| told.weight() != Weight::Step) {
            let is_urgent = told.weight() == Weight::Bad;
            let title = format!("server-dev: {service}");
            desktop.show(title.trim_end_matches(": ").to_owned(), told.to_string(), is_urgent);
        }
        match self.form {
            Form::Json => self.json(service, told),
            Form::Text => self.text(service, told),
        }
    }

    fn text(&mut self, service: &str, told: &Told) {
        let colour = match told.weight() {
            Weight::Bad => 31,
            Weight::Good => 32,
            Weight::Step => 2,
        };
        let words = self.painted(colour, &format!("server-dev: {told}"));
        let line = format!("{}{words}\n", self.prefix(service));
        match told {
            Told::Changed { asks_for, .. } if asks_for.iter().any(|asked| asked.is_a_start()) => {
                self.asked = Some(line.clone());
            }
            Told::Asked { .. } => self.asked = Some(line.clone()),
            // What has been written since the build begins stays.
            Told::Building { .. } | Told::Starting { .. } => {
                if let Some(asked) = self.asked.take().filter(|_| self.wants.clear) {
                    self.screen.clear();
                    self.screen.write(true, asked.as_bytes());
                }
            }
            _ => {}
        }
        self.screen.write(true, line.as_bytes());
    }

    fn pass_on(&mut self, service: &str, line: &Line) {
        match self.form {
            Form::Json => {
                #[derive(Serialize)]
                struct Output<'a> {
                    event: &'static str,
                    stream: &'static str,
                    line: Cow<'a, str>,
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
            #[serde(skip_serializing_if = "str::is_empty")]
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
        if self.names.len() < 2 || service.is_empty() {
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
