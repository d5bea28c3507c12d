//! A hash of few instructions, for what nobody from outside can choose.
//!
//! An edit is heard of by code that has not run for a while, and has to be fetched from memory: the
//! hash that withstands an attacker would be much of that.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by whatever is watched.
pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

/// FNV-1a (RFC 9923), of numbers as a whole.
pub(super) struct Fnv(u64);

impl Fnv {
    fn add(&mut self, part: u64) {
        self.0 = (self.0 ^ part).wrapping_mul(0x0100_0000_01b3);
    }
}

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    /// Once in the program, rather than in every map.
    #[inline(never)]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add((*byte).into());
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.add(number.cast_unsigned().into());
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
