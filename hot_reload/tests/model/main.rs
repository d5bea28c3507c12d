//! After any sequence of operations, then quiet, the value is what the files hold.
//!
//! `HOT_RELOAD_SEED=… cargo nextest run -p hot_reload --all-features model` runs one sequence
//! again; `HOT_RELOAD_SEQUENCES=…` sets how many there are.
#![cfg(all(feature = "toml", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;
mod one_file;
mod set;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hot_reload::WatchStrategy;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as Settings, RngAlgorithm, TestRng, TestRunner},
};
use tokio::task::JoinSet;

/// The sequence that a seed stands for.
fn sequence<O: Debug>(op: impl Strategy<Value = O>, seed: u64) -> Vec<O> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Settings::default(), rng);
    prop::collection::vec(op, 1..20).new_tree(&mut runner).unwrap().current()
}

/// Operations of a kind, and whether the value is right after some.
trait Model: Copy + Send + 'static {
    type Op: Debug + Clone + Send;

    fn op(self) -> BoxedStrategy<Self::Op>;

    fn holds(
        self,
        strategy: WatchStrategy,
        ops: Vec<Self::Op>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Clone, Copy)]
struct OneFile;

impl Model for OneFile {
    type Op = one_file::Op;

    fn op(self) -> BoxedStrategy<Self::Op> {
        one_file::op().boxed()
    }

    async fn holds(self, strategy: WatchStrategy, ops: Vec<Self::Op>) -> Result<(), String> {
        one_file::holds(strategy, ops).await
    }
}

#[derive(Clone, Copy)]
struct Set;

impl Model for Set {
    type Op = set::Op;

    fn op(self) -> BoxedStrategy<Self::Op> {
        set::op().boxed()
    }

    async fn holds(self, strategy: WatchStrategy, ops: Vec<Self::Op>) -> Result<(), String> {
        set::holds(strategy, ops).await
    }
}

/// Leaves out what a failure does not need.
async fn shrink<M: Model>(model: M, strategy: WatchStrategy, mut ops: Vec<M::Op>) -> Vec<M::Op> {
    let mut n = 0;
    while n < ops.len() {
        let mut fewer = ops.clone();
        fewer.remove(n);
        let mut fails = false;
        for _ in 0..2 {
            fails |= model.holds(strategy, fewer.clone()).await.is_err();
        }
        if fails {
            ops = fewer;
        } else {
            n += 1;
        }
    }
    ops
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Sequences done at the same time; most of each is waiting.
const AT_ONCE: u64 = 64;

async fn check_all(model: impl Model, strategy: WatchStrategy, sequences: u64) {
    let one = from_environment("HOT_RELOAD_SEED");
    let first = one.unwrap_or_else(|| {
        u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()) * 1_000
    });
    let count = if one.is_some() {
        1
    } else {
        from_environment("HOT_RELOAD_SEQUENCES").unwrap_or(sequences)
    };
    let next = Arc::new(AtomicU64::new(first));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE.min(count) {
        let next = Arc::clone(&next);
        workers.spawn(async move {
            loop {
                // Relaxed: a counter.
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return None;
                }
                if let Err(why) = model.holds(strategy, sequence(model.op(), seed)).await {
                    return Some((seed, why));
                }
            }
        });
    }
    let mut failures = BTreeMap::new();
    while let Some(done) = workers.join_next().await {
        failures.extend(done.unwrap());
    }
    if let Some((seed, why)) = failures.first_key_value() {
        let ops = shrink(model, strategy, sequence(model.op(), *seed)).await;
        panic!(
            "{} of {count} sequences fail; HOT_RELOAD_SEED={seed}: {why}\nshrunk: {ops:#?}",
            failures.len()
        );
    }
}

in_every_strategy! {
    async fn the_value_is_what_the_file_holds(strategy) {
        check_all(OneFile, strategy, 1_000).await;
    }

    async fn the_value_is_what_the_set_holds(strategy) {
        check_all(Set, strategy, 1_000).await;
    }
}
