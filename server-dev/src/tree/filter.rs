//! Which files count, and what a change of each does.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};

use super::{
    extensions::{Extensions, InvalidExtension},
    ignored::{Ignored, says_what_counts},
    links::is_link,
    names::{absolute, anywhere, by_its_folder, plain},
};
use crate::{
    config::{Action, Service},
    timespan::Timespan,
};

/// Nobody sees an edit sooner, and whatever looks more often has the processor busy.
const SHORTEST_POLL: Timespan = Timespan::milliseconds(10);

/// Tells the files that count from the others.
#[derive(Debug)]
pub(crate) struct Filter {
    directory: PathBuf,
    roots: Vec<PathBuf>,
    extensions: Extensions,
    ignored: Ignored,
    rules: Vec<(GlobMatcher, Action)>,
    /// Its variables are a process's from its start on, so that an edit restarts the service.
    env_file: PathBuf,
    /// What never counts, whatever is said: the file that says it.
    apart: Option<PathBuf>,
}

/// Why a service's files can't be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidFilter {
    #[error("{} can't be watched", .0.display())]
    Root(PathBuf, #[source] std::io::Error),
    #[error("{0:?} is no glob")]
    Ignore(String, #[source] ignore::Error),
    #[error("{0:?} is no glob")]
    Rule(String, #[source] globset::Error),
    #[error(transparent)]
    Extension(#[from] InvalidExtension),
    #[error("`poll` is {0}; files are looked at every {SHORTEST_POLL} at most")]
    Poll(Timespan),
}

impl Filter {
    pub(crate) fn of(service: &Service) -> Result<Self, InvalidFilter> {
        if let Some(poll) = service.poll.filter(|poll| **poll < *SHORTEST_POLL) {
            return Err(InvalidFilter::Poll(poll));
        }
        let absolute = |path: &Path| {
            absolute(path).map_err(|error| InvalidFilter::Root(path.to_owned(), error))
        };
        let directory = absolute(&service.directory)?;
        let roots = service.watch.iter().map(|root| absolute(&directory.join(root)));
        let mut roots = roots.collect::<Result<Vec<_>, _>>()?;
        let env_file = plain(&directory.join(service.env_file()));
        // It is a root of its own, since git mostly ignores it; and may come later.
        roots.push(env_file.clone());
        let ignored = Ignored::of(&directory, &service.ignore)?;
        let rules = service.rules();
        let rules = rules.iter().map(|rule| {
            let glob = anywhere(&rule.files);
            let glob = Glob::new(&glob).map_err(|e| InvalidFilter::Rule(rule.files.clone(), e))?;
            Ok((glob.compile_matcher(), rule.action))
        });
        let rules = rules.collect::<Result<_, InvalidFilter>>()?;
        Ok(Self {
            directory,
            roots,
            extensions: Extensions::of(&service.extensions)?,
            ignored,
            rules,
            env_file,
            apart: None,
        })
    }

    /// Has a file not count, as somebody else follows it.
    pub(crate) fn without(self, file: Option<&Path>) -> Self {
        Self { apart: file.and_then(by_its_folder), ..self }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The folders that tell when a root itself is replaced.
    pub(super) fn above_roots(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().flat_map(|root| root.ancestors().skip(1))
    }

    pub(super) fn extensions(&self) -> &[String] {
        self.extensions.as_slice()
    }

    pub(super) fn env_file(&self) -> &Path {
        &self.env_file
    }

    /// Walks what is below `root`, folders that don't count left out before they are entered.
    pub(super) fn walk(&self, root: &Path, depth: Option<usize>) -> ignore::Walk {
        self.ignored.walk(root, depth)
    }

    /// Whether a link is followed into the folder that it leads to: as what is below a root counts by its
    /// own name, only out of all of them.
    ///
    /// And not out of a folder that another link leads to: what links there are in a store of packages
    /// lead to all of it, by more ways than can be walked.
    pub(super) fn follows(&self, link: &Path) -> bool {
        if !is_link(link) || !link.is_dir() || !self.ignored.enters(link) {
            return false;
        }
        let above = link.ancestors().skip(1);
        if above.take_while(|folder| self.roots.iter().all(|root| root != folder)).any(is_link) {
            return false;
        }
        let Ok(target) = link.canonicalize() else { return false };
        let roots = self.roots.iter().filter(|root| root.is_dir());
        let mut roots = roots.filter_map(|root| root.canonicalize().ok());
        roots.all(|root| !root.starts_with(&target) && !target.starts_with(&root))
    }

    /// Whether what has happened to a path may change anything; told without a look at it.
    pub(super) fn concerns(&self, path: &Path, is_folder: bool) -> bool {
        let is_above = |path: &Path| self.roots.iter().any(|root| root.starts_with(path));
        if is_above(path) || says_what_counts(path) {
            return true;
        }
        self.roots.iter().any(|root| path.starts_with(root))
            && !self.ignored.has(path, is_folder)
            && (is_folder || self.action(path).is_some())
    }

    /// What a change of a file does; `None` where it doesn't count.
    pub(super) fn action(&self, path: &Path) -> Option<Action> {
        if let Some(apart) = &self.apart
            && apart.file_name() == path.file_name()
            && by_its_folder(path).as_ref() == Some(apart)
        {
            return None;
        }
        let relative = path.strip_prefix(&self.directory).unwrap_or(path);
        if let Some((_, action)) = self.rules.iter().find(|(glob, _)| glob.is_match(relative)) {
            return (*action != Action::Nothing).then_some(*action);
        }
        if path == self.env_file {
            return Some(Action::Restart);
        }
        let counts = path.file_name().is_some_and(|name| self.extensions.fit(name));
        counts.then_some(Action::Build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{ProxyMode, Rule, Words},
        tree::CACHE,
    };

    fn filter(directory: &Path, change: impl FnOnce(&mut Service)) -> Filter {
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = directory.to_owned();
        change(&mut service);
        Filter::of(&service).unwrap()
    }

    #[test]
    fn takes_the_first_rule_that_fits_then_the_extensions() {
        let directory = tempfile::tempdir().unwrap();
        let rule = |files: &str, action| Rule { files: files.to_owned(), action };
        let filter = filter(directory.path(), |service| {
            service.extensions = vec!["rs".into(), "toml".into()];
            service.rules = vec![
                rule("docs/", Action::Nothing),
                rule("*.css", Action::Css),
                rule("templates/*.html", Action::Reload),
                rule("/top.rs", Action::Restart),
            ];
        });
        for (path, action) in [
            ("src/main.rs", Some(Action::Build)),
            ("Cargo.toml", Some(Action::Build)),
            ("README.md", None),
            ("docs/a.rs", None),
            ("web/deep/a.css", Some(Action::Css)),
            ("templates/a.html", Some(Action::Reload)),
            ("other/a.html", None),
            ("top.rs", Some(Action::Restart)),
            ("src/top.rs", Some(Action::Build)),
        ] {
            assert_eq!(filter.action(&directory.path().join(path)), action, "{path}");
        }
    }

    #[test]
    fn behind_a_proxy_style_sheets_are_taken_anew_unless_there_is_a_rule() {
        let directory = tempfile::tempdir().unwrap();
        let sheet = directory.path().join("static/a.css");
        let of = |proxy, rules: &[Rule]| {
            let filter = filter(directory.path(), |service| {
                service.extensions = vec!["rs".into()];
                service.proxy = proxy;
                service.rules = rules.to_vec();
            });
            filter.action(&sheet)
        };
        let rule = Rule { files: "*.html".into(), action: Action::Reload };
        assert_eq!(of(Some(ProxyMode::Port), &[]), Some(Action::Css));
        assert_eq!(of(Some(ProxyMode::Port), &[rule]), None);
        assert_eq!(of(None, &[]), None);
    }

    #[test]
    fn enters_no_folder_that_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in ["src/a.rs", "_build/b.rs", "out/c.rs", ".git/d", "cache/e.rs", "kept/f.rs"] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), "").unwrap();
        }
        std::fs::write(root.join(".gitignore"), "out/\n").unwrap();
        std::fs::write(root.join("cache").join(CACHE), "").unwrap();
        let filter = filter(root, |service| service.ignore = vec!["_build/".into()]);
        let mut folders: Vec<_> = filter
            .walk(root, None)
            .flatten()
            .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_dir()))
            .map(|entry| entry.path().strip_prefix(root).unwrap().to_owned())
            .collect();
        folders.sort();
        assert_eq!(folders, [Path::new(""), Path::new("kept"), Path::new("src")]);
    }

    #[test]
    fn refuses_to_look_without_a_pause() {
        let directory = tempfile::tempdir().unwrap();
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = directory.path().to_owned();
        for (poll, is_fine) in [("0s", false), ("9ms", false), ("10ms", true), ("1s", true)] {
            service.poll = Some(poll.parse().unwrap());
            assert_eq!(Filter::of(&service).is_ok(), is_fine, "{poll}");
        }
        service.poll = Some("0s".parse().unwrap());
        let error = Filter::of(&service).unwrap_err().to_string();
        assert_eq!(error, "`poll` is 0s; files are looked at every 10ms at most");
    }

    #[test]
    fn names_the_glob_or_the_folder_that_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = directory.path().to_owned();
        service.rules = vec![Rule { files: "a{b".into(), action: Action::Css }];
        assert!(Filter::of(&service).unwrap_err().to_string().contains("a{b"));
        service.rules.clear();
        service.watch = vec!["missing".into()];
        assert!(Filter::of(&service).unwrap_err().to_string().contains("missing"));
    }
}
