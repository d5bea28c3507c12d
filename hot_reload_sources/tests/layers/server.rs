//! A server that holds one text, by lines: it greets; then a client sends its token, and `GET` as often
//! as it wants to, or `WATCH` once.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use crate::common::{server::address, within};

pub(crate) const TOKEN: &str = "open-sesame";
/// Of a server that is well.
pub(crate) const GREETING: &str = "localhost until 2999";
/// How often one who watches hears of the server.
const HEARTBEAT: Duration = Duration::from_millis(200);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    running: Mutex<JoinSet<()>>,
}

struct State {
    greeting: String,
    /// Its revision, and what it is.
    held: watch::Sender<(u64, Option<String>)>,
    is_throttled: AtomicBool,
    requests: AtomicU64,
}

impl Server {
    pub(crate) async fn start(greeting: &str) -> Self {
        let server = Self {
            address: address(),
            state: Arc::new(State {
                greeting: greeting.to_owned(),
                held: watch::Sender::new((0, None)),
                is_throttled: AtomicBool::new(false),
                requests: AtomicU64::new(0),
            }),
            running: Mutex::default(),
        };
        server.restart().await;
        server
    }

    pub(crate) fn put(&self, text: Option<&str>) {
        self.state.held.send_modify(|(revision, held)| {
            *revision += 1;
            *held = text.map(str::to_owned);
        });
    }

    pub(crate) async fn kill(&self) {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap());
        running.shutdown().await;
    }

    pub(crate) async fn restart(&self) {
        let listener = within(async {
            loop {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => return listener,
                    // It may still be the system's.
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let accepting = accept(listener.await, Arc::clone(&self.state));
        self.running.lock().unwrap().spawn(accepting);
    }

    pub(crate) fn throttle(&self, is_throttled: bool) {
        self.state.is_throttled.store(is_throttled, Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Relaxed)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let state = Arc::clone(&state);
                connections.spawn(async move { drop(serve(stream, &state).await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let mut say = async |line: &str| write.write_all(format!("{line}\n").as_bytes()).await;
    say(&state.greeting).await?;
    let token = lines.next_line().await?;
    let mut held = state.held.subscribe();
    while let Some(command) = lines.next_line().await? {
        state.requests.fetch_add(1, Relaxed);
        if token.as_deref() != Some(TOKEN) {
            return say("denied").await;
        }
        if state.is_throttled.load(Relaxed) {
            return say("busy").await;
        }
        say(&told(&mut held)).await?;
        if command == "WATCH" {
            loop {
                tokio::select! {
                    _ = held.changed() => say(&told(&mut held)).await?,
                    () = sleep(HEARTBEAT) => say("alive").await?,
                    // Whatever it is, the client has nothing more to say.
                    _ = lines.next_line() => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

fn told(held: &mut watch::Receiver<(u64, Option<String>)>) -> String {
    match &*held.borrow_and_update() {
        (revision, Some(text)) => format!("{revision} is {text}"),
        (revision, None) => format!("{revision} gone"),
    }
}
