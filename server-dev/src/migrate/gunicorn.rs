//! gunicorn's own reload; what is not about that stays in the command.

use std::path::Path;

use super::{MigrateError, address, flags::Flags, systemfd::socket};
use crate::draft::Draft;

/// Where it listens when it isn't told.
const PORT: u16 = 8000;

/// `before` is everything up to the program itself.
pub(super) fn read(
    before: &[String],
    words: &[String],
    draft: &mut Draft,
) -> Result<(), MigrateError> {
    let mut flags = Flags::new("gunicorn", words);
    let mut command = before.to_vec();
    let (mut places, mut kind) = (Vec::new(), "http");
    while let Some(word) = flags.next_or_word()? {
        match word.as_str() {
            "--reload" => {}
            "--reload-engine" => drop(flags.value()?),
            "--reload-extra-file" => draft.rule(&flags.value()?, "build"),
            "-b" | "--bind" => places.push(flags.value()?),
            "-D" | "--daemon" => draft.note(format!(
                "gunicorn {word} is left out: the process that is started has to be the server"
            )),
            "--certfile" | "--keyfile" => {
                kind = "https";
                command.extend([word, flags.value()?]);
            }
            _ => command.push(flags.kept(word)),
        }
    }
    if places.is_empty() {
        places.push(PORT.to_string());
    }
    if draft.get("sockets").is_none() {
        for place in &places {
            bind(place, kind, draft);
        }
    }
    if is_itself(before) {
        // It takes them by LISTEN_FDS, whatever else it is told.
        draft.command("command", &command);
    } else {
        // LISTEN_PID would name what starts it.
        command.extend(["--bind".to_owned(), "fd://3".to_owned()]);
        draft.set("listen_pid", false);
        draft.command("command", &command);
    }
    draft.add("extensions", "py");
    Ok(())
}

fn bind(place: &str, kind: &str, draft: &mut Draft) {
    if let Some(path) = place.strip_prefix("unix:") {
        socket(draft, &format!("unix::{path}"));
    } else if place.starts_with("fd://") {
        draft.note(format!("gunicorn --bind {place}: say by sockets = […] which one that is."));
    } else {
        let (host, port) = address::parts(place);
        address::listen(draft, kind, host, port, PORT);
    }
}

/// Whether the process that is started is the server, and nothing that starts it as its child.
fn is_itself(before: &[String]) -> bool {
    let name =
        |word: &String| Path::new(word).file_name().map(|it| it.to_string_lossy().into_owned());
    match before {
        [_gunicorn] => true,
        [python, flag, _gunicorn] => {
            flag == "-m" && name(python).is_some_and(|name| name.starts_with("python"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    #[test]
    fn holds_what_it_bound_and_takes_the_reload_out() {
        for (line, want) in [
            (
                "gunicorn --reload app:app",
                "sockets = [\"http::127.0.0.1:8000\"]\ncommand = \"gunicorn app:app\"\nextensions = [\"py\"]",
            ),
            (
                "gunicorn -w 2 -b :3000 --bind=unix:/tmp/a.sock --reload --reload-extra-file a.yml m:f",
                "rules = [{ do = \"build\", files = \"a.yml\" }]\n\
                 sockets = [\"http::0.0.0.0:3000\", \"unix::/tmp/a.sock\"]\n\
                 command = \"gunicorn -w 2 m:f\"\nextensions = [\"py\"]",
            ),
            (
                "uv run gunicorn --reload -b localhost:3000 app:app",
                "sockets = [\"http::127.0.0.1:3000\"]\nlisten_pid = false\n\
                 command = \"uv run gunicorn app:app --bind fd://3\"\nextensions = [\"py\"]",
            ),
        ] {
            assert_eq!(keys(line), want, "{line}");
        }
        assert!(told("gunicorn -D --reload a:a").contains("gunicorn -D is left out: "));
        assert!(told("gunicorn -b fd://3 a:a").contains("say by sockets"));
    }
}
