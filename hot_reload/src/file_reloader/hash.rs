//! A hash of few instructions, for what nobody from outside can choose.
//!
//! An edit is heard of by code that has not run for a while, and has to be fetched from memory: the
//! hash that withstands an attacker would be much of that.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// A map by whatever is watched.
pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

/// After FNV-1a (RFC 9923), which it is for bytes; a number is taken as a whole.
pub(super) struct Fnv(u64);

/// Odd, and 2^64 by the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Fnv {
    pub(super) fn of(what: impl Hash) -> u64 {
        let mut hash = Self::default();
        what.hash(&mut hash);
        hash.finish()
    }

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

    /// Spread, since a map tells its entries apart by the upper bits, in which small numbers are alike.
    fn write_i32(&mut self, number: i32) {
        self.add(u64::from(number.cast_unsigned()).wrapping_mul(SPREAD));
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn is_fnv_1a_for_bytes() {
        // The test vectors of the algorithm's authors (RFC 9923).
        for (bytes, want) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut hash = Fnv::default();
            hash.write(bytes.as_bytes());
            assert_eq!(hash.finish(), want, "{bytes}");
        }
    }

    #[test]
    fn small_numbers_differ_in_their_upper_bits() {
        let tag = |number: i32| {
            let mut hash = Fnv::default();
            hash.write_i32(number);
            hash.finish() >> 57
        };
        let tags: HashSet<_> = (1..=1_000).map(tag).collect();
        assert_eq!(tags.len(), 128);
    }
}
