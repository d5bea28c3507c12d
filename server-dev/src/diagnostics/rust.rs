//! What rustc says, as JSON and as text, and what a Rust program says when it panics.

use super::{Diagnostic, Place, Severity};
use crate::cargo;

/// Reads a message of the compiler, as cargo passes it on; `None` where it is about other messages.
pub(crate) fn of_message(message: &cargo::RustcMessage) -> Option<Diagnostic> {
    let severity = severity(&message.level)?;
    let span = message.spans.iter().find(|span| span.is_primary);
    if span.is_none() && is_about_others(&message.message) {
        return None;
    }
    let label = span.and_then(|span| span.label.as_deref()).filter(|label| !label.is_empty());
    // Of a macro, the place that calls it is the one that a person can mend.
    let place = span.map(cargo::Span::origin);
    Some(Diagnostic {
        file: place.map(|place| place.file_name.clone()),
        line: place.map(|place| place.line_start),
        column: place.map(|place| place.column_start),
        message: match label {
            Some(label) => format!("{}: {label}", message.message),
            None => message.message.clone(),
        },
        severity,
    })
}

fn severity(level: &str) -> Option<Severity> {
    match level {
        "error" => Some(Severity::Error),
        _ if level.starts_with("error:") => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "note" | "help" => Some(Severity::Note),
        _ => None,
    }
}

/// `2 warnings emitted`, `aborting due to 2 previous errors` and the like.
fn is_about_others(message: &str) -> bool {
    message.starts_with("aborting due to")
        || message.ends_with(" emitted")
        || message.starts_with("could not compile")
}

/// Reads `error[E0308]: mismatched types`, its place in the next line, and panics.
pub(super) fn read(lines: &[&str]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let next = || lines.get(at + 1).copied();
        if let Some((severity, message)) = head(line)
            && let Some(place) = next().and_then(|next| next.trim_start().strip_prefix("--> "))
            && let Some(place) = Place::read(place.trim_end())
        {
            found.push(place.says(message, severity));
        } else if line.starts_with("thread '")
            && let Some((_, place)) = line.split_once(" panicked at ")
            && let Some(place) = Place::read(place).filter(|place| place.rest == ":")
        {
            found.push(place.says(next().unwrap_or("panicked"), Severity::Error));
        }
    }
    found
}

/// Reads `error: …`, `error[E0308]: …` and `warning: …`.
fn head(line: &str) -> Option<(Severity, &str)> {
    let (head, message) = line.split_once(": ")?;
    let level = head.split('[').next()?;
    Some((severity(level).filter(|severity| *severity != Severity::Note)?, message))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{one, told},
        *,
    };

    fn of_json(line: &str) -> Option<String> {
        match cargo::Message::read(line.as_bytes()).unwrap() {
            cargo::Message::CompilerMessage { message } => of_message(&message).as_ref().map(one),
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn reads_the_messages_of_cargo() {
        let mismatch = r#"{"reason":"compiler-message","package_id":"path+file:///w#web@0.1.0",
            "manifest_path":"/w/Cargo.toml","target":{"kind":["bin"],"name":"web"},"message":{
            "rendered":"error[E0308]: mismatched types\n","$message_type":"diagnostic","children":[],
            "level":"error","message":"mismatched types","spans":[{"byte_end":25,"byte_start":23,
            "column_end":14,"column_start":12,"expansion":null,"file_name":"src/main.rs",
            "is_primary":false,"label":"expected due to this","line_end":2,"line_start":2},{
            "byte_end":33,"byte_start":28,"column_end":22,"column_start":17,"expansion":null,
            "file_name":"src/main.rs","is_primary":true,"label":"expected `u8`, found `&str`",
            "line_end":2,"line_start":2}],"code":{"code":"E0308","explanation":""}}}"#;
        assert_eq!(
            of_json(mismatch).unwrap(),
            "error src/main.rs:2:17 mismatched types: expected `u8`, found `&str`"
        );
        let note = r#"{"reason":"compiler-message","message":{"rendered":"For more information",
            "level":"failure-note","message":"For more information","spans":[],"code":null}}"#;
        assert_eq!(of_json(note), None);
        let count = r#"{"reason":"compiler-message","message":{"rendered":"","level":"warning",
            "message":"1 warning emitted","spans":[],"code":null}}"#;
        assert_eq!(of_json(count), None);
    }

    #[test]
    fn names_the_place_that_calls_a_macro() {
        let json = r#"{"reason":"compiler-message","message":{"rendered":"","level":"warning","message":"m",
            "spans":[{"column_start":5,"file_name":"/rustc/library/std/src/macros.rs","is_primary":true,
            "label":null,"line_start":1,"expansion":{"macro_decl_name":"outer!","span":{
            "column_start":9,"file_name":"src/macros.rs","is_primary":false,"label":null,"line_start":7,
            "expansion":{"macro_decl_name":"inner!","span":{"column_start":3,"file_name":"src/main.rs",
            "is_primary":false,"label":null,"line_start":12,"expansion":null}}}}}]}}"#;
        assert_eq!(of_json(json).unwrap(), "warning src/main.rs:12:3 m");
    }

    #[test]
    fn reads_the_text_of_rustc_and_cargo() {
        let text = "\
error[E0308]: mismatched types
 --> w.rs:2:17
  |
2 |     let n: u8 = \"one\";
  |            --   ^^^^^ expected `u8`, found `&str`

error[E0425]: cannot find function `missing` in this scope
 --> w.rs:4:5

warning: unused variable: `unused`
   --> src/deep/w.rs:103:9

error: aborting due to 2 previous errors

Some errors have detailed explanations: E0308, E0425.
For more information about an error, try `rustc --explain E0308`.
";
        assert_eq!(
            told(text, ""),
            [
                "error w.rs:2:17 mismatched types",
                "error w.rs:4:5 cannot find function `missing` in this scope",
                "warning src/deep/w.rs:103:9 unused variable: `unused`",
            ]
        );
        let manifest = "\
error: invalid type: sequence, expected a version string like \"0.9.8\"
 --> Cargo.toml:6:5
  |
6 | x = [1]
";
        assert_eq!(
            told(manifest, ""),
            [
                "error Cargo.toml:6:5 invalid type: sequence, expected a version string like \"0.9.8\""
            ]
        );
    }

    #[test]
    fn reads_a_panic() {
        let text = "
thread 'main' (17722) panicked at p.rs:6:7:
called `Result::unwrap()` on an `Err` value: \"two\\nlines\"
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689:5
   3: p::main
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
";
        assert_eq!(
            told(text, ""),
            ["error p.rs:6:7 called `Result::unwrap()` on an `Err` value: \"two\\nlines\""]
        );
    }
}
