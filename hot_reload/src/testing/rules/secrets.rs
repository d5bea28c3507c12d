//! That what is secret stays so.

use std::{
    fmt::Write,
    mem,
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{runtime::Builder, task::spawn_blocking};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    dispatcher::set_default,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{case::Case, disguise::disguises};
use crate::{
    config::WatchStrategy,
    lock::lock,
    reload::{RealtimeWatch, Reload},
    testing::Rig,
};

/// What nobody could put into a log by chance.
const CONTENT: &str = "what-was-put-is-nobody-elses-business";

/// No secret is in a log, up to the level `debug`, in an error or in the status, whatever goes wrong; and
/// nothing that was put is in a log.
///
/// Of clients that log by the crate `log`, nothing is seen.
pub async fn no_secret_is_told<R: Rig>(strategy: WatchStrategy) {
    let log = Log::default();
    let lines = Arc::clone(&log.lines);
    let outcome = captured(log, move || tell_all::<R>(strategy)).await;
    let Outcome { rule, secrets, told } = outcome;
    let logged = lock(&lines).clone();
    for secret in secrets.iter().flat_map(|secret| disguises(secret)) {
        for (what, words) in &told {
            assert!(
                !words.contains(&secret),
                "{rule}: expected no secret in {what}; it is {words}"
            );
        }
        for line in &logged {
            assert!(
                !line.contains(&secret),
                "{rule}: expected no secret in the log; it has {line}"
            );
        }
    }
    for line in &logged {
        assert!(!line.contains(CONTENT), "{rule}: expected no content in the log; it has {line}");
    }
    let is_heard = logged.iter().any(|line| line.contains("hot_reload::failed"));
    assert!(is_heard, "{rule}: expected failures to be logged");
}

struct Outcome {
    rule: &'static str,
    secrets: Vec<String>,
    /// Which words those are, and the words.
    told: Vec<(String, String)>,
}

/// Has everything go wrong, and returns what was said of it.
async fn tell_all<R: Rig>(strategy: WatchStrategy) -> Outcome {
    let rule = "no secret is told";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    let by_wrong = case.rig.with_wrong_credentials(case.proxy.address());
    let is_known = by_wrong.is_none() || !case.rig.secrets().is_empty();
    live.check(is_known, "to know what must not be told: the rig has credentials and no secrets");
    let mut told = Vec::new();
    let mut statuses = Vec::new();
    statuses.push(live.status());
    case.rig.put(&format!("n = '{CONTENT}'")).await;
    live.says_trouble("what is bad about it").await;
    statuses.push(live.status());
    case.rig.delete().await;
    live.says_trouble("that it is gone").await;
    statuses.push(live.status());
    case.put(2).await;
    live.sees(2, "a good value").await;

    let mut sources = vec![("a source that is well", case.rig.source(case.proxy.address()))];
    let (by_wrong_name, _proxy) = case.rig.with_wrong_name().await.unzip();
    let (by_expired, _proxy_of_expired) = case.rig.with_expired_certificate().await.unzip();
    sources.extend(by_wrong.map(|source| ("one with wrong credentials", source)));
    sources.extend(by_wrong_name.map(|source| ("one with a wrong name", source)));
    sources.extend(by_expired.map(|source| ("one with an expired certificate", source)));
    for is_there in [true, false] {
        if !is_there {
            case.rig.kill().await;
            live.says_trouble("that the server is gone").await;
            statuses.push(live.status());
        }
        for (what, source) in &sources {
            if let Err(error) = source.reload().await {
                told.push((format!("the error of a load by {what}"), format!("{error} {error:?}")));
            }
            if let Err(error) = source.watch_realtime().await {
                told.push((
                    format!("the error of a watch by {what}"),
                    format!("{error} {error:?}"),
                ));
            }
        }
    }
    case.rig.restart().await;
    for (what, source) in sources.split_off(1) {
        let live = case.follow_as(source, case.options());
        live.says_trouble(&format!("what keeps {what} from it")).await;
        statuses.push(live.status());
    }
    for status in statuses {
        told.push(("the status".to_owned(), format!("{status} {status:?}")));
    }
    Outcome { rule, secrets: case.rig.secrets(), told }
}

/// Runs `work` on threads of its own, which log into `log`: none of it is missed, and nothing of what
/// other tests log beside it is heard.
async fn captured<T, F>(log: Log, work: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let worked = spawn_blocking(move || {
        let log = Dispatch::new(log);
        let _here = set_default(&log);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // For as long as the thread lives.
            .on_thread_start(move || mem::forget(set_default(&log)))
            .build()
            .expect("threads for a runtime");
        runtime.block_on(work())
    });
    worked.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// Keeps every line.
#[derive(Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    spans: AtomicU64,
}

impl Log {
    fn keep(&self, name: &str, record: impl FnOnce(&mut Words)) {
        let mut words = Words(name.to_owned());
        record(&mut words);
        lock(&self.lines).push(words.0);
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What is finer is a client's bytes, and nobody runs a service with it.
        *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.keep(span.metadata().name(), |words| span.record(words));
        // A count; nothing is ordered by it.
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _span: &Id, values: &Record<'_>) {
        self.keep("", |words| values.record(words));
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.keep(event.metadata().target(), |words| event.record(words));
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // A string takes all there is.
        let _infallible = write!(self.0, " {field}={value:?}");
    }
}
