//! What a server answers in place of what was asked.

use std::{error::Error, io, sync::Arc};

use ::redis::{ErrorKind, RedisError};

use crate::{error::StoreError, tls};

/// Whether the server has no `HELLO`, or speaks no RESP3 by it.
pub(super) fn is_without_resp3(error: &RedisError) -> bool {
    let says_unknown = || {
        let detail = error.detail().unwrap_or_default().to_ascii_lowercase();
        error.code() == Some("ERR") && detail.contains("unknown command")
    };
    error.kind() == ErrorKind::RESP3NotSupported
        || error.code() == Some("NOPROTO")
        || says_unknown()
}

/// Whether it may not run a script, or what is in it, or knows none.
pub(super) fn is_without_scripts(error: &StoreError) -> bool {
    let answer = error.source().and_then(|source| source.downcast_ref());
    answer.is_some_and(|error: &RedisError| matches!(error.code(), Some("NOPERM" | "ERR")))
}

/// Tells what is wrong, and what to do; `wanted` is the command that the server did not carry out.
pub(super) fn of(error: &RedisError, wanted: &str) -> StoreError {
    let detail = error.detail().unwrap_or_default();
    let told = match error.code() {
        Some("WRONGPASS") => StoreError::refused(
            "the user or the password is wrong, or the user is disabled; correct them",
        ),
        Some("NOAUTH") => StoreError::refused("a password is needed; give one"),
        Some("NOPERM") => StoreError::refused(format!(
            "the user has no right to {wanted}; grant it that by ACL SETUSER"
        )),
        Some("DENIED") => StoreError::refused(
            "the server takes nobody from other hosts without a password; set one there",
        ),
        Some("WRONGTYPE") => StoreError::invalid(format!("{wanted} is for another kind of value")),
        Some("MOVED") => StoreError::refused(format!(
            "a cluster, where the key is on {}; name that node in place of this",
            node(error)
        )),
        // All of them pass by themselves, and soon, without being asked less often.
        Some("LOADING") => StoreError::unreachable("the server is loading its data"),
        Some("ASK") => {
            let told = format!("a cluster, where the key is on its way to {}", node(error));
            StoreError::unreachable(told)
        }
        Some("MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN") => {
            StoreError::unreachable("the server has lost the others of its kind")
        }
        Some("BUSY") => {
            StoreError::throttled("the server is busy with a script; end it by SCRIPT KILL", None)
        }
        _ if detail.contains("max number of clients") => {
            StoreError::throttled("the server has as many clients as it takes", None)
        }
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            StoreError::refused("the password is wrong; correct it")
        }
        _ if matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse) => {
            return io_error(error)
                .and_then(|error| tls::refusal(error))
                .unwrap_or_else(|| lost().because(error.clone()));
        }
        _ => StoreError::refused(format!("the server won't {wanted}")),
    };
    told.because(error.clone())
}

/// Tells that nothing more is to be heard by a connection.
pub(super) fn lost() -> StoreError {
    StoreError::unreachable("the connection is lost")
}

/// Whether the connection is of no more use.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

fn node(error: &RedisError) -> &str {
    error.redirect_node().map_or("another node", |(address, _)| address)
}

fn io_error(error: &RedisError) -> Option<&io::Error> {
    error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use ::redis::make_extension_error;

    use super::*;

    #[test]
    fn an_answer_decides_how_it_is_tried_again() {
        let error = |code: &str, detail: &str| {
            let line = format!("-{code} {detail}\r\n");
            let value = ::redis::parse_redis_value(line.as_bytes()).unwrap();
            of(&value.extract_error().unwrap_err(), "GET k")
        };
        for (code, detail) in [
            ("WRONGPASS", "invalid username-password pair or user is disabled."),
            ("NOAUTH", "Authentication required."),
            ("NOPERM", "this user has no permissions to run the 'get' command"),
            ("DENIED", "Redis is running in protected mode"),
            ("MOVED", "3999 127.0.0.1:6381"),
            ("ERR", "unknown command 'CLIENT'"),
            ("ERR", "DB index is out of range"),
        ] {
            assert!(error(code, detail).is_refused(), "{code}");
        }
        for (code, detail) in
            [("BUSY", "Redis is busy running a script."), ("ERR", "max number of clients reached")]
        {
            assert!(error(code, detail).is_throttled(), "{code}");
        }
        for (code, detail) in [
            ("LOADING", "Redis is loading the dataset in memory"),
            ("MASTERDOWN", "Link with MASTER is down"),
            ("CLUSTERDOWN", "The cluster is down"),
            ("ASK", "3999 127.0.0.1:6381"),
        ] {
            assert!(error(code, detail).is_unreachable(), "{code}");
        }
        let moved = error("MOVED", "3999 127.0.0.1:6381").to_string();
        assert!(moved.contains("127.0.0.1:6381"), "{moved}");
        let lost = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(is_lost(&lost) && of(&lost, "GET k").is_unreachable());
    }

    #[test]
    fn a_server_before_redis_6_is_told_by_its_answer_to_hello() {
        for (code, detail, want) in [
            ("ERR", "unknown command `HELLO`, with args beginning with: `3`, ", true),
            ("ERR", "unknown command 'HELLO', with args beginning with: '3' ", true),
            ("NOPROTO", "unsupported protocol version", true),
            ("NOAUTH", "HELLO must be called with the client already authenticated", false),
        ] {
            let error = make_extension_error(code.to_owned(), Some(detail.to_owned()));
            assert_eq!(is_without_resp3(&error), want, "{detail}");
        }
    }
}
