//! Periodic looks at files: identities are compared, contents never read.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    path::PathBuf,
    sync::{
        Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{Follower, Notice, Whence};
use crate::{
    file_reloader::{identity::Identity, open::Address},
    lock::lock,
};

/// What a follower has its files compared with: all that it takes to find them unchanged, so that the
/// follower itself, wherever in memory that is, is left alone.
#[derive(Debug, Default)]
pub(super) struct Audit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    files: Files,
    /// How often these were replaced, by whichever follower.
    version: u32,
    /// The version that is being compared, which on a dead disk may take for ever.
    looking: Option<u32>,
    rule: Rule,
    /// When the files were last read, where these may change unseen, or their loader read more than these.
    read_at: Option<Instant>,
    /// What is told once that is to be done again; there with that, and apart for the room it takes.
    reread: Option<Notice>,
    /// Who is rung.
    follower: Weak<Follower>,
}

/// Files that belong together.
#[derive(Debug, Default)]
struct Files {
    main: Option<File>,
    /// Mostly none.
    others: Box<[File]>,
}

/// Where a file is, and what it was.
#[derive(Debug)]
struct File {
    address: Address,
    was: Audited,
}

/// A file as it was when it was last looked at.
#[derive(Debug)]
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
#[derive(Debug)]
enum Told {
    Nothing,
    /// That it is this, or is not there; the same again where that was doubtful.
    Of(Box<Option<Identity>>),
}

/// What else an audit does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::file_reloader) enum Rule {
    /// Looks here, at the identities alone.
    #[default]
    Compare,
    /// Has the follower look for itself: the files are on a server that may not answer.
    Delegate,
    /// Has the follower load every time.
    Load,
}

impl Follower {
    /// Has the files at `paths` compared with what they were `found` to be, if they are looked at now
    /// and then.
    pub(in crate::file_reloader) fn set_baseline(
        &self,
        paths: &[PathBuf],
        found: impl Iterator<Item = Audited>,
        rule: Rule,
        reread: Option<(Instant, Notice)>,
    ) {
        if let Some(seat) = &*lock(&self.seat) {
            seat.audit().compare_with(Files::new(paths, found), rule, reread);
        }
    }
}

impl Audit {
    /// Has the files of another follower compared, as soon as it says with what; those of the one
    /// before are forgotten, also where they are being looked at, be it the same one with another interval.
    pub(super) fn assign_to(&self, follower: Weak<Follower>) {
        let mut state = lock(&self.0);
        let version = state.version.wrapping_add(1);
        *state = State { version, follower, ..State::default() };
    }

    fn compare_with(&self, files: Files, rule: Rule, reread: Option<(Instant, Notice)>) {
        let mut state = lock(&self.0);
        state.version = state.version.wrapping_add(1);
        (state.files, state.rule) = (files, rule);
        (state.read_at, state.reread) = reread.unzip();
    }

    /// Looks at the files once, and rings if they are not what they were.
    pub(super) fn look(&self) {
        let mut state = lock(&self.0);
        if state.looking.is_some() {
            return;
        }
        let notice = match state.rule {
            Rule::Load => Some(Notice::Overdue),
            Rule::Delegate => Some(Notice::Due),
            Rule::Compare => {
                // Looks without the lock, since a file may be on a server that does not answer.
                let mut look = state.begin();
                drop(state);
                let notice = look.files.compare();
                state = lock(&self.0);
                state.end(look, notice)
            }
        };
        let Some(notice) = notice else { return };
        let follower = Weak::clone(&state.follower);
        drop(state);
        if let Some(follower) = follower.upgrade() {
            follower.bell.ring(notice, Whence::ANYWHERE);
        }
    }
}

/// Files that are being looked at.
struct Looking {
    files: Files,
    version: u32,
}

impl State {
    fn begin(&mut self) -> Looking {
        self.looking = Some(self.version);
        // Nobody else needs them meanwhile: who has newer ones replaces them.
        Looking { files: mem::take(&mut self.files), version: self.version }
    }

    /// Returns what is to be told of what was noticed; nothing if the files were replaced meanwhile.
    fn end(&mut self, look: Looking, notice: Option<Notice>) -> Option<Notice> {
        self.looking.take_if(|version| *version == look.version);
        if self.version != look.version {
            return None;
        }
        self.files = look.files;
        notice.or_else(|| self.reread_if_due())
    }
}

impl Files {
    fn new(paths: &[PathBuf], found: impl Iterator<Item = Audited>) -> Self {
        let files = paths.iter().zip(found);
        let mut files = files.map(|(path, was)| File { address: Address::of(path), was });
        Self { main: files.next(), others: files.collect() }
    }

    /// Looks for a file that is not what it was.
    fn compare(&mut self) -> Option<Notice> {
        self.main.iter_mut().chain(&mut self.others).find_map(File::compare)
    }
}

impl File {
    fn compare(&mut self) -> Option<Notice> {
        let found = self.address.identity();
        let is_doubt = found == self.was.identity;
        // Told once: until it has looked, the follower may be waiting for quiet.
        if (is_doubt && !self.was.doubtful) || self.was.told.is_of(found) {
            return None;
        }
        self.was.told = Told::Of(Box::new(found));
        Some(if is_doubt { Notice::Doubtful } else { Notice::Differs })
    }
}

impl Told {
    fn is_of(&self, found: Option<Identity>) -> bool {
        matches!(self, Self::Of(told) if **told == found)
    }
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

impl State {
    /// What is told where what has changed may not be seen, if it is time for that.
    fn reread_if_due(&self) -> Option<Notice> {
        let (read_at, notice) = self.read_at.zip(self.reread)?;
        let turn = Duration::from_secs(1) * OPAQUE.load(Ordering::Relaxed) / REREADS_PER_SECOND;
        // Those that were started together take their turns one after another.
        let mut spread = DefaultHasher::new();
        self.follower.as_ptr().hash(&mut spread);
        let turn = turn + turn * u32::from(spread.finish().to_ne_bytes()[0]) / 512;
        (read_at.elapsed() >= turn.max(SHORTEST_TURN)).then_some(notice)
    }
}

/// As often as 0.3.6 could be told to poll; a little less, so that a poll every second is enough.
const SHORTEST_TURN: Duration = Duration::from_millis(900);

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::Arc,
        task::{Context, Waker},
    };

    use super::*;
    use crate::{
        file_reloader::{
            FileSettings,
            bell::Demand,
            error::FileError,
            load::{Load, Loaded},
            look::Looker,
            open::{self, How, Opened},
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
            Some(Ok(Loaded { value, dependencies: Vec::new(), sum: None }))
        }

        async fn load(&mut self, _: &Path, _: Arc<Opened>) -> Result<Loaded<Vec<u8>>, FileError> {
            unreachable!("it is in memory")
        }
    }

    /// Audits once, and looks if that rings; returns the value that was found, once it is out.
    async fn audit(follower: &Arc<Follower>, looker: &mut Looker<Text>) -> Option<Look<Vec<u8>>> {
        if let Some(seat) = &*lock(&follower.seat) {
            seat.audit().look();
        }
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

    fn baseline(follower: &Follower) -> Option<Identity> {
        let seat = lock(&follower.seat);
        let state = lock(&seat.as_ref()?.audit().0);
        state.files.main.as_ref()?.was.identity
    }

    fn is(found: Option<Look<Vec<u8>>>, want: &str) -> bool {
        matches!(found, Some(Look::Value(value)) if value == want.as_bytes())
    }

    fn file(is_doubtful: bool) -> Files {
        let found = Audited::new(None, is_doubtful);
        Files::new(&["/nowhere".into()], [found].into_iter())
    }

    fn is_rung(follower: &Follower) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        follower.bell.poll(&mut cx).is_ready()
    }

    /// Of thousands, each line has to come from memory.
    #[test]
    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(hot_reload_portable)))]
    fn takes_no_more_than_three_lines() {
        assert!(size_of::<Audit>() <= 3 * 64);
    }

    /// Where only the files count, what they hold is enough; all else is up to their loader.
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no stat(2)")]
    fn what_may_change_unseen_is_told_of_as_was_asked_for() {
        let (audit, follower) = (Audit::default(), Arc::<Follower>::default());
        audit.assign_to(Arc::downgrade(&follower));
        for (age, notice, demand) in [
            (0, Notice::Doubtful, Demand::Nothing),
            (10, Notice::Doubtful, Demand::Read),
            (10, Notice::Overdue, Demand::Load),
        ] {
            let read_at = Instant::now() - age * SHORTEST_TURN;
            audit.compare_with(file(false), Rule::Compare, Some((read_at, notice)));
            audit.look();
            let heard = follower.bell.take_reasons();
            assert_eq!(heard.demand, demand, "{age} {notice:?}");
        }
    }

    /// As on a dead disk.
    #[test]
    fn what_hangs_is_not_looked_at_again_until_it_has_ended() {
        let (audit, follower) = (Audit::default(), Arc::<Follower>::default());
        audit.assign_to(Arc::downgrade(&follower));
        audit.compare_with(file(false), Rule::Compare, None);
        let hanging = lock(&audit.0).begin();
        for rule in [Rule::Compare, Rule::Delegate, Rule::Load] {
            audit.compare_with(file(true), rule, None);
            audit.look();
            assert!(!is_rung(&follower), "{rule:?}");
        }
        // What it was compared with was replaced meanwhile.
        assert_eq!(lock(&audit.0).end(hanging, Some(Notice::Differs)), None);
        audit.look();
        assert!(is_rung(&follower));
    }

    #[test]
    fn who_takes_the_place_of_one_that_hangs_is_not_held_up_by_it() {
        let (audit, one, next) = (Audit::default(), Arc::default(), Arc::default());
        audit.assign_to(Arc::downgrade(&one));
        audit.compare_with(file(false), Rule::Compare, None);
        let hanging = lock(&audit.0).begin();
        audit.assign_to(Arc::downgrade(&next));
        audit.compare_with(file(false), Rule::Compare, None);
        let look = lock(&audit.0).begin();
        assert_eq!(lock(&audit.0).end(hanging, Some(Notice::Differs)), None);
        // That the later one is under way is known still, and so is what it compares with.
        assert!(lock(&audit.0).looking.is_some());
        assert_eq!(lock(&audit.0).end(look, Some(Notice::Differs)), Some(Notice::Differs));
        assert!(lock(&audit.0).files.main.is_some());
        audit.compare_with(file(false), Rule::Load, None);
        audit.look();
        assert!(is_rung(&next) && !is_rung(&one));
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
            assert_eq!(baseline(&follower), open::identity(&path));
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
