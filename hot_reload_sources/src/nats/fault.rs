//! What NATS says when it refuses something, told apart.

use std::error::Error;

use async_nats::{
    ConnectError, ConnectErrorKind, ServerAddr, ServerError, client,
    jetstream::{
        self, ErrorCode,
        context::{RequestError, RequestErrorKind},
        stream::{ConsumerError, ConsumerErrorKind},
    },
};

use super::address;
use crate::{error::StoreError, tls};

/// Why there is no connection to `server`.
pub(super) fn connect(error: ConnectError, server: &ServerAddr) -> StoreError {
    let name = address::name(server);
    if let Some(refusal) = tls::refusal(&error) {
        return refusal;
    }
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            return denied(&name, "authorization violation");
        }
        ConnectErrorKind::Authentication => {
            return StoreError::refused(format!("{name} can't be shown the nkey; check its seed"));
        }
        _ => {}
    }
    // The client has one kind for all else that a server says instead of letting it in.
    let said = match find::<ServerError>(&error) {
        Some(ServerError::Other(said)) => said.to_lowercase(),
        _ => innermost(&error).to_lowercase(),
    };
    if said.contains("connections exceeded") {
        let told = format!("{name} has as many connections as it takes; raise its limit");
        return StoreError::throttled(told, None);
    }
    if said.contains("authorization") || said.contains("authentication expired") {
        return denied(&name, &said);
    }
    match error.kind() {
        ConnectErrorKind::Dns => {
            StoreError::unreachable(format!("{name} can't be found; check the name")).because(error)
        }
        ConnectErrorKind::TimedOut => {
            StoreError::unreachable(format!("{name} gives no answer; has it too much to do?"))
        }
        _ => {
            StoreError::unreachable(format!("{name} can't be reached; is it there?")).because(error)
        }
    }
}

fn denied(name: &str, said: &str) -> StoreError {
    StoreError::refused(format!(
        "{name} takes none of these credentials ({said}); check user, password and token"
    ))
}

/// Why a bucket is not watched.
pub(super) fn consumer(error: ConsumerError, bucket: &str) -> StoreError {
    match error.kind() {
        ConsumerErrorKind::JetStream(error) => refusal(&error, bucket),
        _ => answer(error),
    }
}

/// Says that a connection, or what was to come over it, is lost.
pub(super) fn lost(what: &str) -> StoreError {
    StoreError::unreachable(what)
}

fn missing(bucket: &str) -> StoreError {
    StoreError::missing(format!("there is no bucket {bucket}; create it"))
}

/// Why JetStream does not do what was asked.
pub(super) fn refusal(error: &jetstream::Error, bucket: &str) -> StoreError {
    let told = format!("JetStream says: {error}");
    match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND => missing(bucket),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            StoreError::refused(format!("{told}; enable it for the account"))
        }
        ErrorCode::MAXIMUM_CONSUMERS_LIMIT
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => {
            StoreError::throttled(format!("{told}; raise its limit"), None)
        }
        // The server, or its cluster, is not ready.
        _ if error.code() >= 500 => StoreError::unreachable(format!("{told}; it is tried again")),
        _ => StoreError::refused(told),
    }
}

/// Why a request has no answer.
pub(super) fn answer(error: impl Error + Send + Sync + 'static) -> StoreError {
    let is_nobody_there = find::<RequestError>(&error)
        .is_some_and(|error| error.kind() == RequestErrorKind::NoResponders)
        || find::<client::RequestError>(&error)
            .is_some_and(|error| error.kind() == client::RequestErrorKind::NoResponders);
    if is_nobody_there {
        return StoreError::unreachable(
            "JetStream is not there, or not yet; start the server with -js, and enable it for the \
             account",
        );
    }
    StoreError::unreachable("JetStream gives no answer").because(error)
}

/// Looks for the cause that is an `E`.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    tls::causes(error).find_map(|cause| cause.downcast_ref::<E>())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    tls::causes(error).last().unwrap_or(error).to_string()
}
