//! Sockets that the process was started with: `sd_listen_fds(3)`.

use std::{env, io};

use listenfd::ListenFd;
use socket2::Socket;
use tracing::warn;

use crate::{
    address::Address,
    role::Role,
    socket::{self, Listener},
};

/// The sockets that a process was started with, for [`ServerContextBuilder::inherited`].
///
/// One is for what its name says: `admin`, `https`, or anything else for plain HTTP. Where there is
/// one for a purpose, the configuration's addresses for that are not bound. One that was handed over
/// by an earlier process of the same server is instead taken for the address that it was bound for,
/// and stays as long as the configuration lists that.
///
/// [`ServerContextBuilder::inherited`]: crate::ServerContextBuilder::inherited
#[derive(Debug, Default)]
pub struct Inherited(Vec<Named>);

#[derive(Debug)]
struct Named {
    name: String,
    socket: Socket,
}

/// What the name of a socket begins with that is handed over from process to process.
const HANDED_OVER: &str = "handed-over";

/// Returns the name under which a socket is handed over; there may be no colon in it.
pub(crate) fn name_of(role: Role, address: &Address) -> String {
    let address = address.to_string().replace('%', "%25").replace(':', "%3A");
    format!("{HANDED_OVER}={role}={address}")
}

impl Inherited {
    /// Takes what the environment tells of: `LISTEN_FDS`, with `LISTEN_PID` if it is there, and
    /// `LISTEN_FDNAMES`.
    ///
    /// To be called once, before anything else is opened. What is no stream socket is left alone,
    /// with a warning.
    pub fn from_env() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut found = ListenFd::from_env();
        let mut sockets = Vec::new();
        for n in 0..found.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = match found.take_tcp_listener(n) {
                Ok(socket) => socket.map(Socket::from),
                Err(_) => match found.take_unix_listener(n) {
                    Ok(socket) => socket.map(Socket::from),
                    Err(error) => {
                        warn!(name, %error, "an inherited descriptor is no stream socket");
                        None
                    }
                },
            };
            sockets.extend(socket.map(|socket| Named { name, socket }));
        }
        Self(sockets)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the one that an earlier process has bound for this; in a runtime.
    pub(crate) fn handed_over(&self, role: Role, address: &Address) -> Option<Listener> {
        let name = name_of(role, address);
        let one = self.0.iter().find(|one| one.name == name)?;
        one.listener()
            .inspect_err(|error| warn!(name, %error, "a socket that was handed over is of no use"))
            .ok()
    }

    /// Returns those that somebody else has bound; in a runtime.
    pub(crate) fn foreign(&self) -> io::Result<Vec<(Role, Listener)>> {
        let foreign = self.0.iter().filter(|one| !one.name.starts_with(HANDED_OVER));
        foreign.map(|one| Ok((one.role(), one.listener()?))).collect()
    }

    /// Lets go of all: what was asked for is held by who has asked.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Named {
    fn role(&self) -> Role {
        match self.name.as_str() {
            "admin" => Role::Admin,
            "https" => Role::Https,
            _ => Role::Http,
        }
    }

    /// Another handle of it, so that a configuration which is refused in the end takes nothing away.
    fn listener(&self) -> io::Result<Listener> {
        socket::adopt(self.socket.try_clone()?)
    }
}
