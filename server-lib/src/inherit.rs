//! Sockets that the process was started with: `sd_listen_fds(3)`.

use std::{
    env, io,
    os::unix::{fs::MetadataExt, net::UnixStream},
};

use listenfd::ListenFd;
use socket2::{Domain, Socket, Type};
use tracing::warn;

use crate::{
    address::Address,
    endpoint::Endpoint,
    role::Role,
    socket::{self, Listener},
};

/// The sockets that a process was started with, for [`ServerContextBuilder::inherited`].
///
/// One is for what its name says: `admin`, `https`, or anything else for plain HTTP. Where there is
/// one for a purpose, the configuration's addresses for that are not bound. One for `admin` has to be
/// on a loopback address, or of the file system with a mode that keeps other users out. One that was handed over
/// by an earlier process of the same server is instead taken for the address that it was bound for,
/// and stays as long as the configuration lists that.
///
/// [`ServerContextBuilder::inherited`]: crate::ServerContextBuilder::inherited
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Named>,
    predecessor: Option<UnixStream>,
}

#[derive(Debug)]
struct Named {
    name: String,
    socket: Socket,
}

/// The name of what a process and the one that takes its place talk by.
pub(crate) const PREDECESSOR: &str = "handed-over";

/// What the name of a socket begins with that is handed over from process to process.
const HANDED_OVER: &str = "handed-over=";

/// Returns the name under which a socket is handed over; there may be no colon in it.
pub(crate) fn name_of(Endpoint { role, address }: &Endpoint) -> String {
    let address = address.to_string().replace('%', "%25").replace(':', "%3A");
    format!("{HANDED_OVER}{role}={address}")
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
        let mut predecessor = None;
        for n in 0..found.len() {
            let name = names.next().unwrap_or_default().to_owned();
            if name == PREDECESSOR {
                let family = (Domain::UNIX.into(), Type::STREAM.into());
                predecessor =
                    found.take_custom(n, family.0, family.1, "pair").unwrap_or_else(|error| {
                        warn!(name, %error, "whoever hands over can't be told anything");
                        None
                    });
                continue;
            }
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
        Self { sockets, predecessor }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Returns the way to talk to the process that has started this one to take its place, if one has.
    pub(crate) fn predecessor(&mut self) -> Option<UnixStream> {
        self.predecessor.take()
    }

    /// Returns the one that an earlier process has bound for this; in a runtime.
    pub(crate) fn handed_over(&self, endpoint: &Endpoint) -> Option<Listener> {
        let name = name_of(endpoint);
        let one = self.sockets.iter().find(|one| one.name == name)?;
        one.listener()
            .inspect_err(|error| warn!(name, %error, "a socket that was handed over is of no use"))
            .ok()
    }

    /// Returns those that somebody else has bound; in a runtime.
    pub(crate) fn foreign(&self) -> io::Result<Vec<(Role, Listener)>> {
        let foreign = self.sockets.iter().filter(|one| !one.name.starts_with(HANDED_OVER));
        foreign
            .map(|one| {
                let (role, listener) = (one.role(), one.listener()?);
                if role == Role::Admin {
                    is_for_us_alone(&listener.local_address()?)?;
                }
                Ok((role, listener))
            })
            .collect()
    }

    /// Lets go of all: what was asked for is held by who has asked.
    pub(crate) fn forget(&mut self) {
        self.sockets.clear();
    }
}

/// Checks that none but those whom somebody has chosen can look after the server.
fn is_for_us_alone(address: &Address) -> io::Result<()> {
    if !address.is_local() {
        return Err(io::Error::other(format!(
            "admin: {address} can be reached from elsewhere: it takes a loopback address, or a socket \
             of the file system"
        )));
    }
    let Some(path) = address.path() else { return Ok(()) };
    // Who may write to it may connect (unix(7)), and by systemd.socket(5) that is everybody by default.
    // One without a file, as an abstract one, asks nobody for leave.
    if path.metadata().is_ok_and(|found| found.mode() & 0o002 == 0) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "admin: {address} can be connected to by every user: it takes a file that others may not write \
         to, as by SocketMode=0600"
    )))
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
