//! tmp
use hot_reload::*;
use std::{
    fs,
    io::Read,
    path::Path,
    time::{Duration, Instant},
};
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct C {
    seq: u64,
    a: String,
    b: String,
    c: Vec<u32>,
    d: String,
}
fn text(n: u64) -> String {
    let mut s = format!(
        "seq = {n}\na = \"aaaaaaaaaaaaaaaaaaa\"\nb = \"bbbbbbbbbbbbbbbbbbbbbb\"\nc = [1,2,3,4,5,6,7,8,9,10]\nd = \""
    );
    while s.len() < 1000 {
        s.push('x')
    }
    s.push_str("\"\n");
    s
}
// user type
#[derive(Debug, Clone, PartialEq, Eq)]
struct U(C);
impl TryFrom<&std::path::PathBuf> for U {
    type Error = String;
    fn try_from(p: &std::path::PathBuf) -> Result<Self, String> {
        toml::from_str(&fs::read_to_string(p).map_err(|e| e.to_string())?)
            .map(U)
            .map_err(|e| e.to_string())
    }
}
#[async_trait::async_trait]
impl AsyncFileLoad for U {
    type Error = String;
    async fn async_load_from<T: AsRef<Path> + Send>(p: T) -> Result<Self, String> {
        let p = p.as_ref().to_path_buf();
        let s = tokio::fs::read_to_string(p).await.map_err(|e| e.to_string())?;
        toml::from_str(&s).map(U).map_err(|e| e.to_string())
    }
}
fn stats(name: &str, mut v: Vec<u64>) {
    v.sort();
    println!(
        "{name:28} median {:7.1} us  p99 {:7.1} us  max {:8.1}",
        v[v.len() / 2] as f64 / 1e3,
        v[v.len() * 99 / 100] as f64 / 1e3,
        v[v.len() - 1] as f64 / 1e3
    );
}
fn edit(p: &Path, n: u64, rename: bool) -> Instant {
    if rename {
        let t = p.with_extension("tmp");
        fs::write(&t, text(n)).unwrap();
        let at = Instant::now();
        fs::rename(t, p).unwrap();
        at
    } else {
        use std::io::Write;
        let mut f = fs::File::create(p).unwrap();
        f.write_all(text(n).as_bytes()).unwrap();
        let at = Instant::now();
        drop(f);
        at
    }
}
fn bare(p: &Path, rename: bool, n: u64) -> Vec<u64> {
    use rustix::fs::inotify::*;
    let fd = init(CreateFlags::CLOEXEC).unwrap();
    add_watch(&fd, p.parent().unwrap(), WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO).unwrap();
    let (tx, rx) = std::sync::mpsc::channel::<(u64, Instant)>();
    let p2 = p.to_path_buf();
    std::thread::spawn(move || {
        let mut buf = [std::mem::MaybeUninit::uninit(); 4096];
        let mut r = Reader::new(fd, &mut buf);
        loop {
            let ev = r.next().unwrap();
            if ev.file_name().map(|n| n.to_bytes() == b"c.toml").unwrap_or(false) {
                let mut s = String::new();
                fs::File::open(&p2).unwrap().read_to_string(&mut s).unwrap();
                if let Ok(c) = toml::from_str::<C>(&s) {
                    if tx.send((c.seq, Instant::now())).is_err() {
                        return;
                    }
                }
            }
        }
    });
    let mut out = vec![];
    for i in 1..=n {
        std::thread::sleep(Duration::from_millis(5 + (i % 7)));
        let at = edit(p, i, rename);
        loop {
            let (s, t) = rx.recv().unwrap();
            if s == i {
                out.push((t - at).as_nanos() as u64);
                break;
            }
        }
    }
    out
}
fn main() {
    let d = tempfile::tempdir().unwrap();
    let p = d.path().join("c.toml");
    fs::write(&p, text(0)).unwrap();
    let n = std::env::var("N").map_or(1000, |n| n.parse().unwrap());
    for mt in [true, false] {
        let rt = if mt {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap()
        } else {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
        };
        for rename in [false, true] {
            println!("--- multi={mt} rename={rename}");
            stats("bare", bare(&p, rename, n));
            fs::write(&p, text(0)).unwrap();
            let p2 = p.clone();
            let go = |which: u8| {
                rt.block_on(async {
                    let (tx, rx) = std::sync::mpsc::channel::<(u64, Instant)>();
                    if which == 0 {
                        let mut r = TomlFile::<C>::watch(&p2).await.unwrap();
                        tokio::spawn(async move {
                            loop {
                                let s = r.borrow().as_ref().unwrap().seq;
                                let t = Instant::now();
                                if tx.send((s, t)).is_err() { return; }
                                r.changed().await.unwrap();
                            }
                        });
                    } else {
                        let (svc, mut r) = ReloaderService::<FileReloader<U>, U, String>::new(
                            &p2.display().to_string(),
                            ReloaderConfig::hybrid(10),
                        )
                        .await
                        .unwrap();
                        tokio::spawn(async move { svc.start_with_realtime().await });
                        r.changed().await.unwrap();
                        tokio::spawn(async move {
                            loop {
                                let s = r.borrow().as_ref().unwrap().0.seq;
                                let t = Instant::now();
                                if tx.send((s, t)).is_err() { return; }
                                r.changed().await.unwrap();
                            }
                        });
                    }
                    let p3 = p2.clone();
                    let h = std::thread::spawn(move || {
                        rx.recv().unwrap();
                        let mut out = vec![];
                        for i in 1..=n {
                            std::thread::sleep(Duration::from_millis(5 + (i % 7)));
                            let at = edit(&p3, i, rename);
                            loop {
                                match rx.recv_timeout(Duration::from_secs(1)) {
                                    Ok((s, t)) => {
                                        if s == i {
                                            out.push((t - at).as_nanos() as u64);
                                            break;
                                        }
                                    }
                                    Err(_) => {
                                        println!("LOST {i}");
                                        break;
                                    }
                                }
                            }
                        }
                        out
                    });
                    while !h.is_finished() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    { let r = h.join().unwrap(); fs::write(&p2, text(9999)).unwrap(); tokio::time::sleep(Duration::from_millis(200)).await; assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0); r }
                })
            };
            stats("TomlFile", go(0));
            fs::write(&p, text(0)).unwrap();
            stats("FileReloader async", go(1));
        }
    }
}
