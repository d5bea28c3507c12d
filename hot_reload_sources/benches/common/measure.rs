//! What both benches are asked, and how they say it.

use std::{env, time::Duration};

/// What the command line asks for.
pub(crate) struct Asked {
    names: Vec<String>,
    pub(crate) is_short: bool,
}

impl Asked {
    pub(crate) fn read() -> Self {
        // Cargo adds `--bench`.
        let (flags, names): (Vec<_>, Vec<_>) =
            env::args().skip(1).partition(|arg| arg.starts_with("--"));
        Self { names, is_short: flags.iter().any(|flag| flag == "--short") }
    }

    /// Whether it names this store, or none.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|asked| asked == name)
    }
}

/// Within which that part of them is, in milliseconds.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0
}
