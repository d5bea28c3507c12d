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
    doubt::{Doubt, Finding},
    error::{CertificateError, Problem},
    expiry::{self, Expiry},
    material::Material,
    metrics,
    pair::Pair,
    pem::{MAX_SIZE, Pem},
};
use crate::{config::CertificatePaths, error::chain, live::Live, status::ServerStatus};

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

/// How the files look beside what is served.
enum Look {
    Same,
    New(Material),
    Wrong(Wrong),
}

/// What is wrong with the files.
struct Wrong {
    words: Arc<str>,
    finding: Finding,
    /// Whether the reloader has put it into the log.
    is_logged: bool,
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
            biased;
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
            let look = self.look(&both);
            doubt = doubt.next(look.finding(), Instant::now());
            let wrong = match look {
                Look::Same => None,
                Look::New(material) => {
                    self.serve(material);
                    expiry = Expiry::Far;
                    None
                }
                Look::Wrong(wrong) => Some(wrong),
            };
            if !doubt.is_silent() {
                self.note(wrong);
            }
            expiry = self.tell(expiry);
            let due = doubt.due();
            tokio::select! {
                biased;
                changed = both.changed() => if changed.is_err() { return },
                changed = status.changed() => if changed.is_err() { return },
                () = self.pair.look.notified() => {}
                _ = ask_again.tick() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Judges what the files hold, and changes nothing.
    fn look(&self, both: &ReloaderReceiver<Files>) -> Look {
        if let Some(words) = both.status().last_error {
            return Look::Wrong(Wrong { words, finding: Finding::Bad, is_logged: true });
        }
        let Some(files) = both.snapshot() else { return Look::Same };
        match self.judge(&files) {
            Ok(None) => Look::Same,
            Ok(Some(new)) => Look::New(new),
            Err(error) => {
                let finding = if error.is_mismatch() { Finding::Passing } else { Finding::Bad };
                Look::Wrong(Wrong { words: chain(&error).into(), finding, is_logged: false })
            }
        }
    }

    fn serve(&self, new: Material) {
        let certificate = self.pair.paths.certificate.display();
        let days_left = expiry::days_left(expiry::now(), new.not_after);
        info!(%certificate, names = ?new.names, days_left, "renewed");
        self.pair.material.store(Arc::new(new));
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

    /// Tells how the pair is doing, and once that it is near its end: `told` is how near that was when
    /// it was told last, and returned is how near it is.
    fn tell(&self, told: Expiry) -> Expiry {
        let Some(live) = self.live.upgrade() else { return told };
        let applied = live.load();
        let status = self.pair.status(applied.config.tls.expiry_warning_days);
        metrics::tell_expiry(&self.pair.paths, status.not_after);
        if status.expiry > told {
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
        let all = applied.certificates.status(&applied.config.tls);
        self.status.send_if_modified(|status| {
            let is_news = status.certificates != all;
            status.certificates = all;
            is_news
        });
        status.expiry
    }
}

impl Look {
    fn finding(&self) -> Finding {
        match self {
            Self::Same | Self::New(_) => Finding::Good,
            Self::Wrong(wrong) => wrong.finding,
        }
    }
}

fn source(path: &Path) -> Result<(Service, ReloaderReceiver<Pem, String>), FileError> {
    let file = FileReloader::from_path(path)?.max_size(MAX_SIZE);
    Ok(ReloaderService::from_reloader(file, ReloaderOptions::hybrid()))
}
