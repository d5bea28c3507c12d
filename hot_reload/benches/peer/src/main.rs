//! Version 0.3.6 in the scenarios of the benches beside it; they run it.

#[path = "../../common/edits.rs"]
mod edits;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
};

use async_trait::async_trait;
use edits::{Bench, Config, Edit, Seen, Subject, row};
use hot_reload::{AsyncFileLoad, FileReloader, ReloaderConfig, ReloaderService};
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
    let subject = Published(Runtime::new().expect("a runtime"));
    let mut bench = Bench::new();
    for edit in Edit::ALL {
        let latencies = bench.single(&subject, edit, if short { 5 } else { 50 });
        row(&format!("single/{}", edit.name()), subject.name(), latencies);
    }
    for edit in Edit::ALL {
        let latencies = bench.steady(&subject, edit, if short { 40 } else { 400 });
        row(&format!("steady/{}", edit.name()), subject.name(), latencies);
    }
}
