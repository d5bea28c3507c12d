//! A client that others have written, where it is to be had: <https://github.com/wg/wrk>.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// It asks on these many connections, from two threads: it is not what is measured.
const CONNECTIONS: &str = "32";

pub struct Wrk(Child);

impl Wrk {
    /// Starts to ask at `address`; `None` where there is no such program.
    pub fn start(address: SocketAddr) -> Option<Self> {
        let mut command = Command::new("wrk");
        // Longer than any scenario: it is told when to end.
        command.args(["--threads", "2", "--connections", CONNECTIONS, "--duration", "1h"]);
        command.arg(format!("http://{address}/")).stdout(Stdio::piped());
        command.spawn().ok().map(Self)
    }

    /// Ends it, and returns what it says has failed.
    pub fn end(self) -> Vec<String> {
        kill_process(Pid::from_child(&self.0), Signal::INT).expect("it runs");
        let said = self.0.wait_with_output().expect("it says something").stdout;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("requests in"), "{said}");
        let is_failure = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
        said.lines().filter(is_failure).map(|line| format!("wrk: {}", line.trim())).collect()
    }
}
