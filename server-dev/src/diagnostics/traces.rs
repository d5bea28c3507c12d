//! What programs write as they crash: Python, Go, Node.

use super::{Diagnostic, Place, Severity, number};

pub(super) fn read(lines: &[&str]) -> Vec<Diagnostic> {
    [of_python(lines), of_go(lines), of_node(lines)].into_iter().flatten().collect()
}

/// Reads the last frame of the last traceback, and the error after it; of a syntax error, which may
/// come without a traceback, the place that it names.
fn of_python(lines: &[&str]) -> Option<Diagnostic> {
    // Of a group of errors each line is drawn into a frame.
    let lines: Vec<&str> = lines.iter().map(|line| without_frame(line)).collect();
    let from =
        lines.iter().rposition(|line| line.starts_with("Traceback (most recent call last):"));
    let from = from.unwrap_or(0);
    let mut frames = lines.iter().enumerate().skip(from).rev();
    let (at, place) = frames.find_map(|(at, line)| Some((at, python_place(line)?)))?;
    // What isn't set in is the error.
    let mut after = lines[at + 1..].iter().skip_while(|line| line.starts_with(' '));
    let message = after.next().filter(|line| is_error(line))?;
    Some(place.says(*message, Severity::Error))
}

fn without_frame(line: &str) -> &str {
    let trimmed = line.trim_start();
    for mark in ["| ", "+ "] {
        if let Some(rest) = trimmed.strip_prefix(mark) {
            return rest.strip_prefix("Exception Group ").unwrap_or(rest);
        }
    }
    line
}

/// Reads `  File "main.py", line 3, in run`.
fn python_place(line: &str) -> Option<Place<'_>> {
    let (file, place) = line.strip_prefix("  File \"")?.split_once("\", line ")?;
    let (line, rest) = number(place)?;
    Some(Place { file, line, column: None, rest })
}

/// `ValueError: …`, `package.Name`.
fn is_error(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

/// Reads `panic: …` and the first frame that is not of Go itself.
fn of_go(lines: &[&str]) -> Option<Diagnostic> {
    let from = lines
        .iter()
        .rposition(|line| line.starts_with("panic: ") || line.starts_with("fatal error: "))?;
    let (_, message) = lines[from].split_once(": ")?;
    let stack = lines[from..].iter().skip_while(|line| !line.starts_with("goroutine "));
    let place = stack.filter_map(|line| Place::read(line.strip_prefix('\t')?)).find(|place| {
        let is_own = place.file.contains("/src/runtime/") || place.file.contains("/src/internal/");
        !is_own
    })?;
    Some(place.says(message, Severity::Error))
}

/// Reads `TypeError: …` and the first frame below it that is not of Node itself.
fn of_node(lines: &[&str]) -> Option<Diagnostic> {
    let is_frame = |line: &&&str| line.starts_with("    at ");
    let first =
        lines.iter().enumerate().rev().find(|(at, line)| {
            is_frame(line) && (*at == 0 || !lines[at - 1].starts_with("    at "))
        });
    let first = first?.0;
    let message = lines[..first].iter().rev().take_while(|line| !line.trim().is_empty()).last()?;
    let place = lines[first..].iter().take_while(is_frame).find_map(|line| {
        let inside = line.rsplit_once('(').map_or(line.trim_start_matches("    at "), |(_, it)| it);
        let place = inside.trim_start_matches("async ").trim_start_matches("file://");
        let place = Place::read(place.trim_end_matches(')'))?;
        place.file.starts_with('/').then_some(place)
    })?;
    is_node_error(message).then(|| place.says(*message, Severity::Error))
}

/// `TypeError: …`, `Error [ERR_X]: …`.
fn is_node_error(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or_default();
    name.ends_with("Error") && name.chars().all(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;

    #[test]
    fn reads_python_3_11() {
        let table = [
            (
                "\
Traceback (most recent call last):
  File \"/w/main.py\", line 4, in <module>
    run()
  File \"/w/main.py\", line 3, in run
    return other.div(1)
           ^^^^^^^^^^^^
  File \"/w/other.py\", line 2, in div
    return x / 0
           ~~^~~
ZeroDivisionError: division by zero
",
                "error /w/other.py:2:- ZeroDivisionError: division by zero",
            ),
            (
                "  File \"/w/bad.py\", line 1\n    def a(:\n          ^\nSyntaxError: invalid syntax\n",
                "error /w/bad.py:1:- SyntaxError: invalid syntax",
            ),
            (
                "\
Traceback (most recent call last):
  File \"<string>\", line 1, in <module>
  File \"/w/bad.py\", line 1
    def a(:
          ^
SyntaxError: invalid syntax
",
                "error /w/bad.py:1:- SyntaxError: invalid syntax",
            ),
            (
                "\
Traceback (most recent call last):
  File \"/w/chain.py\", line 2, in <module>
    int(\"x\")
ValueError: invalid literal for int() with base 10: 'x'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File \"/w/chain.py\", line 4, in <module>
    raise RuntimeError(\"no number\\nsecond line\") from e
RuntimeError: no number
second line
",
                "error /w/chain.py:4:- RuntimeError: no number",
            ),
            (
                "\
Traceback (most recent call last):
  File \"/w/rec.py\", line 2, in <module>
    raise Weird
rec.Weird
",
                "error /w/rec.py:2:- rec.Weird",
            ),
            (
                "  + Exception Group Traceback (most recent call last):
  |   File \"/w/grp.py\", line 1, in <module>
  |     raise ExceptionGroup(\"several\", [ValueError(1), TypeError(\"t\")])
  | ExceptionGroup: several (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: 1
    +---------------- 2 ----------------
    | TypeError: t
    +------------------------------------
",
                "error /w/grp.py:1:- ExceptionGroup: several (2 sub-exceptions)",
            ),
        ];
        for (text, want) in table {
            assert_eq!(told(text, ""), [want]);
            assert_eq!(told(&format!("INFO: starts\n{text}INFO: stops\n"), ""), [want]);
        }
    }

    #[test]
    fn reads_a_panic_of_go_1_19() {
        let text = "\
panic: assignment to entry in nil map

goroutine 1 [running]:
main.f(...)
\t/w/main.go:4
main.main()
\t/w/main.go:7 +0x2e
exit status 2
";
        assert_eq!(told(text, ""), ["error /w/main.go:4:- assignment to entry in nil map"]);
    }

    #[test]
    fn reads_node_20() {
        let text = "\
/w/m.js:1
function a(){ undefined.x }
                        ^

TypeError: Cannot read properties of undefined (reading 'x')
    at a (/w/m.js:1:25)
    at Object.<anonymous> (/w/m.js:2:1)
    at Module._compile (node:internal/modules/cjs/loader:1521:14)

Node.js v20.20.2
";
        let want =
            "error /w/m.js:1:25 TypeError: Cannot read properties of undefined (reading 'x')";
        assert_eq!(told(text, ""), [want]);
        let module = text.replace("(/w/m.js:1:25)", "(file:///w/m.js:1:25)");
        assert_eq!(told(&module, ""), [want]);
    }
}
