//! What a thread of another process waits for, see `proc_pid_syscall(5)`.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// More descriptors than that a server doesn't hand to poll(2); `FD_SETSIZE` is as large.
const MAX_DESCRIPTORS: u64 = 1024;

/// Numbers of system calls; the machine's own table says which.
#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const ACCEPT: [i64; 2] = [43, 288];
    pub(super) const RECEIVE: [i64; 3] = [45, 47, 299];
    pub(super) const POLL: [i64; 2] = [7, 271];
    pub(super) const SELECT: [i64; 2] = [23, 270];
}

/// By asm-generic/unistd.h, which all newer machines share; they have neither poll nor select.
#[cfg(not(target_arch = "x86_64"))]
mod number {
    pub(super) const ACCEPT: [i64; 2] = [202, 242];
    pub(super) const RECEIVE: [i64; 3] = [207, 212, 243];
    pub(super) const POLL: [i64; 1] = [73];
    pub(super) const SELECT: [i64; 1] = [72];
}

/// The descriptors of which a thread waits for one, given its call and the memory of its process.
pub(super) fn awaited(call: &str, memory: &Path) -> Vec<u64> {
    let Some((number, [first, second])) = read(call) else { return Vec::new() };
    if number::ACCEPT.contains(&number) || number::RECEIVE.contains(&number) {
        vec![first]
    } else if number::POLL.contains(&number) {
        polled(memory, first, second.min(MAX_DESCRIPTORS)).unwrap_or_default()
    } else if number::SELECT.contains(&number) {
        selected(memory, second, first.min(MAX_DESCRIPTORS)).unwrap_or_default()
    } else {
        Vec::new()
    }
}

/// Reads the number of a call, and its first two arguments.
fn read(call: &str) -> Option<(i64, [u64; 2])> {
    let mut words = call.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    Some((number, [argument()?, argument()?]))
}

/// Reads an array of `struct pollfd`, see poll(2).
fn polled(memory: &Path, at: u64, count: u64) -> io::Result<Vec<u64>> {
    const SIZE: usize = 8;
    let bytes = bytes(memory, at, count * SIZE as u64)?;
    let fds = bytes
        .as_chunks::<SIZE>()
        .0
        .iter()
        .map(|one| i32::from_ne_bytes([one[0], one[1], one[2], one[3]]));
    Ok(fds.filter_map(|fd| u64::try_from(fd).ok()).collect())
}

/// Reads an `fd_set`, a bit for each descriptor, see select(2).
fn selected(memory: &Path, at: u64, count: u64) -> io::Result<Vec<u64>> {
    let bytes = bytes(memory, at, count.div_ceil(64) * 8)?;
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
    let set = words.zip(0..).flat_map(|(word, n)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| n * 64 + bit)
    });
    Ok(set.filter(|fd| *fd < count).collect())
}

fn bytes(memory: &Path, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    File::open(memory)?.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn ours() -> &'static Path {
        Path::new("/proc/self/mem")
    }

    #[test]
    fn finds_where_a_thread_accepts() {
        let call = format!("{} 0x3 0x0 0x0 0x80000 0x0 0x0 0x7ffd 0x7f00", number::ACCEPT[1]);
        assert_eq!(awaited(&call, ours()), [3]);
        for call in ["running", "0 0x3 0x0", "-1 0x7ffd 0x7f00", ""] {
            assert!(awaited(call, ours()).is_empty(), "{call}");
        }
    }

    #[test]
    fn finds_what_a_thread_polls() {
        let file = File::open("/proc/self/stat").unwrap();
        // As poll(2) has it: a descriptor, what is asked for, what came of it.
        let fds: [[i32; 2]; 3] = [[7, 1], [-1, 1], [file.as_raw_fd(), 1]];
        let call = format!("{} {:p} 0x3 0x0", number::POLL[0], &raw const fds);
        let found = awaited(&call, ours());
        assert_eq!(found, [7, u64::try_from(file.as_raw_fd()).unwrap()]);
        let nowhere = format!("{} 0x0 0x3 0x0", number::POLL[0]);
        assert!(awaited(&nowhere, ours()).is_empty());
    }

    #[test]
    fn finds_what_a_thread_selects() {
        let set: [u64; 2] = [1 << 5, 1 << 3 | 1 << 9];
        let call = format!("{} {:#x} {:p} 0x0", number::SELECT[0], 70, &raw const set);
        assert_eq!(awaited(&call, ours()), [5, 67]);
    }
}
