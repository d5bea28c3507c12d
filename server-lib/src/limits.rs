//! What holds clients to the limits of the configuration.

mod pace;
mod rate;
mod slots;
mod stream;

pub(crate) use self::{
    pace::Pace,
    rate::Rate,
    slots::{Slot, Slots},
    stream::Paced,
};
