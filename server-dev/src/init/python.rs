//! What is served in Python: an application, by the module that makes it, or a module that serves by itself.

mod application;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::application::Application;
use super::sockets;
use crate::draft::Draft;

/// Where a server usually is; of a project that says that it is one, others are looked at as well.
const FILES: [&str; 9] = [
    "main.py",
    "app.py",
    "asgi.py",
    "server.py",
    "wsgi.py",
    "app/main.py",
    "src/main.py",
    "api/main.py",
    "app/__init__.py",
];
/// What says of a folder that it is a project, and what it depends on.
const PROJECT: [&str; 3] = ["pyproject.toml", "requirements.txt", "Pipfile"];
/// Folders below the project in which a module is looked for.
const DEPTH: usize = 3;
/// What a program of a project is run by, and the file that says so.
const RUN_BY: [(&str, &str); 4] =
    [("uv.lock", "uv"), ("poetry.lock", "poetry"), ("pdm.lock", "pdm"), ("Pipfile.lock", "pipenv")];
/// Where the programs of an environment are.
const PROGRAMS: [&str; 2] = [".venv/bin", "venv/bin"];

pub(super) fn find(directory: &Path, name: &str) -> Option<Draft> {
    let project = Project::of(directory);
    let name = project.name().unwrap_or_else(|| name.to_owned());
    let mut draft = Draft::new(&name);
    if directory.join("manage.py").exists() {
        let command = project.program("python", &["manage.py", "runserver", "--noreload"]);
        in_shell(&mut draft, &command, "127.0.0.1:$PORT");
    } else {
        let (file, application) = project.application()?;
        let module = file.with_extension("").to_string_lossy().replace('/', ".");
        let module = module.trim_end_matches(".__init__");
        match application {
            Application::Asgi(variable) => {
                let application = format!("{module}:{variable}");
                let command = project.program("uvicorn", &[&application, "--fd", "3"]);
                draft.command("command", &command);
                draft.set("sockets", vec!["http::0"]);
            }
            Application::Flask(variable) if project.needs("gunicorn") && project.is_direct() => {
                draft.command(
                    "command",
                    &project.program("gunicorn", &[&format!("{module}:{variable}")]),
                );
                draft.set("sockets", vec!["http::0"]);
            }
            Application::Flask(variable) => {
                let application = format!("{module}:{variable}");
                let words = ["--app", &application, "run", "--no-reload"];
                in_shell(&mut draft, &project.program("flask", &words), "--port $PORT");
            }
            Application::Itself => {
                let file = file.to_string_lossy();
                draft.command("command", &project.program("python", &[&file]));
                sockets::pass(&mut draft, directory, &["py"]);
            }
        }
    }
    draft.set("extensions", vec!["py", "toml", "env"]);
    draft.set("ignore", vec![".venv/", "venv/", "test_*.py", "*_test.py"]);
    Some(draft)
}

/// A server that takes no socket, and its place as an argument, which only a shell can fill in.
fn in_shell(draft: &mut Draft, command: &[String], place: &str) {
    // None of its words has a NUL.
    let command = shlex::try_join(command.iter().map(String::as_str)).unwrap_or_default();
    draft.command("command", &["sh".into(), "-c".into(), format!("exec {command} {place}")]);
    sockets::behind_a_proxy(draft);
}

/// What is known of a folder.
struct Project<'a> {
    directory: &'a Path,
    /// All that says what it depends on; `None` where nothing does.
    needs: Option<String>,
}

impl<'a> Project<'a> {
    fn of(directory: &'a Path) -> Self {
        let texts = PROJECT.iter().filter_map(|file| fs::read_to_string(directory.join(file)).ok());
        Self { directory, needs: texts.reduce(|all, text| all + "\n" + &text) }
    }

    fn needs(&self, name: &str) -> bool {
        self.needs.as_ref().is_some_and(|needs| needs.contains(name))
    }

    /// What its pyproject.toml calls it.
    fn name(&self) -> Option<String> {
        let text = fs::read_to_string(self.directory.join("pyproject.toml")).ok()?;
        let table: toml::Table = toml::from_str(&text).ok()?;
        Some(table.get("project")?.get("name")?.as_str()?.to_owned())
    }

    /// Whether a program is run by itself, and by nothing that starts it as a child.
    fn is_direct(&self) -> bool {
        !RUN_BY.iter().any(|(lock, _)| self.directory.join(lock).exists())
    }

    /// A program of its environment, with what is said to it.
    fn program(&self, name: &str, words: &[&str]) -> Vec<String> {
        let by = RUN_BY.iter().find(|(lock, _)| self.directory.join(lock).exists());
        let mut command = if let Some((_, tool)) = by {
            vec![(*tool).to_owned(), "run".to_owned(), name.to_owned()]
        } else {
            let mut own = PROGRAMS.iter().map(|folder| format!("{folder}/{name}"));
            let own = own.find(|path| self.directory.join(path).exists());
            // Outside of an environment, `python` may be none, or an old one.
            let all = if name == "python" { "python3" } else { name };
            vec![own.unwrap_or_else(|| all.to_owned())]
        };
        command.extend(words.iter().map(|&word| word.to_owned()));
        command
    }

    /// What there is to be served, and the file that it is in: an application before a module that serves.
    fn application(&self) -> Option<(PathBuf, Application)> {
        let mut found: Vec<_> =
            FILES.iter().filter_map(|file| self.read(Path::new(file))).collect();
        if found.is_empty() && self.needs.is_some() {
            found.extend(self.sources().iter().filter_map(|file| self.read(file)));
        }
        let first = found.iter().position(|(_, it)| *it != Application::Itself).unwrap_or(0);
        (first < found.len()).then(|| found.swap_remove(first))
    }

    fn read(&self, file: &Path) -> Option<(PathBuf, Application)> {
        let text = fs::read_to_string(self.directory.join(file)).ok()?;
        Some((file.to_owned(), Application::of(&text)?))
    }

    /// Its modules, those of tests left out.
    fn sources(&self) -> Vec<PathBuf> {
        let walk = ignore::WalkBuilder::new(self.directory)
            .require_git(false)
            .max_depth(Some(DEPTH))
            .filter_entry(|entry| {
                let name = entry.file_name().to_string_lossy();
                !name.starts_with("test") && name != "venv" && name != "node_modules"
            })
            .sort_by_file_name(Ord::cmp)
            .build();
        let files = walk.flatten().map(ignore::DirEntry::into_path);
        let files = files.filter(|path| path.extension().is_some_and(|it| it == "py"));
        files.filter_map(|path| Some(path.strip_prefix(self.directory).ok()?.to_owned())).collect()
    }
}
