//! Processes as proc(5) shows them, and what is sent to them.

use std::{fs, process::Command};

use rustix::process::{Pid, Signal, kill_process};

/// All that there are.
pub fn all() -> Vec<u32> {
    let names = fs::read_dir("/proc").expect("proc(5)").flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// The fields of `proc_pid_stat(5)` after the name, which may have spaces and brackets of its own.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    Some(after_name.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The letter of the state that it is in, if it is there.
pub fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// Whether it is there, and no zombie.
pub fn runs(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// The children of a process, and the letter of the state that each is in.
pub fn children(of: u32) -> Vec<(u32, char)> {
    let child = |pid: u32| {
        let stat = stat(pid)?;
        (stat.get(1)?.parse() == Ok(of)).then_some((pid, stat.first()?.chars().next()?))
    };
    all().into_iter().filter_map(child).collect()
}

/// Ticks of a hundredth of a second that it has worked so far.
pub fn worked(pid: u32) -> u64 {
    let stat = stat(pid).expect("it runs");
    stat[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    kill_process(pid, signal).expect("it runs");
}

pub fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::KILL);
}

/// A command in namespaces of its own, if they are to be had.
pub fn unshare(flags: &[&str]) -> Option<Command> {
    let with = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]).args(flags).args(program);
        command
    };
    with(&["true"]).status().is_ok_and(|status| status.success()).then(|| with(&[]))
}
