//! Whether the programs of the commands are there.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::Finding;
use crate::{
    config::{Service, Words},
    exec,
};

/// Programs that start the server as a child of their own, and the argument by which they do.
const WRAPPERS: [(&str, Option<&str>); 10] = [
    ("npm", None),
    ("npx", None),
    ("pnpm", None),
    ("yarn", None),
    ("bun", Some("run")),
    ("uv", Some("run")),
    ("poetry", Some("run")),
    ("go", Some("run")),
    ("make", None),
    ("just", None),
];

pub(super) fn check(service: &Service) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(build) = &service.build {
        found.push(of_command(service, build));
    }
    let program = service.command.program();
    match find(service, program) {
        // The first build makes it.
        Err(_) if service.build.is_some() && program.contains('/') => {
            found.push(Finding::fine(format!("{program} is not there yet; the build makes it")));
        }
        _ => found.push(of_command(service, &service.command)),
    }
    if service.listen_pid && !service.sockets.is_empty() && is_wrapper(&service.command) {
        found.push(Finding::warning(format!(
            "{program} starts the server as a child, which LISTEN_PID doesn't name: say listen_pid = \
             false"
        )));
    }
    found
}

fn of_command(service: &Service, command: &Words) -> Finding {
    let program = command.program();
    match find(service, program) {
        Ok(_) if program.contains('/') => Finding::fine(format!("{program} is there")),
        Ok(path) => Finding::fine(format!("{program} is {}", path.display())),
        Err(why) => Finding::error(format!("{program} can't be run: {why}")),
    }
}

/// Finds a program as execvp(3) does.
fn find(service: &Service, program: &str) -> Result<PathBuf, String> {
    if program.contains('/') {
        let path = service.directory.join(program);
        return match is_program(&path) {
            Some(true) => Ok(path),
            Some(false) if path.is_dir() => Err("it is a folder".to_owned()),
            Some(false) => Err(format!("it isn't executable, see chmod +x {program}")),
            None => Err(exec::why_missing(program, &service.directory)),
        };
    }
    let path = service.env.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH"));
    let path = path.unwrap_or_default();
    let folders = env::split_paths(&path).map(|folder| service.directory.join(folder));
    folders
        .map(|folder| folder.join(program))
        .find(|path| is_program(path) == Some(true))
        .ok_or_else(|| exec::why_missing(program, &service.directory))
}

/// `None` where there is nothing.
fn is_program(path: &Path) -> Option<bool> {
    let found = path.metadata().ok()?;
    Some(found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn is_wrapper(command: &Words) -> bool {
    let name = Path::new(command.program()).file_name().and_then(|name| name.to_str());
    let order = command.arguments().first().map(String::as_str);
    WRAPPERS.iter().any(|(wrapper, by)| name == Some(*wrapper) && (by.is_none() || *by == order))
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn service(directory: &Path, change: impl FnOnce(&mut Service)) -> Vec<Finding> {
        let mut service = Service::of(Words::parse("./web").unwrap());
        service.directory = directory.to_owned();
        change(&mut service);
        check(&service)
    }

    #[test]
    fn names_the_programs_that_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let words = |text: &str| Words::parse(text).unwrap();
        std::fs::write(folder.path().join("text"), "").unwrap();
        for (command, build, levels) in [
            ("sh -c true", None, vec![Level::Fine]),
            ("no-such-program", None, vec![Level::Error]),
            ("./web", None, vec![Level::Error]),
            ("./web", Some("sh"), vec![Level::Fine, Level::Fine]),
            ("./web", Some("no-such-program"), vec![Level::Error, Level::Fine]),
            ("./text", None, vec![Level::Error]),
            ("web", Some("sh"), vec![Level::Fine, Level::Error]),
        ] {
            let found = service(folder.path(), |service| {
                service.command = words(command);
                service.build = build.map(words);
            });
            let got: Vec<_> = found.iter().map(|it| it.level).collect();
            assert_eq!(got, levels, "{command}: {found:?}");
        }
    }

    #[test]
    fn looks_into_the_path_of_the_service_itself() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("bin/tool");
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(&tool, "").unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        let found = service(folder.path(), |service| {
            service.command = Words::parse("tool").unwrap();
            service.env.insert("PATH".into(), "bin".into());
        });
        assert_eq!(found, [Finding::fine(format!("tool is {}", tool.display()))]);
    }

    #[test]
    fn warns_of_a_pid_that_names_somebody_else() {
        let folder = tempfile::tempdir().unwrap();
        for (command, is_warned) in [
            ("npm start", true),
            ("go run .", true),
            ("go build", false),
            ("node server.js", false),
        ] {
            let found = service(folder.path(), |service| {
                service.command = Words::parse(command).unwrap();
                service.sockets = vec!["http::0".parse().unwrap()];
            });
            let warned = found.iter().any(|it| it.text.contains("listen_pid = false"));
            assert_eq!(warned, is_warned, "{command}");
        }
    }
}
