//! The scenarios of `read`: threads that read a shared value as fast as they can.

#![allow(unreachable_pub, reason = "shared by programs that each include it")]

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// What is read: two words, of which one is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub n: u64,
    pub text: String,
}

pub fn value(n: u64) -> Value {
    Value { n, text: "a value that is not free to clone".to_owned() }
}

/// Reads a round; thousands of them make a figure that a context switch does not spoil.
const ROUND: u32 = 1_000;

/// Returns the median time of one read, in nanoseconds, by `threads` that read at once, each with
/// a reader of its own from `reader`.
pub fn per_read<R: FnMut() -> u64>(
    threads: usize,
    how_long: Duration,
    reader: impl Fn() -> R + Sync,
) -> f64 {
    let together = Barrier::new(threads);
    let mut rounds: Vec<Duration> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut read = reader();
                    together.wait();
                    let end = Instant::now() + how_long;
                    let mut rounds = Vec::new();
                    while Instant::now() < end {
                        let from = Instant::now();
                        for _ in 0..ROUND {
                            black_box(read());
                        }
                        rounds.push(from.elapsed());
                    }
                    rounds
                })
            })
            .collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a reader")).collect()
    });
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_secs_f64() * 1e9 / f64::from(ROUND)
}
