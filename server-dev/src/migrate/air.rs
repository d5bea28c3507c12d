//! air, by the keys of its .air.toml; what it takes for those that are missing is taken here as well.

mod keys;

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
    read(Path::new(&file), arguments, draft)
}

/// Reads a file; `arguments` are for the server, after those that it names.
pub(super) fn read(
    file: &Path,
    arguments: Vec<String>,
    draft: &mut Draft,
) -> Result<(), MigrateError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| MigrateError::Read(file.to_owned(), error))?;
    let table =
        toml::from_str(&text).map_err(|error| MigrateError::Parse(file.to_owned(), error))?;
    take(&table, arguments, draft);
    Ok(())
}

fn take(file: &Table, arguments: Vec<String>, draft: &mut Draft) {
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
    let mut all = texts(&build, "args_bin");
    all.extend(arguments);
    shell::steps(draft, &steps, &all);

    match text(file, "root") {
        None | Some("." | "") => {}
        Some(root) => draft.set("directory", root),
    }
    // What air writes itself.
    let scratch = text(file, "tmp_dir").unwrap_or("tmp").trim_matches('/');
    draft.add("ignore", format!("/{scratch}/"));
    // air reads its interval only where it polls.
    if build.get("poll").and_then(Value::as_bool) != Some(true) {
        build.remove("poll_interval");
    }
    for (key, value) in &build {
        keys::take(key, value, scratch, draft);
    }
    if let Some(proxy) = file.get("proxy").and_then(Value::as_table) {
        keys::proxy(proxy, draft);
    }
    for (key, value) in file
        .iter()
        .filter(|(key, _)| !["root", "tmp_dir", "build", "proxy"].contains(&key.as_str()))
    {
        keys::left_out(key, value, draft);
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

    pub(super) fn file(text: &str) -> (tempfile::TempDir, String) {
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
    fn its_proxy_is_the_one_here() {
        let (_folder, path) = file("[proxy]\nenabled = true\nproxy_port = 3000\napp_port = 4000");
        let told = told(&path);
        assert!(told.contains("\nsockets = [\"http::3000\"]\nproxy = \"port\""), "{told}");
        assert!(told.contains("proxy.app_port 4000 is left out: "), "{told}");
        assert!(!told.contains("overlap"), "{told}");
        let (_folder, path) = file("[proxy]\nenabled = false");
        assert!(!keys(&path).contains("proxy"));
    }

    #[test]
    fn an_interval_alone_has_nothing_polled() {
        for (text, polls) in [
            ("poll = false\npoll_interval = 500", false),
            ("poll_interval = 500", false),
            ("poll = true\npoll_interval = 900", true),
        ] {
            let (_folder, path) = file(&format!("[build]\n{text}"));
            assert_eq!(keys(&path).contains("poll = \"900ms\""), polls, "{text}");
            assert_eq!(keys(&path).contains("poll"), polls, "{text}");
        }
    }

    #[test]
    fn an_entrypoint_comes_before_the_older_keys() {
        let (_folder, path) = file("[build]\nentrypoint = [\"./tmp/a b\", \"-x\"]\nbin = \"no\"");
        assert!(keys(&path).contains("command = \"'./tmp/a b' -x\""));
    }
}
