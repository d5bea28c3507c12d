//! What is typed or piped into this process, passed on to the server of the moment.

use std::{
    io::{ErrorKind, Read, stdin},
    thread,
};

use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc};

use crate::never::or_never;

/// As much as a pipe takes at once on Linux, by pipe(7).
const PIECE: usize = 64 * 1024;

/// Passes it on.
///
/// Not the terminal itself: a process that is in a group of its own would be stopped when it reads.
#[derive(Debug, Clone)]
pub(crate) struct Input(mpsc::UnboundedSender<ChildStdin>);

impl Input {
    /// Begins to read; has to be called within a runtime.
    pub(crate) fn begin() -> Self {
        let (to, servers) = mpsc::unbounded_channel();
        let (read, pieces) = mpsc::channel(1);
        // Nobody waits for it: a read of a terminal can't be called off.
        thread::spawn(move || {
            let mut piece = vec![0; PIECE];
            loop {
                match stdin().lock().read(&mut piece) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => return,
                    Ok(length) if read.blocking_send(piece[..length].to_vec()).is_err() => return,
                    Ok(_) => {}
                }
            }
        });
        tokio::spawn(pass_on(pieces, servers));
        Self(to)
    }

    /// From here on it is for this one; the one before finds the end of it.
    pub(crate) fn connect_to(&self, server: ChildStdin) {
        // The other end lives as long as the runtime.
        let _ = self.0.send(server);
    }
}

async fn pass_on(
    mut pieces: mpsc::Receiver<Vec<u8>>,
    mut servers: mpsc::UnboundedReceiver<ChildStdin>,
) {
    let (mut server, mut left, mut is_over) = (None::<ChildStdin>, Vec::new(), false);
    loop {
        let write = or_never(server.as_mut().map(|server| server.write(&left)));
        tokio::select! {
            biased;
            new = servers.recv() => match new {
                Some(new) => server = Some(new),
                None => return,
            },
            written = write, if !left.is_empty() => match written {
                Ok(length) => drop(left.drain(..length)),
                // It has closed it, or ended; the next one gets the rest.
                Err(_) => server = None,
            },
            piece = pieces.recv(), if left.is_empty() && !is_over => match piece {
                Some(piece) => left = piece,
                None => is_over = true,
            },
        }
        if is_over && left.is_empty() {
            server = None;
        }
    }
}
