//! HTTP, by a server of each test's own.

#[path = "../common/mod.rs"]
mod common;

mod credentials;
mod follow;
mod live;
mod polls;
mod reads;
mod rig;
mod scripted;
mod server;
mod streams;
mod system;

mod events {
    use super::rig::{Events, HttpRig};

    hot_reload::conformance!(HttpRig<Events>);
}

mod hints {
    use super::rig::{Hints, HttpRig};

    hot_reload::conformance!(HttpRig<Hints>);
}

mod long_polls {
    use super::rig::{HttpRig, LongPolls};

    hot_reload::conformance!(HttpRig<LongPolls>);
}

mod looks {
    use super::rig::{HttpRig, Looks};

    hot_reload::conformance!(HttpRig<Looks>, polling);
}
