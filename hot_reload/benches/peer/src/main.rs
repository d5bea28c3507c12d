//! Version 0.3.6 in the scenarios of the benches beside it; they run it.

#[path = "../../common/edits.rs"]
#[allow(dead_code, reason = "the benches print the head")]
mod edits;
#[path = "../../common/reads.rs"]
mod reads;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use async_trait::async_trait;
use edits::{Config, Edit, SHORT_PAUSE, Seen, Subject, row, single, steady};
use hot_reload::{
    AsyncFileLoad, FileReloader, Reload, ReloaderConfig, ReloaderError, ReloaderService,
};
use reads::{Value, per_read, value};
use tokio::runtime::Runtime;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Loaded(Config);

impl TryFrom<&PathBuf> for Loaded {
    type Error = String;

    fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Config::parse(&text).map(Self).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl AsyncFileLoad for Loaded {
    type Error = String;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
        let path = path.as_ref().to_path_buf();
        let text = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())?;
        Config::parse(&text).map(Self).map_err(|error| error.to_string())
    }
}

struct Published(Runtime);

impl Subject for Published {
    fn name(&self) -> &'static str {
        "0.3.6, hand-written loader"
    }

    fn follow(&self, path: &Path) -> Receiver<Seen> {
        let (tx, rx) = channel();
        let source = path.display().to_string();
        self.0.spawn(async move {
            let (service, mut values) =
                ReloaderService::<FileReloader<Loaded>, Loaded, String>::new(
                    &source,
                    ReloaderConfig::hybrid(10),
                )
                .await
                .expect("a service");
            tokio::spawn(async move { service.start_with_realtime().await });
            while values.changed().await.is_ok() {
                let seen = values.borrow().as_ref().map(|Loaded(config)| Seen::now(config));
                if seen.is_some_and(|seen| tx.send(seen).is_err()) {
                    return;
                }
            }
        });
        rx
    }
}

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    match std::env::args().nth(1).as_deref() {
        Some("edit_to_visible") => edit_to_visible(short),
        Some("read") => read(short),
        _ => panic!("say which bench: edit_to_visible or read"),
    }
}

fn edit_to_visible(short: bool) {
    let subject = Published(Runtime::new().expect("a runtime"));
    for edit in Edit::ALL {
        let scenario = format!("single/{}", edit.name());
        match single(&[&subject], edit, if short { 5 } else { 50 }, SHORT_PAUSE) {
            Ok(latencies) => rows(&scenario, &subject, latencies),
            // As it does now and then.
            Err(who) => println!("{scenario:<28} {who} lost an edit"),
        }
    }
    for edit in Edit::ALL {
        let latencies = steady(&[&subject], edit, if short { 40 } else { 200 });
        rows(&format!("steady/{}", edit.name()), &subject, latencies);
    }
}

fn rows(scenario: &str, subject: &dyn Subject, latencies: Vec<Vec<Duration>>) {
    for latencies in latencies {
        row(scenario, subject.name(), latencies);
    }
}

#[derive(Clone)]
struct Constant;

#[async_trait]
impl Reload<Value> for Constant {
    type Source = ();

    async fn new(_source: &()) -> Result<Self, ReloaderError<Value>> {
        Ok(Self)
    }

    async fn reload(&self) -> Result<Option<Value>, ReloaderError<Value>> {
        Ok(Some(value(1)))
    }
}

fn read(short: bool) {
    let how_long = Duration::from_millis(if short { 100 } else { 2000 });
    let runtime = Runtime::new().expect("a runtime");
    let live = runtime.block_on(async {
        let (service, mut live) =
            ReloaderService::<Constant, Value>::with_defaults(&()).await.expect("a service");
        tokio::spawn(async move { service.start().await });
        live.changed().await.expect("a value");
        live
    });
    let columns = [1, 2].map(|threads| {
        per_read(threads, how_long, || || live.borrow().as_ref().map_or(0, |value| value.n))
    });
    println!("{:<36} {:>10.2} {:>10.2}", "0.3.6, borrow", columns[0], columns[1]);
    let columns = [1, 2]
        .map(|threads| per_read(threads, how_long, || || live.get().map_or(0, |value| value.n)));
    println!("{:<36} {:>10.2} {:>10.2}", "0.3.6, get", columns[0], columns[1]);
}
