//! What else goes on in the directory of a file, and what that costs.

use std::{
    fs,
    os::unix::fs::chown,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use hot_reload::{ReloaderService, TomlFile, WatchStrategy};
use tokio::time::{sleep, timeout};

use crate::{
    SOMEBODY, WITHOUT_LEASES,
    common::{
        Config, Lab, PATIENCE, alone, alone_under, block_on, config, options, processor_time, text,
    },
    with_one,
};

/// Writes without a rest for as long as it lives.
struct Noise(Child);

impl Noise {
    /// Runs a `script` in `dir`.
    fn of(script: &str, dir: &Path) -> Self {
        Self(Command::new("sh").args(["-c", script]).current_dir(dir).spawn().unwrap())
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const ONE_LOG: &str = "exec 3>log; while :; do echo line >&3; done";
const TWO_LOGS: &str = "exec 3>a 4>b; while :; do echo line >&3; echo line >&4; done";

/// What the process spends in a second that begins when the noise has gone on for a while.
async fn spent() -> Duration {
    sleep(Duration::from_millis(500)).await;
    let before = processor_time();
    sleep(Duration::from_secs(1)).await;
    processor_time().saturating_sub(before)
}

/// How often the process is woken in such a second.
async fn woken() -> u64 {
    sleep(Duration::from_millis(500)).await;
    let before = wakes();
    sleep(Duration::from_secs(1)).await;
    wakes() - before
}

/// How often its threads have come to wait (`proc_pid_status(5)`).
fn wakes() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let waits = threads.map(|thread| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    });
    waits.sum()
}

async fn follows_edits(lab: &mut Lab) {
    for n in 0..20 {
        lab.write(text(&n.to_string()));
        lab.expect(config(&n.to_string())).await;
    }
}

/// More than those of a process that nothing is told, fewer than those of one that is told of noise.
const FEW_WAKES: u64 = 100;

/// Each of its writes once woke the watcher.
#[test]
fn who_writes_beside_a_file_without_a_rest_costs_little() {
    if !alone_under("noise::who_writes_beside_a_file_without_a_rest_costs_little", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Realtime).await;
        let noise = Noise::of(ONE_LOG, &lab.root);
        let spent = spent().await;
        follows_edits(&mut lab).await;
        drop(noise);
        assert!(spent < Duration::from_millis(100), "{spent:?}");
    });
}

/// Of events that are not alike none is merged with another, and each once woke whoever polls.
#[test]
fn who_writes_two_logs_beside_a_file_in_turn_wakes_it_no_more_often() {
    if !alone_under(
        "noise::who_writes_two_logs_beside_a_file_in_turn_wakes_it_no_more_often",
        WITHOUT_LEASES,
    ) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Realtime).await;
        let noise = Noise::of(TWO_LOGS, &lab.root);
        let woken = woken().await;
        follows_edits(&mut lab).await;
        drop(noise);
        assert!(woken < 2000, "{woken}");
    });
}

/// While it was missing, whatever was written beside it was told, and once was from then on.
#[test]
fn a_file_that_was_removed_once_is_not_woken_by_noise() {
    if !alone("noise::a_file_that_was_removed_once_is_not_woken_by_noise") {
        return;
    }
    block_on(async {
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        fs::remove_file(&lab.path).unwrap();
        lab.expect_failure().await;
        lab.write(text("two"));
        lab.expect(config("two")).await;
        // Until it has rested.
        sleep(Duration::from_secs(1)).await;
        let noise = Noise::of(ONE_LOG, &lab.root);
        let woken = woken().await;
        follows_edits(&mut lab).await;
        drop(noise);
        assert!(woken < FEW_WAKES, "{woken}");
    });
}

/// What one of them needed was once told the others after it had left.
#[test]
fn who_leaves_a_directory_leaves_no_noise_to_those_on_their_way_through_it() {
    if !alone_under(
        "noise::who_leaves_a_directory_leaves_no_noise_to_those_on_their_way_through_it",
        WITHOUT_LEASES,
    ) {
        return;
    }
    block_on(async {
        let mut lab = Lab::following(options(WatchStrategy::Realtime), "sub/config.toml", |dir| {
            fs::create_dir(dir.join("sub")).unwrap();
            fs::write(dir.join("sub/config.toml"), text("one")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        let path = lab.root.join("other.toml");
        fs::write(&path, text("one")).unwrap();
        chown(&path, Some(SOMEBODY), None).unwrap();
        let source = TomlFile::<Config>::from_path(&path).unwrap();
        let (service, mut values) =
            ReloaderService::from_reloader(source, options(WatchStrategy::Realtime));
        let other = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        other.abort();
        let _stopped = other.await;
        let noise = Noise::of(ONE_LOG, &lab.root);
        let woken = woken().await;
        drop(noise);
        assert!(woken < FEW_WAKES, "{woken}");
        fs::rename(lab.root.join("sub"), lab.root.join("away")).unwrap();
        lab.expect_failure().await;
    });
}
