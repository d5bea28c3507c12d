//! The suite for sources passes a source that is right, and finds what is wrong with others.

mod faults;
mod lists;
mod proxy;
mod rig;
mod scripted;
mod source;

use self::{rig::LineRig, source::Fault};

hot_reload::conformance!(LineRig<{ Fault::None as u8 }>);
