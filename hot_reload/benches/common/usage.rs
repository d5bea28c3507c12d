//! What a process uses, as the kernel counts it (`proc(5)`).

#![allow(unreachable_pub, reason = "shared by programs that each include it")]

use std::{fs, time::Duration};

#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub threads: usize,
    pub descriptors: usize,
    /// Bytes.
    pub resident: u64,
    pub cpu: Duration,
    /// Times that a thread was put on a processor after it had slept.
    pub wakeups: u64,
}

impl Usage {
    pub fn now() -> Self {
        let count = |dir| fs::read_dir(dir).expect("Linux").count();
        let threads = fs::read_dir("/proc/self/task").expect("Linux").flatten();
        let wakeups = threads.map(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            field(&status, "voluntary_ctxt_switches:")
        });
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        Self {
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
            resident: field(&status, "VmRSS:") * 1024,
            cpu: cpu(),
            wakeups: wakeups.sum(),
        }
    }
}

fn field(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    value.split_whitespace().next().and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// The processor time of every thread so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
