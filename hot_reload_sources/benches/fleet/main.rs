//! A fleet of receivers on one server: from a put to the last of them, what each costs, and what a restart of
//! the server does.
//!
//! `cargo bench -p hot_reload_sources --all-features --bench fleet`; `-- --short` for a run of seconds, and
//! `nats` or `etcd` for that alone. Every receiver has a connection of its own, as if it were alone in its
//! process; they share four processes, and this machine with the server.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../common/measure.rs"]
mod measure;

#[path = "../../tests/etcd/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod etcd;
#[path = "../../tests/nats/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod nats;
mod receivers;
mod servers;

use std::{env, process::ExitCode, time::Duration};

use measure::{Asked, percentile};
use receivers::{Fleet, now};
use rustix::process::{Resource, getrlimit, setrlimit};
use servers::{Etcd, Nats, Put};
use tokio::time::sleep;

/// More than a few are needed so that one is not the bottleneck, and few enough for two cores.
const PROCESSES: usize = 4;
/// Until whoever was told first is done with it.
const REST: Duration = Duration::from_millis(300);
/// Until all have come back to a server that was away.
const RETURN: Duration = Duration::from_secs(5);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    raise_descriptors();
    let args: Vec<String> = env::args().skip(1).collect();
    if let [flag, url, receivers] = &args[..]
        && flag == receivers::FLAG
    {
        receivers::run(url, receivers.parse().expect("a number")).await;
        return ExitCode::SUCCESS;
    }
    let asked = Asked::read();
    let (sizes, puts): (&[usize], u64) =
        if asked.is_short { (&[1, 100], 3) } else { (&[1, 100, 1000, 5000], 20) };
    println!(
        "| store | receivers | to one, median | to the last, median | to the last, 99 % | memory each | \
         of the server, each | all back after a restart | most in 100 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for &size in sizes {
        if asked.has("nats") {
            measure::<Nats>(size, puts).await;
        }
        if asked.has("etcd") {
            measure::<Etcd>(size, puts).await;
        }
    }
    ExitCode::SUCCESS
}

async fn measure<S: Put>(size: usize, puts: u64) {
    let store = S::start().await;
    let idle = store.memory();
    store.put(0).await;
    let mut fleet = Fleet::start(&store.url(), size, PROCESSES.min(size));
    fleet.arrivals(0).await;

    let (mut each, mut last) = (Vec::new(), Vec::new());
    for n in 1..=puts {
        sleep(REST).await;
        let begun = now();
        store.put(n).await;
        let times = fleet.arrivals(n).await.into_iter().map(|one| one.at.saturating_sub(begun));
        let times: Vec<Duration> = times.collect();
        last.push(times.iter().max().copied().unwrap_or_default());
        each.extend(times);
    }
    let (memory, of_server) = (fleet.memory_each(), store.memory().saturating_sub(idle) / size);

    sleep(REST).await;
    let down = now();
    store.restart().await;
    let up = now();
    sleep(RETURN).await;
    store.put(puts + 1).await;
    let arrivals = fleet.arrivals(puts + 1).await;
    // Whoever has not been back before the put has it when it comes back.
    let back = arrivals.iter().map(|one| if one.looked_at > down { one.looked_at } else { one.at });
    let mut back: Vec<Duration> = back.collect();
    back.sort_unstable();
    // Some are back before the server is said to be up.
    let all_within = back.last().expect("a receiver").saturating_sub(up);
    println!(
        "| {} | {size} | {:.2} ms | {:.2} ms | {:.2} ms | {} KiB | {} KiB | {:.2} s | {} |",
        S::NAME,
        percentile(&mut each, 50),
        percentile(&mut last, 50),
        percentile(&mut last, 99),
        memory / 1024,
        of_server / 1024,
        all_within.as_secs_f64(),
        most_in(&back, Duration::from_millis(100)),
    );
}

/// How many of these moments fall into one window of that length, at the most.
fn most_in(sorted: &[Duration], window: Duration) -> usize {
    let ends = sorted.iter().map(|&at| sorted.partition_point(|&other| other <= at + window));
    ends.enumerate().map(|(begin, end)| end - begin).max().unwrap_or_default()
}

/// Every connection takes one, here and in the server.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit may be raised as far as it goes");
}
