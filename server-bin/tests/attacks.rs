//! The daemon under attack: it stays, and says so.

mod common;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Daemon, File, PATIENCE, text};

/// Starts the daemon with so many descriptors at the most.
fn with_descriptors(descriptors: usize, file: &File) -> Daemon {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_server-bin")).arg("-c").arg(&file.path);
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    let mut daemon = Daemon::spawn(&mut command);
    daemon.listens();
    daemon
}

fn with_admin(name: &str, rest: &str) -> String {
    format!("{}admin_address = '127.0.0.1:0'\n{rest}\n", text(name))
}

fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let rest = "host: localhost\r\nx-requested-by: a test\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{method} {path} HTTP/1.1\r\n{rest}").as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn connections(admin: SocketAddr) -> u64 {
    let response = ask(admin, "GET", "/status");
    let (_head, body) = response.split_once("\r\n\r\n").expect(&response);
    let said: serde_json::Value = serde_json::from_str(body).expect(&response);
    said["connections"].as_u64().unwrap()
}

fn until_connections(admin: SocketAddr, want: u64) {
    let deadline = Instant::now() + PATIENCE;
    while connections(admin) != want {
        assert!(Instant::now() < deadline, "{} connections", connections(admin));
        sleep(Duration::from_millis(5));
    }
}

fn flood(address: SocketAddr, connections: usize) -> Vec<TcpStream> {
    (0..connections).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn a_flood_leaves_descriptors_to_reload_and_to_ask() {
    let file = File::new(&with_admin("one", ""));
    let mut daemon = with_descriptors(96, &file);
    let admin = daemon.admin();
    let said = "limits.max_connections is 10000, but there are descriptors for 48";
    assert!(daemon.log.contains(said), "{}", daemon.log);
    let flood = flood(daemon.address, 300);
    until_connections(admin, 48);
    daemon.until("no more connections: further ones wait until one ends limit=48");

    file.write(&with_admin("two", "[limits]\nmax_connections = 20"));
    daemon.until("in use generation=2");
    assert!(ask(admin, "GET", "/readyz").starts_with("HTTP/1.1 200"));
    assert!(ask(admin, "POST", "/reload").ends_with("unchanged\n"));
    drop(flood);
    daemon.expect("two");
    assert!(!daemon.log.contains("can't be accepted"), "{}", daemon.log);
}

/// Once all of the queue was accepted, as far as there were descriptors; the rest of it was reset, and
/// whoever looks after the server found none left.
#[test]
fn a_flood_is_answered_bit_by_bit_when_its_address_closes() {
    let file = File::new(&with_admin("one", ""));
    let mut daemon = with_descriptors(96, &file);
    let admin = daemon.admin();
    let mut flood = flood(daemon.address, 300);
    until_connections(admin, 48);
    // Those that are served say nothing.
    let waiting = &mut flood[48..];
    for client in &mut *waiting {
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    }
    file.write(&with_admin("two", "").replace("127.0.0.1:0\"", "127.0.0.2:0\""));
    daemon.until("in use generation=2");
    assert!(ask(admin, "GET", "/readyz").starts_with("HTTP/1.1 200"));
    assert!(ask(admin, "POST", "/reload").ends_with("unchanged\n"));
    for client in waiting {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert!(response.ends_with("ok\n"), "{response}");
    }
    until_connections(admin, 0);
    assert!(!daemon.log.contains("can't be accepted"), "{}", daemon.log);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_descriptor_table_is_waited_out() {
    let file = File::new(&text("one"));
    let daemon = Daemon::start(&file.path, &[]);
    let table = format!("/proc/{}/fd", daemon.pid().as_raw_nonzero());
    let descriptors = std::fs::read_dir(table).unwrap().count();
    drop(daemon);
    // Hardly more than it takes without any connection.
    let mut daemon = with_descriptors(descriptors + 4, &file);
    let flood = flood(daemon.address, 60);
    let told = daemon.until("connections can't be accepted for now");
    assert!(told.contains(": raise RLIMIT_NOFILE (LimitNOFILE= of systemd)"), "{told}");
    assert!(told.contains(&format!("address={}", daemon.address)), "{told}");
    sleep(Duration::from_millis(500));
    drop(flood);
    daemon.until("connections are accepted again");
    assert_eq!(daemon.log.matches("can't be accepted").count(), 1, "{}", daemon.log);
    file.write(&text("two"));
    daemon.expect("two");
}
