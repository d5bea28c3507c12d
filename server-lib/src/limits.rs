//! What holds clients to the limits of the configuration.

mod clients;
mod descriptors;
mod pace;
mod rate;
mod slots;
mod state;
mod stream;

pub(crate) use self::{
    clients::{Clients, Guest},
    descriptors::{ADMIN_CONNECTIONS, ADMIN_READERS, most_connections, tell_shortage},
    pace::Pace,
    rate::Rate,
    slots::{Slot, Slots},
    state::Stage,
    stream::Paced,
};
