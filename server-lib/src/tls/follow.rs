//! Keeps a pair as new as its files.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use hot_reload::{
    FileError, FileReloader, Group, ReloaderOptions, ReloaderReceiver, ReloaderService, Snapshot,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    error::{CertificateError, Problem},
    expiry::{self, Expiry},
    material::Material,
    metrics,
    pair::Pair,
    pem::{MAX_SIZE, Pem},
};
use crate::{config::CertificatePaths, error::chain, live::Live, status::ServerStatus};

/// How long files that don't match are waited for in silence: whoever renews a certificate writes
/// one after the other.
const GRACE: Duration = Duration::from_secs(3);
/// How often it is asked how near the end is, and whether one that was not valid yet is by now: as long
/// as clocks are apart.
const ASK_AGAIN: Duration = Duration::from_secs(60);

type Files = (Snapshot<Pem>, Snapshot<Pem>);
type Service = ReloaderService<FileReloader<Pem>, Pem, String>;

/// Follows the files of a pair.
pub(super) struct Follower {
    pub(super) pair: Arc<Pair>,
    /// Weak, since whoever has it keeps this running.
    pub(super) live: Weak<Live>,
    pub(super) status: watch::Sender<ServerStatus>,
}

/// What is wrong with the files.
struct Wrong {
    words: Arc<str>,
    /// Whether it may be over in a moment.
    may_pass: bool,
    /// Whether the reloader has put it into the log.
    is_logged: bool,
}

/// Whether files are good, as far as anybody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// They are not, since then, and it may pass.
    Silent(Instant),
    Told,
}

impl Follower {
    /// Serves each good pair that comes, for as long as it is polled.
    pub(super) async fn follow(self) {
        let CertificatePaths { certificate, key } = &self.pair.paths;
        let sources = source(certificate).and_then(|one| Ok((one, source(key)?)));
        let ((certificate, certificates), (key, keys)) = match sources {
            Ok(sources) => sources,
            Err(error) => {
                return warn!(%error, "a certificate can't be followed: it stays as it is");
            }
        };
        let (group, both) = Group::of((certificates, keys));
        // None of the others ends before the last.
        tokio::select! {
            _ = certificate.start_with_realtime() => {}
            _ = key.start_with_realtime() => {}
            () = group.run() => {}
            () = self.keep(both) => {}
        }
    }

    async fn keep(&self, mut both: ReloaderReceiver<Files>) {
        let mut status = both.watch_status();
        let mut ask_again = interval_at(Instant::now() + ASK_AGAIN, ASK_AGAIN);
        ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut doubt = Doubt::None;
        let mut expiry = Expiry::Far;
        loop {
            let wrong = self.take(&both, &mut expiry);
            doubt = doubt.next(wrong.as_ref().map(|wrong| wrong.may_pass), Instant::now());
            if !matches!(doubt, Doubt::Silent(_)) {
                self.note(wrong);
            }
            self.tell(&mut expiry);
            let due = doubt.due();
            tokio::select! {
                changed = both.changed() => if changed.is_err() { return },
                changed = status.changed() => if changed.is_err() { return },
                () = self.pair.look.notified() => {}
                _ = ask_again.tick() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Serves what the files hold, or returns what is wrong with them.
    fn take(&self, both: &ReloaderReceiver<Files>, expiry: &mut Expiry) -> Option<Wrong> {
        if let Some(words) = both.status().last_error {
            return Some(Wrong { words, may_pass: false, is_logged: true });
        }
        let files = both.snapshot()?;
        match self.judge(&files) {
            Ok(None) => None,
            Ok(Some(new)) => {
                let paths = &self.pair.paths;
                let days_left = expiry::days_left(expiry::now(), new.not_after);
                info!(certificate = %paths.certificate.display(), names = ?new.names, days_left, "renewed");
                self.pair.material.store(Arc::new(new));
                *expiry = Expiry::Far;
                None
            }
            Err(error) => Some(Wrong {
                words: chain(&error).into(),
                may_pass: error.is_mismatch(),
                is_logged: false,
            }),
        }
    }

    /// Returns what the files hold, where that is to replace what is served.
    fn judge(&self, (certificate, key): &Files) -> Result<Option<Material>, CertificateError> {
        let paths = &self.pair.paths;
        let new = Material::new(paths, certificate, key)?;
        let used = self.pair.material.load();
        if new.is_same(&used) {
            return Ok(None);
        }
        let now = expiry::now();
        if used.is_valid_at(now) && !new.is_valid_at(now) {
            let is_over = new.not_after < now;
            let problem = if is_over { Problem::Expired } else { Problem::NotYetValid };
            return Err(CertificateError::new(&paths.certificate, problem));
        }
        Ok(Some(new))
    }

    /// Notes and logs what is wrong, or that nothing is any more.
    fn note(&self, wrong: Option<Wrong>) {
        let certificate = self.pair.paths.certificate.display();
        if !self.pair.set_error(wrong.as_ref().map(|wrong| Arc::clone(&wrong.words))) {
            return;
        }
        match wrong {
            Some(wrong) if wrong.is_logged => {}
            Some(Wrong { words, .. }) => {
                warn!(%certificate, error = %words, "the last good certificate goes on");
            }
            None => info!(%certificate, "its files are good again"),
        }
    }

    /// Tells how the pair is doing, and once that it is near its end; `told` is how near it was.
    fn tell(&self, told: &mut Expiry) {
        let Some(live) = self.live.upgrade() else { return };
        let applied = live.load();
        let status = self.pair.status(applied.config.tls.expiry_warning_days);
        metrics::tell_expiry(&self.pair.paths, status.not_after);
        if status.expiry > *told {
            let certificate = status.certificate.display();
            let (names, days_left) = (&status.names, status.days_left());
            match status.expiry {
                Expiry::Far => {}
                Expiry::Near => warn!(%certificate, ?names, days_left, "expires soon: renew it"),
                Expiry::Over => {
                    error!(%certificate, ?names, days_left, "expired: clients refuse it");
                }
            }
        }
        *told = status.expiry;
        let all = applied.certificates.status(&applied.config.tls);
        self.status.send_if_modified(|status| {
            let is_news = status.certificates != all;
            status.certificates = all;
            is_news
        });
    }
}

impl Doubt {
    /// Goes on by what is wrong at this moment: whether it may pass, if anything is.
    fn next(self, wrong: Option<bool>, now: Instant) -> Self {
        match (wrong, self) {
            (None, _) => Self::None,
            (Some(true), Self::None) => Self::Silent(now),
            (Some(true), Self::Silent(since)) if now < since + GRACE => self,
            (Some(_), _) => Self::Told,
        }
    }

    fn due(self) -> Option<Instant> {
        match self {
            Self::Silent(since) => Some(since + GRACE),
            Self::None | Self::Told => None,
        }
    }
}

fn source(path: &Path) -> Result<(Service, ReloaderReceiver<Pem, String>), FileError> {
    let file = FileReloader::from_path(path)?.max_size(MAX_SIZE);
    Ok(ReloaderService::from_reloader(file, ReloaderOptions::hybrid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_does_not_pass() {
        let start = Instant::now();
        let ms = Duration::from_millis(1);
        let before = GRACE.saturating_sub(ms);
        let silent = Doubt::Silent(start);
        for (doubt, wrong, after, want) in [
            (Doubt::None, None, ms, Doubt::None),
            (Doubt::None, Some(true), Duration::ZERO, silent),
            (Doubt::None, Some(false), ms, Doubt::Told),
            (silent, None, ms, Doubt::None),
            (silent, Some(true), before, silent),
            (silent, Some(true), GRACE, Doubt::Told),
            (silent, Some(false), ms, Doubt::Told),
            (Doubt::Told, Some(true), ms, Doubt::Told),
            (Doubt::Told, None, ms, Doubt::None),
        ] {
            assert_eq!(doubt.next(wrong, start + after), want, "{doubt:?} {wrong:?} {after:?}");
        }
    }
}
