//! One file, by every way that leads to it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use hot_reload::{ReloaderReceiver, ReloaderService, TomlFile, WatchStrategy};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use crate::common::{Config, PATIENCE, config, options, text};

/// What is done to the tree; an operation that can't be done as things are does nothing.
///
/// The followed path is `a/b/config.toml`; spare files and directories lie in the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Write(Content),
    /// Truncates and writes a first half, and keeps the file open.
    Begin,
    /// Writes the rest and closes.
    Finish,
    /// Closes without the rest.
    GiveUp,
    Replace(Content),
    Delete,
    /// Leads the path to a file in the root through a link.
    Link(u8),
    /// Writes a file that links may lead to.
    WriteTarget(u8, Content),
    /// Replaces a file that links may lead to.
    ReplaceTarget(u8, Content),
    DeleteTarget(u8),
    /// Gives the file a second name, and edits it through that.
    EditHardLink(Content),
    Touch,
    Chmod,
    /// Renames `a` or `a/b` away.
    Away(bool),
    /// Renames it back.
    Back(bool),
    /// Exchanges `a` or `a/b` with a spare tree that holds this.
    ReplaceParent(bool, Content),
    /// Makes `a` or `a/b` a link to a spare tree that holds this.
    LinkParent(bool, Content),
    RemoveParent(bool),
    MakeParents,
    /// Lets the service have a look, or not.
    Pause(u8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Valid(u8),
    Invalid,
    Empty,
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Valid(n) => text(&format!("value {n}")),
            Self::Invalid => "name = \"".to_owned(),
            Self::Empty => String::new(),
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        8 => any::<u8>().prop_map(Content::Valid),
        2 => Just(Content::Invalid),
        1 => Just(Content::Empty),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => content().prop_map(Op::Write),
        2 => Just(Op::Begin),
        2 => Just(Op::Finish),
        1 => Just(Op::GiveUp),
        4 => content().prop_map(Op::Replace),
        2 => Just(Op::Delete),
        3 => (0..2_u8).prop_map(Op::Link),
        2 => (0..2_u8, content()).prop_map(|(n, content)| Op::WriteTarget(n, content)),
        2 => (0..2_u8, content()).prop_map(|(n, content)| Op::ReplaceTarget(n, content)),
        1 => (0..2_u8).prop_map(Op::DeleteTarget),
        2 => content().prop_map(Op::EditHardLink),
        1 => Just(Op::Touch),
        1 => Just(Op::Chmod),
        2 => any::<bool>().prop_map(Op::Away),
        2 => any::<bool>().prop_map(Op::Back),
        2 => (any::<bool>(), content()).prop_map(|(upper, content)| Op::ReplaceParent(upper, content)),
        2 => (any::<bool>(), content()).prop_map(|(upper, content)| Op::LinkParent(upper, content)),
        1 => any::<bool>().prop_map(Op::RemoveParent),
        3 => Just(Op::MakeParents),
        5 => (0..30_u8).prop_map(Op::Pause),
    ]
}

/// The tree that a sequence is done to.
struct Tree {
    root: PathBuf,
    path: PathBuf,
    open: Option<File>,
    spares: u32,
}

impl Tree {
    fn new(root: &Path) -> Self {
        fs::create_dir_all(root.join("a/b")).unwrap();
        let path = root.join("a/b/config.toml");
        fs::write(&path, text("start")).unwrap();
        Self { root: root.to_owned(), path, open: None, spares: 0 }
    }

    fn parent(&self, upper: bool) -> PathBuf {
        self.root.join(if upper { "a" } else { "a/b" })
    }

    fn spare(&mut self) -> PathBuf {
        self.spares += 1;
        self.root.join(format!("spare{}", self.spares))
    }

    /// A directory fit to take the place of `a` or `a/b`.
    fn spare_tree(&mut self, upper: bool, content: &Content) -> io::Result<PathBuf> {
        let tree = self.spare();
        let inner = if upper { tree.join("b") } else { tree.clone() };
        fs::create_dir_all(&inner)?;
        fs::write(inner.join("config.toml"), content.text())?;
        Ok(tree)
    }

    fn put(&mut self, to: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let next = self.spare();
        make(&next)?;
        fs::rename(next, to)
    }

    fn clear(path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn target(&self, n: u8) -> PathBuf {
        self.root.join(format!("target{n}"))
    }

    fn apply(&mut self, op: &Op) -> io::Result<()> {
        let path = self.path.clone();
        match op {
            Op::Write(content) => fs::write(path, content.text()),
            Op::Begin => {
                let mut file = File::create(path)?;
                file.write_all(b"name = \"begun\"\n")?;
                self.open = Some(file);
                Ok(())
            }
            Op::Finish => {
                if let Some(mut file) = self.open.take() {
                    file.write_all(b"rest = \"whole\"\n")?;
                }
                Ok(())
            }
            Op::GiveUp => {
                self.open = None;
                Ok(())
            }
            Op::Replace(content) => self.put(&path, |next| fs::write(next, content.text())),
            Op::Delete => fs::remove_file(path),
            Op::Link(n) => {
                let target = self.target(*n);
                self.put(&path, |next| symlink(target, next))
            }
            Op::WriteTarget(n, content) => fs::write(self.target(*n), content.text()),
            Op::ReplaceTarget(n, content) => {
                let target = self.target(*n);
                self.put(&target, |next| fs::write(next, content.text()))
            }
            Op::DeleteTarget(n) => fs::remove_file(self.target(*n)),
            Op::EditHardLink(content) => {
                let other = self.spare();
                fs::hard_link(path, &other)?;
                fs::write(other, content.text())
            }
            Op::Touch => OpenOptions::new().append(true).open(path).map(drop),
            Op::Chmod => fs::set_permissions(path, fs::Permissions::from_mode(0o640)),
            Op::Away(upper) => {
                fs::rename(self.parent(*upper), self.root.join(format!("away{upper}")))
            }
            Op::Back(upper) => {
                let parent = self.parent(*upper);
                let _nothing_there = Self::clear(&parent);
                fs::rename(self.root.join(format!("away{upper}")), parent)
            }
            Op::ReplaceParent(upper, content) => {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let tree = self.spare_tree(*upper, content)?;
                renameat_with(CWD, tree, CWD, self.parent(*upper), RenameFlags::EXCHANGE)?;
                Ok(())
            }
            Op::LinkParent(upper, content) => {
                let tree = self.spare_tree(*upper, content)?;
                let parent = self.parent(*upper);
                let _nothing_there = Self::clear(&parent);
                symlink(tree, parent)
            }
            Op::RemoveParent(upper) => Self::clear(&self.parent(*upper)),
            Op::MakeParents => fs::create_dir_all(path.parent().unwrap()),
            Op::Pause(_) => Ok(()),
        }
    }
}

/// Does `ops` to a fresh tree that a service follows, and compares value and file at the end.
pub(super) async fn holds(strategy: WatchStrategy, ops: Vec<Op>) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(dir.path());
    let reloader = TomlFile::<Config>::from_path(&tree.path).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(reloader, options(strategy));
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    for op in &ops {
        // What can't be done as things are does nothing.
        let _refused = tree.apply(op);
        if let Op::Pause(ms) = op {
            sleep(Duration::from_millis((*ms).into())).await;
        }
    }
    tree.open = None;
    let outcome = agrees(&tree, &mut rx).await;
    task.abort();
    outcome
}

async fn agrees(tree: &Tree, rx: &mut ReloaderReceiver<Config, String>) -> Result<(), String> {
    let found = fs::read_to_string(&tree.path);
    let want = match &found {
        Ok(text) if !text.is_empty() => toml::from_str::<Config>(text).ok(),
        _ => None,
    };
    if want.is_none() {
        // It is none: the status says so, and what is mended arrives.
        let said = timeout(PATIENCE, async {
            while rx.status().last_error.is_none() {
                sleep(Duration::from_millis(2)).await;
            }
        });
        if said.await.is_err() {
            return Err(format!("no error for {found:?}: {:?}, {:?}", rx.get(), rx.status()));
        }
        let _nothing_there = Tree::clear(&tree.parent(true));
        fs::create_dir_all(tree.parent(false)).unwrap();
        fs::write(&tree.path, text("mended")).unwrap();
    }
    let want = want.unwrap_or_else(|| config("mended"));
    let arrived = timeout(PATIENCE, async {
        while rx.get().as_ref() != Some(&want) {
            rx.changed().await.unwrap();
        }
    });
    if arrived.await.is_err() {
        return Err(format!("{want:?} did not arrive: {:?}, {:?}", rx.get(), rx.status()));
    }
    Ok(())
}
