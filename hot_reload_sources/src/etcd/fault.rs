//! What a server, or the way to it, had to say.

use std::{error::Error as StdError, io};

use etcd_client::Error;

use crate::{error::StoreError, tls};

/// Codes of gRPC: <https://grpc.io/docs/guides/status-codes/>.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

const NO_USER: &str = "user name is empty";
const WRONG_USER: &str = "authentication failed";
const OLD_USERS: &str = "revision of auth store is old";

/// Makes a store's error of a client's.
///
/// etcd's own are told apart by code and text, as its client for Go does
/// ([rpctypes](https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go)).
pub(super) fn told(error: &Error) -> StoreError {
    let Error::GRpcStatus(status) = error else { return lost(error) };
    let text = status.message();
    if status.source().is_some() {
        return if status.code() as i32 == code::OUT_OF_RANGE { too_large() } else { lost(error) };
    }
    match status.code() as i32 {
        code::PERMISSION_DENIED => denied(),
        code::RESOURCE_EXHAUSTED => {
            StoreError::throttled(format!("the server has too much to do: {text}"), None)
        }
        // The size that a message may have is told in the same way.
        code::OUT_OF_RANGE if !text.contains("compacted") => too_large(),
        code::UNAUTHENTICATED => StoreError::refused(format!(
            "the server does not take the token ({text}); see whether the user may still log in"
        )),
        code::INVALID_ARGUMENT if text.contains(OLD_USERS) => {
            StoreError::unreachable("users or roles have changed; logging in again")
        }
        code::INVALID_ARGUMENT if text.contains(NO_USER) => {
            StoreError::refused("the server wants a user; give one, and a password")
        }
        code::INVALID_ARGUMENT if text.contains(WRONG_USER) => {
            StoreError::refused("wrong user or password; give those of a user of the cluster")
        }
        code::INVALID_ARGUMENT | code::FAILED_PRECONDITION => {
            StoreError::refused(format!("the server refuses it: {text}"))
        }
        _ => StoreError::unreachable(format!("the server can't answer: {text}")),
    }
}

/// The same, for one who has never been connected.
///
/// A server that is not shown the certificate it wants says so when the client takes itself for connected
/// (RFC 8446, section 2: by then it may write), and hangs up; that is all that the client tells of it.
pub(super) fn told_at_entrance(error: &Error) -> StoreError {
    match error {
        Error::GRpcStatus(status) if status.source().is_some() && is_hung_up(error) => {
            StoreError::unreachable(
                "the server hangs up; see whether it speaks TLS, and wants a client certificate",
            )
            .because(root(error).to_string())
        }
        error => told(error),
    }
}

/// What a watch that was cancelled has for a reason, which is a status as text.
pub(super) fn cancelled(reason: &str) -> StoreError {
    if reason.contains("permission denied") {
        return denied();
    }
    StoreError::unreachable(match reason {
        "" => "the server has ended the watch".to_owned(),
        reason => format!("the server has ended the watch: {reason}"),
    })
}

/// Whether the server itself has answered, be it with a refusal, and is of use.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.source().is_none() && status.code() as i32 != code::UNAVAILABLE)
}

/// Whether it is etcd that says so, and nothing in between.
pub(super) fn is_of_etcd(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.source().is_none() && status.message().starts_with("etcdserver: "))
}

/// Whether another connection may fare better: this one is broken, or is logged in no more.
pub(super) fn ends_link(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return true };
    !is_answer(error)
        || match status.code() as i32 {
            code::UNAUTHENTICATED => true,
            code::INVALID_ARGUMENT => {
                [NO_USER, WRONG_USER, OLD_USERS].iter().any(|text| status.message().contains(text))
            }
            _ => false,
        }
}

/// Whether the token is not taken, be it that it was in use for too long.
pub(super) fn is_expired(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.source().is_none() && status.code() as i32 == code::UNAUTHENTICATED)
}

/// Whether there is nobody to log in as: then all may read, as etcd's own client has it too.
pub(super) fn is_open_to_all(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.source().is_none()
            && status.code() as i32 == code::FAILED_PRECONDITION
            && status.message().contains("authentication is not enabled"))
}

fn denied() -> StoreError {
    StoreError::refused("the user may not read it; grant a role of theirs the right to")
}

fn too_large() -> StoreError {
    StoreError::invalid("more than can be taken at once; put less there, or follow a part of it")
}

/// The connection is lost, or was never had.
fn lost(error: &Error) -> StoreError {
    if let Some(refusal) = tls::refusal(first(error)) {
        return refusal;
    }
    let cause = root(error).to_string();
    match error {
        // Nothing was sent yet.
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::TransportError(_) => {
            StoreError::refused("can't be connected to as it is said; see the URL and the files")
                .because(cause)
        }
        _ => StoreError::unreachable("no connection; see whether the server runs and is reached")
            .because(cause),
    }
}

/// Whether there was somebody who has ended it.
fn is_hung_up(error: &Error) -> bool {
    let causes = tls::causes(first(error));
    let io = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    !root(error).is::<rustls::Error>()
        && io.is_none_or(|io| {
            use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData, UnexpectedEof};
            matches!(io.kind(), BrokenPipe | ConnectionReset | InvalidData | UnexpectedEof)
        })
}

/// The innermost cause, which alone says what is wrong.
fn root(error: &Error) -> &(dyn StdError + 'static) {
    tls::causes(first(error)).last().unwrap_or(error)
}

/// What the client has made its error of; it tells no source of it.
fn first(error: &Error) -> &(dyn StdError + 'static) {
    match error {
        Error::GRpcStatus(status) => status,
        Error::TransportError(transport) => transport,
        error => error,
    }
}
