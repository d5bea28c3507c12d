//! Servers of a test's own.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

pub use hot_reload::testing::address;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{net::TcpStream, time::sleep};

use super::within;

/// A command that is killed when whoever has started it is gone, whichever way.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program.as_ref());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A server that runs, or not, and is killed in the end.
#[derive(Default)]
pub struct Server(Mutex<Option<Child>>);

impl Server {
    /// Starts it, and waits until it listens at `address`.
    pub async fn start(&self, command: &mut Command, address: SocketAddr) {
        let program = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        *self.0.lock().unwrap() = Some(child);
        within(async {
            while TcpStream::connect(address).await.is_err() {
                let ended = self.0.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
                assert_eq!(ended, None, "{program} has ended; ./test installs what is missing");
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// The process itself.
    pub fn id(&self) -> u32 {
        self.0.lock().unwrap().as_ref().expect("it runs").id()
    }

    /// Sends it `signal`, as to stop it for a while.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Ends it by `SIGKILL`, and waits for its end.
    pub fn kill(&self) {
        if let Some(mut child) = self.0.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
