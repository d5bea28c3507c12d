//! uvicorn's own reload; what is not about that stays in the command.

use super::{MigrateError, address, flags::Flags, systemfd::socket};
use crate::draft::Draft;

/// What its reload leaves out unless it is included by that very pattern (`supervisors/watchfilesreload.py`
/// of it); the others there are of files that never count here.
const HIDDEN: &str = ".*";

/// Where it listens when it isn't told.
const PORT: u16 = 8000;

/// `before` is everything up to the program itself.
pub(super) fn read(
    before: &[String],
    words: &[String],
    draft: &mut Draft,
) -> Result<(), MigrateError> {
    let mut flags = Flags::new("uvicorn", words);
    let mut command = before.to_vec();
    let (mut host, mut port, mut path, mut kind) = (None, None, None, "http");
    let (mut includes, mut excludes) = (Vec::new(), Vec::new());
    let (mut reloads, mut descriptor, mut workers) = (false, None, None);
    while let Some(word) = flags.next_or_word()? {
        match word.as_str() {
            "--reload" => reloads = true,
            "--reload-dir" => draft.add("watch", flags.value()?),
            "--reload-include" => includes.push(flags.value()?),
            "--reload-exclude" => excludes.push(flags.value()?),
            "--reload-delay" => flags.time("settle", &word, "s", draft)?,
            "--host" => host = Some(flags.value()?),
            "--port" => port = Some(flags.value()?),
            "--uds" => path = Some(flags.value()?),
            "--fd" => descriptor = Some(flags.value()?),
            "--workers" => workers = Some(flags.value()?),
            "--ssl-certfile" | "--ssl-keyfile" => {
                kind = "https";
                command.extend([word, flags.value()?]);
            }
            _ => command.push(flags.kept(word)),
        }
    }
    if !reloads {
        draft.note("uvicorn was not told to --reload; server-dev always does.");
    }
    match workers {
        Some(workers) if reloads => draft.note(format!(
            "uvicorn --workers {workers} is left out: uvicorn takes a single one where it is told to --reload"
        )),
        Some(workers) => command.extend(["--workers".to_owned(), workers]),
        None => {}
    }
    if draft.get("sockets").is_some() {
        // It is passed one already.
    } else if let Some(fd) = &descriptor {
        draft.note(format!("uvicorn --fd {fd}: say by sockets = […] which one that is."));
    } else if let Some(path) = path {
        socket(draft, &format!("unix::{path}"));
    } else {
        address::listen(draft, kind, host.as_deref(), port.as_deref(), PORT);
    }
    // By a number rather than by LISTEN_FDS, whichever process it is.
    command.extend(["--fd".to_owned(), descriptor.unwrap_or_else(|| "3".to_owned())]);
    files(&includes, excludes, draft);
    draft.command("command", &command);
    Ok(())
}

/// Python's own files, and what is included and left out beside them.
fn files(includes: &[String], excludes: Vec<String>, draft: &mut Draft) {
    if !excludes.iter().any(|exclude| exclude == "*.py") {
        draft.add("extensions", "py");
    }
    for include in includes {
        match include.strip_prefix("*.") {
            Some("py") => {}
            Some(extension) if extension.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                draft.add("extensions", extension);
            }
            _ => draft.rule(include, "build"),
        }
    }
    if !includes.iter().any(|include| include == HIDDEN) {
        draft.add("ignore", HIDDEN);
    }
    for exclude in excludes {
        draft.add("ignore", exclude);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    #[test]
    fn takes_the_reload_out_of_the_command_and_holds_the_socket() {
        for (line, want) in [
            (
                "uvicorn main:app --reload",
                "sockets = [\"http::127.0.0.1:8000\"]\nextensions = [\"py\"]\nignore = [\".*\"]\n\
                 command = \"uvicorn main:app --fd 3\"",
            ),
            (
                "uv run uvicorn app.main:app --reload --host 0.0.0.0 --port=3000 --workers 2 --log-level debug",
                "sockets = [\"http::0.0.0.0:3000\"]\nextensions = [\"py\"]\nignore = [\".*\"]\n\
                 command = \"uv run uvicorn app.main:app --log-level debug --fd 3\"",
            ),
            (
                "python3 -m uvicorn --factory m:f --reload --reload-dir src --reload-dir lib \
                 --reload-include '*.html' --reload-include 'conf/*' --reload-exclude 'test_*' \
                 --reload-delay 0.5 --uds /tmp/a.sock",
                "watch = [\"src\", \"lib\"]\nsettle = \"0.5s\"\n\
                 sockets = [\"unix::/tmp/a.sock\"]\nextensions = [\"py\", \"html\"]\n\
                 rules = [{ do = \"build\", files = \"conf/*\" }]\nignore = [\".*\", \"test_*\"]\n\
                 command = \"python3 -m uvicorn --factory m:f --fd 3\"",
            ),
            (
                "uvicorn m:a --reload --host ::1 --ssl-keyfile=k --ssl-certfile c",
                "sockets = [\"https::[::1]:8000\"]\nextensions = [\"py\"]\nignore = [\".*\"]\n\
                 command = \"uvicorn m:a --ssl-keyfile k --ssl-certfile c --fd 3\"",
            ),
        ] {
            assert_eq!(keys(line), want, "{line}");
        }
    }

    #[test]
    fn adds_to_what_is_left_out_by_default_unless_that_is_included() {
        for (flags, want) in [
            ("--reload-exclude a", "ignore = [\".*\", \"a\"]"),
            ("--reload-include '.*' --reload-exclude a", "ignore = [\"a\"]"),
        ] {
            let keys = keys(&format!("uvicorn m:a --reload {flags}"));
            assert!(keys.contains(want), "{flags}: {keys}");
        }
        let keys = keys("uvicorn m:a --reload --reload-exclude '*.py' --reload-include '*.txt'");
        assert!(keys.contains("extensions = [\"txt\"]"), "{keys}");
    }

    #[test]
    fn says_what_it_had_to_change() {
        assert!(told("uvicorn m:a").contains("was not told to --reload"));
        assert!(keys("uvicorn m:a --workers 2").contains("m:a --workers 2 --fd 3"));
        let single = told("uvicorn m:a --workers 2 --reload");
        assert!(single.contains("uvicorn --workers 2 is left out: "), "{single}");
        assert!(told("uvicorn m:a --reload --fd 5").contains("uvicorn --fd 5"));
        assert!(
            told("uvicorn m:a --reload --host example.com").contains("example.com is no address")
        );
        let passed = keys("systemfd --no-pid -s http::1 -- uvicorn m:a --reload --fd 3");
        assert!(passed.starts_with("sockets = [\"http::1\"]\n"), "{passed}");
        let kept = keys("uvicorn m:a --reload --new-flag 7 --next=8 -w9 --other -- x");
        assert!(kept.contains("m:a --new-flag 7 '--next=8' -w9 --other -- x --fd 3"), "{kept}");
    }
}
