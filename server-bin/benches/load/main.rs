//! No request is lost, whatever is reloaded: the real daemon under load, on all cores.
//!
//! `cargo bench -p server-bin --bench load`; `-- --short` for a run of seconds. It fails if any
//! request has. Where there is `wrk`, that asks as well.

#![allow(unreachable_pub, reason = "a program")]

mod client;
mod daemon;
mod wrk;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use client::{Kind, Seen};
use daemon::{Daemon, free};
use tokio::{runtime::Runtime, task::JoinSet};
use wrk::Wrk;

/// How many clients there are of each kind: enough that connections wait to be accepted.
const CLIENTS: [(Kind, usize); 3] = [(Kind::KeepAlive, 16), (Kind::Fresh, 32), (Kind::Slow, 8)];

/// How often a configuration is put in place.
const EVERY: Duration = Duration::from_millis(10);

/// What happens while clients ask.
type Disturb = fn(&mut Daemon, until: Instant);

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    let how_long = Duration::from_secs(if short { 3 } else { 60 });
    let upgrades: Disturb =
        if short { |daemon, _| upgrade(daemon, 5) } else { |daemon, _| upgrade(daemon, 50) };
    println!(
        "{:<24} {:>10} {:>8} {:>10} {:>10} {:>10} {:>8}",
        "while", "answered", "failed", "a second", "p99 quiet", "p99", "ratio"
    );
    let scenarios: [(&str, Disturb); 3] = [
        ("values change 100/s", change_values),
        ("listeners come and go", change_listeners),
        ("binaries are upgraded", upgrades),
    ];
    let mut failed = 0;
    for (name, disturb) in scenarios {
        failed += scenario(name, how_long, disturb);
    }
    assert_eq!(failed, 0, "requests were lost");
}

/// Runs one scenario, in turns with quiet, and returns how many requests have failed.
fn scenario(name: &str, how_long: Duration, disturb: Disturb) -> usize {
    let mut daemon = Daemon::start();
    let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let runtime = Runtime::new().expect("a runtime");
    let mut clients = JoinSet::new();
    for (kind, count) in CLIENTS {
        for _ in 0..count {
            let (seen, stop, address) = (Arc::clone(&seen), Arc::clone(&stop), daemon.address);
            let ask = async move { client::ask(kind, address, &seen, &stop).await };
            clients.spawn_on(ask, runtime.handle());
        }
    }
    let wrk = Wrk::start(daemon.address);
    sleep(Duration::from_millis(500));
    seen.take();
    sleep(how_long / 4);
    let mut quiet = seen.take();
    let begun = Instant::now();
    disturb(&mut daemon, begun + how_long);
    let took = begun.elapsed();
    let mut disturbed = seen.take();
    sleep(how_long / 4);
    quiet.extend(seen.take());

    let others = wrk.map(Wrk::end).unwrap_or_default();
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(async { while clients.join_next().await.is_some() {} });
    let failures = [seen.failures(), others].concat();
    let (calm, wild) = (p99(&mut quiet), p99(&mut disturbed));
    #[allow(clippy::cast_precision_loss, reason = "a figure of a few digits")]
    let rate = disturbed.len() as f64 / took.as_secs_f64();
    println!(
        "{name:<24} {:>10} {:>8} {rate:>10.0} {:>7.2} ms {:>7.2} ms {:>7.2}x",
        quiet.len() + disturbed.len(),
        failures.len(),
        calm * 1e3,
        wild * 1e3,
        wild / calm,
    );
    for failure in failures.iter().take(5) {
        println!("    {failure}");
    }
    failures.len()
}

fn change_values(daemon: &mut Daemon, until: Instant) {
    while Instant::now() < until {
        daemon.edit(&[]);
        sleep(EVERY);
    }
}

fn change_listeners(daemon: &mut Daemon, until: Instant) {
    let others = [free(), free()];
    while Instant::now() < until {
        for more in [&others[..1], &others, &others[1..], &[]] {
            daemon.edit(more);
            sleep(5 * EVERY);
        }
    }
}

fn upgrade(daemon: &mut Daemon, times: usize) {
    for _ in 0..times {
        daemon.upgrade();
        sleep(10 * EVERY);
    }
}

/// The 99th percentile, in seconds.
fn p99(latencies: &mut [Duration]) -> f64 {
    latencies.sort_unstable();
    let n = latencies.len().saturating_sub(1) * 99 / 100;
    latencies.get(n).map_or(f64::NAN, Duration::as_secs_f64)
}
