//! Whether the filesystem of each root tells of edits.

use std::path::Path;

use super::{Finding, shown};
use crate::{
    config::Service,
    tree::filesystem::{kind, silent},
};

pub(super) fn check(service: &Service) -> Vec<Finding> {
    // What isn't there is told of by `ignored`.
    let roots = service.watch.iter().filter(|root| service.directory.join(root).exists());
    roots.map(|root| of_root(service, root)).collect()
}

fn of_root(service: &Service, root: &Path) -> Finding {
    let path = service.directory.join(root);
    let shown = shown(service, root);
    let silent = silent(&path);
    let Some(kind) = silent.map(str::to_owned).or_else(|| kind(&path)) else {
        return Finding::warning(format!("{shown}: its filesystem can't be told"));
    };
    Finding::fine(match silent {
        _ if service.poll.is_some() => format!("{shown} is on {kind}, and is polled"),
        Some(_) => format!(
            "{shown} is on {kind}, which does not tell of every change, and is polled as well"
        ),
        None => format!("{shown} is on {kind}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::config::Words;

    #[test]
    fn finds_the_filesystem_of_a_root() {
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = "/proc".into();
        assert_eq!(check(&service), [Finding::fine("/proc is on proc")]);
        service.poll = Some(crate::config::poll_interval());
        let found = &check(&service)[0];
        assert_eq!(
            (found.level, found.text.as_str()),
            (Level::Fine, "/proc is on proc, and is polled")
        );
        service.directory = "/missing".into();
        assert_eq!(check(&service), []);
    }
}
