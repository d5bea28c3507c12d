//! What compilers write for people: Go and those of C, tsc, OCaml.

use super::{Diagnostic, Place, Severity, number};

/// Ends of names that are no hosts: with a line alone, `name:line: message` is a log's as well.
const SOURCES: [&str; 42] = [
    "c", "cc", "cpp", "cs", "css", "cxx", "ex", "exs", "go", "h", "hpp", "hs", "html", "java",
    "js", "json", "jsx", "kt", "lua", "mjs", "ml", "mli", "mod", "php", "pl", "proto", "py", "rb",
    "rs", "scala", "scss", "sh", "sql", "svelte", "swift", "tmpl", "toml", "ts", "tsx", "vue",
    "yaml", "zig",
];
/// Names without an end.
const FILES: [&str; 4] = ["Makefile", "makefile", "Dockerfile", "dune"];

/// Reads `file:line:column: message`, as Go, gcc, clang and many others write it; lines that begin with
/// a tab go on.
pub(super) fn of_go(lines: &[&str]) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        if let Some(more) = line.strip_prefix('\t')
            && goes_on
            && let Some(last) = found.last_mut()
        {
            last.message.push('\n');
            last.message.push_str(more.trim());
            continue;
        }
        let line = line.strip_prefix("vet: ").unwrap_or(line);
        let place = Place::read(line).filter(|place| is_source(place.file));
        let message = place.as_ref().and_then(|place| place.rest.strip_prefix(": "));
        goes_on = message.is_some();
        if let Some((place, message)) = place.zip(message) {
            let (severity, message) = severity(message);
            found.push(place.says(message, severity));
        }
    }
    found
}

fn is_source(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let end = name.rsplit_once('.').map(|(_, end)| end);
    !file.contains(char::is_whitespace)
        && (end.is_some_and(|end| SOURCES.contains(&end)) || FILES.contains(&name))
}

/// Takes the severity from before a message; what says none is an error.
fn severity(message: &str) -> (Severity, &str) {
    for (word, severity) in [
        ("fatal error: ", Severity::Error),
        ("error: ", Severity::Error),
        ("ERROR: ", Severity::Error),
        ("warning: ", Severity::Warning),
        ("note: ", Severity::Note),
    ] {
        if let Some(message) = message.strip_prefix(word) {
            return (severity, message);
        }
    }
    (Severity::Error, message)
}

/// Reads `file(line,column): error TS1: message`, and `file:line:column - error TS1: message` for
/// terminals; lines that begin with two blanks go on.
pub(super) fn of_tsc(lines: &[&str]) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        if line.starts_with("  ")
            && goes_on
            && let Some(last) = found.last_mut()
        {
            last.message.push('\n');
            last.message.push_str(line.trim());
            continue;
        }
        let read = in_brackets(line).or_else(|| with_dash(line));
        goes_on = read.is_some();
        found.extend(read);
    }
    found
}

fn in_brackets(line: &str) -> Option<Diagnostic> {
    let (place, message) = line.split_once("): ")?;
    let (file, place) = place.rsplit_once('(')?;
    let (line, rest) = number(place)?;
    let (column, rest) = number(rest.strip_prefix(',')?)?;
    let place = Place { file, line, column: Some(column), rest };
    let (severity, message) = of_typescript(message)?;
    (rest.is_empty() && !file.is_empty()).then(|| place.says(message, severity))
}

fn with_dash(line: &str) -> Option<Diagnostic> {
    let place = Place::read(line)?;
    let (severity, message) = of_typescript(place.rest.strip_prefix(" - ")?)?;
    Some(place.says(message, severity))
}

/// Reads `error TS2322: …`.
fn of_typescript(text: &str) -> Option<(Severity, &str)> {
    let (severity, message) = match text.split_once(' ')? {
        ("error", message) => (Severity::Error, message),
        ("warning", message) => (Severity::Warning, message),
        ("message", message) => (Severity::Note, message),
        _ => return None,
    };
    message.starts_with("TS").then_some((severity, message))
}

/// Reads `File "a.ml", line 2, characters 23-24:` and the `Error: …` after the quoted source.
pub(super) fn of_ocaml(lines: &[&str]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(place) = ocaml_place(line) else { continue };
        let after = lines[at + 1..].iter().take_while(|line| !line.starts_with("File \""));
        let mut after = after.skip_while(|line| ocaml_message(line).is_none());
        let Some((severity, first)) = after.next().and_then(|line| ocaml_message(line)) else {
            continue;
        };
        let more = after.take_while(|line| line.starts_with("  ") && !line.trim().is_empty());
        let message = more.fold(first.to_owned(), |text, line| format!("{text} {}", line.trim()));
        found.push(place.says(message, severity));
    }
    found
}

fn ocaml_place(line: &str) -> Option<Place<'_>> {
    let (file, place) = line.strip_prefix("File \"")?.split_once("\", line")?;
    // Several lines are `lines 2-3`.
    let (line, rest) = number(place.strip_prefix('s').unwrap_or(place).trim_start())?;
    let (_, characters) = rest.split_once("characters ")?;
    let (column, rest) = number(characters)?;
    // They are counted from 0.
    Some(Place { file, line, column: column.checked_add(1), rest })
}

fn ocaml_message(line: &str) -> Option<(Severity, &str)> {
    match line.split_once(": ")? {
        ("Error", message) => Some((Severity::Error, message)),
        (head, message) if head.starts_with("Error (") => Some((Severity::Error, message)),
        (head, message) if head.starts_with("Warning ") => Some((Severity::Warning, message)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;

    #[test]
    fn reads_go_1_19() {
        let text = "\
# example.com/shop
./main.go:4:2: imported and not used: \"fmt\"
./main.go:11:7: undefined: undefinedThing
./main.go:12:6: not enough arguments in call to two
\thave (string)
\twant (int, string)
./main.go:13:9: too many return values
\thave (number)
\twant ()
";
        assert_eq!(
            told(text, ""),
            [
                "error ./main.go:4:2 imported and not used: \"fmt\"",
                "error ./main.go:11:7 undefined: undefinedThing",
                "error ./main.go:12:6 not enough arguments in call to two\nhave (string)\nwant (int, string)",
                "error ./main.go:13:9 too many return values\nhave (number)\nwant ()",
            ]
        );
        let text = "\
go: finding module for package example.com/other
main.go:3:8: cannot find module providing package example.com/other: module lookup disabled by GOPROXY=off
";
        assert_eq!(
            told(text, ""),
            [
                "error main.go:3:8 cannot find module providing package example.com/other: module lookup \
                 disabled by GOPROXY=off"
            ]
        );
    }

    #[test]
    fn reads_gcc_12() {
        let text = "\
m.c: In function ‘main’:
m.c:1:20: error: ‘x’ undeclared (first use in this function)
    1 | int main(){ return x; }
      |                    ^
m.c:1:20: note: each undeclared identifier is reported only once for each function it appears in
Makefile:3: *** missing separator.  Stop.
";
        assert_eq!(
            told(text, ""),
            [
                "error m.c:1:20 ‘x’ undeclared (first use in this function)",
                "error Makefile:3:- *** missing separator.  Stop.",
                "note m.c:1:20 each undeclared identifier is reported only once for each function it \
                 appears in",
            ]
        );
    }

    #[test]
    fn reads_tsc_5_9_in_both_of_its_forms() {
        let want = [
            "error a.ts:1:7 TS2322: Type 'string' is not assignable to type 'number'.",
            "error a.ts:2:12 TS7006: Parameter 'x' implicitly has an 'any' type.",
        ];
        let text = "\
a.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.
a.ts(2,12): error TS7006: Parameter 'x' implicitly has an 'any' type.
";
        assert_eq!(told("", text), want);
        let pretty = "\
\x1b[96ma.ts\x1b[0m:\x1b[93m1\x1b[0m:\x1b[93m7\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m TS2322: \x1b[0mType 'string' is not assignable to type 'number'.

\x1b[7m1\x1b[0m const n: number = \"one\";
\x1b[7m \x1b[0m \x1b[91m      ~\x1b[0m

\x1b[96ma.ts\x1b[0m:\x1b[93m2\x1b[0m:\x1b[93m12\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m TS7006: \x1b[0mParameter 'x' implicitly has an 'any' type.

\x1b[7m2\x1b[0m function f(x) { return x }

Found 2 errors in the same file, starting at: a.ts\x1b[90m:1\x1b[0m
";
        assert_eq!(told("", pretty), want);
        let more = "\
src/(app)/a.tsx(3,1): error TS2345: Argument is wrong.
  Property 'b' is missing.
    Deeper.
";
        assert_eq!(
            told("", more),
            [
                "error src/(app)/a.tsx:3:1 TS2345: Argument is wrong.\nProperty 'b' is missing.\nDeeper."
            ]
        );
    }

    #[test]
    fn reads_ocaml_4_13() {
        let text = "\
File \"a.ml\", line 2, characters 23-24:
2 | let () = print_endline x
                           ^
Error: This expression has type int but an expression was expected of type
         string
File \"b.ml\", lines 2-3, characters 2-15:
2 | ..match x with
3 |   | Some y -> y
Warning 8 [partial-match]: this pattern-matching is not exhaustive.
Here is an example of a case that is not matched:
None
";
        assert_eq!(
            told(text, ""),
            [
                "error a.ml:2:24 This expression has type int but an expression was expected of type string",
                "warning b.ml:2:3 this pattern-matching is not exhaustive.",
            ]
        );
    }
}
