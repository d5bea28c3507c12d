//! How many descriptors the daemon may have.

/// Raises the limit as far as it may be raised.
///
/// It is low for the sake of programs that call `select(2)`, which knows no descriptor from 1024 on;
/// this one doesn't (<https://0pointer.net/blog/file-descriptor-limits.html>).
#[cfg(unix)]
pub(crate) fn allow_all() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

#[cfg(not(unix))]
pub(crate) fn allow_all() {}
