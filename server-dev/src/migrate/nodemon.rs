//! nodemon, which takes its own flags wherever they are and leaves the others to the command.

use std::path::Path;

use super::{
    MigrateError,
    flags::{
        Flags, MESSAGES,
        Takes::{Nothing, Value},
        Without,
    },
    shell,
};
use crate::{config::poll_interval, draft::Draft};

/// What it looks at when it isn't told.
const EXTENSIONS: [&str; 4] = ["js", "mjs", "cjs", "json"];
/// What runs a file of another extension.
const RUN_BY: [(&str, &str); 3] = [("ts", "ts-node"), ("py", "python"), ("rb", "ruby")];

const WITHOUT: &[Without] = &[
    (&["-q", "--quiet", "-V", "--verbose", "--dump", "--no-colors"], Nothing, MESSAGES),
    (&["--no-update-notifier"], Nothing, MESSAGES),
    (&["-s", "--signal"], Value, "a server is told to end by SIGTERM"),
    (&["-C", "--on-change-only"], Nothing, "the server is started at once"),
    (&["-I", "--no-stdin"], Nothing, "stdin is not read"),
    (&["--exitcrash"], Nothing, "a server that fails is started by the next change"),
    (&["--spawn"], Nothing, "processes are always in a group of their own"),
    (&["--config"], Value, "its keys are for this file"),
];

pub(super) fn read(words: &[String], draft: &mut Draft) -> Result<(), MigrateError> {
    let mut flags = Flags::new("nodemon", words);
    let (mut run, mut arguments) = (None, Vec::new());
    while let Some(word) = flags.next_or_word()? {
        match word.as_str() {
            "-e" | "--ext" => {
                for extension in flags.value()?.split([',', ' ']).filter(|it| !it.is_empty()) {
                    draft.add("extensions", extension.trim_start_matches(['*', '.']));
                }
            }
            "-w" | "--watch" => watch(&flags.value()?, draft),
            "-i" | "--ignore" => draft.add("ignore", flags.value()?),
            "-x" | "--exec" => run = Some(flags.value()?),
            "-d" | "--delay" => flags.time("settle", &word, "s", draft)?,
            "-P" | "--polling-interval" => flags.time("poll", &word, "ms", draft)?,
            "-L" | "--legacy-watch" if draft.get("poll").is_some() => {}
            "-L" | "--legacy-watch" => draft.set("poll", poll_interval().to_string()),
            "--cwd" => flags.directory(draft)?,
            "--" => {
                arguments.extend(flags.rest()?);
                break;
            }
            flag if WITHOUT.iter().any(|(names, ..)| names.contains(&flag)) => {
                flags.left_out(flag, WITHOUT, draft)?;
            }
            _ => arguments.push(flags.kept(word)),
        }
    }
    let script = arguments.iter().find(|word| !word.starts_with('-'));
    let extension = script.and_then(|script| Path::new(script).extension()?.to_str());
    let extension = extension.map(str::to_owned);
    let is_other = |it: &&String| !EXTENSIONS.contains(&it.as_str());
    if draft.get("extensions").is_none() {
        match extension.as_ref().filter(is_other) {
            Some(extension) => draft.add("extensions", extension.as_str()),
            None => EXTENSIONS.iter().for_each(|it| draft.add("extensions", *it)),
        }
    }
    let run_by = |extension: &str| RUN_BY.iter().find(|(known, _)| *known == extension);
    if let Some(run) = run {
        shell::steps(draft, &[run], &arguments);
    } else {
        let by = extension.as_deref().and_then(run_by).map_or("node", |(_, by)| by);
        if script.is_none() {
            // What its package.json calls its main file.
            arguments.push(".".to_owned());
        }
        arguments.insert(0, by.to_owned());
        draft.command("command", &arguments);
    }
    if Path::new("nodemon.json").exists() {
        draft.note("nodemon.json is not read: its keys are for this file.");
    }
    Ok(())
}

/// Takes a path, of a glob the folders before it.
fn watch(path: &str, draft: &mut Draft) {
    let is_glob = |part: &&str| part.contains(['*', '?', '[', '{']);
    if !path.split('/').any(|part| is_glob(&part)) {
        return draft.add("watch", path);
    }
    let before: Vec<_> = path.split('/').take_while(|part| !is_glob(part)).collect();
    draft.note(format!("nodemon --watch {path}: all of its folder counts"));
    draft.add("watch", if before.is_empty() { ".".to_owned() } else { before.join("/") });
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, told};

    #[test]
    fn has_a_key_for_each_flag_that_means_one() {
        let js = "extensions = [\"js\", \"mjs\", \"cjs\", \"json\"]\n";
        for (line, want) in [
            ("nodemon server.js", format!("{js}command = \"node server.js\"")),
            ("nodemon", format!("{js}command = \"node .\"")),
            (
                "npx nodemon -e js,.html -w src --watch 'lib/**/*.js' --ignore 'test/*' --inspect server.js 80",
                "extensions = [\"js\", \"html\"]\nwatch = [\"src\", \"lib\"]\nignore = [\"test/*\"]\n\
                 command = \"node --inspect server.js 80\""
                    .to_owned(),
            ),
            (
                "nodemon app.ts -d 2.5 -L",
                "settle = \"2.5s\"\npoll = \"500ms\"\nextensions = [\"ts\"]\ncommand = \"ts-node app.ts\""
                    .to_owned(),
            ),
            (
                "cross-env A=b nodemon --exec 'python -v' app.py -- -x",
                "env = { A = \"b\" }\nextensions = [\"py\"]\ncommand = \"python -v app.py -x\"".to_owned(),
            ),
            (
                "nodemon -e ts --exec 'npm run build && node dist/a.js'",
                "extensions = [\"ts\"]\nbuild = \"npm run build\"\ncommand = \"node dist/a.js\""
                    .to_owned(),
            ),
        ] {
            assert_eq!(keys(line), format!("{want}\noverlap = false"), "{line}");
        }
        let text = told("nodemon -q --signal SIGINT server.js");
        assert!(text.contains("nodemon --signal SIGINT is left out: "), "{text}");
    }
}
