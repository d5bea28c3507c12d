//! Where a server is to listen that was passed no socket.

use std::env;

/// What `HOST` and `PORT` say.
pub(crate) fn own_address() -> String {
    let variable = |name, or: &str| env::var(name).unwrap_or_else(|_| or.to_owned());
    format!("{}:{}", variable("HOST", "127.0.0.1"), variable("PORT", "3000"))
}
