//! Fifty restarts in a row under load: what is lost, and how long from the save to the new process.
//!
//! `cargo bench -p server-dev --bench restart`; `-- --short` for a run of seconds. Beside ours, in the
//! same run and with the same server: `systemfd` with `watchexec`, where they are installed.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Clients that connect anew for each request, more than a short queue holds.
const ANEW: usize = 32;
/// Clients that keep their connection.
const KEPT: usize = 8;
/// What the server takes until it listens, as a real one reads its files and connects to others.
const START: Duration = Duration::from_millis(100);
/// Whoever waits longer for an answer has gone away.
const GIVE_UP: Duration = Duration::from_secs(2);
const SETTLE: &str = "50ms";
/// Between two saves, after the new process has answered.
const PAUSE: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("serve") => serve().expect("it serves"),
        Some("--short") => run(5),
        _ => run(50),
    }
}

fn run(restarts: u32) {
    let this = env::current_exe().expect("this program");
    let this = this.to_str().expect("a text");
    let ours = |address: &SocketAddr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server-dev"));
        command.args(["-s", &format!("http::{address}"), "--settle", SETTLE, "--", this, "serve"]);
        command
    };
    let theirs = |address: &SocketAddr| {
        let mut command = Command::new("systemfd");
        command.args(["--quiet", "--no-pid", "-s", &format!("http::{address}"), "--"]);
        command.args(["watchexec", "--quiet", "-r", "--debounce", SETTLE, "--", this, "serve"]);
        command
    };
    println!(
        "{:<22} {:>8} {:>8} {:>6} {:>10} {:>10} {:>10} {:>10}",
        "", "restarts", "answered", "lost", "longest", "save to", "99th", "of it own"
    );
    println!(
        "{:<22} {:>8} {:>8} {:>6} {:>10} {:>10} {:>10} {:>10}",
        "", "", "", "", "wait", "new", "percentile", "start"
    );
    let lost = measure("server-dev", &ours, restarts);
    let is_there = |program: &str| {
        let asked = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if is_there("systemfd") && is_there("watchexec") {
        measure("systemfd + watchexec", &theirs, restarts);
    } else {
        println!("systemfd + watchexec    not installed");
    }
    assert_eq!(lost, 0, "requests were lost");
}

/// Saves so many times, each time once the last one is in use, and prints a row.
fn measure(name: &str, command: &dyn Fn(&SocketAddr) -> Command, restarts: u32) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary directory");
    save(folder.path(), 0);
    let address = free();
    let mut child = command(&address)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    until_answered(&address, 0);
    let load = Load::start(address);
    let mut taken = Vec::new();
    for n in 1..=restarts {
        thread::sleep(PAUSE);
        let saved = save(folder.path(), n);
        taken.push(load.until(n).duration_since(saved).unwrap_or_default());
    }
    let (answered, lost, longest) = load.end();
    end(&mut child);
    taken.sort_unstable();
    let at = |part: usize| taken[(taken.len() - 1) * part / 100].as_millis();
    println!(
        "{name:<22} {restarts:>8} {answered:>8} {lost:>6} {:>7} ms {:>7} ms {:>7} ms {:>7} ms",
        longest.as_millis(),
        at(50),
        at(99),
        START.as_millis()
    );
    lost
}

fn save(folder: &Path, n: u32) -> SystemTime {
    fs::write(folder.join("value.txt"), n.to_string()).expect("room for a file");
    SystemTime::now()
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

fn until_answered(address: &SocketAddr, n: u32) {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if Connection::new(*address).and_then(|mut one| one.ask()).is_ok_and(|found| found == n) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("the first process does not answer");
}

fn end(child: &mut Child) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::TERM);
    child.wait().expect("a child");
}

/// Clients that ask without a pause.
struct Load {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    lost: AtomicU64,
    longest: AtomicU64,
    /// When each value was answered first.
    first: Mutex<BTreeMap<u32, SystemTime>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let client = |keeps: bool| {
            let (over, counts) = (Arc::clone(&over), Arc::clone(&counts));
            thread::spawn(move || {
                let mut kept = None;
                while !over.load(Ordering::Relaxed) {
                    counts.ask(address, &mut kept);
                    if !keeps {
                        kept = None;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            })
        };
        let clients = (0..ANEW).map(|_| client(false)).chain((0..KEPT).map(|_| client(true)));
        let follower = {
            let (over, counts) = (Arc::clone(&over), Arc::clone(&counts));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    counts.follow(address);
                }
            })
        };
        let clients = clients.chain([follower]).collect();
        Self { over, counts, clients }
    }

    /// When a value was answered first.
    fn until(&self, n: u32) -> SystemTime {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            let first = self.counts.first.lock().expect("no client panics");
            if let Some((_, at)) = first.range(n..).next() {
                return *at;
            }
            drop(first);
            thread::sleep(Duration::from_millis(1));
        }
        panic!("value {n} is never answered");
    }

    fn end(self) -> (u64, u64, Duration) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no client panics");
        }
        let Counts { answered, lost, longest, .. } = &*self.counts;
        let longest = Duration::from_micros(longest.load(Ordering::Relaxed));
        (answered.load(Ordering::Relaxed), lost.load(Ordering::Relaxed), longest)
    }
}

impl Counts {
    fn ask(&self, address: SocketAddr, kept: &mut Option<Connection>) {
        let began = Instant::now();
        let asked = match kept.take() {
            // A server may close an idle connection at any time, so a client asks once more where not a
            // byte of an answer came (RFC 9112, section 9.3.1).
            Some(mut connection) => match connection.ask() {
                Err(_) if !connection.has_heard => Connection::new(address)
                    .and_then(|mut connection| connection.ask().map(|n| (n, connection))),
                asked => asked.map(|n| (n, connection)),
            },
            None => Connection::new(address)
                .and_then(|mut connection| connection.ask().map(|n| (n, connection))),
        };
        match asked {
            Ok((n, connection)) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                self.first
                    .lock()
                    .expect("no client panics")
                    .entry(n)
                    .or_insert_with(SystemTime::now);
                *kept = Some(connection).filter(|connection| connection.stays);
            }
            Err(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest.fetch_max(took, Ordering::Relaxed);
    }
}

impl Counts {
    /// Follows an event stream until the process that it is of ends it, or, at the end, for a moment.
    fn follow(&self, address: SocketAddr) {
        let stream = TcpStream::connect_timeout(&address, GIVE_UP).and_then(|mut stream| {
            stream.set_read_timeout(Some(GIVE_UP))?;
            stream.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            let mut lines = BufReader::new(stream).lines();
            let first = lines.next().transpose()?.unwrap_or_default();
            // It is told of nothing; how it ends is what is waited for.
            lines.map_while(Result::ok).for_each(drop);
            Ok(first)
        });
        if !stream.is_ok_and(|first| first.starts_with("HTTP/1.1 200")) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    has_heard: bool,
    stays: bool,
}

impl Connection {
    fn new(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, GIVE_UP)?;
        stream.set_read_timeout(Some(GIVE_UP))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), has_heard: false, stays: true })
    }

    fn ask(&mut self) -> io::Result<u32> {
        self.has_heard = false;
        self.stream.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.has_heard = true;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().map_err(io::Error::other)?;
            }
            self.stays &= line != "connection: close";
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        String::from_utf8_lossy(&body).parse().map_err(io::Error::other)
    }
}

/// The server that is replaced: answers with what is in the file, and drains when it is told to.
#[tokio::main]
async fn serve() -> io::Result<()> {
    let value = fs::read_to_string("value.txt")?;
    tokio::time::sleep(START).await;
    let passed = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
    let listener = passed.ok_or_else(|| io::Error::other("no socket was passed"))?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut told = signal(SignalKind::terminate())?;
    let (over, mut answers) = (CancellationToken::new(), JoinSet::new());
    while let Some((stream, _)) = tokio::select! {
        accepted = listener.accept() => Some(accepted?),
        _ = told.recv() => None,
    } {
        answers.spawn(answer(stream, value.clone(), over.clone()));
    }
    drop(listener);
    over.cancel();
    answers.join_all().await;
    Ok(())
}

/// Answers until the client has gone, or until it is over and one request at least was answered.
async fn answer(
    mut stream: tokio::net::TcpStream,
    value: String,
    over: CancellationToken,
) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = tokio::io::BufReader::new(read).lines();
    for n in 0.. {
        let mut is_stream = false;
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?,
                () = over.cancelled(), if n > 0 => None,
            };
            match line {
                None => return Ok(()),
                Some(line) if line.is_empty() => break,
                Some(line) => is_stream |= line.starts_with("GET /events"),
            }
        }
        if is_stream {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            write.write_all(head).await?;
            over.cancelled().await;
            return Ok(());
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", value.len());
        write.write_all(format!("{head}{value}").as_bytes()).await?;
    }
    Ok(())
}
