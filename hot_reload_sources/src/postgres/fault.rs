//! Errors of the client and of the server, told apart.

use std::{error::Error as _, io};

use tokio_postgres::{Error, error::DbError};

use crate::{error::StoreError, tls};

/// Tells what `error` means; no value, no password is in what it says.
pub(super) fn of(error: &Error) -> StoreError {
    if let Some(error) = error.as_db_error() {
        return of_server(error);
    }
    if error.is_closed() {
        return lost();
    }
    if let Some(refused) = tls::refusal(error) {
        return refused;
    }
    if let Some(error) = tls::causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()) {
        return StoreError::unreachable(format!("can't be reached: {error}"));
    }
    match error.source() {
        Some(cause) => StoreError::refused(format!("{error}: {cause}")),
        None => StoreError::refused(error.to_string()),
    }
}

pub(super) fn lost() -> StoreError {
    StoreError::unreachable("the connection is lost")
}

/// [PostgreSQL error codes](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn of_server(error: &DbError) -> StoreError {
    let (code, message) = (error.code().code(), error.message());
    match code {
        // What could not be cast is quoted in the message.
        _ if code.starts_with("22") => StoreError::invalid(format!(
            "the query fails with error {code} on what is there; the server's log has more"
        )),
        "28P01" | "28000" => StoreError::refused(format!(
            "{message}; see to the user, the password and the server's pg_hba.conf"
        )),
        "3D000" => StoreError::missing(format!("{message}; create it, or name another")),
        "42P01" | "3F000" => StoreError::missing(format!(
            "{message}; create it: hot_reload.sql has the table that keys are in"
        )),
        "42501" => StoreError::refused(format!("{message}; grant the right to read it")),
        "25006" => StoreError::refused(format!(
            "{message}: a standby tells of no changes; name the primary to have them pushed"
        )),
        "57014" => {
            StoreError::throttled(format!("{message}; a longer read_deadline gives it more"), None)
        }
        _ if code.starts_with("53") || matches!(code, "55P03" | "40001" | "40P01") => {
            StoreError::throttled(message, None)
        }
        // Starting up, shutting down, crashed.
        _ if code.starts_with("57") || code.starts_with("08") => StoreError::unreachable(message),
        _ => StoreError::refused(format!("{message} (error {code})")),
    }
}
