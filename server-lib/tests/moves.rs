//! Addresses that move while clients come in by the thousand.

mod common;

use std::{
    io::{Error, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{JoinHandle, spawn},
};

use common::{Lab, PATIENCE, text};
use hot_reload::WatchStrategy::Realtime;

const CLIENTS: usize = 32;

/// So many that one that loses some now and then is found out.
const MOVES: usize = 20;

/// Asks once, on a connection of its own.
fn ask(address: SocketAddr) -> Result<(), Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    if response.ends_with("ok\n") { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Asks time and again until it `is_over`; returns how many got an answer, and the errors of those that
/// got none.
fn client(address: SocketAddr, is_over: Arc<AtomicBool>) -> JoinHandle<(usize, Vec<Error>)> {
    spawn(move || {
        let (mut answered, mut failed) = (0, Vec::new());
        while !is_over.load(Relaxed) {
            match ask(address) {
                Ok(()) => answered += 1,
                // It has too few ports, for those that were in use of late.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {}
                Err(error) => failed.push(error),
            }
        }
        (answered, failed)
    })
}

/// Once some were reset, which had connected between the last look at the queue and its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_is_lost_between_addresses_that_overlap() {
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    let address = lab.address();
    let (narrow, wide) = (address.to_string(), format!("0.0.0.0:{}", address.port()));
    lab.apply(&text("as it is", &[&narrow])).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(address, Arc::clone(&is_over))).collect();
    for n in 0..MOVES {
        let next = if n % 2 == 0 { &wide } else { &narrow };
        lab.apply(&text(&n.to_string(), &[next])).await;
    }
    is_over.store(true, Relaxed);
    let (mut answered, mut failed) = (0, Vec::new());
    for client in clients {
        let (more, errors) = tokio::task::spawn_blocking(|| client.join().unwrap()).await.unwrap();
        answered += more;
        failed.extend(errors);
    }
    assert!(failed.is_empty(), "{} of {answered}: {:?}", failed.len(), failed[0]);
    lab.end().await;
}
