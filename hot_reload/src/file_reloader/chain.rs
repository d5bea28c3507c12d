//! Every place that a path depends on: what to watch so that no replacement goes unseen.

use std::{
    collections::VecDeque,
    ffi::OsString,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Component, Path, PathBuf},
};

use super::open::{self, Filesystems, Glance, How, WouldBlock};

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
    /// The device that it is on; `None` where it is gone.
    pub(super) device: Option<u64>,
    /// When what has that name changed last, if it is a link: nanoseconds since 1970.
    pub(super) turned: Option<i64>,
    /// Equal for the same name in the same directory, and for the same target.
    pub(super) sum: u64,
}

/// What a place is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A directory on the way to another: for its own moves and its end. The other one tells of
    /// its own, so what else happens in a busy directory such as /tmp wakes nobody.
    Through,
    /// A directory on the way to a link to another, or to nothing yet: for names that come and go.
    Way,
    /// The directory of the content, or of a link to it: for the end of the writing of a new file as well.
    Parent,
    /// The same where nothing else tells of the writers of a content that is not watched itself yet: for its
    /// modification as well.
    Untold,
    /// The content: for edits, through whatever name of it.
    File,
    /// A directory that is followed for its own sake: for everything in it.
    Directory,
}

/// Follows `paths`, which are absolute, each as far as it leads; with [`How::Cached`], only over
/// filesystems that are known to answer.
///
/// Where a name is missing a way ends with the deepest directory that exists, so that its watch
/// tells when the name appears; the same where a name can't be looked at, or is that of a file where
/// a directory has to be. Why it leads nowhere is what reading it will say.
pub(super) fn stops(
    paths: &[PathBuf],
    how: How,
    filesystems: &Filesystems,
) -> Result<Vec<Stop>, WouldBlock> {
    let mut stops = Vec::new();
    for path in paths {
        let at = Place { path: PathBuf::new(), found: None };
        Walk { at, ahead: VecDeque::new(), how, filesystems }.along(path, &mut stops)?;
    }
    Ok(stops)
}

/// The walk along one path.
struct Walk<'a> {
    /// How far it has come.
    at: Place,
    /// The names that are still to come.
    ahead: VecDeque<OsString>,
    how: How,
    filesystems: &'a Filesystems,
}

impl Walk<'_> {
    fn along(mut self, path: &Path, stops: &mut Vec<Stop>) -> Result<(), WouldBlock> {
        let mut content = Kind::Directory;
        let mut links = 0;
        self.turn_to(path)?;
        while let Some(name) = self.ahead.pop_front() {
            if name == ".." {
                self.at.path.pop();
                self.at.found = self.glance(&self.at.path)?;
                content = Kind::Directory;
                continue;
            }
            let here = self.at.path.join(&name);
            let found = self.glance(&here)?;
            let is_link = found.is_some_and(|found| found.is_link);
            let is_dir = found.is_some_and(|found| found.is_dir);
            let kind = match (self.ahead.is_empty(), is_dir) {
                // Also where it is a link: the next to have its name may be the content.
                (true, _) => Kind::Parent,
                (false, true) => Kind::Through,
                (false, false) => Kind::Way,
            };
            let turned = found.filter(|found| found.is_link).map(|found| found.changed);
            stops.push(Stop { turned, ..self.at.stop(Some(name), kind) });
            // Nothing is below a file, and nothing there can be watched.
            let leads_on = is_dir || is_link || self.ahead.is_empty();
            if found.is_none() || !leads_on {
                return Ok(());
            }
            if is_link {
                links += 1;
                match std::fs::read_link(&here) {
                    Ok(to) if links <= MOST_LINKS => self.turn_to(&to)?,
                    _ => return Ok(()),
                }
            } else {
                self.at = Place { path: here, found };
                content = if is_dir { Kind::Directory } else { Kind::File };
            }
        }
        stops.push(self.at.stop(None, content));
        Ok(())
    }

    /// Puts the components of `path` in front; an absolute one starts from its root.
    fn turn_to(&mut self, path: &Path) -> Result<(), WouldBlock> {
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
            self.at = Place { found: self.glance(&root)?, path: root };
        }
        for name in names.into_iter().rev() {
            self.ahead.push_front(name.to_owned());
        }
        Ok(())
    }

    fn glance(&self, path: &Path) -> Result<Option<Glance>, WouldBlock> {
        open::glance(path, self.how, self.filesystems)
    }
}

/// A directory or file on the way.
struct Place {
    path: PathBuf,
    found: Option<Glance>,
}

impl Place {
    fn stop(&self, name: Option<OsString>, kind: Kind) -> Stop {
        let number = self.found.map(|found| (found.device, found.inode));
        let mut sum = DefaultHasher::new();
        (&self.path, number, &name).hash(&mut sum);
        let device = self.found.map(|found| found.device);
        Stop { path: self.path.clone(), name, kind, device, turned: None, sum: sum.finish() }
    }
}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn stops(path: &Path) -> Vec<Stop> {
        super::stops(&[path.to_owned()], How::Blocking, &Filesystems::default()).unwrap()
    }

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
    fn ends_where_a_file_is_in_the_place_of_a_directory() {
        let (_dir, root) = real_tempdir();
        std::fs::write(root.join("a"), "").unwrap();
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
