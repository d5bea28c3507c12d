//! How a daemon is doing, as people read it.

use std::{fmt::Write, time::Duration};

use serde::Deserialize;

/// How many lines of the history are worth reading at a glance; of those before, the numbers are told.
const LINES_OF_HISTORY: usize = 5;

/// Where the second column begins.
const COLUMN: usize = 12;

/// How long a line of the second column gets, in characters, before it goes on below.
const WIDTH: usize = 80 - COLUMN;

/// As much of `GET /status` as is told; what a daemon of another version doesn't say is left out.
#[derive(Debug, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "they are as independent as what they tell of")]
pub(crate) struct Status {
    health: String,
    ready: bool,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    restored: bool,
    generation: u64,
    pinned: Option<u64>,
    age: Option<f64>,
    source: Option<String>,
    mechanism: Option<String>,
    #[serde(default)]
    failures: u32,
    error: Option<String>,
    error_at: Option<SourcePosition>,
    refused_by: Option<String>,
    #[serde(default)]
    needs_restart: Vec<String>,
    #[serde(default)]
    addresses: Vec<String>,
    https_addresses: Option<Vec<String>>,
    admin_address: Option<String>,
    #[serde(default)]
    certificates: Vec<Certificate>,
}

#[derive(Debug, Deserialize)]
struct Certificate {
    names: Vec<String>,
    days_left: i64,
    expiry: String,
    #[serde(rename = "certificate")]
    file: String,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SourcePosition {
    source: String,
    line: Option<usize>,
    column: Option<usize>,
}

/// One line of `GET /history`.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    generation: u64,
    reason: String,
    age: f64,
    of: Option<u64>,
    #[serde(default)]
    bad: bool,
    #[serde(default)]
    changed: Option<Vec<String>>,
}

impl Status {
    /// Whether there is nothing to see to.
    pub(crate) fn is_well(&self) -> bool {
        let is_fresh = self.health == "fresh" && self.refused_by.is_none() && !self.paused;
        self.ready && is_fresh && self.certificates.iter().all(Certificate::is_well)
    }

    /// Where it listens and what for, in the words of `--check`, a line each.
    fn listening(&self) -> String {
        let role = |address| match &self.https_addresses {
            Some(https) if https.contains(address) => "https",
            Some(_) => "http",
            None => "",
        };
        let application = self.addresses.iter().map(|address| (role(address), address));
        let all = application.chain(self.admin_address.iter().map(|address| ("admin", address)));
        let lines = all.map(|(role, address)| match role {
            "" => address.clone(),
            role => format!("{role:<6} {address}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Returns a few lines that say it.
pub(crate) fn report(status: &Status, history: &[Entry]) -> String {
    let mut report = Report(String::new());
    let words = [
        (true, if status.ready { "ready" } else { "not ready" }),
        (status.draining, "draining"),
        (status.paused && status.pinned.is_none(), "paused"),
        (status.restored, "restored from a copy"),
    ];
    let words = words.into_iter().filter_map(|(is_so, word)| is_so.then_some(word));
    let health = status.health.replace('_', " ");
    report.row("health", &format!("{health}, {}", words.collect::<Vec<_>>().join(", ")));
    let since = status.age.map(|age| format!(", for {}", short(age))).unwrap_or_default();
    report.row("generation", &format!("{}{since}", status.generation));
    if let Some(pinned) = status.pinned {
        let words = format!("to {pinned}, whatever its source says, until 'server-bin resume'");
        report.row("pinned", &words);
    }
    if let Some(source) = &status.source {
        report.row("config", source);
    }
    if let Some(mechanism) = &status.mechanism {
        report.row("follows by", mechanism);
    }
    report.row("restart", &needs_restart(&status.needs_restart));
    report.row("addresses", &status.listening());
    let lines: Vec<_> = status.certificates.iter().map(Certificate::line).collect();
    report.row("certificate", &lines.join("\n"));
    if let Some(error) = &status.error {
        let by = status.refused_by.as_deref().map(|by| format!(", refused by the {by}"));
        let times = if status.failures == 1 { "time" } else { "times" };
        report.row("failed", &format!("{} {times}{}", status.failures, by.unwrap_or_default()));
        report.row("error", &placed(error, status.error_at.as_ref()));
    }
    let (earlier, newest) = history.split_at(history.len().saturating_sub(LINES_OF_HISTORY));
    if !earlier.is_empty() {
        let numbers: Vec<_> = earlier.iter().map(Entry::numbers).collect();
        let numbers = numbers.join(", ");
        report.row(
            "earlier",
            &format!("{numbers}: 'server-bin rollback' goes back to these as well"),
        );
    }
    let lines: Vec<_> = newest.iter().map(Entry::line).collect();
    report.row("history", &lines.join("\n"));
    report.0
}

/// Which settings are in use from the next start on; nothing where all are in use.
fn needs_restart(settings: &[String]) -> String {
    if settings.is_empty() { String::new() } else { format!("for {}", settings.join(", ")) }
}

impl Certificate {
    fn is_well(&self) -> bool {
        self.error.is_none() && self.expiry == "far"
    }

    fn line(&self) -> String {
        let Self { names, days_left: days, expiry, file, error } = self;
        let names = if names.is_empty() { file.clone() } else { names.join(", ") };
        let left = match expiry.as_str() {
            "over" => format!("expired {} days ago", -days),
            "near" => format!("only {days} days left"),
            _ => format!("{days} days left"),
        };
        match error {
            None => format!("{names}: {left}"),
            Some(error) => {
                format!("{names}: {left}; the files hold another that can't be used: {error}")
            }
        }
    }
}

impl Entry {
    /// By which it can be gone back to.
    fn numbers(&self) -> String {
        let Self { generation, of, .. } = self;
        of.map_or_else(|| generation.to_string(), |of| format!("{generation} (or {of})"))
    }

    fn line(&self) -> String {
        let Self { generation, reason, age, of, bad, changed } = self;
        let of = of.map(|of| format!(" to {of}")).unwrap_or_default();
        let bad = if *bad { ", bad" } else { "" };
        let changed = changed.iter().flatten().fold(String::new(), |list, key| {
            if list.is_empty() { format!(": {key}") } else { format!("{list}, {key}") }
        });
        let reason = format!("{reason}{of}");
        format!("{generation:<4} {reason:<14} {} ago{bad}{changed}", short(*age))
    }
}

struct Report(String);

impl Report {
    /// Adds a name and what goes with it, one line below the other.
    fn row(&mut self, name: &str, text: &str) {
        let mut lines = text.lines();
        // Those after the first of an error quote the file, and mark a column in it.
        let first = lines.next().map(wrapped).unwrap_or_default();
        for (n, line) in first.iter().map(String::as_str).chain(lines).enumerate() {
            let name = if n == 0 { name } else { "" };
            let row = format!("{name:COLUMN$}{}", harmless(line));
            // Writing to a string can't fail.
            let _ = writeln!(self.0, "{}", row.trim_end());
        }
    }
}

/// Returns a text in which nothing moves the cursor about: a file's own text may be in it.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// Breaks a line between words.
fn wrapped(line: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// An error with the place where it is, unless it says that itself.
fn placed(error: &str, at: Option<&SourcePosition>) -> String {
    let Some(at) = at.filter(|at| !error.contains(&at.source)) else { return error.to_owned() };
    let number = |number: Option<usize>| number.map(|n| format!(":{n}")).unwrap_or_default();
    format!("{}{}{}: {error}", at.source, number(at.line), number(at.column))
}

/// A number of seconds, to two units.
fn short(seconds: f64) -> String {
    let age = Duration::try_from_secs_f64(seconds.floor()).unwrap_or_default();
    let all = humantime::format_duration(age).to_string();
    all.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rest: &str) -> Status {
        let text = format!(
            r#"{{"health": "fresh", "ready": true, "generation": 2, "age": 61.5,
                 "addresses": ["127.0.0.1:1", "[::1]:1"], "https_addresses": ["[::1]:1"],
                 "admin_address": "127.0.0.1:2"{rest}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn says_the_little_that_there_is() {
        let history = serde_json::from_str::<Vec<Entry>>(
            r#"[{"generation": 1, "reason": "initial", "age": 90000, "of": null, "bad": true},
                {"generation": 2, "reason": "rollback", "age": 0.4, "of": 1, "bad": false,
                 "changed": ["name", "greeting"]}]"#,
        );
        assert_eq!(
            report(&status(r#", "paused": true"#), &history.unwrap()),
            "health      fresh, ready, paused\n\
             generation  2, for 1m 1s\n\
             addresses   http   127.0.0.1:1\n            \
                         https  [::1]:1\n            \
                         admin  127.0.0.1:2\n\
             history     1    initial        1day 1h ago, bad\n            \
                         2    rollback to 1  0s ago: name, greeting\n"
        );
    }

    #[test]
    fn how_much_of_the_history_is_left_out_is_said() {
        let entry =
            |(n, of)| format!(r#"{{"generation": {n}, "reason": "event", "age": 1, "of": {of}}}"#);
        let numbers = [(2, "null"), (4, "1"), (5, "null")];
        let numbers = numbers.into_iter().chain((6..=10).map(|n| (n, "null")));
        let entries: Vec<_> = numbers.map(entry).collect();
        let history: Vec<Entry> =
            serde_json::from_str(&format!("[{}]", entries.join(","))).unwrap();
        let said = report(&status(""), &history);
        let want = "\nearlier     2, 4 (or 1), 5: 'server-bin rollback' goes back to these as well\n\
                    history     6    event ";
        assert!(said.contains(want), "{said}");
    }

    /// Which of them is over TLS, a daemon before this one doesn't say.
    #[test]
    fn addresses_of_unknown_purpose_are_told_alone() {
        let text = r#"{"health": "fresh", "ready": true, "generation": 1,
                       "addresses": ["127.0.0.1:1"]}"#;
        let said = report(&serde_json::from_str(text).unwrap(), &[]);
        assert!(said.contains("\naddresses   127.0.0.1:1\n"), "{said}");
    }

    #[test]
    fn what_takes_a_restart_is_said() {
        let said = report(&status(r#", "needs_restart": ["worker_threads"]"#), &[]);
        assert!(said.contains("restart     for worker_threads\n"), "{said}");
    }

    #[test]
    fn a_certificate_that_is_to_be_seen_to_is_not_well() {
        let certificate = |rest: &str| {
            let of = r#""names": ["a.example"], "certificate": "a.crt""#;
            status(&format!(r#", "certificates": [{{{of}, {rest}}}]"#))
        };
        let well = certificate(r#""days_left": 60, "expiry": "far", "error": null"#);
        assert!(well.is_well());
        assert!(report(&well, &[]).contains("certificate a.example: 60 days left\n"));
        for (rest, words) in [
            (r#""days_left": 9, "expiry": "near", "error": null"#, "only 9 days left\n"),
            (r#""days_left": -2, "expiry": "over", "error": null"#, "expired 2 days ago\n"),
            (r#""days_left": 60, "expiry": "far", "error": "no key""#, "can't be used: no key"),
        ] {
            let status = certificate(rest);
            assert!(!status.is_well(), "{rest}");
            let said = report(&status, &[]).replace("\n            ", " ");
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn breaks_long_lines_between_words() {
        let long = "word ".repeat(20);
        let lines = wrapped(long.trim_end());
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [64, 34]);
        assert_eq!(wrapped("1    two"), ["1    two"]);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let status = status(
            r#", "failures": 2, "error": "bad\u001b[2J\n  | x", "refused_by": "server",
                 "error_at": {"source": "a.toml", "line": 3, "column": null}"#,
        );
        assert!(!status.is_well());
        let said = report(&status, &[]);
        let want = "failed      2 times, refused by the server\n\
                    error       a.toml:3: bad\u{fffd}[2J\n              | x\n";
        assert!(said.contains(want), "{said}");
    }
}
