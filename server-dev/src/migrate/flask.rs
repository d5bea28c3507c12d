//! The development servers of Flask and Django, which take no socket: each is given a port of its own.

use super::{MigrateError, address, flags::Flags, shell};
use crate::draft::Draft;

/// Where Flask and Django listen when they aren't told.
const FLASK_PORT: u16 = 5000;
const DJANGO_PORT: u16 = 8000;

/// Reads `flask run`; `before` is everything up to the program itself.
pub(super) fn read(
    before: &[String],
    words: &[String],
    draft: &mut Draft,
) -> Result<(), MigrateError> {
    let mut flags = Flags::new("flask", words);
    let mut command = before.to_vec();
    let (mut host, mut port, mut runs) = (None, None, false);
    while let Some(word) = flags.next_or_word()? {
        match word.as_str() {
            "--reload" | "--no-reload" => {}
            "-h" | "--host" => host = Some(flags.value()?),
            "-p" | "--port" => port = Some(flags.value()?),
            "--extra-files" => flags.value()?.split(':').for_each(|it| draft.rule(it, "build")),
            "--exclude-patterns" => {
                flags.value()?.split(':').for_each(|it| draft.add("ignore", it));
            }
            "--cert" | "--key" => {
                let value = flags.value()?;
                let why = "the proxy, and what is behind it, speak plain HTTP";
                draft.note(format!("flask {word} {value} is left out: {why}"));
            }
            _ => {
                runs |= word == "run";
                command.push(flags.kept(word));
            }
        }
    }
    if !runs {
        return Err(MigrateError::Command("flask without `run`"));
    }
    behind_a_proxy(draft, host.as_deref(), port.as_deref(), FLASK_PORT);
    let command = format!("exec {} --no-reload --port $PORT", shell::joined(&command));
    draft.command("command", &shell::in_shell(&command));
    Ok(())
}

/// Reads `manage.py runserver`; `before` is everything up to `runserver`.
pub(super) fn read_django(
    before: &[String],
    words: &[String],
    draft: &mut Draft,
) -> Result<(), MigrateError> {
    let mut flags = Flags::new("runserver", words);
    let mut command = before.to_vec();
    let mut place = None;
    while let Some(word) = flags.next_or_word()? {
        match word.as_str() {
            "--noreload" => {}
            _ if !word.starts_with('-') => place = Some(word),
            _ => command.push(flags.kept(word)),
        }
    }
    let (host, port) = place.as_deref().map_or((None, None), address::parts);
    behind_a_proxy(draft, host, port, DJANGO_PORT);
    let command = format!("exec {} --noreload 127.0.0.1:$PORT", shell::joined(&command));
    draft.command("command", &shell::in_shell(&command));
    Ok(())
}

fn behind_a_proxy(draft: &mut Draft, host: Option<&str>, port: Option<&str>, default: u16) {
    if draft.get("sockets").is_none() {
        address::listen(draft, "http", host, port, default);
    }
    draft.set("proxy", "port");
    draft.add("extensions", "py");
}

#[cfg(test)]
mod tests {
    use super::super::{
        migrate,
        tests::{keys, told},
    };

    #[test]
    fn a_server_that_takes_no_socket_is_behind_a_proxy() {
        for (line, want) in [
            (
                "flask --app x run --debug",
                "sockets = [\"http::127.0.0.1:5000\"]\nproxy = \"port\"\nextensions = [\"py\"]\n\
                 command = \"sh -c 'exec flask --app x run --debug --no-reload --port $PORT'\"",
            ),
            (
                "FLASK_APP=x python3 -m flask run -h 0.0.0.0 -p 80 --reload --extra-files a.yml --exclude-patterns 'b*:c*'",
                "env = { FLASK_APP = \"x\" }\nrules = [{ do = \"build\", files = \"a.yml\" }]\n\
                 ignore = [\"b*\", \"c*\"]\nsockets = [\"http::0.0.0.0:80\"]\nproxy = \"port\"\n\
                 extensions = [\"py\"]\n\
                 command = \"sh -c 'exec python3 -m flask run --no-reload --port $PORT'\"",
            ),
            (
                "python manage.py runserver 0:3000 --settings=a.b",
                "sockets = [\"http::0.0.0.0:3000\"]\nproxy = \"port\"\nextensions = [\"py\"]\n\
                 command = [\"sh\", \"-c\", \"exec python manage.py runserver '--settings=a.b' --noreload 127.0.0.1:$PORT\"]",
            ),
        ] {
            assert_eq!(keys(line), want, "{line}");
        }
        assert!(told("flask run --cert adhoc").contains("flask --cert adhoc is left out: "));
        let words = ["flask", "routes"].map(str::to_owned);
        assert!(migrate(&words).unwrap_err().to_string().contains("flask without `run`"));
    }
}
