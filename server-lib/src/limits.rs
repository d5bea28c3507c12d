//! What holds clients to the limits of the configuration.

mod clients;
mod descriptors;
mod pace;
mod rate;
mod slots;
mod stream;

pub(crate) use self::{
    clients::{Clients, Guest},
    descriptors::most_connections,
    pace::Pace,
    rate::Rate,
    slots::{Slot, Slots},
    stream::Paced,
};
