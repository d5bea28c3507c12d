//! How each service is, in a line.

use crate::report::{Told, seconds};

const KEYS: &str = " (? for keys)";

/// Services in the order in which they are named.
#[derive(Debug)]
pub(crate) struct Status(Vec<Service>);

#[derive(Debug, Default)]
struct Service {
    name: String,
    state: &'static str,
    serving: Option<NowServing>,
    /// How long the build took whose program starts next, or has.
    built_in: Option<u64>,
}

#[derive(Debug)]
struct NowServing {
    pid: u32,
    generation: u64,
    since_save: Option<u64>,
}

impl Status {
    pub(crate) fn of(names: &[String]) -> Self {
        let service =
            |name: &String| Service { name: name.clone(), state: "begins", ..Service::default() };
        Self(names.iter().map(service).collect())
    }

    /// Has these services from here on; what is known of them stays.
    pub(crate) fn rename(&mut self, names: &[String]) {
        let known = std::mem::replace(self, Self::of(names)).0;
        for service in known {
            if let Some(slot) = self.0.iter_mut().find(|slot| slot.name == service.name) {
                *slot = service;
            }
        }
    }

    /// Takes note of what has happened to a service.
    pub(crate) fn take_note(&mut self, service: &str, told: &Told) {
        if let Some(service) = self.0.iter_mut().find(|known| known.name == service) {
            service.take_note(told);
        }
    }

    /// Says as much as fits into so many columns.
    pub(crate) fn line(&self, columns: usize) -> String {
        let of = |say: fn(&Service) -> String| {
            let services: Vec<_> = self.0.iter().map(say).collect();
            services.join(" | ")
        };
        let fits = |line: &String| line.chars().count() <= columns;
        let (whole, brief) = (of(Service::whole), of(Service::brief));
        let with_keys = [whole + KEYS, brief.clone() + KEYS];
        with_keys.into_iter().find(fits).unwrap_or(brief)
    }
}

impl Service {
    fn take_note(&mut self, told: &Told) {
        self.state = match told {
            Told::Building { .. } => {
                self.built_in = None;
                "builds"
            }
            Told::Built { milliseconds } => {
                self.built_in = Some(*milliseconds);
                "built"
            }
            Told::BuildFailed { .. } => "build failed",
            Told::Starting { .. } => "starts",
            Told::Ready { pid, generation, since_save_milliseconds, .. } => {
                let (pid, generation, since_save) = (*pid, *generation, *since_save_milliseconds);
                self.serving = Some(NowServing { pid, generation, since_save });
                "serves"
            }
            Told::NotReady { .. } => "start failed",
            Told::Drained { pid, .. } => {
                self.serving.take_if(|serving| serving.pid == *pid);
                return;
            }
            Told::Exited { .. } => {
                self.serving = None;
                "has ended"
            }
            Told::GaveUp => "has ended too often",
            Told::Ending { .. } => "ends",
            Told::Ended { .. } => "has ended",
            _ => return,
        };
    }

    fn brief(&self) -> String {
        let Self { name, state, serving, .. } = self;
        match serving {
            Some(NowServing { generation, .. }) if *state == "serves" => {
                format!("{name}: serves generation {generation}")
            }
            Some(NowServing { generation, .. }) => {
                format!("{name}: {state}, generation {generation} serves")
            }
            None => format!("{name}: {state}"),
        }
    }

    fn whole(&self) -> String {
        let mut line = self.brief();
        if self.state != "serves" {
            return line;
        }
        if let Some(built_in) = self.built_in {
            line = format!("{line}, built in {}", seconds(built_in));
        }
        if let Some(since_save) = self.serving.as_ref().and_then(|serving| serving.since_save) {
            line = format!("{line}, ready {} after the save", seconds(since_save));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::over::Why;
    use crate::ready::Sign;

    fn ready(pid: u32, generation: u64, since_save_milliseconds: Option<u64>) -> Told {
        Told::Ready {
            pid,
            generation,
            by: Sign::Notified,
            milliseconds: 20,
            since_save_milliseconds,
        }
    }

    fn build_failed() -> Told {
        Told::BuildFailed {
            reason: String::new(),
            serves: true,
            again_in_milliseconds: None,
            diagnostics: Vec::new(),
        }
    }

    #[test]
    fn says_how_each_service_is() {
        let mut status = Status::of(&["api".to_owned(), "web".to_owned()]);
        assert_eq!(status.line(100), "api: begins | web: begins (? for keys)");
        status.take_note("web", &Told::Ended { because: Why::Told });
        status.rename(&["new".to_owned(), "web".to_owned()]);
        assert_eq!(status.line(100), "new: begins | web: has ended (? for keys)");
        status.rename(&["api".to_owned(), "web".to_owned()]);
        status.take_note("web", &Told::Built { milliseconds: 700 });
        status.take_note("web", &ready(1, 3, Some(1250)));
        status.take_note("nobody", &Told::Ended { because: Why::Told });
        status.take_note("api", &build_failed());
        let whole = "api: build failed | web: serves generation 3, built in 700 ms, ready 1.2 s after \
                     the save (? for keys)";
        for (columns, want) in [
            (whole.len(), whole),
            (whole.len() - 1, "api: build failed | web: serves generation 3 (? for keys)"),
            (50, "api: build failed | web: serves generation 3"),
            (10, "api: build failed | web: serves generation 3"),
        ] {
            assert_eq!(status.line(columns), want);
        }
    }

    /// Numbers of a state that is over once stood beside the one that was not.
    #[test]
    fn says_nothing_of_what_is_over() {
        let mut status = Status::of(&["web".to_owned()]);
        let exited = Told::Exited {
            pid: 2,
            status: String::new(),
            again_in_milliseconds: None,
            diagnostics: Vec::new(),
        };
        let drained = |pid| Told::Drained { pid, status: String::new(), killed: false };
        for (told, want) in [
            (ready(1, 1, None), "web: serves generation 1"),
            (build_failed(), "web: build failed, generation 1 serves"),
            (ready(2, 2, Some(30)), "web: serves generation 2, ready 30 ms after the save"),
            (drained(1), "web: serves generation 2, ready 30 ms after the save"),
            (Told::Building { command: String::new() }, "web: builds, generation 2 serves"),
            (Told::Built { milliseconds: 5 }, "web: built, generation 2 serves"),
            (drained(2), "web: built"),
            (ready(3, 3, None), "web: serves generation 3, built in 5 ms"),
            (exited, "web: has ended"),
        ] {
            status.take_note("web", &told);
            assert_eq!(status.line(100), format!("{want}{KEYS}"), "{told:?}");
        }
    }
}
