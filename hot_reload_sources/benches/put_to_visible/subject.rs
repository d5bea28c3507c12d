//! One store, by the bare client and by ours, in turns.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::FromStore;
use serde::Deserialize;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{loopback::round_trips, measure::percentile};

/// Twenty fields in about 1 kB of TOML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Value {
    pub(crate) n: u64,
    #[serde(flatten)]
    fields: std::collections::BTreeMap<String, String>,
}

impl Value {
    pub(crate) fn text(n: u64) -> String {
        let fields = (1..20).map(|field| format!("field_{field:02} = \"{n:>32}\"\n"));
        format!("n = {n}\n{}", fields.collect::<String>())
    }

    /// Makes one of what a store holds.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        toml::from_str(std::str::from_utf8(bytes).expect("text")).expect("a configuration")
    }
}

/// Which value was there when.
pub(crate) type Seen = UnboundedSender<(u64, Instant)>;

/// A store with a server of its own.
#[async_trait]
pub(crate) trait Subject: Sized + Send + Sync + 'static {
    async fn start() -> Self;

    /// Puts `text` where both look, over a connection that stands already.
    async fn put(&self, text: String);

    /// What is measured.
    fn source(&self) -> FromStore<Value>;

    /// What it is measured by: the store's own client, which has `seen` know of each value once it is
    /// parsed. Resolves once it would hear of a put.
    async fn bare(&self, seen: Seen) -> JoinHandle<()>;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    turns: u32,
    puts: u32,
}

impl Scale {
    pub(crate) const SHORT: Self = Self { turns: 2, puts: 20 };
    pub(crate) const LONG: Self = Self { turns: 10, puts: 100 };

    /// Of each, over all turns.
    pub(crate) fn puts_in_all(self) -> u64 {
        u64::from(self.turns * self.puts)
    }
}

/// As between puts of a person or of a roll-out: nothing is busy any more.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn head() {
    println!(
        "| store | median, bare | median, ours | of bare | 99 %, bare | 99 %, ours | of bare |"
    );
    println!("|---|---|---|---|---|---|---|");
}

/// Prints a row: milliseconds.
pub(crate) async fn run<S: Subject>(name: &str, scale: Scale) {
    let store = Arc::new(S::start().await);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    let mut n = 0;
    store.put(Value::text(n)).await;
    for _ in 0..scale.turns {
        let (tx, rx) = unbounded_channel();
        let task = store.bare(tx).await;
        puts(&*store, &mut n, rx, scale.puts, &mut bare).await;
        task.abort();

        let (tx, rx) = unbounded_channel();
        let (service, receiver) =
            ReloaderService::from_reloader(store.source(), ReloaderOptions::realtime());
        let running = tokio::spawn(async move { service.start_with_realtime().await });
        let reading = tokio::spawn(async move {
            let mut receiver = receiver;
            while receiver.changed().await.is_ok() {
                let seen = receiver.snapshot().map(|config| (config.n, Instant::now()));
                if seen.is_some_and(|seen| tx.send(seen).is_err()) {
                    return;
                }
            }
        });
        puts(&*store, &mut n, rx, scale.puts, &mut ours).await;
        reading.abort();
        running.abort();
    }
    let [bare, ours] =
        [bare, ours].map(|mut times| [50, 99].map(|part| percentile(&mut times, part)));
    let row =
        [0, 1].map(|at| format!("{:.3} | {:.3} | {:.2}", bare[at], ours[at], ours[at] / bare[at]));
    println!("| `{name}` | {} |", row.join(" | "));
}

/// Prints the row of what is physically possible, which has nothing of a store's own.
pub(crate) async fn run_loopback(scale: Scale) {
    let mut times = round_trips(scale).await;
    let [median, last] = [50, 99].map(|part| percentile(&mut times, part));
    println!("| `loopback` | {median:.3} | | | {last:.3} | | |");
}

/// Puts so many values, each once the one before has been seen.
async fn puts(
    store: &impl Subject,
    n: &mut u64,
    mut seen: UnboundedReceiver<(u64, Instant)>,
    puts: u32,
    times: &mut Vec<Duration>,
) {
    // What is there at first is no put of this turn.
    wait(&mut seen, *n).await;
    for _ in 0..puts {
        sleep(PAUSE).await;
        *n += 1;
        let text = Value::text(*n);
        let begun = Instant::now();
        store.put(text).await;
        times.push(wait(&mut seen, *n).await - begun);
    }
}

async fn wait(seen: &mut UnboundedReceiver<(u64, Instant)>, want: u64) -> Instant {
    let arrives = async {
        loop {
            let (n, at) = seen.recv().await.expect("a task that waits for the store");
            if n == want {
                return at;
            }
        }
    };
    timeout(PATIENCE, arrives).await.unwrap_or_else(|_| panic!("value {want} was not seen"))
}
