//! How many descriptors the daemon may have.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// Raises the limit as far as it may be raised.
///
/// It is low for the sake of programs that call `select(2)`, which knows no descriptor from 1024 on;
/// this one doesn't (<https://0pointer.net/blog/file-descriptor-limits.html>).
pub(crate) fn allow_all() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "the limit of descriptors stays as it is");
    }
}
