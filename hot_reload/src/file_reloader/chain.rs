//! Every name that a path depends on: what to watch so that no replacement goes unseen.

use std::{
    collections::VecDeque,
    ffi::OsString,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Component, Path, PathBuf},
};

/// The kernel follows no more symbolic links than this in one path (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// One directory and the name in it that a path goes through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    /// The directory, without symbolic links as of now.
    pub(super) dir: PathBuf,
    pub(super) name: OsString,
    /// Whether the path's content is, or is to be, directly behind this name.
    pub(super) last: bool,
}

/// Where a path leads now, hop by hop.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) hops: Vec<Hop>,
    /// What the path leads to, without symbolic links; `None` where it leads nowhere.
    pub(super) target: Option<PathBuf>,
    /// Equal for two chains that need the same watches.
    pub(super) fingerprint: u64,
}

impl Chain {
    /// Follows `path`, which is absolute, as far as it leads.
    ///
    /// Where a name is missing the chain ends with the deepest directory that exists, so that its
    /// watch tells when the name appears; the same where a name can't be looked at. Why it leads
    /// nowhere is what reading it will say.
    pub(super) fn resolve(path: &Path) -> Self {
        let mut chain = Self::default();
        let mut fingerprint = DefaultHasher::new();
        let mut at = PathBuf::new();
        let mut links = 0;
        let mut ahead: VecDeque<OsString> = VecDeque::new();
        push_front(&mut ahead, &mut at, path);
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let here = at.join(&name);
            let found = std::fs::symlink_metadata(&here).ok();
            let is_link = found.as_ref().is_some_and(std::fs::Metadata::is_symlink);
            let hop = Hop { dir: at.clone(), name, last: ahead.is_empty() && !is_link };
            hop.hash(&mut fingerprint);
            found.as_ref().map(number).hash(&mut fingerprint);
            chain.hops.push(hop);
            if found.is_none() {
                chain.fingerprint = fingerprint.finish();
                return chain;
            }
            if is_link {
                links += 1;
                match std::fs::read_link(&here) {
                    Ok(to) if links <= MOST_LINKS => push_front(&mut ahead, &mut at, &to),
                    _ => {
                        chain.fingerprint = fingerprint.finish();
                        return chain;
                    }
                }
            } else {
                at = here;
            }
        }
        chain.target = Some(at);
        chain.fingerprint = fingerprint.finish();
        chain
    }
}

/// Puts the components of `path` in front; an absolute one starts from its root.
fn push_front(ahead: &mut VecDeque<OsString>, at: &mut PathBuf, path: &Path) {
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
        *at = root;
    }
    for name in names.into_iter().rev() {
        ahead.push_front(name.to_owned());
    }
}

/// Tells one file or directory from another that has since taken its place.
#[cfg(unix)]
fn number(found: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Where there are no inode numbers, the time of creation stands in.
#[cfg(not(unix))]
fn number(found: &std::fs::Metadata) -> Option<std::time::SystemTime> {
    found.created().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(chain: &Chain, below: &Path) -> Vec<String> {
        chain
            .hops
            .iter()
            .filter(|hop| hop.dir.starts_with(below))
            .map(|hop| hop.dir.join(&hop.name).strip_prefix(below).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn goes_through_every_link_of_a_config_map() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("..1")).unwrap();
        std::fs::write(root.join("..1/config.toml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/config.toml", root.join("config.toml")).unwrap();

        let chain = Chain::resolve(&root.join("config.toml"));
        assert_eq!(names(&chain, &root), ["config.toml", "..data", "..1", "..1/config.toml"]);
        assert_eq!(chain.target, Some(root.join("..1/config.toml")));
        assert_eq!(chain.hops.iter().filter(|hop| hop.last).count(), 1);
    }

    #[test]
    fn ends_at_the_deepest_directory_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let chain = Chain::resolve(&root.join("a/b/config.toml"));
        assert_eq!(names(&chain, &root), ["a"]);
        assert_eq!(chain.target, None);
    }

    #[test]
    fn a_link_to_itself_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        assert_eq!(Chain::resolve(&dir.path().join("loop")).target, None);
    }

    #[test]
    fn a_directory_that_was_replaced_changes_the_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/config.toml");
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("config.toml"), "").unwrap();
        }
        let before = Chain::resolve(&path).fingerprint;
        assert_eq!(before, Chain::resolve(&path).fingerprint);
        std::fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        std::fs::rename(dir.path().join("b"), dir.path().join("a")).unwrap();
        assert_ne!(before, Chain::resolve(&path).fingerprint);
    }

    #[test]
    fn dots_and_parents_are_walked_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("x/y")).unwrap();
        std::fs::write(root.join("x/config.toml"), "").unwrap();
        symlink("x/y", root.join("link")).unwrap();
        let chain = Chain::resolve(&root.join("link/../config.toml"));
        assert_eq!(chain.target, Some(root.join("x/config.toml")));
    }
}
