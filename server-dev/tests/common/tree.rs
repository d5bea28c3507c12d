//! Edits of a tree that is watched, and what is told of them.

use std::{fs, time::Instant};

use rustix::process::Signal;

use super::{
    Dev, Folder, PATIENCE, SERVER_DEV,
    process::{state, unshare},
    wait_until,
};

/// A server that does nothing, in a folder that is watched whole.
pub const IDLE: [&str; 5] = ["--ready", "1ms", "--", "sleep", "600"];

/// Starts it with these flags, and waits until it is ready.
pub fn idle(folder: &Folder, flags: &[&str]) -> Dev {
    let mut dev = folder.dev(&[flags, &IDLE].concat());
    dev.wait("ready");
    // By then what there was before has been read.
    folder.write("first.rs", "first");
    assert_eq!(files(&mut dev), ["first.rs"]);
    dev
}

/// The files that the next change names.
pub fn files(dev: &mut Dev) -> Vec<String> {
    let changed = dev.wait("changed");
    let files = changed["files"].as_array().expect("files").iter();
    files.map(|file| file.as_str().expect("a path").to_owned()).collect()
}

/// Makes an edit that counts, and fails if any other has counted before it.
pub fn nothing_else_counts(folder: &Folder, dev: &mut Dev) {
    let name = format!("mark{}.rs", dev.told.len());
    folder.write(&name, "counts");
    assert_eq!(files(dev), [name]);
}

/// Makes an edit, and fails unless it is told.
pub fn counts(dev: &mut Dev, want: &str, edit: impl FnOnce()) {
    edit();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if files(dev).iter().any(|file| file == want) {
            return;
        }
    }
    panic!("{want} doesn't count");
}

/// The inotify watches that a process has, see `proc_pid_fdinfo(5)`.
pub fn watches(pid: u32) -> usize {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it runs").flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

/// Has it see nothing until it goes on.
pub fn stop(dev: &Dev) {
    dev.signal(Signal::STOP);
    wait_until(|| state(dev.pid()) == Some('T'), || "it doesn't stop");
}

/// Runs a script in a namespace of its own, of which the rest of the words are `server-dev` and its arguments.
pub fn dev_after(folder: &Folder, script: &str, flags: &[&str]) -> Option<Dev> {
    let mut command = unshare(&["--mount"])?;
    let script = format!("set -e; {script}; exec \"$@\"");
    command.args(["sh", "-c", &script, "sh", SERVER_DEV, "--json"]);
    command.args(flags).args(IDLE).current_dir(folder.path());
    Some(Dev::spawn(&mut command))
}
