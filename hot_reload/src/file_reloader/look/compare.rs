//! Whether files are what they were when the last good value was read.

use std::time::Duration;

use tokio::time::Instant;

use super::Looker;
use crate::file_reloader::{bell::Demand, open::Filesystem, survey::Survey};

/// For how long at most what looks as if it were being cut is taken to be: the blocks of a file may take a disk some
/// time to free, and one that was written twice within a tick of a coarse clock looks the same for ever.
const CUT: Duration = Duration::from_secs(1);

impl<L> Looker<L> {
    /// Whether the files are what they were when the last good value was read, and that is enough.
    pub(super) fn is_as_applied(&self, survey: &Survey) -> bool {
        let must_read = self.unmet.demand >= Demand::Read || self.must_load();
        !must_read && !self.proof.is_doubtful() && self.looks_as_applied(survey)
    }

    /// Whether no more than what they hold has to be known: their identities are the same, and there is
    /// nothing to load them for but a doubt about these; where their loader may have read more, not even that one
    /// was told of.
    pub(super) fn is_decided_by_sum(&self, survey: &Survey, sums_up: bool) -> bool {
        let must_load = self.must_load() || self.unmet.demand >= Demand::Read && !sums_up;
        !must_load && self.sum.is_some() && self.looks_as_applied(survey)
    }

    /// Whether their identities are those of the last good value.
    pub(super) fn looks_as_applied(&self, survey: &Survey) -> bool {
        self.applied.as_ref() == Some(&survey.identities)
    }

    /// Whether somebody is emptying or shortening one right now: its size shows before its time does, which still is
    /// that of the version before.
    pub(super) fn is_being_cut(&mut self, survey: &Survey) -> bool {
        let is_remote = survey.filesystem().is_some_and(Filesystem::is_remote);
        let applied = self.applied.iter().flatten();
        let mut both = applied.zip(&survey.identities).filter_map(|(was, is)| was.zip(*is));
        // What is racy may have been written twice within one tick.
        let may_be = !is_remote && !survey.is_racy && both.any(|(was, is)| is.is_resized(&was));
        let since = may_be.then(|| self.cut.unwrap_or_else(Instant::now));
        self.cut = since;
        since.is_some_and(|since| since.elapsed() < CUT)
    }

    /// Whether the files are to be loaded, even where they hold what they held.
    fn must_load(&self) -> bool {
        match self.unmet.demand {
            Demand::Nothing => false,
            Demand::Look | Demand::Read => self.force,
            Demand::Load => true,
        }
    }
}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use super::*;
    use crate::{
        file_reloader::{
            FileSettings,
            bell::{Arm, Notice, Whence},
            error::{FileError, Problem},
            load::{Load, Loaded},
            look::Proof,
            open::{How, Opened},
            survey::sum_of,
            watcher::Follower,
        },
        follow::{Look, Patience},
        options::ReloaderOptions,
    };

    const CEILING: Duration = Duration::from_millis(50);

    struct Text;

    impl Load<Vec<u8>> for Text {
        const SUMS_UP: bool = true;

        async fn load(
            &mut self,
            path: &Path,
            opened: Arc<Opened>,
        ) -> Result<Loaded<Vec<u8>>, FileError> {
            let value = opened.read(64, How::Blocking).unwrap();
            if value == b"bad" {
                return Err(FileError::new(path, Problem::Refused("bad".into())));
            }
            let sum = Some(sum_of(&value));
            Ok(Loaded { value, dependencies: Vec::new(), sum })
        }
    }

    /// Looks once, and again where that is to be done for the sake of quiet.
    async fn look(looker: &mut Looker<Text>) -> Result<Look<Vec<u8>>, FileError> {
        loop {
            let attempt = looker.begin(Patience::Left);
            match looker.look(attempt).await {
                Ok(Look::Unsettled(wait)) => tokio::time::sleep(wait).await,
                Ok(found) => {
                    looker.end();
                    return Ok(found);
                }
                Err(error) => {
                    looker.end_in_vain();
                    return Err(error);
                }
            }
        }
    }

    /// One that has read a file that held "one" and now holds `text`, though by its times nobody was at it: as
    /// after an edit by another name within one tick of the read.
    async fn after_unseen_edit(
        dir: &Path,
        text: &str,
        force: bool,
    ) -> (Arc<Follower>, Looker<Text>) {
        let path = dir.join("file");
        fs::write(&path, "one").unwrap();
        let follower = Arc::default();
        // Of what is done here nothing tells but the test.
        let options = ReloaderOptions::polling()
            .poll_interval(Duration::from_secs(3600))
            .force_reload(force)
            .settle_ceiling(CEILING)
            .settle_window(CEILING / 10);
        let settings = FileSettings::new(false);
        let mut looker = Looker::watched(path.clone(), &follower, Text, settings, &options);
        assert!(matches!(look(&mut looker).await, Ok(Look::Value(value)) if value == b"one"));
        fs::write(&path, text).unwrap();
        let survey = looker.site.survey(Arm::All).await;
        follower.bell.take_reasons();
        looker.applied = Some(survey.identities.clone());
        looker.proof = Proof::Racy;
        (follower, looker)
    }

    /// The moment in which the size shows and the time does not is too short to hit, so it is made up. It was once
    /// taken for a file that had rested as long as the version before.
    #[tokio::test]
    async fn what_is_being_emptied_or_shortened_is_not_as_old_as_it_looks() {
        for text in ["", "t"] {
            let dir = tempfile::tempdir().unwrap();
            let (_follower, mut looker) = after_unseen_edit(dir.path(), text, false).await;
            let _writer =
                fs::OpenOptions::new().append(true).open(dir.path().join("file")).unwrap();
            let applied = looker.applied.as_mut().unwrap();
            applied.iter_mut().flatten().for_each(|identity| identity.size = 3);
            tokio::time::sleep(2 * CEILING).await;
            let attempt = looker.begin(Patience::Left);
            let found = looker.look(attempt).await;
            assert!(matches!(found, Ok(Look::Unsettled(_))), "{text:?}");
        }
    }

    #[tokio::test]
    async fn an_edit_that_moved_no_time_is_found_by_what_the_file_holds() {
        for force in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (_follower, mut looker) = after_unseen_edit(dir.path(), "two", force).await;
            let found = look(&mut looker).await.unwrap();
            assert!(matches!(found, Look::Value(value) if value == b"two"), "{force}");
        }
    }

    /// It was once taken for the good one as soon as it was too old to be doubted.
    #[tokio::test]
    async fn a_bad_edit_that_moved_no_time_stays_bad() {
        let dir = tempfile::tempdir().unwrap();
        let (_follower, mut looker) = after_unseen_edit(dir.path(), "bad", false).await;
        for n in [1, 2] {
            assert!(look(&mut looker).await.is_err(), "{n}");
            looker.proof = Proof::Sound;
        }
    }

    #[tokio::test]
    async fn what_holds_the_same_is_loaded_by_demand_alone() {
        use Notice::{Doubtful, Finished, Lost, Overdue};

        for (notice, force, is_loaded) in [
            (None, false, false),
            (None, true, false),
            (Some(Doubtful), false, false),
            (Some(Doubtful), true, true),
            (Some(Finished), false, true),
            (Some(Overdue), false, true),
            (Some(Lost), false, true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (follower, mut looker) = after_unseen_edit(dir.path(), "one", force).await;
            if let Some(notice) = notice {
                follower.bell.ring(notice, Whence::ANYWHERE);
            }
            let found = look(&mut looker).await.unwrap();
            assert_eq!(matches!(found, Look::Value(_)), is_loaded, "{notice:?} {force}");
        }
    }
}
