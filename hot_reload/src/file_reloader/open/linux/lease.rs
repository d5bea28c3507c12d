//! Whether anyone has a file open for writing.
//!
//! The kernel grants a read lease on a file only while nobody has it open for writing
//! (`fcntl(2)`, "Leases"), so asking for one answers the question directly, and giving it back at
//! once costs a few microseconds. The only code of this crate that calls C: no safe wrapper covers
//! leases.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use super::Writers;

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
    use std::{fs::File, os::fd::AsFd};

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
}
