//! Where a server listens, by what it was told.

use crate::{draft::Draft, spec::Spec};

/// Where it listens when it isn't told.
const HOST: &str = "127.0.0.1";

/// Has a socket held there; `default` is the port where it isn't told one.
pub(super) fn listen(
    draft: &mut Draft,
    kind: &str,
    host: Option<&str>,
    port: Option<&str>,
    default: u16,
) {
    let host = match host.unwrap_or(HOST) {
        "localhost" => HOST.to_owned(),
        "" | "0" => "0.0.0.0".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let port = match port.map(str::parse::<u16>) {
        None => default,
        Some(Ok(port)) => port,
        Some(Err(_no_port)) => {
            draft.note(format!("its port is no number, so that the socket is on {default}"));
            default
        }
    };
    let socket = format!("{kind}::{host}:{port}");
    if socket.parse::<Spec>().is_ok() {
        draft.add("sockets", socket);
    } else {
        draft.note(format!("{host} is no address, so that the socket is on {HOST}"));
        draft.add("sockets", format!("{kind}::{port}"));
    }
}

/// The host and the port of what is written with both, or with one of them.
pub(super) fn parts(text: &str) -> (Option<&str>, Option<&str>) {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (Some(host), Some(port)),
        None if is_port(text) => (None, Some(text)),
        _ => (Some(text), None),
    }
}
