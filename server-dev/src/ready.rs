//! When a new process is ready for what comes in.
//!
//! That a connection to a held socket succeeds says nothing: the kernel answers. So the process says
//! it itself, or is seen to wait for connections.

mod accepting;
mod call;
mod main_process;
mod notified;
mod place;
mod probe;

use std::{net::SocketAddr, time::Duration};

use rustix::process::Pid;
use serde::Serialize;
use tokio::time::sleep;

use self::accepting::accepts;
pub(crate) use self::{
    main_process::{MainProcess, hang_up},
    notified::Notified,
    place::Place,
    probe::LastLook,
};
use crate::{config::Ready, never::or_never};

/// The pause between two looks at a process that starts.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A process that has no socket to wait at counts as ready after this long.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// Where one process alone is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// At a port that it is to listen at.
    Port(SocketAddr),
    /// At a socket that it was passed, where connections wait for it.
    Socket(SocketAddr),
}

impl Private {
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Self::Port(address) | Self::Socket(address) => address,
        }
    }
}

/// How a process was found to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sign {
    /// It said so.
    Notified,
    /// It waits for connections.
    Accepts,
    /// A connection to its own port succeeds.
    Connects,
    /// It has answered a request.
    Answers,
    /// It has run for as long as was asked for.
    Delay,
    /// It has run for a while, and nothing else could be seen.
    Alive,
}

/// Waits until the processes of `group` are ready, which say so to `notified`, of which the kernel knows the
/// sockets by `inodes`, and which alone are behind `private`; `last` is what was seen there. Where one was seen
/// at the sockets, it is returned.
pub(crate) async fn wait(
    notified: &Notified,
    how: &Ready,
    group: Pid,
    inodes: &[u64],
    private: Option<Private>,
    last: &LastLook,
) -> (Sign, Option<MainProcess>) {
    let mut seen = None;
    let sign = match how {
        Ready::Notify => {
            notified.told().await;
            Sign::Notified
        }
        Ready::Delay(delay) => {
            sleep(**delay).await;
            Sign::Delay
        }
        Ready::Http(path) => {
            // The command line and the file are refused where there is none.
            or_never(private.map(|private| probe::answers(private.address(), path, last))).await;
            Sign::Answers
        }
        Ready::Auto if let Some(Private::Port(port)) = private => tokio::select! {
            biased;
            () = notified.told() => Sign::Notified,
            () = probe::connects(port) => Sign::Connects,
        },
        Ready::Auto => tokio::select! {
            biased;
            () = notified.told() => Sign::Notified,
            main = accepts(group, inodes) => {
                seen = main;
                Sign::Accepts
            }
            // One that has a socket, and doesn't wait there yet, may be far from ready.
            () = sleep(LONG_ENOUGH), if inodes.is_empty() => Sign::Alive,
        },
    };
    (sign, seen)
}
