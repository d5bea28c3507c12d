//! Whether anyone has a file open for writing.
//!
//! The kernel grants a read lease on a file only while nobody has it open for writing
//! (`fcntl(2)`, "Leases"), so asking for one answers the question directly, and giving it back at
//! once costs a few microseconds. The only code of this crate that calls C: no safe wrapper covers
//! leases.
#![allow(unsafe_code)]

use std::{
    hint, io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::Mutex,
    time::{Duration, Instant},
};

use super::Writers;
use crate::lock::lock;

/// Sets the signal of a lease break; not in the `libc` crate (`asm-generic/fcntl.h`, and the same
/// on every architecture that Rust's standard library is for).
const F_SETSIG: libc::c_int = 10;

/// Asks the kernel who has `file`, a regular file open for reading, open for writing.
pub(super) fn writers(file: BorrowedFd<'_>) -> Writers {
    // A writer that comes while the lease is held makes the kernel signal its holder. SIGIO, which
    // it sends by default, would end the process; SIGURG is ignored by default.
    if fcntl(file, F_SETSIG, libc::SIGURG).is_err() {
        return Writers::Unknown;
    }
    match fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => match fcntl(file, libc::F_SETLEASE, libc::F_UNLCK) {
            Ok(()) => Writers::None,
            // Closing the descriptor gives the lease back as well.
            Err(_) => Writers::Unknown,
        },
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

/// How long a moment without writers is awaited: several times as long as it takes to write a small file.
const LONGEST_TRY: Duration = Duration::from_micros(500);

/// Has whoever opens `file` for writing wait until it is let go; false where there was no moment without
/// writers.
pub(super) fn hold(file: BorrowedFd<'_>) -> bool {
    if fcntl(file, F_SETSIG, libc::SIGURG).is_err() {
        return false;
    }
    let mut end = None;
    loop {
        match fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) {
            Ok(()) => return true,
            Err(error) if error.raw_os_error() != Some(libc::EAGAIN) => return false,
            Err(_) => {}
        }
        let now = Instant::now();
        if now >= *end.get_or_insert_with(|| now + time_to_wait(&mut lock(&NEXT_TRY), now)) {
            return false;
        }
        hint::spin_loop();
    }
}

/// When a moment without writers may be awaited again.
static NEXT_TRY: Mutex<Option<Instant>> = Mutex::new(None);

/// Returns for how long to wait for one: of all the files of the process, for no more than a tenth of the
/// time, as one that is always open is waited for in vain.
fn time_to_wait(next: &mut Option<Instant>, now: Instant) -> Duration {
    if next.is_some_and(|next| now < next) {
        return Duration::ZERO;
    }
    *next = Some(now + 10 * LONGEST_TRY);
    LONGEST_TRY
}

/// Lets go of what is held, or closing `file` does.
pub(super) fn let_go(file: BorrowedFd<'_>) {
    let _closing_does = fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
}

fn fcntl(file: BorrowedFd<'_>, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and these commands take an
    // integer and touch no memory of this process.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::{fs::File, os::fd::AsFd, thread};

    use super::*;

    #[test]
    fn tells_whether_a_writer_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(writers(reader.as_fd()), Writers::Some);
        drop(writer);
        assert_eq!(writers(reader.as_fd()), Writers::None);
        // The lease was given back: a writer may come and is told of.
        let _writer = File::options().append(true).open(&path).unwrap();
        assert_eq!(writers(reader.as_fd()), Writers::Some);
    }

    #[test]
    fn a_moment_without_writers_is_awaited_for_a_tenth_of_the_time() {
        let (now, mut next) = (Instant::now(), None);
        let awaited = (0..1000).map(|n| time_to_wait(&mut next, now + n * LONGEST_TRY / 4));
        assert_eq!(awaited.sum::<Duration>(), 25 * LONGEST_TRY);
    }

    #[test]
    fn who_would_write_waits_for_whoever_holds_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "whole").unwrap();
        let reader = File::open(&path).unwrap();
        assert!(hold(reader.as_fd()));
        let writer = {
            let path = path.clone();
            thread::spawn(move || std::fs::write(path, "other").unwrap())
        };
        thread::sleep(Duration::from_millis(100));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        let_go(reader.as_fd());
        writer.join().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other");
        let _writer = File::options().append(true).open(&path).unwrap();
        assert!(!hold(reader.as_fd()));
    }
}
