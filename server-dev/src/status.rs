//! How each service is, in a line.

use std::fmt;

use crate::report::{Told, seconds};

/// Services in the order in which they are named.
#[derive(Debug)]
pub(crate) struct Status(Vec<Service>);

#[derive(Debug, Default)]
struct Service {
    name: String,
    state: &'static str,
    generation: u64,
    built_in: Option<u64>,
    since_save: Option<u64>,
}

impl Status {
    pub(crate) fn of(names: &[String]) -> Self {
        let service =
            |name: &String| Service { name: name.clone(), state: "begins", ..Service::default() };
        Self(names.iter().map(service).collect())
    }

    /// Takes note of what has happened to a service.
    pub(crate) fn take_note(&mut self, service: &str, told: &Told) {
        let Some(service) = self.0.iter_mut().find(|known| known.name == service) else { return };
        service.state = match told {
            Told::Building { .. } => "builds",
            Told::Built { milliseconds } => {
                service.built_in = Some(*milliseconds);
                "built"
            }
            Told::BuildFailed { serves: true, .. } => "build failed, the old one serves",
            Told::BuildFailed { serves: false, .. } => "build failed",
            Told::Starting { .. } => "starts",
            Told::Ready { generation, since_save, .. } => {
                (service.generation, service.since_save) = (*generation, *since_save);
                "serves"
            }
            Told::NotReady { serves: true, .. } => "start failed, the old one serves",
            Told::NotReady { serves: false, .. } => "start failed",
            Told::Exited { .. } => "has ended",
            Told::GaveUp => "has ended too often",
            _ => return,
        };
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, service) in self.0.iter().enumerate() {
            let between = if n == 0 { "" } else { " | " };
            write!(f, "{between}{}: {}", service.name, service.state)?;
            if service.generation > 0 {
                write!(f, ", generation {}", service.generation)?;
            }
            if let Some(built_in) = service.built_in {
                write!(f, ", built in {}", seconds(built_in))?;
            }
            if let Some(since_save) = service.since_save {
                write!(f, ", ready {} after the save", seconds(since_save))?;
            }
        }
        f.write_str(" (? for keys)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_each_service_is() {
        let mut status = Status::of(&["api".to_owned(), "web".to_owned()]);
        assert_eq!(status.to_string(), "api: begins | web: begins (? for keys)");
        let ready = Told::Ready {
            pid: 1,
            generation: 3,
            by: crate::ready::Sign::Notified,
            milliseconds: 20,
            since_save: Some(1250),
        };
        status.take_note("web", &Told::Built { milliseconds: 700 });
        status.take_note("web", &ready);
        status.take_note("web", &Told::Drained { pid: 1, status: "exit status: 0".to_owned() });
        status.take_note("nobody", &Told::Ended);
        status.take_note(
            "api",
            &Told::BuildFailed { reason: String::new(), serves: true, diagnostics: Vec::new() },
        );
        assert_eq!(
            status.to_string(),
            "api: build failed, the old one serves | \
             web: serves, generation 3, built in 700 ms, ready 1.2 s after the save (? for keys)"
        );
    }
}
