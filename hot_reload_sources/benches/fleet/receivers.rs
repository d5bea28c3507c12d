//! Receivers in processes of their own, and what they tell.

use std::{
    env, fs,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Store, from_url};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc::unbounded_channel,
    time::timeout,
};

pub(crate) const FLAG: &str = "--receive";

/// A server that was killed has to be back first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Since 1970: the one clock that all processes share.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970")
}

/// Resident memory of a process, in bytes.
pub(crate) fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

/// What one process does: has so many receivers, and tells when each had which value.
pub(crate) async fn run(url: &str, receivers: usize) {
    let before = memory(std::process::id());
    let (tx, mut arrived) = unbounded_channel();
    for _ in 0..receivers {
        let store = from_url(url, Access::new()).expect("a URL");
        let (service, mut receiver) =
            ReloaderService::from_reloader(store.text(), ReloaderOptions::realtime());
        tokio::spawn(async move { service.start_with_realtime().await });
        let tx = tx.clone();
        tokio::spawn(async move {
            let mut statuses = receiver.watch_status();
            // When the value was last found to be what the store holds, and what the status calls that.
            let (mut looked, mut looked_at) = (None, Duration::ZERO);
            loop {
                tokio::select! {
                    biased;
                    changed = receiver.changed() => {
                        changed.expect("a service");
                        let n: u64 = receiver.get().expect("a value").parse().expect("a number");
                        tx.send((n, now(), looked_at)).expect("a process");
                    }
                    changed = statuses.changed() => {
                        let status = changed.expect("a service");
                        if status.last_load != looked {
                            (looked, looked_at) = (status.last_load, now());
                        }
                    }
                }
            }
        });
    }
    let mut newest = (0, Vec::new());
    while let Some((n, at, looked_at)) = arrived.recv().await {
        if n > newest.0 {
            newest = (n, Vec::new());
        }
        if n < newest.0 {
            continue;
        }
        newest.1.push(format!("{} {}", at.as_nanos(), looked_at.as_nanos()));
        if newest.1.len() == receivers {
            let each = memory(std::process::id()).saturating_sub(before) / receivers;
            println!("{n} {each} {}", newest.1.join(" "));
        }
    }
}

/// When a receiver had a value, and when it had heard of the store before; both since 1970.
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) looked_at: Duration,
}

/// All processes.
pub(crate) struct Fleet {
    processes: Vec<(Child, Lines<BufReader<ChildStdout>>)>,
    memory: Vec<usize>,
}

impl Fleet {
    pub(crate) fn start(url: &str, receivers: usize, processes: usize) -> Self {
        let share = |at: usize| receivers * (at + 1) / processes - receivers * at / processes;
        let processes = (0..processes).map(|at| {
            let mut command = Command::new(env::current_exe().expect("a path"));
            command.args([FLAG, url, &share(at).to_string()]).stdout(Stdio::piped());
            let mut child = command.kill_on_drop(true).spawn().expect("a process");
            let stdout = child.stdout.take().expect("it is piped");
            (child, BufReader::new(stdout).lines())
        });
        Self { processes: processes.collect(), memory: Vec::new() }
    }

    /// When each receiver had value `n`, which no later one overtakes, and had looked before.
    pub(crate) async fn arrivals(&mut self, n: u64) -> Vec<Arrival> {
        let mut all = Vec::new();
        self.memory.clear();
        for (_child, lines) in &mut self.processes {
            let told = async {
                loop {
                    let line = lines.next_line().await.expect("a line").expect("a process");
                    let mut words =
                        line.split(' ').map(|word| word.parse::<u64>().expect("a number"));
                    if words.next() == Some(n) {
                        return words.collect::<Vec<_>>();
                    }
                }
            };
            let told = timeout(PATIENCE, told).await.expect("every receiver has it in time");
            self.memory.push(usize::try_from(told[0]).expect("a size"));
            all.extend(told[1..].chunks_exact(2).map(|nanos| Arrival {
                at: Duration::from_nanos(nanos[0]),
                looked_at: Duration::from_nanos(nanos[1]),
            }));
        }
        all
    }

    /// Bytes that a receiver takes, its connection included.
    pub(crate) fn memory_each(&self) -> usize {
        self.memory.iter().sum::<usize>() / self.memory.len()
    }
}
