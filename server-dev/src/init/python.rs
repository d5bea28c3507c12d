//! An ASGI application, by the module that makes it.

use std::{fs, path::Path};

use crate::draft::Draft;

/// Where an application is usually made.
const FILES: [&str; 6] =
    ["main.py", "app.py", "asgi.py", "app/main.py", "src/main.py", "api/main.py"];
/// What one is made by.
const CLASSES: [&str; 5] = ["FastAPI", "Starlette", "Litestar", "Quart", "Sanic"];

pub(super) fn find(directory: &Path, name: &str) -> Option<Draft> {
    let (file, variable) = FILES.iter().find_map(|file| {
        let text = fs::read_to_string(directory.join(file)).ok()?;
        Some((file, application(&text)?))
    })?;
    let module = file.trim_end_matches(".py").replace('/', ".");
    let mut words: Vec<String> = Vec::new();
    let has = |file: &str| directory.join(file).exists();
    if has("uv.lock") {
        words.extend(["uv".into(), "run".into()]);
    } else if has("poetry.lock") {
        words.extend(["poetry".into(), "run".into()]);
    }
    words.extend(["uvicorn".into(), format!("{module}:{variable}"), "--fd".into(), "3".into()]);
    let mut draft = Draft::new(name);
    draft.command("command", &words);
    // The port is given later.
    draft.set("sockets", vec!["http::0"]);
    draft.set("extensions", vec!["py", "toml", "env"]);
    draft.set("ignore", vec![".venv/", "venv/", "test_*.py", "*_test.py"]);
    Some(draft)
}

/// The variable of a line `app = FastAPI(…)` or `app: FastAPI = FastAPI(…)`, at the module's level.
fn application(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (left, right) = line.split_once('=')?;
        let name = left.split(':').next()?.trim_end();
        let class = right.trim_start().split_once('(')?.0;
        let class = class.rsplit('.').next()?;
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let is_module_level = !name.is_empty() && name.chars().all(is_name);
        (is_module_level && CLASSES.contains(&class)).then(|| name.to_owned())
    })
}
