//! A filesystem whose server may leave a question open for as long as it likes: a FUSE one, as NFS
//! and the shared folders of desktop container engines do.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use common::{Lab, PATIENCE, alone_under, config, options, text};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, Request,
};
use hot_reload::{Mechanism, WatchStrategy};
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};

const OWN_MOUNTS: &[&str] =
    &["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"];

/// While true, no question is answered.
static HANGS: Mutex<bool> = Mutex::new(false);
static ANSWERS: Condvar = Condvar::new();

fn set_hanging(hangs: bool) {
    *HANGS.lock().unwrap() = hangs;
    ANSWERS.notify_all();
}

/// Has the names `file` and `link`, which leads to `target`.
struct Server {
    target: PathBuf,
    file: Arc<Mutex<Written>>,
    /// For how long the kernel may believe in a name, and in what is behind it.
    names: Duration,
    attributes: Duration,
}

/// What a writer elsewhere has written, by the clock of the server.
struct Written {
    text: String,
    at: SystemTime,
    /// What it goes on to write, a while after what it wrote by then was first seen here.
    rest: Option<String>,
    seen: Option<Instant>,
}

/// For how long a writer elsewhere leaves its file half-written.
const HALFWAY: Duration = Duration::from_millis(20);

impl Written {
    fn once(text: String) -> Self {
        Self { text, at: UNIX_EPOCH, rest: None, seen: None }
    }

    fn see(&mut self) -> &Self {
        let seen = *self.seen.get_or_insert_with(Instant::now);
        if seen.elapsed() >= HALFWAY
            && let Some(rest) = self.rest.take()
        {
            self.text = rest;
            self.at += HALFWAY;
        }
        self
    }
}

const FILE: INodeNo = INodeNo(2);
const LINK: INodeNo = INodeNo(3);

fn wait_while_it_hangs() {
    let _answers = ANSWERS.wait_while(HANGS.lock().unwrap(), |hangs| *hangs).unwrap();
}

impl Server {
    fn attributes_of(&self, ino: INodeNo) -> Option<FileAttr> {
        let mut at = UNIX_EPOCH;
        let (kind, perm, size) = match ino {
            INodeNo::ROOT => (FileType::Directory, 0o755, 0),
            FILE => {
                let mut file = self.file.lock().unwrap();
                let found = file.see();
                at = found.at;
                (FileType::RegularFile, 0o644, found.text.len())
            }
            LINK => (FileType::Symlink, 0o777, self.target.as_os_str().len()),
            _ => return None,
        };
        Some(FileAttr {
            ino,
            size: size as u64,
            blocks: 1,
            atime: at,
            mtime: at,
            ctime: at,
            crtime: at,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 512,
            flags: 0,
        })
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        wait_while_it_hangs();
        let ino = match name.as_bytes() {
            b"file" => FILE,
            b"link" => LINK,
            _ => return reply.error(Errno::ENOENT),
        };
        match self.attributes_of(ino) {
            Some(found) => {
                reply.entry_with_ttls(&self.attributes, &self.names, &found, Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        wait_while_it_hangs();
        match self.attributes_of(ino) {
            Some(found) => reply.attr(&self.attributes, &found),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readlink(&self, _: &Request, _: INodeNo, reply: ReplyData) {
        wait_while_it_hangs();
        reply.data(self.target.as_os_str().as_bytes());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        _size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        wait_while_it_hangs();
        let mut file = self.file.lock().unwrap();
        let text = file.see().text.as_bytes();
        let from = usize::try_from(offset).unwrap().min(text.len());
        reply.data(&text[from..]);
    }
}

/// How long names and attributes may be believed in: neither, names alone, both.
const BELIEFS: [(u64, u64); 3] = [(0, 0), (3600, 0), (3600, 3600)];

/// Follows a file of its own, as well as one that `name` on the server leads to.
struct Beside {
    own: Lab,
    /// What the server has.
    file: Arc<Mutex<Written>>,
    _mount: BackgroundSession,
}

impl Beside {
    async fn new((names, attributes): (u64, u64)) -> Self {
        let mut mount = None;
        let file = Arc::new(Mutex::new(Written::once(text("one"))));
        let own = Lab::new(WatchStrategy::Realtime, |dir| {
            fs::create_dir(dir.join("mount")).unwrap();
            fs::write(dir.join("target"), text("one")).unwrap();
            fs::write(dir.join("config.toml"), text("one")).unwrap();
            let server = Server {
                target: dir.join("target"),
                file: Arc::clone(&file),
                names: Duration::from_secs(names),
                attributes: Duration::from_secs(attributes),
            };
            let mounted = fuser::spawn_mount(server, dir.join("mount"), &Config::default());
            mount = Some(mounted.unwrap());
        });
        let mut own = own.await;
        own.expect(config("one")).await;
        Self { own, file, _mount: mount.unwrap() }
    }

    async fn other(&self, name: &str, strategy: WatchStrategy) -> Lab {
        let path = self.own.root.join("mount").join(name);
        Lab::following(options(strategy), path, |_| {}).await
    }

    /// Edits arrive while the server hangs, on a runtime with a single thread.
    async fn goes_on(&mut self, what: &str) {
        let (over, is_over) = mpsc::channel::<()>();
        let rescuer = thread::spawn(move || {
            let needed = is_over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            set_hanging(false);
            needed
        });
        for n in 0..4 {
            // What makes the other one look.
            fs::remove_file(self.own.root.join("target")).unwrap();
            fs::write(self.own.root.join("target"), text("two")).unwrap();
            sleep(Duration::from_millis(60)).await;
            let name = format!("{n}");
            self.own.write(text(&name));
            self.own.expect(config(&name)).await;
        }
        drop(over);
        assert!(!rescuer.join().unwrap(), "{what}: held up until the server answered");
    }
}

fn block_on(test: impl Future) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_server_that_hangs_holds_up_no_other_file() {
    if !alone_under("a_server_that_hangs_holds_up_no_other_file", OWN_MOUNTS) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
        for (belief, name) in BELIEFS.iter().flat_map(|belief| [(belief, "file"), (belief, "link")])
        {
            let what = format!("{name}, {belief:?}, {strategy:?}");
            block_on(async {
                let mut beside = Beside::new(*belief).await;
                let mut other = beside.other(name, strategy).await;
                other.expect(config("one")).await;
                set_hanging(true);
                beside.goes_on(&what).await;
                if name == "link" {
                    other.expect(config("two")).await;
                }
                other.expect_fresh().await;
                let mechanism = other.rx.status().mechanism;
                let is_told = match &mechanism {
                    Some(Mechanism::Degraded(why)) => why.starts_with("FUSE"),
                    other => *other == Some(Mechanism::Polling),
                };
                assert!(is_told, "{what}: {mechanism:?}");
            });
        }
    }
}

#[test]
fn a_service_that_starts_on_a_server_that_hangs_holds_up_no_other() {
    if !alone_under("a_service_that_starts_on_a_server_that_hangs_holds_up_no_other", OWN_MOUNTS) {
        return;
    }
    for (belief, name) in BELIEFS.iter().flat_map(|belief| [(belief, "file"), (belief, "link")]) {
        block_on(async {
            let mut beside = Beside::new(*belief).await;
            fs::read(beside.own.root.join("mount").join(name)).unwrap();
            set_hanging(true);
            let mut other = beside.other(name, WatchStrategy::Realtime).await;
            beside.goes_on(&format!("{name}, {belief:?}")).await;
            other.expect(config(if name == "link" { "two" } else { "one" })).await;
        });
    }
}

/// Its server's clock said how long ago that was, and who here has the file open that nobody is at it.
#[test]
fn what_a_writer_elsewhere_has_written_by_half_is_not_published() {
    if !alone_under("what_a_writer_elsewhere_has_written_by_half_is_not_published", OWN_MOUNTS) {
        return;
    }
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    for (clock, at) in [("right", now), ("behind", now - hour), ("ahead", now + hour)] {
        for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
            block_on(async {
                let beside = Beside::new((0, 0)).await;
                let path = beside.own.root.join("mount").join("file");
                let options = options(strategy).settle_ceiling(hour);
                let mut other = Lab::following(options, path, |_| {}).await;
                other.expect(config("one")).await;
                let (half, whole) = (text("half"), Some(text("whole")));
                *beside.file.lock().unwrap() = Written { text: half, at, rest: whole, seen: None };
                let seen = timeout(PATIENCE, other.rx.changed()).await.map(|_| other.rx.get());
                assert_eq!(seen, Ok(Some(config("whole"))), "{clock}, {strategy:?}");
            });
        }
    }
}
