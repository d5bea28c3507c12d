//! A server that holds one value, by lines: it greets; then a client sends its token, and `GET` or
//! `WATCH`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hot_reload::testing::address;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

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
    connections: AtomicU64,
}

impl Server {
    pub(crate) async fn start(greeting: &str) -> Self {
        let listener = TcpListener::bind(address()).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(State {
                greeting: greeting.to_owned(),
                held: watch::Sender::new((0, None)),
                is_throttled: AtomicBool::new(false),
                requests: AtomicU64::new(0),
                connections: AtomicU64::new(0),
            }),
            running: Mutex::default(),
        };
        server.run(listener);
        server
    }

    fn run(&self, listener: TcpListener) {
        self.running.lock().unwrap().spawn(accept(listener, Arc::clone(&self.state)));
    }

    pub(crate) fn put(&self, text: Option<&str>) {
        self.state.held.send_modify(|(revision, held)| {
            *revision += 1;
            *held = text.map(str::to_owned);
        });
    }

    pub(crate) fn lose_everything(&self) {
        self.state.held.send_replace((0, None));
    }

    pub(crate) async fn kill(&self) {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap());
        running.shutdown().await;
    }

    pub(crate) async fn restart(&self) {
        loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => return self.run(listener),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    pub(crate) fn throttle(&self, is_throttled: bool) {
        self.state.is_throttled.store(is_throttled, Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Relaxed)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Relaxed)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                state.connections.fetch_add(1, Relaxed);
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
    let Some(command) = lines.next_line().await? else { return Ok(()) };
    state.requests.fetch_add(1, Relaxed);
    if token.as_deref() != Some(TOKEN) {
        return say("denied").await;
    }
    if state.is_throttled.load(Relaxed) {
        return say("busy").await;
    }
    let mut held = state.held.subscribe();
    loop {
        let (revision, text) = held.borrow_and_update().clone();
        say(&text.map_or(format!("{revision} gone"), |text| format!("{revision} is {text}")))
            .await?;
        if command != "WATCH" {
            return Ok(());
        }
        loop {
            tokio::select! {
                _ = held.changed() => break,
                () = tokio::time::sleep(HEARTBEAT) => say("alive").await?,
                // Whatever it is, the client has nothing more to say.
                _ = lines.next_line() => return Ok(()),
            }
        }
    }
}
