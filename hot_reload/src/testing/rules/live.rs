//! A service that runs, and what is expected of it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    channel::ReloaderReceiver,
    lock::lock,
    options::ReloaderOptions,
    reload::RealtimeWatch,
    service::ReloaderService,
    status::{Health, Status},
    testing::Sample,
};

/// A service that is yet to be started.
pub(super) struct Follow<T>
where
    T: RealtimeWatch<Sample, String> + Clone,
{
    rule: &'static str,
    patience: Duration,
    pub(super) service: ReloaderService<T, Sample, String>,
    values: ReloaderReceiver<Sample, String>,
}

/// One that runs, until this is dropped.
pub(super) struct Live {
    rule: &'static str,
    patience: Duration,
    values: ReloaderReceiver<Sample, String>,
    published: Arc<Mutex<Vec<u64>>>,
    running: Running,
}

impl<T> Follow<T>
where
    T: RealtimeWatch<Sample, String> + Clone + Send + Sync + 'static,
{
    pub(super) fn new(
        rule: &'static str,
        patience: Duration,
        source: T,
        options: ReloaderOptions,
    ) -> Self {
        let (service, values) = ReloaderService::from_reloader(source, options);
        Self { rule, patience, service, values }
    }

    pub(super) fn start(self) -> Live {
        self.start_and_keep().0
    }

    /// As `start`, with the service, which would otherwise go with its task.
    pub(super) fn start_and_keep(self) -> (Live, Arc<ReloaderService<T, Sample, String>>) {
        let published = Arc::<Mutex<Vec<u64>>>::default();
        let record = Arc::clone(&published);
        // The last step before publication: no receiver could be sure to see each value.
        let service = self.service.prepare("the suite's record", move |candidate| {
            let record = Arc::clone(&record);
            let n = candidate.new.n;
            async move { Ok::<_, Infallible>(move || lock(&record).push(n)) }
        });
        let service = Arc::new(service);
        let running = run(&service);
        let Self { rule, patience, values, .. } = self;
        (Live { rule, patience, values, published, running }, service)
    }
}

impl Live {
    /// Waits for the value `n`.
    pub(super) async fn sees(&mut self, n: u64, what: &str) {
        self.sees_within(n, self.patience, what).await;
    }

    pub(super) async fn sees_within(&mut self, n: u64, limit: Duration, what: &str) {
        let seen = timeout(limit, self.values.wait_for(|value| value.n == n)).await;
        if !matches!(seen, Ok(Ok(_))) {
            self.fail(&format!("n = {n} within {limit:?} ({what})"));
        }
    }

    /// Waits until the status is as it is said to be.
    pub(super) async fn says(&self, what: &str, is_it: impl FnMut(&Status) -> bool) {
        self.says_within(self.patience, what, is_it).await;
    }

    pub(super) async fn says_within(
        &self,
        limit: Duration,
        what: &str,
        is_it: impl FnMut(&Status) -> bool,
    ) {
        let mut statuses = self.values.watch_status();
        if !matches!(timeout(limit, statuses.wait_for(is_it)).await, Ok(Ok(_))) {
            self.fail(&format!("a status that says {what}, within {limit:?}"));
        }
    }

    /// Waits until the status says that the source is not well, and why.
    pub(super) async fn says_trouble(&self, what: &str) {
        self.says(what, has_trouble).await;
    }

    /// Waits until the status says that all is well, without a reserve.
    pub(super) async fn says_fresh(&self, what: &str) {
        self.says(what, |status| status.health == Health::Fresh && status.failures == 0).await;
    }

    /// Checks that the value is `n` now.
    pub(super) fn serves(&self, n: u64, what: &str) {
        if self.values.get() != Some(Sample { n }) {
            self.fail(&format!("n = {n} ({what})"));
        }
    }

    /// Checks that the value is `n` after this long.
    pub(super) async fn stays(&self, n: u64, time: Duration, what: &str) {
        sleep(time).await;
        self.serves(n, what);
    }

    /// Checks what was published in all, in this order.
    pub(super) fn has_published(&self, want: &[u64], what: &str) {
        let published = self.published();
        if published != want {
            self.fail(&format!("{want:?} to be published ({what}), not {published:?}"));
        }
    }

    /// Checks that each value that was published is newer than the one before.
    pub(super) fn never_goes_back(&self) {
        if let Some(back) = self.published().windows(2).find(|pair| pair[0] > pair[1]) {
            self.fail(&format!("no value to be followed by an older one, as {back:?} was"));
        }
    }

    pub(super) fn published(&self) -> Vec<u64> {
        lock(&self.published).clone()
    }

    pub(super) fn status(&self) -> Status {
        self.values.status()
    }

    /// Starts what was stopped.
    pub(super) fn start_again<T>(&mut self, service: &Arc<ReloaderService<T, Sample, String>>)
    where
        T: RealtimeWatch<Sample, String> + Clone + Send + Sync + 'static,
    {
        self.running = run(service);
    }

    /// Waits until there is something at `path`.
    #[cfg(feature = "last-good")]
    pub(super) async fn keeps(&self, path: &std::path::Path) {
        let kept = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        self.check(
            timeout(self.patience, kept).await.is_ok(),
            "the last good value to be kept on disk",
        );
    }

    /// Drops the future of the service, and waits until that is done.
    pub(super) async fn stop(&mut self) {
        self.running.0.abort();
        // That it was cancelled is what was wanted.
        let _cancelled = (&mut self.running.0).await;
    }

    pub(super) fn check(&self, is_so: bool, want: &str) {
        if !is_so {
            self.fail(want);
        }
    }

    pub(super) fn fail(&self, want: &str) -> ! {
        let Self { rule, values, .. } = self;
        let there = values.get().map_or("nothing".to_owned(), |value| format!("n = {}", value.n));
        panic!(
            "{rule}: expected {want}; there is {there}, and the status says: {}",
            values.status()
        )
    }
}

/// Whether a status says that the source is not well, and why.
pub(super) fn has_trouble(status: &Status) -> bool {
    matches!(status.health, Health::Retrying | Health::Stale) && status.last_error.is_some()
}

fn run<T>(service: &Arc<ReloaderService<T, Sample, String>>) -> Running
where
    T: RealtimeWatch<Sample, String> + Clone + Send + Sync + 'static,
{
    let service = Arc::clone(service);
    Running(tokio::spawn(async move {
        // It never fails.
        drop(service.start_with_realtime().await);
    }))
}

struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
