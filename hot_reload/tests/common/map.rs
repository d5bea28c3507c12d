//! Writes through shared mappings, of which no event tells.
#![allow(unsafe_code, reason = "a mapping can be had of the C library alone")]

use std::{fs::File, os::fd::AsRawFd, ptr, slice};

/// A shared mapping of a file from its start.
pub struct Mapping {
    start: *mut libc::c_void,
    length: usize,
}

impl Mapping {
    pub fn new(file: &File, length: usize) -> Self {
        // SAFETY: a new mapping of an open file, placed by the kernel.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start, length }
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is that long, and this process has no other reference into it.
        unsafe { slice::from_raw_parts_mut(self.start.cast(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing refers into it any more.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

// SAFETY: it is memory, and tied to no thread.
unsafe impl Send for Mapping {}

pub fn write(file: &File, text: &[u8]) {
    Mapping::new(file, text.len()).bytes().copy_from_slice(text);
}
