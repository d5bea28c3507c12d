//! The keys of an .air.toml, one by one.

use toml::{Table, Value};

use crate::{config::poll_interval, draft::Draft};

/// Keys without one here, and why; a table's name is of all its keys.
const LEFT_OUT: [(&str, &str); 12] = [
    ("testdata_dir", "nothing is written there"),
    ("color", "NO_COLOR says that"),
    ("log", "it is about messages"),
    ("screen", "it is about the terminal"),
    ("misc", "what is in tmp_dir stays"),
    ("build.post_cmd", "nothing is run when the server has ended"),
    ("build.log", "what a build writes is shown"),
    ("build.follow_symlink", "a link to a folder goes into watch = […]"),
    ("build.stop_on_error", "the old process serves until a new one is ready"),
    ("build.send_interrupt", "a server is told to end by SIGTERM"),
    ("build.rerun", "a server that has failed is started again, each time after a longer pause"),
    (
        "build.rerun_delay",
        "a server that has failed is started again, each time after a longer pause",
    ),
];

/// What air's proxy takes where it isn't told.
const PROXY_PORT: i64 = 8090;
const APP_PORT: i64 = 8080;

/// Takes a key of `build`; `scratch` is what air writes itself, and is ignored by then.
pub(super) fn take(key: &str, value: &Value, scratch: &str, draft: &mut Draft) {
    let list = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
    match key {
        // The command and its build, which are read by then; contents are always compared.
        "cmd" | "bin" | "full_bin" | "entrypoint" | "pre_cmd" | "args_bin"
        | "exclude_unchanged" => {}
        "include_ext" => list().for_each(|it| draft.add("extensions", it.trim_start_matches('.'))),
        "include_dir" => list().for_each(|it| draft.add("watch", it)),
        "include_file" => list().for_each(|it| draft.rule(&rooted(it), "build")),
        "exclude_dir" => {
            for folder in list().filter(|it| it.trim_matches('/') != scratch) {
                draft.add("ignore", format!("{}/", rooted(folder)));
            }
        }
        "exclude_file" => list().for_each(|it| draft.add("ignore", rooted(it))),
        "exclude_regex" => {
            for expression in list() {
                match glob(expression) {
                    Some(glob) => draft.add("ignore", glob),
                    None => draft.note(format!(
                        "air's build.exclude_regex {expression} is left out: ignore = […] takes globs"
                    )),
                }
            }
        }
        "delay" => time(key, "settle", value, draft),
        "kill_delay" => time(key, "grace", value, draft),
        "poll_interval" => time(key, "poll", value, draft),
        "poll" => {
            if value.as_bool() == Some(true) && draft.get("poll").is_none() {
                draft.set("poll", poll_interval().to_string());
            }
        }
        other => left_out(&format!("build.{other}"), value, draft),
    }
}

/// Takes air's proxy, which reloads pages as the one here does.
pub(super) fn proxy(table: &Table, draft: &mut Draft) {
    if table.get("enabled").and_then(Value::as_bool) != Some(true) {
        return;
    }
    let port = |key, default| table.get(key).and_then(Value::as_integer).unwrap_or(default);
    draft.add("sockets", format!("http::{}", port("proxy_port", PROXY_PORT)));
    draft.set("proxy", "port");
    draft.note(format!(
        "air's proxy.app_port {} is left out: each process has to listen at the port that PORT names",
        port("app_port", APP_PORT)
    ));
}

/// Says of a key that does something that nothing is taken over of it.
pub(super) fn left_out(key: &str, value: &Value, draft: &mut Draft) {
    let is_nothing = match value {
        Value::Boolean(is_set) => !is_set,
        Value::Array(list) => list.is_empty(),
        Value::Table(table) => table.is_empty(),
        _ => false,
    };
    let known = LEFT_OUT.iter().find(|(known, _)| *known == key);
    match known {
        Some(_) if is_nothing => {}
        Some((_, why)) => draft.note(format!("air's {key} is left out: {why}")),
        None => draft.note(format!("air's {key} is left out: it is not known to server-dev")),
    }
}

fn time(key: &str, to: &'static str, value: &Value, draft: &mut Draft) {
    // An integer below a million is taken for milliseconds, above for nanoseconds, as air does.
    let text = match value {
        Value::Integer(number) if *number >= 1_000_000 && key == "kill_delay" => {
            (number / 1_000_000).to_string()
        }
        // air takes its least interval of a poll for 0.
        Value::Integer(number) if *number <= 0 && to == "poll" => return,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    draft.set_time(to, &format!("air's build.{key}"), &text, "ms");
}

/// A path as a glob that is of that path alone.
fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches("./").trim_matches('/'))
}

/// The expressions that everybody has, as globs.
fn glob(expression: &str) -> Option<String> {
    let text = expression.replace("\\.", ".");
    let (text, is_end) = match text.strip_suffix('$') {
        Some(text) => (text, true),
        None => (text.as_str(), text.rsplit_once('.').is_some()),
    };
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    (is_end && text.chars().all(is_plain)).then(|| format!("*{text}"))
}

#[cfg(test)]
mod tests {
    use super::super::{super::tests::told, tests::file};

    #[test]
    fn names_each_key_that_it_does_not_take_over() {
        for (text, key) in [
            ("testdata_dir = 'a'", "testdata_dir"),
            ("color = { main = 'red' }", "color"),
            ("log = { time = true }", "log"),
            ("screen = { clear_on_rebuild = true }", "screen"),
            ("misc = { clean_on_exit = true }", "misc"),
            ("novelty = 1", "novelty"),
            ("build.post_cmd = ['a']", "build.post_cmd"),
            ("build.log = 'a'", "build.log"),
            ("build.follow_symlink = true", "build.follow_symlink"),
            ("build.stop_on_error = true", "build.stop_on_error"),
            ("build.send_interrupt = true", "build.send_interrupt"),
            ("build.rerun = true", "build.rerun"),
            ("build.rerun_delay = 500", "build.rerun_delay"),
            ("build.novelty = false", "build.novelty"),
            ("build.delay = 'soon'", "build.delay"),
        ] {
            let (_folder, path) = file(text);
            let told = told(&path);
            assert!(
                told.contains(&format!("air's {key} ")) && told.contains(" is left out: "),
                "{told}"
            );
        }
    }
}
