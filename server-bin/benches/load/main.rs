//! No request is lost, whatever is reloaded: the real daemon under load, on all cores.
//!
//! `cargo bench -p server-bin --bench load`; `-- --short` for a run of seconds. It fails if any
//! request has, or any stream of events was cut off; in full also if the slowest took too much longer
//! while values changed. Where there is `wrk`, that asks as well.

#![allow(unreachable_pub, reason = "a program")]

mod certificates;
mod client;
mod daemon;
mod events;
mod seen;
mod trust;
mod wrk;

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use client::{Kind, Load, Over};
use daemon::{Daemon, free};
use seen::{Seen, median, p99};
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_util::sync::CancellationToken;
use wrk::Wrk;

/// How many clients there are of each kind, over TCP and over TLS each: enough that connections
/// wait to be accepted.
const CLIENTS: [(Kind, usize); 3] = [(Kind::KeepAlive, 8), (Kind::Fresh, 16), (Kind::Slow, 4)];

/// How many follow the events.
const FOLLOWERS: usize = 8;

/// How often a configuration is put in place.
const EVERY: Duration = Duration::from_millis(10);

/// How long the load may need to be steady: at first, and after what was disturbed. It is as long as
/// connections to an address that is closed are served, and a little longer.
const SETTLE: Duration = Duration::from_millis(350);

/// What happens when values change, which is what a server like this is for.
const VALUES_CHANGE: &str = "values change 100/s";

/// How many times as long the slowest of a hundred requests may take while values change: what is the
/// same within what a machine does by itself. A short run has too few of them to tell.
const MOST: f64 = 1.5;

/// How a scenario is run: quiet and disturbed in turns, so that what else the machine does tells in
/// both.
#[derive(Clone, Copy)]
struct Course {
    /// An odd number.
    turns: usize,
    quiet: Duration,
    disturbed: Duration,
    upgrades_a_turn: usize,
}

const FULL: Course = Course {
    turns: 5,
    quiet: Duration::from_secs(3),
    disturbed: Duration::from_secs(12),
    upgrades_a_turn: 10,
};

const SHORT: Course = Course {
    turns: 3,
    quiet: Duration::from_millis(400),
    disturbed: Duration::from_millis(800),
    upgrades_a_turn: 2,
};

/// What happens while clients ask.
type Disturb = fn(&mut Daemon, Course);

const SCENARIOS: [(&str, Disturb); 4] = [
    (VALUES_CHANGE, change_values),
    ("listeners come and go", change_listeners),
    ("certificates rotate", rotate_certificates),
    ("binaries are upgraded", upgrade),
];

fn main() {
    let is_short = std::env::args().any(|arg| arg == "--short");
    let course = if is_short { SHORT } else { FULL };
    println!(
        "{:<22} {:>9} {:>7} {:>9} {:>13} {:>7} {:>9} {:>9} {:>6}",
        "while",
        "answered",
        "failed",
        "a second",
        "certificates",
        "streams",
        "p99 quiet",
        "p99",
        "ratio"
    );
    let outcomes = SCENARIOS.map(|(name, disturb)| (name, scenario(name, course, disturb)));
    for (name, outcome) in outcomes {
        assert_eq!(outcome.failed, 0, "requests were lost while {name}");
        if name == VALUES_CHANGE && !is_short {
            assert!(outcome.ratio <= MOST, "{:.2} times as long while {name}", outcome.ratio);
        }
    }
}

/// How requests fared in a scenario.
struct Outcome {
    failed: usize,
    /// How many times as long the slowest of a hundred took while it was disturbed.
    ratio: f64,
}

/// Runs one scenario.
fn scenario(name: &str, course: Course, disturb: Disturb) -> Outcome {
    let mut daemon = Daemon::start();
    let load = Arc::new(Load {
        http: daemon.config.http,
        https: daemon.config.https,
        admin: daemon.config.admin,
        trust: Arc::clone(&daemon.config.certificates.trust),
        seen: Seen::default(),
        stop: CancellationToken::new(),
    });
    let runtime = Runtime::new().expect("a runtime");
    let mut clients = start_clients(&load, &runtime);
    let wrk = Wrk::start(load.http);

    let (mut calm, mut wild) = (Vec::new(), Vec::new());
    let (mut answered, mut disturbed, mut took) = (0, 0, Duration::ZERO);
    for _ in 0..course.turns {
        sleep(SETTLE);
        answered += load.seen.take().len();
        sleep(course.quiet);
        let latencies = load.seen.take();
        answered += latencies.len();
        calm.push(p99(latencies));
        let begun = Instant::now();
        disturb(&mut daemon, course);
        took += begun.elapsed();
        let latencies = load.seen.take();
        disturbed += latencies.len();
        wild.push(p99(latencies));
    }

    let others = wrk.map(Wrk::end).unwrap_or_default();
    load.stop.cancel();
    runtime.block_on(async { while clients.join_next().await.is_some() {} });
    let failures = [load.seen.failures(), others].concat();
    let (served, issued) = load.trust.served();
    let (calm, wild) = (median(calm), median(wild));
    #[allow(clippy::cast_precision_loss, reason = "a figure of a few digits")]
    let rate = disturbed as f64 / took.as_secs_f64();
    println!(
        "{name:<22} {:>9} {:>7} {rate:>9.0} {:>13} {:>7} {:>6.2} ms {:>6.2} ms {:>5.2}x",
        answered + disturbed,
        failures.len(),
        format!("{served} of {issued}"),
        load.seen.streams(),
        calm * 1e3,
        wild * 1e3,
        wild / calm,
    );
    for failure in failures.iter().take(5) {
        println!("    {failure}");
    }
    Outcome { failed: failures.len(), ratio: wild / calm }
}

fn start_clients(load: &Arc<Load>, runtime: &Runtime) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for (kind, count) in CLIENTS {
        for over in [Over::Tcp, Over::Tls] {
            for _ in 0..count {
                let load = Arc::clone(load);
                let ask = async move { client::ask(kind, over, &load).await };
                clients.spawn_on(ask, runtime.handle());
            }
        }
    }
    for _ in 0..FOLLOWERS {
        let load = Arc::clone(load);
        clients.spawn_on(async move { events::follow(&load).await }, runtime.handle());
    }
    clients
}

fn change_values(daemon: &mut Daemon, course: Course) {
    let begun = Instant::now();
    while begun.elapsed() < course.disturbed {
        daemon.config.edit(&[]);
        sleep(EVERY);
    }
}

fn change_listeners(daemon: &mut Daemon, course: Course) {
    let (begun, others) = (Instant::now(), free::<2>());
    while begun.elapsed() < course.disturbed {
        for more in [&others[..1], &others, &others[1..], &[]] {
            daemon.config.edit(more);
            sleep(5 * EVERY);
        }
    }
}

fn rotate_certificates(daemon: &mut Daemon, course: Course) {
    let begun = Instant::now();
    while begun.elapsed() < course.disturbed {
        daemon.config.certificates.renew();
        sleep(8 * EVERY);
    }
    daemon.config.certificates.until_served();
}

fn upgrade(daemon: &mut Daemon, course: Course) {
    for _ in 0..course.upgrades_a_turn {
        daemon.upgrade();
        // Whoever follows the events has to be there again, so that each upgrade ends each stream.
        sleep(SETTLE);
    }
}
