//! What one read of a live value costs, beside the cells that it could be in instead.
//!
//! `cargo bench -p hot_reload --bench read`; `-- --short` for a run of seconds.

#[path = "common/reads.rs"]
mod reads;

use std::{
    hint::black_box,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderConfig, ReloaderReceiver,
    ReloaderService, WatchEvent,
};
use metrics_util::debugging::DebuggingRecorder;
use reads::{Value, per_read, value};
use tokio::{runtime::Runtime, sync::mpsc};

/// A source that publishes what the bench sends it.
#[derive(Clone)]
struct Sent(Arc<Mutex<Option<mpsc::Receiver<WatchEvent<Value>>>>>);

#[async_trait]
impl Reload<Value> for Sent {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, Value> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<Value>, Value> {
        Ok(None)
    }
}

#[async_trait]
impl RealtimeWatch<Value> for Sent {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Value>, Value> {
        let rx = self.0.lock().expect("no panic").take().expect("watched once");
        Ok(RealtimeWatchHandle::new(rx))
    }
}

type Service = ReloaderService<Sent, Value>;

/// Starts a service that publishes what is sent to it, and has published one value.
fn start(
    with: impl FnOnce(Service) -> Service,
) -> (mpsc::Sender<WatchEvent<Value>>, ReloaderReceiver<Value>) {
    let (tx, rx) = mpsc::channel(1);
    let source = Sent(Arc::new(Mutex::new(Some(rx))));
    let (service, mut live) = Service::from_reloader(source, ReloaderConfig::realtime());
    let service = with(service);
    tokio::spawn(async move { service.start_with_realtime().await });
    tx.blocking_send(WatchEvent::Changed(value(0))).expect("a service");
    live.blocking_changed().expect("a service");
    (tx, live)
}

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    let how_long = Duration::from_millis(if short { 100 } else { 2000 });
    let runtime = Runtime::new().expect("a runtime");
    let _guard = runtime.enter();
    let (tx, live) = start(|service| service);
    // With all there is to say of a service, and somebody who hears it.
    DebuggingRecorder::new().install().expect("the only recorder");
    let (tx_full, full) = start(|service| service.history(16));
    let mut status = full.watch_status();
    runtime.spawn(async move {
        while let Ok(status) = status.changed().await {
            black_box(status);
        }
    });
    let plain = Arc::new(value(0));
    let swapped = ArcSwap::from(Arc::new(value(0)));

    println!("ns a read");
    println!("{:<36} {:>10} {:>10} {:>10} {:>10}", "writer at 1 kHz", "no", "no", "yes", "yes");
    println!("{:<36} {:>10} {:>10} {:>10} {:>10}", "threads", 1, 2, 1, 2);
    let row = |name: &str, figures: &mut dyn FnMut(usize) -> f64| {
        let mut columns = Vec::new();
        for write in [false, true] {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                if write {
                    scope.spawn(|| {
                        for n in 1.. {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            swapped.store(Arc::new(value(n)));
                            for tx in [&tx, &tx_full] {
                                tx.blocking_send(WatchEvent::Changed(value(n))).expect("a service");
                            }
                            thread::sleep(Duration::from_millis(1));
                        }
                    });
                }
                columns.extend([1, 2].map(&mut *figures));
                stop.store(true, Ordering::Relaxed);
            });
        }
        let columns: Vec<_> = columns.iter().map(|ns| format!("{ns:>10.2}")).collect();
        println!("{name:<36} {}", columns.join(" "));
    };

    let cached = |live: &ReloaderReceiver<Value>, threads| {
        per_read(threads, how_long, || {
            let mut cached = live.cached();
            move || cached.load().map_or(0, |value| value.n)
        })
    };
    let borrow = |live: &ReloaderReceiver<Value>, threads| {
        per_read(threads, how_long, || || live.borrow().as_ref().map_or(0, |value| value.n))
    };
    let snapshot = |live: &ReloaderReceiver<Value>, threads| {
        per_read(threads, how_long, || || live.snapshot().map_or(0, |value| value.n))
    };
    row("plain Arc", &mut |threads| per_read(threads, how_long, || || black_box(&plain).n));
    row("ours, cached", &mut |threads| cached(&live, threads));
    row("ours, cached, all on", &mut |threads| cached(&full, threads));
    row("arc_swap::Cache", &mut |threads| {
        per_read(threads, how_long, || {
            let mut cache = arc_swap::Cache::new(&swapped);
            move || cache.load().n
        })
    });
    row("ours, borrow", &mut |threads| borrow(&live, threads));
    row("ours, borrow, all on", &mut |threads| borrow(&full, threads));
    row("arc_swap load", &mut |threads| per_read(threads, how_long, || || swapped.load().n));
    row("ours, snapshot", &mut |threads| snapshot(&live, threads));
    row("ours, snapshot, all on", &mut |threads| snapshot(&full, threads));
    row("arc_swap load_full", &mut |threads| {
        per_read(threads, how_long, || || swapped.load_full().n)
    });
    row("ours, get", &mut |threads| {
        per_read(threads, how_long, || || live.get().map_or(0, |value| value.n))
    });

    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--release", "--manifest-path", peer]);
    cargo.args(["--", "read"]).args(short.then_some("--short"));
    assert!(cargo.status().expect("cargo runs").success(), "the peer failed");
}
