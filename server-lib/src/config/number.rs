//! Numbers, with what they may be in plain words: serde has the names of Rust's types.

use std::{
    fmt,
    marker::PhantomData,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
};

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// A type of numbers, from the least to the most.
pub(super) trait Number: Sized {
    const LEAST: u64;
    /// Where a file can hold more: TOML ends at 63 bits.
    const MOST: Option<u64>;

    fn of(number: u64) -> Option<Self>;
}

/// Deserializes a number.
pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Number,
{
    deserializer.deserialize_u64(Whole(PhantomData))
}

/// The same, of one that may be left out.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Number,
{
    number(deserializer).map(Some)
}

struct Whole<T>(PhantomData<T>);

impl<T: Number> Visitor<'_> for Whole<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number, at least {}", T::LEAST)?;
        T::MOST.map_or(Ok(()), |most| write!(f, " and at most {most}"))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::of(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let found = u64::try_from(number).ok().and_then(T::of);
        found.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

impl Number for u32 {
    const LEAST: u64 = 0;
    const MOST: Option<u64> = Some(u32::MAX as u64);

    fn of(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Number for u64 {
    const LEAST: u64 = 0;
    const MOST: Option<u64> = None;

    fn of(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl Number for NonZeroU32 {
    const LEAST: u64 = 1;
    const MOST: Option<u64> = u32::MOST;

    fn of(number: u64) -> Option<Self> {
        u32::of(number).and_then(Self::new)
    }
}

impl Number for NonZeroU64 {
    const LEAST: u64 = 1;
    const MOST: Option<u64> = None;

    fn of(number: u64) -> Option<Self> {
        Self::new(number)
    }
}

impl Number for NonZeroUsize {
    const LEAST: u64 = 1;
    const MOST: Option<u64> = None;

    fn of(number: u64) -> Option<Self> {
        number.try_into().ok().and_then(Self::new)
    }
}
