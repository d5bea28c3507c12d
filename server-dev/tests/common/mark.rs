//! The processes of one `server-dev`, wherever they have gone.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{process, wait_until};

/// A variable that each process of one `server-dev` has, and no other.
pub struct Mark(String);

impl Mark {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{next}", std::process::id()))
    }

    pub fn env(&self) -> (&str, &str) {
        ("LEFTOVERS", &self.0)
    }

    /// The processes that have it and are no zombies, which have no environment.
    pub fn processes(&self) -> Vec<u32> {
        let variable = format!("LEFTOVERS={}\0", self.0);
        let has_it = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(variable.len()).any(|part| part == variable.as_bytes())
        };
        process::all().into_iter().filter(has_it).collect()
    }

    pub fn wait_until_gone(&self) {
        wait_until(|| self.processes().is_empty(), || format!("{:?} are left", self.processes()));
    }
}
