//! Every place that a path depends on: what to watch so that no replacement goes unseen.

use std::{
    collections::VecDeque,
    ffi::OsString,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Component, Path, PathBuf},
};

/// The kernel follows no more symbolic links than this in one path (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// One place to watch.
#[derive(Debug)]
pub(super) struct Stop {
    /// What to watch: a directory, or what the path leads to, without symbolic links as of now.
    pub(super) path: PathBuf,
    /// The name in the directory that the path goes through.
    pub(super) name: Option<OsString>,
    pub(super) kind: Kind,
    /// Equal for the same name in the same directory, and for the same target.
    pub(super) sum: u64,
}

/// What a place is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A directory on the way to another: for its own moves and its end. The other one tells of
    /// its own, so what else happens in a busy directory such as /tmp wakes nobody.
    Through,
    /// A directory on the way to a link, or to nothing yet: for names that come and go.
    Way,
    /// The directory of the content: for the end of the writing of a new file as well.
    Parent,
    /// The content: for edits, through whatever name of it.
    File,
    /// A directory that is followed for its own sake: for everything in it.
    Directory,
}

/// Follows `path`, which is absolute, as far as it leads.
///
/// Where a name is missing the way ends with the deepest directory that exists, so that its watch
/// tells when the name appears; the same where a name can't be looked at. Why it leads nowhere is
/// what reading it will say.
pub(super) fn stops(path: &Path) -> Vec<Stop> {
    let mut stops = Vec::new();
    let mut at = Place { path: PathBuf::new(), number: None };
    let mut content = Kind::Directory;
    let mut links = 0;
    let mut ahead = VecDeque::new();
    push_front(&mut ahead, &mut at, path);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.path.pop();
            at.number = number_at(&at.path);
            content = Kind::Directory;
            continue;
        }
        let here = at.path.join(&name);
        let found = std::fs::symlink_metadata(&here).ok();
        let is_link = found.as_ref().is_some_and(std::fs::Metadata::is_symlink);
        let is_dir = found.as_ref().is_some_and(std::fs::Metadata::is_dir);
        let kind = match (ahead.is_empty(), is_link, is_dir) {
            (true, false, _) => Kind::Parent,
            (false, _, true) => Kind::Through,
            _ => Kind::Way,
        };
        stops.push(at.stop(Some(name), kind));
        let Some(found) = found else { return stops };
        if is_link {
            links += 1;
            match std::fs::read_link(&here) {
                Ok(to) if links <= MOST_LINKS => push_front(&mut ahead, &mut at, &to),
                _ => return stops,
            }
        } else {
            at = Place { path: here, number: Some(number(&found)) };
            content = if is_dir { Kind::Directory } else { Kind::File };
        }
    }
    stops.push(at.stop(None, content));
    stops
}

/// A directory or file on the way.
struct Place {
    path: PathBuf,
    number: Option<Number>,
}

impl Place {
    fn stop(&self, name: Option<OsString>, kind: Kind) -> Stop {
        let mut sum = DefaultHasher::new();
        (&self.path, self.number, &name, kind).hash(&mut sum);
        Stop { path: self.path.clone(), name, kind, sum: sum.finish() }
    }
}

/// Puts the components of `path` in front; an absolute one starts from its root.
fn push_front(ahead: &mut VecDeque<OsString>, at: &mut Place, path: &Path) {
    let mut names = Vec::new();
    let mut root = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir => root.push(component),
            Component::CurDir => {}
            Component::ParentDir | Component::Normal(_) => names.push(component.as_os_str()),
        }
    }
    if !root.as_os_str().is_empty() {
        *at = Place { number: number_at(&root), path: root };
    }
    for name in names.into_iter().rev() {
        ahead.push_front(name.to_owned());
    }
}

fn number_at(path: &Path) -> Option<Number> {
    std::fs::symlink_metadata(path).ok().as_ref().map(number)
}

/// Tells one file or directory from another that has since taken its place.
#[cfg(unix)]
type Number = (u64, u64);

#[cfg(unix)]
fn number(found: &std::fs::Metadata) -> Number {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Where there are no inode numbers, the time of creation stands in.
#[cfg(not(unix))]
type Number = Option<std::time::SystemTime>;

#[cfg(not(unix))]
fn number(found: &std::fs::Metadata) -> Number {
    found.created().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(stops: &[Stop], below: &Path) -> Vec<String> {
        stops
            .iter()
            .filter_map(|stop| Some(stop.path.join(stop.name.as_ref()?)))
            .filter_map(|path| Some(path.strip_prefix(below).ok()?.display().to_string()))
            .filter(|name| !name.is_empty())
            .collect()
    }

    fn target(stops: &[Stop]) -> Option<&Path> {
        stops.last().filter(|stop| stop.name.is_none()).map(|stop| stop.path.as_path())
    }

    fn real_tempdir() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        (dir, root)
    }

    #[test]
    fn goes_through_every_link_of_a_config_map() {
        let (_dir, root) = real_tempdir();
        std::fs::create_dir(root.join("..1")).unwrap();
        std::fs::write(root.join("..1/config.toml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/config.toml", root.join("config.toml")).unwrap();

        let stops = stops(&root.join("config.toml"));
        assert_eq!(names(&stops, &root), ["config.toml", "..data", "..1", "..1/config.toml"]);
        assert_eq!(target(&stops), Some(&*root.join("..1/config.toml")));
    }

    #[test]
    fn ends_at_the_deepest_directory_that_exists() {
        let (_dir, root) = real_tempdir();
        let stops = stops(&root.join("a/b/config.toml"));
        assert_eq!(names(&stops, &root), ["a"]);
        assert_eq!(target(&stops), None);
    }

    #[test]
    fn a_link_to_itself_leads_nowhere() {
        let (_dir, root) = real_tempdir();
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(target(&stops(&root.join("loop"))), None);
    }

    #[test]
    fn a_directory_that_was_replaced_is_another_place() {
        let (_dir, root) = real_tempdir();
        let path = root.join("a/config.toml");
        for name in ["a", "b"] {
            std::fs::create_dir(root.join(name)).unwrap();
            std::fs::write(root.join(name).join("config.toml"), "").unwrap();
        }
        let sums = || stops(&path).iter().map(|stop| stop.sum).collect::<Vec<_>>();
        let before = sums();
        assert_eq!(before, sums());
        std::fs::rename(root.join("a"), root.join("c")).unwrap();
        std::fs::rename(root.join("b"), root.join("a")).unwrap();
        let after = sums();
        let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
        // The directory's own watch and the file's are others; those above stay.
        assert_eq!(before.len() - same, 2);
    }

    #[test]
    fn parents_are_walked_as_the_kernel_does() {
        let (_dir, root) = real_tempdir();
        std::fs::create_dir_all(root.join("x/y")).unwrap();
        std::fs::write(root.join("x/config.toml"), "").unwrap();
        symlink("x/y", root.join("link")).unwrap();
        let stops = stops(&root.join("link/../config.toml"));
        assert_eq!(target(&stops), Some(&*root.join("x/config.toml")));
    }
}
