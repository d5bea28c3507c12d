//! How long a large tree takes until it is watched, and what it costs from then on.
//!
//! `cargo bench -p server-dev --bench tree` makes 100,000 files; `-- --short` a twentieth of that. The
//! physical limit is a walk that looks at each file once; the peer is watchexec, where it is installed.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

const FILES_A_FOLDER: usize = 100;
/// Long enough for every file to have been read once.
const LEARNS: Duration = Duration::from_secs(10);
const IDLES: Duration = Duration::from_secs(10);

fn main() {
    // cargo passes `--bench` as well.
    let is_short = std::env::args().any(|word| word == "--short");
    let (files, learns, idles) =
        if is_short { (5_000, LEARNS / 10, IDLES / 10) } else { (100_000, LEARNS, IDLES) };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folders = make(folder.path(), files);
    println!("{files} files in {folders} folders");

    let start = Instant::now();
    let found = walk(folder.path());
    println!("walk/every file looked at     {:>8.3} s ({found} files)", seconds(start));

    let mut command = Command::new(env!("CARGO_BIN_EXE_server-dev"));
    command.args(["--json", "--ready", "1ms", "--", "sleep", "600"]);
    let (start, mut dev) = (Instant::now(), started(&mut command, folder.path()));
    let mut events = BufReader::new(dev.stdout.take().expect("its output")).lines();
    let mut watching = || events.next().and_then(Result::ok).expect("it tells");
    while !watching().contains("\"watching\"") {}
    println!("server-dev/start to watching  {:>8.3} s", seconds(start));
    sleep(learns);
    println!("server-dev/processor time     {:>8.3} s, every file read once", used(&dev));
    let before = used(&dev);
    sleep(idles);
    println!(
        "server-dev/idle for {idles:>3.0?}       {:>8.3} s of processor time",
        used(&dev) - before
    );
    end(dev);

    if Command::new("watchexec").arg("--version").output().is_err() {
        return println!("watchexec is not installed");
    }
    let mut command = Command::new("watchexec");
    command.args(["--no-meta", "--", "sleep", "600"]);
    let (start, peer) = (Instant::now(), started(&mut command, folder.path()));
    while watches(&peer) < folders && start.elapsed() < LEARNS * 6 {
        sleep(Duration::from_millis(5));
    }
    println!("watchexec/start to watching   {:>8.3} s", seconds(start));
    let before = used(&peer);
    sleep(idles);
    println!(
        "watchexec/idle for {idles:>3.0?}        {:>8.3} s of processor time",
        used(&peer) - before
    );
    end(peer);
}

/// Makes that many files, and returns in how many folders they are.
fn make(root: &Path, files: usize) -> usize {
    for n in 0..files {
        let folder = n / FILES_A_FOLDER;
        let folder = root.join(format!("d{}/e{folder}", folder % 20));
        if n % FILES_A_FOLDER == 0 {
            fs::create_dir_all(&folder).expect("a folder");
        }
        fs::write(folder.join(format!("f{n}.rs")), format!("fn f{n}() {{}}\n")).expect("a file");
    }
    files / FILES_A_FOLDER + (files / FILES_A_FOLDER).min(20) + 1
}

fn walk(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries
        .map(|entry| {
            let found = entry.metadata().expect("it stays");
            if found.is_dir() { walk(&entry.path()) } else { 1 }
        })
        .sum()
}

fn started(command: &mut Command, folder: &Path) -> Child {
    let command = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().expect("it starts")
}

fn end(mut child: Child) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(pid, Signal::TERM).expect("it runs");
    child.wait().expect("a child");
}

/// The processor time that a process has had, see `proc_pid_stat(5)`: in ticks, of which a second has a
/// hundred on every Linux.
fn used(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
    let (_, after_name) = stat.rsplit_once(')').expect("a name");
    let ticks = after_name.split_ascii_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

/// The inotify watches that it has, see `proc_pid_fdinfo(5)`.
fn watches(child: &Child) -> usize {
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", child.id())).expect("it runs").flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
