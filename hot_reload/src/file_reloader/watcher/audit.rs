//! Periodic looks at files: identities are compared, contents never read.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{Follower, Notice, Whence, registry::ByAddress};
use crate::{
    busy::Busy,
    file_reloader::{identity::Identity, open},
    lock::lock,
};

/// What a follower has its files compared with.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Where they are, in the same order.
    paths: Arc<[PathBuf]>,
    files: Vec<Audited>,
    /// How often that was replaced.
    version: u64,
    rule: Rule,
    /// When the files were last read, where these may change unseen, or their loader read more than these.
    read_at: Option<Instant>,
}

/// A file, and what it was when it was last looked at.
#[derive(Debug, Clone, Copy)]
pub(in crate::file_reloader) struct Audited {
    /// `None`: it was not there.
    identity: Option<Identity>,
    /// The identity can't prove that the file is unchanged.
    doubtful: bool,
    /// What the follower was told of it, and has not looked at yet.
    told: Told,
}

impl Audited {
    pub(in crate::file_reloader) fn new(identity: Option<Identity>, doubtful: bool) -> Self {
        Self { identity, doubtful, told: Told::Nothing }
    }
}

/// What a follower was told of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it is this, or is not there; the same again where that was doubtful.
    Of(Option<Identity>),
}

/// What else an audit does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::file_reloader) enum Rule {
    /// Looks here, at the identities alone.
    #[default]
    Compare,
    /// Has the follower look for itself: the files are on a server that may not answer.
    Delegate,
    /// Has the follower read every time.
    Read,
}

impl Follower {
    /// Has the files at `paths` compared with what they were `found` to be.
    pub(in crate::file_reloader) fn set_baseline(
        &self,
        paths: &Arc<[PathBuf]>,
        found: impl ExactSizeIterator<Item = Audited>,
        rule: Rule,
        read_at: Option<Instant>,
    ) {
        let mut audit = lock(&self.audit);
        // Mostly they are the same, and the count that all copies share is left alone.
        if !Arc::ptr_eq(&audit.paths, paths) {
            audit.paths = Arc::clone(paths);
        }
        audit.files.clear();
        audit.files.reserve_exact(found.len());
        audit.files.extend(found);
        audit.version += 1;
        audit.rule = rule;
        audit.read_at = read_at;
    }

    /// Looks at the files once, and rings if they are not what they were.
    pub(super) fn look_at_files(&self) {
        if let Some(_at_work) = Busy::begin(&self.looking) {
            self.look_at_each();
        }
    }

    fn look_at_each(&self) {
        if let Some(notice) = self.audited() {
            self.bell.ring(notice, Whence::ANYWHERE);
        }
    }

    fn audited(&self) -> Option<Notice> {
        let mut audit = lock(&self.audit);
        match audit.rule {
            Rule::Read => Some(Notice::Doubtful),
            Rule::Delegate => Some(Notice::Due),
            Rule::Compare => {
                let paths = Arc::clone(&audit.paths);
                // Looks without the lock, since a file may be on a server that does not answer. Nobody else
                // needs these meanwhile: who has newer ones replaces them.
                let mut files = mem::take(&mut audit.files);
                let version = audit.version;
                drop(audit);
                let notice = compare(&mut files, &paths);
                let mut audit = lock(&self.audit);
                if audit.version != version {
                    return None;
                }
                audit.files = files;
                notice.or_else(|| self.reread_is_due(audit.read_at).then_some(Notice::Doubtful))
            }
        }
    }
}

/// Looks for a file that is not what it was.
fn compare(files: &mut [Audited], paths: &[PathBuf]) -> Option<Notice> {
    files.iter_mut().zip(paths).find_map(|(file, path)| {
        let found = open::identity(path);
        let is_doubt = found == file.identity;
        // Told once: until it has looked, the follower may be waiting for quiet.
        if (is_doubt && !file.doubtful) || file.told == Told::Of(found) {
            return None;
        }
        file.told = Told::Of(found);
        Some(if is_doubt { Notice::Doubtful } else { Notice::Differs })
    })
}

/// Followers whose loader may read more files than it names, or whose files may change unseen.
static OPAQUE: AtomicU32 = AtomicU32::new(0);
/// How many of them are had read in a second, in the whole process, though their files look
/// unchanged: enough that a few are read at every look, too few to be felt when they are thousands.
const REREADS_PER_SECOND: u32 = 100;

/// Counts a follower that is to be given the chance to read again, for as long as it lives.
#[derive(Debug)]
pub(in crate::file_reloader) struct Opaque(());

impl Opaque {
    pub(in crate::file_reloader) fn new() -> Self {
        // Relaxed: a count that nothing else depends on.
        OPAQUE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Opaque {
    fn drop(&mut self) {
        OPAQUE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Follower {
    /// Whether what has changed may not be seen, and is to be given the chance to be read again.
    fn reread_is_due(&self, read_at: Option<Instant>) -> bool {
        let Some(read_at) = read_at else { return false };
        let turn = Duration::from_secs(1) * OPAQUE.load(Ordering::Relaxed) / REREADS_PER_SECOND;
        // Those that were started together take their turns one after another.
        let mut spread = DefaultHasher::new();
        std::ptr::from_ref(self).hash(&mut spread);
        let turn = turn + turn * u32::from(spread.finish().to_ne_bytes()[0]) / 512;
        read_at.elapsed() >= turn.max(SHORTEST_TURN)
    }
}

/// As often as 0.3.6 could be told to poll; a little less, so that a poll every second is enough.
const SHORTEST_TURN: Duration = Duration::from_millis(900);

/// Every follower whose files are looked at, by how often.
///
/// Followers with the same interval are looked at together, so that ten thousand of them wake the
/// process as often as one.
#[derive(Default)]
pub(super) struct Audits {
    groups: HashMap<Duration, Group>,
}

struct Group {
    due: Instant,
    /// In the order of their memory, which is mostly the one in which they were made: a walk through
    /// thousands of them in another order waits for each.
    followers: BTreeSet<ByAddress>,
}

impl Audits {
    /// Enters a follower; true if that may make the next look due earlier.
    pub(super) fn add(
        &mut self,
        interval: Duration,
        follower: &Arc<Follower>,
        now: Instant,
    ) -> bool {
        let is_new = !self.groups.contains_key(&interval);
        let group = self
            .groups
            .entry(interval)
            .or_insert_with(|| Group { due: now + interval, followers: BTreeSet::new() });
        group.followers.insert(ByAddress(Arc::clone(follower)));
        is_new
    }

    pub(super) fn remove(&mut self, interval: Duration, follower: &Arc<Follower>) {
        if let Some(group) = self.groups.get_mut(&interval) {
            group.followers.remove(&ByAddress(Arc::clone(follower)));
            if group.followers.is_empty() {
                self.groups.remove(&interval);
            }
        }
    }

    /// When the next look is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.groups.values().map(|group| group.due).min()
    }

    /// Takes every follower that is due by `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<Follower>> {
        let mut due = Vec::new();
        for (interval, group) in &mut self.groups {
            if group.due <= now {
                due.extend(group.followers.iter().map(|ByAddress(one)| Arc::clone(one)));
                // Counted from now: after a pause of the machine, one look makes up for all.
                group.due = now + *interval;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        file_reloader::{
            FileSettings,
            error::FileError,
            load::{Load, Loaded},
            look::Looker,
            open::{How, Opened},
        },
        follow::{Look, Patience},
        options::ReloaderOptions,
    };

    struct Text;

    impl Load<Vec<u8>> for Text {
        fn load_at_once(
            &mut self,
            _: &Path,
            opened: &Opened,
            once_read: impl FnOnce(),
        ) -> Option<Result<Loaded<Vec<u8>>, FileError>> {
            let value = opened.read(64, How::Blocking).unwrap();
            once_read();
            Some(Ok(Loaded { value, dependencies: Vec::new() }))
        }

        async fn load(&mut self, _: &Path, _: Arc<Opened>) -> Result<Loaded<Vec<u8>>, FileError> {
            unreachable!("it is in memory")
        }
    }

    /// Audits once, and looks if that rings; returns the value that was found, once it is out.
    async fn audit(follower: &Arc<Follower>, looker: &mut Looker<Text>) -> Option<Look<Vec<u8>>> {
        follower.look_at_files();
        let hint = std::future::poll_fn(|cx| follower.bell.poll(cx));
        tokio::time::timeout(Duration::ZERO, hint).await.ok()?;
        loop {
            let mut attempt = looker.begin(Patience::Left);
            let outcome = match looker.look_at_once(&mut attempt) {
                Some(outcome) => outcome,
                None => looker.look(attempt).await,
            };
            match outcome.unwrap() {
                Look::Unsettled(wait) => tokio::time::sleep(wait).await,
                found => {
                    looker.end();
                    looker.follow_up();
                    return Some(found);
                }
            }
        }
    }

    fn is(found: Option<Look<Vec<u8>>>, want: &str) -> bool {
        matches!(found, Some(Look::Value(value)) if value == want.as_bytes())
    }

    #[tokio::test]
    #[cfg_attr(miri, ignore = "Miri has no poll(2)")]
    async fn a_value_that_is_out_is_what_the_files_are_compared_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let follower = Arc::<Follower>::default();
        // Nothing audits but this.
        let options = ReloaderOptions::polling().poll_interval(Duration::from_secs(3600));
        let settings = FileSettings::new(false);
        let mut looker = Looker::watched(path.clone(), &follower, Text, settings, &options);
        follower.bell.ring(Notice::Due, Whence::ANYWHERE);
        assert!(is(audit(&follower, &mut looker).await, "one"));
        for edit in ["two", "six"] {
            // The second is right after the first is out.
            fs::write(&path, edit).unwrap();
            // The baseline is set later only for a file whose times prove something.
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(is(audit(&follower, &mut looker).await, edit), "{edit}");
            assert_eq!(lock(&follower.audit).files[0].identity, open::identity(&path));
        }
        // What is too fresh to prove anything is read again; where nothing tells of writers, for as long as
        // one may be at it through a mapping.
        let until_quiet = async {
            while let Some(found) = audit(&follower, &mut looker).await {
                assert!(is(Some(found), "six"));
                if cfg!(any(not(target_os = "linux"), hot_reload_portable)) {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), until_quiet).await.unwrap();
    }
}
