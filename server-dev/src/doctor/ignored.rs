//! What counts below each root, and why nothing does where that is so.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf, absolute},
};

use ignore::gitignore::Gitignore;

use super::{Finding, shown, watches::WatchNeed};
use crate::{
    config::Service,
    report::counted,
    tree::{CACHE, Filter, Tree},
};

pub(super) fn check(service: &Service, need: &mut WatchNeed) -> Vec<Finding> {
    let is_told = service.poll.is_none();
    need.instances += usize::from(is_told);
    let mut watched = BTreeSet::new();
    let found = service.watch.iter().map(|root| of_root(service, root, &mut watched)).collect();
    if is_told {
        need.watches += watched.len();
    }
    found
}

fn of_root(service: &Service, root: &Path, watched: &mut BTreeSet<PathBuf>) -> Finding {
    let path = service.directory.join(root);
    let shown = shown(service, root);
    if !path.exists() {
        return Finding::error(format!("{shown} is to be watched, and is not there"));
    }
    let mut only = service.clone();
    only.watch = vec![root.to_owned()];
    let filter = match Filter::of(&only) {
        Ok(filter) => filter,
        Err(error) => return Finding::error(crate::failure::chain(&error)),
    };
    let tree = Tree::new(filter, *service.settle, service.poll.map(Into::into));
    watched.append(&mut tree.survey());
    let (files, folders) = tree.size();
    // A root is entered whatever is said of it as a whole.
    let is_cache = path.join(CACHE).exists();
    let by = ignored_by(&path).or_else(|| is_cache.then(|| format!("its {CACHE}")));
    match (files, by) {
        (0, Some(by)) => {
            Finding::error(format!("nothing below {shown} counts: all of it is ignored by {by}"))
        }
        (0, None) => Finding::error(format!("nothing below {shown} counts{}", extensions(service))),
        (_, Some(by)) => Finding::warning(format!(
            "{shown} is watched, though it is ignored by {by}: what a build writes there would begin \
             another"
        )),
        (_, None) => {
            let (files, folders) = (counted(files, "file"), counted(folders, "folder"));
            Finding::fine(format!("{files} in {folders} of {shown} may begin a build"))
        }
    }
}

fn extensions(service: &Service) -> String {
    if service.extensions.is_empty() {
        return "; is it empty, or ignored as a whole?".to_owned();
    }
    format!("; no file that isn't ignored ends in .{}", service.extensions.join(" or ."))
}

/// The line of a `.gitignore` or `.ignore` above by which all of a folder is ignored.
fn ignored_by(root: &Path) -> Option<String> {
    let root = absolute(root).ok()?;
    // `./` and the like are no part of a name.
    let root: PathBuf = root.components().collect();
    for folder in root.ancestors() {
        for name in [".ignore", ".gitignore"] {
            let file = folder.join(name);
            if !file.exists() {
                continue;
            }
            // Lines that can't be read are ignored by git as well.
            let (lines, _unread) = Gitignore::new(&file);
            // A line of the folder itself may be of all that is in it.
            let probe = root.join("any");
            let found = match lines.matched_path_or_any_parents(&root, true) {
                ignore::Match::None if folder == root => lines.matched(&probe, false),
                found => found,
            };
            match found {
                ignore::Match::Ignore(glob) => {
                    return Some(format!("{:?} in {}", glob.original(), file.display()));
                }
                ignore::Match::Whitelist(_) => return None,
                ignore::Match::None => {}
            }
        }
        // Beyond the repository git looks no further.
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::config::Words;

    fn found(files: &[(&str, &str)], change: impl FnOnce(&mut Service)) -> (Finding, WatchNeed) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = folder.path().to_owned();
        change(&mut service);
        let mut need = WatchNeed::default();
        (check(&service, &mut need).remove(0), need)
    }

    #[test]
    fn counts_what_has_to_be_watched() {
        let files =
            [("a.rs", ""), ("src/b.rs", ""), ("target/c.rs", ""), (".gitignore", "target/")];
        let (finding, need) = found(&files, |service| service.extensions = vec!["rs".into()]);
        assert_eq!(finding.level, Level::Fine, "{finding:?}");
        assert!(finding.text.contains("2 files in 2 folders of "), "{finding:?}");
        // Two of its own, and those that it is in: that is what tests/tree_filter.rs finds as well.
        let above = std::env::temp_dir().canonicalize().unwrap().ancestors().count();
        assert_eq!((need.watches, need.instances), (2 + above, 1));
        let poll = |service: &mut Service| service.poll = Some(crate::config::poll_interval());
        let (_, need) = found(&files, poll);
        assert_eq!((need.watches, need.instances), (0, 0));
    }

    type Files = &'static [(&'static str, &'static str)];
    type Change = fn(&mut Service);

    #[test]
    fn says_why_nothing_counts() {
        let rust = |service: &mut Service| service.extensions = vec!["rs".into()];
        let out = |service: &mut Service| service.watch = vec!["out".into()];
        let missing = |service: &mut Service| service.watch = vec!["missing".into()];
        let all = |service: &mut Service| service.ignore = vec!["*".into()];
        let nothing = |_: &mut Service| {};
        let table: [(Files, Change, Level, &str); 8] = [
            (&[("a.go", "")], rust, Level::Error, "no file that isn't ignored ends in .rs"),
            (&[], nothing, Level::Error, "is it empty"),
            (&[("a", "")], missing, Level::Error, "missing is to be watched, and is not there"),
            (&[("a", "")], all, Level::Error, "is it empty, or ignored"),
            (&[("a", ""), (".gitignore", "*\n")], nothing, Level::Error, "ignored by \"*\" in "),
            (&[("a", ""), (CACHE, "")], nothing, Level::Warning, "ignored by its CACHEDIR.TAG"),
            (
                &[("out/a", ""), (".gitignore", "/out/")],
                out,
                Level::Warning,
                "ignored by \"/out/\" in ",
            ),
            (
                &[("out/a", ""), (".ignore", "!out"), (".gitignore", "out")],
                out,
                Level::Fine,
                "1 file in 1 folder of ",
            ),
        ];
        for (files, change, level, words) in table {
            let (finding, _) = found(files, change);
            assert_eq!(finding.level, level, "{files:?}: {finding:?}");
            assert!(finding.text.contains(words), "{files:?}: {finding:?}");
        }
    }
}
