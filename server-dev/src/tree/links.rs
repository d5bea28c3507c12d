//! Symbolic links, and all that they lead through.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// The kernel follows no more symbolic links than this in one path (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The links of a tree, each with the places that it leads through: whatever happens at one of them may
/// have changed what the link shows.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_link: BTreeMap<PathBuf, Vec<PathBuf>>,
    by_place: HashMap<PathBuf, BTreeSet<PathBuf>>,
    /// How many places are in each folder.
    folders: HashMap<PathBuf, usize>,
}

/// Where a link leads.
#[derive(Debug)]
pub(super) struct Led {
    /// The folders that it leads through, which are to be watched.
    pub(super) through: BTreeSet<PathBuf>,
    /// Those that it led through before, and no other does.
    pub(super) unused: Vec<PathBuf>,
    /// Whether it led elsewhere before.
    pub(super) is_new: bool,
}

impl Links {
    /// Takes a link as it leads now.
    pub(super) fn insert(&mut self, link: &Path) -> Led {
        let places = places(link);
        let folders = places.iter().filter_map(|place| place.parent());
        let through = folders.map(Path::to_owned).collect();
        if self.by_link.get(link) == Some(&places) {
            return Led { through, unused: Vec::new(), is_new: false };
        }
        let mut unused = self.remove(link);
        for place in &places {
            self.by_place.entry(place.clone()).or_default().insert(link.to_owned());
            if let Some(folder) = place.parent() {
                *self.folders.entry(folder.to_owned()).or_default() += 1;
            }
        }
        self.by_link.insert(link.to_owned(), places);
        unused.retain(|folder| !self.folders.contains_key(folder));
        Led { through, unused, is_new: true }
    }

    /// Forgets a link, and returns the folders that no other leads through.
    pub(super) fn remove(&mut self, link: &Path) -> Vec<PathBuf> {
        let mut unused = Vec::new();
        for place in self.by_link.remove(link).unwrap_or_default() {
            if let Some(links) = self.by_place.get_mut(&place) {
                links.remove(link);
                if links.is_empty() {
                    self.by_place.remove(&place);
                }
            }
            let Some(folder) = place.parent() else { continue };
            if let Some(count) = self.folders.get_mut(folder) {
                *count -= 1;
                if *count == 0 {
                    self.folders.remove(folder);
                    unused.push(folder.to_owned());
                }
            }
        }
        unused
    }

    /// The links at a path, and below it.
    pub(super) fn below(&self, path: &Path) -> Vec<PathBuf> {
        let links = self.by_link.range(path.to_owned()..).map(|(link, _)| link);
        links.take_while(|link| link.starts_with(path)).cloned().collect()
    }

    /// The links that lead through a place.
    pub(super) fn through(&self, place: &Path) -> impl Iterator<Item = &PathBuf> {
        self.by_place.get(place).into_iter().flatten()
    }
}

/// Every place that a link leads through, from the root on, up to what it shows or to where that would have
/// to be; none of them has a link above it.
fn places(link: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let mut here = PathBuf::new();
    let mut ahead = names(link);
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        here.push(&name);
        if name == "/" {
            continue;
        }
        places.push(here.clone());
        match fs::symlink_metadata(&here) {
            Ok(found) if found.is_symlink() => {}
            Ok(_) => continue,
            Err(_missing) => break,
        }
        links += 1;
        let Ok(target) = fs::read_link(&here) else { break };
        if links > MAX_LINKS {
            break;
        }
        here.pop();
        // An absolute one has the root as its first name, and `push` begins anew there.
        for name in names(&target).into_iter().rev() {
            ahead.push_front(name);
        }
    }
    places
}

fn names(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter(|part| *part != Component::CurDir);
    names.map(|part| part.as_os_str().to_owned()).collect()
}

pub(super) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn leads_through_every_folder_and_link_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("tree")).unwrap();
        fs::create_dir_all(root.join("v1/sub")).unwrap();
        symlink("v1", root.join("current")).unwrap();
        symlink("../current/./sub/../file", root.join("tree/link")).unwrap();
        let after_root = |places: Vec<PathBuf>| {
            let below = |place: &PathBuf| Some(place.strip_prefix(&root).ok()?.to_owned());
            places.iter().filter_map(below).map(|place| place.display().to_string()).collect()
        };
        let found: Vec<String> = after_root(places(&root.join("tree/link")));
        assert_eq!(found, ["", "tree", "tree/link", "current", "v1", "v1/sub", "v1/file"]);
        symlink(root.join("round"), root.join("round")).unwrap();
        assert!(places(&root.join("round")).len() > MAX_LINKS, "and it ends");
    }

    #[test]
    fn a_folder_is_unused_once_no_link_leads_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["a", "ab", "b"] {
            symlink("out/file", root.join(name)).unwrap();
        }
        fs::create_dir(root.join("out")).unwrap();
        let mut links = Links::default();
        for name in ["a", "ab", "b"] {
            let led = links.insert(&root.join(name));
            assert!(led.is_new && led.through.contains(&root.join("out")));
            let led = links.insert(&root.join(name));
            assert!(!led.is_new && led.through.contains(&root), "twice is once");
        }
        assert_eq!(links.through(&root.join("out/file")).count(), 3);
        assert_eq!(links.below(&root.join("a")), [root.join("a")]);
        assert_eq!(links.below(&root).len(), 3);
        assert_eq!(links.remove(&root.join("a")), [] as [PathBuf; 0]);
        links.remove(&root.join("ab"));
        assert!(links.remove(&root.join("b")).contains(&root.join("out")));
        assert_eq!(links.through(&root.join("out/file")).count(), 0);
    }
}
