//! Sources of other authors among the layers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderError, ReloaderOptions,
    WatchEvent, file_reloader::Toml,
};
use hot_reload_sources::layers::{Layer, Layers, Tree};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use crate::{Place, Running, common::within, defaults};

/// Pushes what it is sent, as a source of another author does; its errors are `&'static str`.
#[derive(Clone)]
struct Pushes {
    first: Option<String>,
    sent: Arc<Mutex<mpsc::Receiver<WatchEvent<String>>>>,
}

impl Pushes {
    fn new(first: Option<&str>) -> (mpsc::Sender<WatchEvent<String>>, Self) {
        let (tx, rx) = mpsc::channel(1);
        let first = first.map(str::to_owned);
        (tx, Self { first, sent: Arc::new(Mutex::new(rx)) })
    }
}

#[async_trait]
impl Reload<String> for Pushes {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, String> {
        Err(ReloaderError::Reload("made otherwise"))
    }

    async fn reload(&self) -> ReloadResult<Option<String>, String> {
        match self.first.as_deref() {
            Some("panic") => panic!("out of order"),
            Some("hang") => std::future::pending().await,
            _ => Ok(self.first.clone()),
        }
    }
}

#[async_trait]
impl RealtimeWatch<String> for Pushes {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<String>, String> {
        let (tx, rx) = mpsc::channel(1);
        let sent = Arc::clone(&self.sent);
        let task = tokio::spawn(async move {
            let mut sent = sent.lock().await;
            while let Some(event) = sent.recv().await {
                if tx.send(event).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(Aborts(task))))
    }
}

struct Aborts(JoinHandle<()>);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn a_source_of_text_is_a_layer() {
    let (tx, source) = Pushes::new(Some("limits.rps = 5"));
    let layer = Layer::text::<Toml, _, _, _>("flags", source);
    let mut running = Running::realtime(Layers::new().with(defaults()).with(layer));
    running.holds(|config| config.limits.rps == 5).await;
    within(tx.send(WatchEvent::Changed("limits.rps = 6".to_owned()))).await.unwrap();
    running.holds(|config| config.limits.rps == 6).await;
    within(tx.send(WatchEvent::Changed("limits.rps = ".to_owned()))).await.unwrap();
    running.says("flags:1:").await;
    within(tx.send(WatchEvent::Removed)).await.unwrap();
    running.says("flags: the source is gone").await;
    within(tx.send(WatchEvent::Changed("limits.rps = 7".to_owned()))).await.unwrap();
    running.holds(|config| config.limits.rps == 7).await;
}

#[tokio::test]
async fn a_layer_that_panics_or_hangs_is_named_and_holds_up_nobody() {
    let place = Place::new();
    for (does, says) in [("panic", "flags: the loader panicked"), ("hang", "flags: no answer")] {
        let (_tx, source) = Pushes::new(Some(does));
        let layer = Layer::text::<Toml, _, _, _>("flags", source).optional();
        let layers =
            Layers::new().with(defaults()).with(layer).with(place.file("a.toml", "name = 'a'"));
        let options = ReloaderOptions::realtime().load_timeout(Duration::from_millis(500));
        let mut running = Running::start(layers, options);
        running.holds(|config| config.name == "a").await;
        running.says(says).await;
        place.write("a.toml", "name = 'b'");
        running.holds(|config| config.name == "b").await;
        running.says(says).await;
    }
}

#[tokio::test]
async fn a_source_that_has_given_nothing_is_waited_for() {
    let (tx, source) = Pushes::new(None);
    let layer = Layer::text::<Toml, _, _, _>("flags", source);
    let mut running = Running::realtime(Layers::new().with(defaults()).with(layer));
    running.says("flags: it has given nothing").await;
    within(tx.send(WatchEvent::Changed("limits.rps = 6".to_owned()))).await.unwrap();
    running.holds(|config| config.limits.rps == 6).await;
}

#[tokio::test]
async fn layers_are_a_layer() {
    let place = Place::new();
    let inner = Layers::<Tree>::new()
        .with(place.file("a.toml", "limits.rps = 3"))
        .with(place.file("b.toml", "limits.burst = 4"));
    let layers = Layers::new().with(defaults()).with(Layer::source("inner", inner));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 3 && config.limits.burst == 4).await;
    place.write("a.toml", "limits.rps = ");
    running.says("a.toml:1:").await;
    place.write("b.toml", "limits.burst = 5");
    running.holds(|config| config.limits.rps == 3 && config.limits.burst == 5).await;
    running.says("a.toml:1:").await;
}
