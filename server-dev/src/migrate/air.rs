//! air, by the keys of its .air.toml; what it takes for those that are missing is taken here as well.

use std::path::Path;

use toml::{Table, Value};

use super::{
    MigrateError,
    flags::{Flags, Takes, Without},
    shell,
};
use crate::draft::Draft;

/// Where air looks for it.
const FILE: &str = ".air.toml";

const WITHOUT: &[Without] = &[
    (&["-d"], Takes::Nothing, "it is about messages"),
    (&["-v", "-h"], Takes::Nothing, "it is about air itself"),
];

/// Keys without one here, and why; a table's name is of all its keys.
const LEFT_OUT: [(&str, &str); 13] = [
    ("testdata_dir", "nothing is written there"),
    ("color", "NO_COLOR says that"),
    ("log", "it is about messages"),
    ("screen", "it is about the terminal"),
    ("misc", "what is in tmp_dir stays"),
    ("proxy", "the server's own address is what a browser asks"),
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

/// Reads `air -c FILE`.
pub(super) fn read_flags(words: &[String], draft: &mut Draft) -> Result<(), MigrateError> {
    let mut flags = Flags::new("air", words);
    let mut file = FILE.to_owned();
    while let Some(flag) = flags.next()? {
        match flag.as_str() {
            "-c" => file = flags.value()?,
            other => flags.left_out(other, WITHOUT, draft)?,
        }
    }
    let arguments = flags.rest()?;
    read(Path::new(&file), draft)?;
    append(draft, arguments);
    Ok(())
}

pub(super) fn read(file: &Path, draft: &mut Draft) -> Result<(), MigrateError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| MigrateError::Read(file.to_owned(), error))?;
    let table =
        toml::from_str(&text).map_err(|error| MigrateError::Parse(file.to_owned(), error))?;
    take(&table, draft);
    Ok(())
}

fn take(file: &Table, draft: &mut Draft) {
    let mut build = file.get("build").and_then(Value::as_table).cloned().unwrap_or_default();
    for (key, value) in defaults() {
        build.entry(key).or_insert(value);
    }
    let before = texts(&build, "pre_cmd");
    let command = text(&build, "cmd").map(str::to_owned);
    // What is run is last, so that all others are its build.
    let run = ["entrypoint", "full_bin", "bin"].into_iter().find_map(|key| run(build.get(key)?));
    let mut steps = before;
    steps.extend(command);
    steps.push(run.unwrap_or_default());
    shell::steps(draft, &steps);
    append(draft, texts(&build, "args_bin"));

    match text(file, "root") {
        None | Some("." | "") => {}
        Some(root) => draft.set("directory", root),
    }
    // What air writes itself.
    let scratch = text(file, "tmp_dir").unwrap_or("tmp").trim_matches('/');
    draft.add("ignore", format!("/{scratch}/"));
    for (key, value) in &build {
        take_key(key, value, scratch, draft);
    }
    for (key, value) in
        file.iter().filter(|(key, _)| !["root", "tmp_dir", "build"].contains(&key.as_str()))
    {
        left_out(key, value, draft);
    }
}

/// What air takes where a file says nothing.
fn defaults() -> Table {
    let list = |texts: &[&str]| Value::from(texts.to_vec());
    [
        ("cmd", "go build -o ./tmp/main .".into()),
        ("bin", "./tmp/main".into()),
        ("include_ext", list(&["go", "tpl", "tmpl", "html"])),
        ("exclude_dir", list(&["assets", "tmp", "vendor", "testdata"])),
        ("exclude_regex", list(&["_test.go"])),
        ("delay", 1000.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn take_key(key: &str, value: &Value, scratch: &str, draft: &mut Draft) {
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
        "delay" => milliseconds(key, "settle", value, draft),
        "kill_delay" => milliseconds(key, "grace", value, draft),
        "poll_interval" => milliseconds(key, "poll", value, draft),
        "poll" => {
            if value.as_bool() == Some(true) && draft.get("poll").is_none() {
                draft.set("poll", "500ms");
            }
        }
        other => left_out(&format!("build.{other}"), value, draft),
    }
}

/// Says of a key that does something that nothing is taken over of it.
fn left_out(key: &str, value: &Value, draft: &mut Draft) {
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

fn milliseconds(key: &str, to: &'static str, value: &Value, draft: &mut Draft) {
    // An integer below a million is taken for milliseconds, above for nanoseconds, as air does.
    let time = match value {
        Value::Integer(number) if *number >= 1_000_000 && key == "kill_delay" => {
            Some(format!("{}ms", number / 1_000_000))
        }
        // air takes its least interval of a poll for 0.
        Value::Integer(number) if *number <= 0 && to == "poll" => return,
        Value::Integer(number) if *number >= 0 => Some(format!("{number}ms")),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    match time.filter(|time| crate::config::parse_duration(time).is_ok()) {
        Some(time) => draft.set(to, time),
        None => draft.note(format!("air's build.{key} {value} is left out: it is no duration")),
    }
}

/// What is run, as a shell reads it.
fn run(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Array(list) => {
            let words: Vec<_> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            (!words.is_empty()).then(|| shell::joined(&words))
        }
        _ => None,
    }
}

/// Adds arguments to the command.
fn append(draft: &mut Draft, arguments: Vec<String>) {
    if arguments.is_empty() {
        return;
    }
    let mut words = match draft.get("command") {
        Some(Value::String(text)) => shlex::split(text).unwrap_or_default(),
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    if let [shell, flag, script] = &mut words[..]
        && shell == "sh"
        && flag == "-c"
    {
        *script = format!("{script} {}", shell::joined(&arguments));
    } else {
        words.extend(arguments);
    }
    draft.command("command", &words);
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

fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

fn texts(table: &Table, key: &str) -> Vec<String> {
    let list = table.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".air.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path.display().to_string())
    }

    #[test]
    fn an_empty_file_is_what_air_takes_for_it() {
        let (_folder, path) = file("");
        assert_eq!(
            keys(&path),
            "build = \"go build -o ./tmp/main .\"\ncommand = \"./tmp/main\"\n\
             ignore = [\"/tmp/\", \"/assets/\", \"/vendor/\", \"/testdata/\", \"*_test.go\"]\n\
             settle = \"1000ms\"\nextensions = [\"go\", \"tpl\", \"tmpl\", \"html\"]\noverlap = false"
        );
        assert!(!told(&path).contains("left out"));
    }

    #[test]
    fn has_a_key_for_each_of_air_that_means_one() {
        let (_folder, path) = file(
            r#"
            root = "api"
            tmp_dir = "out"
            [build]
            pre_cmd = ["go generate"]
            cmd = "go build -o ./out/main ."
            bin = "out/main"
            full_bin = "APP_ENV=dev APP_USER=air ./out/main"
            args_bin = ["hello", "big world"]
            include_ext = ["go"]
            exclude_dir = ["web/dist", "out"]
            include_dir = ["cmd"]
            include_file = ["conf.json"]
            exclude_file = ["gen.go"]
            exclude_regex = ["_test\\.go$", "^a|b"]
            exclude_unchanged = true
            delay = 200
            kill_delay = "0.5s"
            poll = true
            poll_interval = 600
            "#,
        );
        assert_eq!(
            keys(&path),
            "env = { APP_ENV = \"dev\", APP_USER = \"air\" }\n\
             build = \"sh -c 'go generate && go build -o ./out/main .'\"\n\
             command = \"./out/main hello 'big world'\"\ndirectory = \"api\"\n\
             ignore = [\"/out/\", \"/web/dist/\", \"/gen.go\", \"*_test.go\"]\nsettle = \"200ms\"\n\
             watch = [\"cmd\"]\nextensions = [\"go\"]\n\
             rules = [{ do = \"build\", files = \"/conf.json\" }]\ngrace = \"0.5s\"\n\
             poll = \"600ms\"\noverlap = false"
        );
        assert!(told(&path).contains("exclude_regex ^a|b is left out"));
        let command = keys(&format!("air -c {path} -- more"));
        assert!(command.contains("./out/main hello 'big world' more"), "{command}");
    }

    #[test]
    fn an_entrypoint_comes_before_the_older_keys() {
        let (_folder, path) = file("[build]\nentrypoint = [\"./tmp/a b\", \"-x\"]\nbin = \"no\"");
        assert!(keys(&path).contains("command = \"'./tmp/a b' -x\""));
    }

    #[test]
    fn names_each_key_that_it_does_not_take_over() {
        for (text, key) in [
            ("testdata_dir = 'a'", "testdata_dir"),
            ("color = { main = 'red' }", "color"),
            ("log = { time = true }", "log"),
            ("screen = { clear_on_rebuild = true }", "screen"),
            ("misc = { clean_on_exit = true }", "misc"),
            ("proxy = { enabled = true }", "proxy"),
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
