//! What a build or a server has to say of the source, taken from what it writes.

mod compilers;
mod rust;
mod traces;

use serde::Serialize;

pub(crate) use rust::of_message;

/// More than that nobody reads at once.
const MANY: usize = 50;
/// Of output that names no place, the last lines are shown.
const LAST_LINES: usize = 20;

/// A message about a place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Diagnostic {
    /// As the tool names it, relative to where it was run. `None` where it names no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Counted from 1, as is the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<u32>,
    pub(crate) message: String,
    pub(crate) severity: Severity,
}

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    Error,
    Warning,
    Note,
}

/// Reads what was written to stderr and to stdout; where that names no place, its last lines are the
/// message.
pub(crate) fn of_output(stderr: &str, stdout: &str) -> Vec<Diagnostic> {
    let found = of_places(stderr, stdout);
    if !found.is_empty() {
        return found;
    }
    let last = [stderr, stdout].map(|text| last_lines(&plain(text)));
    let message = last.into_iter().find(|text| !text.is_empty());
    let of_text = |message| Diagnostic {
        file: None,
        line: None,
        column: None,
        message,
        severity: Severity::Error,
    };
    message.map(of_text).into_iter().collect()
}

/// As [`of_output`], but for the last lines.
pub(crate) fn of_places(stderr: &str, stdout: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for text in [stderr, stdout] {
        let text = plain(text);
        let lines: Vec<&str> = text.lines().collect();
        let readers =
            [rust::read, compilers::of_go, compilers::of_tsc, compilers::of_ocaml, traces::read];
        found.extend(readers.into_iter().flat_map(|read| read(&lines)));
    }
    sorted(found)
}

/// The worst first, otherwise as they came, each once.
pub(crate) fn sorted(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut once: Vec<Diagnostic> = Vec::new();
    for diagnostic in found {
        if !once.contains(&diagnostic) {
            once.push(diagnostic);
        }
    }
    once.sort_by_key(|diagnostic| diagnostic.severity);
    once.truncate(MANY);
    once
}

/// What is left without the sequences of a terminal.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// What `file:line:column` names, and what comes after it.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    file: &'a str,
    line: u32,
    column: Option<u32>,
    rest: &'a str,
}

impl<'a> Place<'a> {
    /// Reads it from the beginning of a text.
    fn read(text: &'a str) -> Option<Self> {
        text.match_indices(':').find_map(|(at, _)| {
            let (line, rest) = number(&text[at + 1..])?;
            let column = rest.strip_prefix(':').and_then(number);
            let (column, rest) = match column {
                Some((column, rest)) => (Some(column), rest),
                None => (None, rest),
            };
            Some(Self { file: &text[..at], line, column, rest })
        })
    }

    fn says(&self, message: impl Into<String>, severity: Severity) -> Diagnostic {
        Diagnostic {
            file: Some(self.file.to_owned()),
            line: Some(self.line),
            column: self.column,
            message: message.into(),
            severity,
        }
    }
}

/// Reads a number from the beginning of a text.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as `severity file:line:column message`, `-` where there is none.
    pub(super) fn told(stderr: &str, stdout: &str) -> Vec<String> {
        of_output(stderr, stdout).iter().map(one).collect()
    }

    pub(super) fn one(it: &Diagnostic) -> String {
        let number = |number: Option<u32>| number.map_or("-".to_owned(), |it| it.to_string());
        let file = it.file.as_deref().unwrap_or("-");
        let severity = format!("{:?}", it.severity).to_lowercase();
        format!("{severity} {file}:{}:{} {}", number(it.line), number(it.column), it.message)
    }

    #[test]
    fn what_names_no_place_is_told_as_it_is() {
        assert_eq!(told("", ""), [""; 0]);
        assert_eq!(told("\n \n", "make: *** No rule\n"), ["error -:-:- make: *** No rule"]);
        assert_eq!(told("\x1b[31mred\x1b[0m\n", "out"), ["error -:-:- red"]);
        let many = (0..50).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let all = told(&many, "");
        assert!(all.len() == 1 && all[0].starts_with("error -:-:- line 30\nline 31\n"), "{all:?}");
    }

    #[test]
    fn what_a_server_logs_is_no_place() {
        for line in [
            "127.0.0.1:8080: accepted",
            "localhost:3000: refused",
            "example.com:443: timed out",
            "2026-01-01T10:20:30.5Z INFO listening on http://127.0.0.1:3000",
            "GET /a.js:3: 404",
            "[::1]:8080: bye",
            "10:20:30: ready",
        ] {
            assert_eq!(told(line, ""), [format!("error -:-:- {line}")]);
            assert!(of_places(line, "").is_empty());
        }
    }

    #[test]
    fn the_worst_come_first_and_each_once() {
        let text = "a.c:1:2: warning: w\nb.c:3:4: error: e\nb.c:3:4: error: e\nc.c:5: note: n\n";
        assert_eq!(told(text, ""), ["error b.c:3:4 e", "warning a.c:1:2 w", "note c.c:5:- n"]);
        let many = (1..=200).map(|n| format!("a.go:{n}:1: bad")).collect::<Vec<_>>().join("\n");
        assert_eq!(told(&many, "").len(), MANY);
    }

    #[test]
    fn is_written_as_other_programs_read_it() {
        let json = serde_json::to_value(of_output("a.go:7:2: undefined: x", "")).unwrap();
        let want = serde_json::json!([
            { "file": "a.go", "line": 7, "column": 2, "message": "undefined: x", "severity": "error" }
        ]);
        assert_eq!(json, want);
    }

    proptest::proptest! {
        #[test]
        fn takes_any_text(stderr in "(?s).{0,300}", stdout in "([a-z./]{0,6}[:(,)0-9 \n\t\"-]{0,4}){0,40}") {
            let found = of_output(&stderr, &stdout);
            proptest::prop_assert!(found.len() <= MANY);
        }
    }

    #[test]
    fn takes_whatever_comes() {
        for text in [
            ":::",
            "a:",
            "a:1",
            "a.go:1:",
            "a.go:99999999999:1: x",
            "ä.go:1:1: ö",
            "File \"",
            "File \"a\", line",
            "Traceback (most recent call last):",
            "error:",
            "error: x\n --> ",
            "panic: ",
            "a.ts(",
            "a.ts(1,",
            "thread 'x' panicked at ",
            "x panicked at a.rs:1:2:",
            "Error: \n    at ",
        ] {
            for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let _whatever_it_is = of_output(&text[..cut], &text[cut..]);
            }
        }
    }
}
