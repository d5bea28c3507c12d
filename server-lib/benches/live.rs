//! Requests a second with a live value read for each, beside the same server with a constant.
//!
//! `cargo bench -p server-lib --bench live`; `-- --short` for a run of seconds.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile};
use server_lib::{Server, ServerConfig, ServerContextBuilder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
};

type Live = ReloaderReceiver<ServerConfig, String>;

/// Clients that ask at once, each on a connection of its own.
const CLIENTS: usize = 16;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n";

/// What is answered: a word of the configuration, from where it is live or from where it is not.
fn routes(live: Option<Live>, constant: ServerConfig) -> Router {
    let constant = Arc::new(constant);
    let answer = async move || match &live {
        Some(live) => live.borrow().as_ref().map_or(0, |config| config.id).to_string(),
        None => constant.id.to_string(),
    };
    Router::new().route("/", get(answer))
}

async fn start(is_live: bool, dir: &std::path::Path) -> SocketAddr {
    let path = dir.join(format!("{is_live}.toml"));
    std::fs::write(&path, "id = 7\nlisten_addresses = ['127.0.0.1:0']").expect("room");
    let reloader = TomlFile::<ServerConfig>::from_path(&path).expect("a path");
    let options = ReloaderOptions::hybrid();
    let (service, receiver) = ReloaderService::from_reloader(reloader, options);
    let constant = ServerConfig { id: 7, ..ServerConfig::default() };
    let context = ServerContextBuilder::default()
        .context_rx(receiver.clone())
        .routes(routes(is_live.then_some(receiver), constant))
        .build()
        .expect("a context");
    let mut status = context.status();
    let server = Server::new(context);
    tokio::spawn(async move { server.entrypoint_with_realtime(service).await });
    let status = status.wait_for(|status| status.generation > 0).await.expect("a server");
    status.local_addresses[0].socket_addr().expect("a port")
}

/// Asks until `end`, and counts the answers.
async fn ask(mut stream: TcpStream, end: Instant, answers: &AtomicU64) {
    let mut answer = [0; 1024];
    while Instant::now() < end {
        stream.write_all(REQUEST).await.expect("a connection");
        // So short that it comes in one piece.
        let length = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..length].ends_with(b"\r\n\r\n7"), "another answer");
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Requests a second at `address`.
async fn rate(address: SocketAddr, how_long: Duration) -> f64 {
    let answers = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let end = begun + how_long;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let stream = TcpStream::connect(address).await.expect("a server");
        stream.set_nodelay(true).expect("a socket");
        let answers = Arc::clone(&answers);
        clients.push(tokio::spawn(async move { ask(stream, end, &answers).await }));
    }
    for client in clients {
        client.await.expect("no panic");
    }
    #[allow(clippy::cast_precision_loss, reason = "a figure of a few digits")]
    let answers = answers.load(Ordering::Relaxed) as f64;
    answers / begun.elapsed().as_secs_f64()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// What a live value may cost at the most: 2 % of the requests.
const LEAST_RATIO: f64 = 0.98;

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    let (turns, how_long) = if short { (9, 200) } else { (61, 1000) };
    let how_long = Duration::from_millis(how_long);
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (live, constant) = (start(true, dir.path()).await, start(false, dir.path()).await);
        rate(live, how_long).await;
        rate(constant, how_long).await;
        // In turns, and turned about, so that what else the machine does hits each alike.
        let (mut lives, mut constants, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 0..turns {
            let (mut one, mut other) = (0.0, 0.0);
            for is_live in [turn % 2 == 0, turn % 2 != 0] {
                if is_live {
                    one = rate(live, how_long).await;
                } else {
                    other = rate(constant, how_long).await;
                }
            }
            lives.push(one);
            constants.push(other);
            ratios.push(one / other);
        }
        println!("requests a second, medians of {turns} turns of {how_long:?}");
        println!("constant                {:>10.0}", median(constants));
        println!("live, read per request  {:>10.0}", median(lives));
        let ratio = median(ratios);
        println!("ratio, turn by turn     {ratio:>10.3}");
        // A run of seconds says nothing of so little.
        assert!(short || ratio >= LEAST_RATIO, "a live value costs more than it may");
    });
}
