//! The suite for sources passes a source that is right, and finds what is wrong with others.

mod rig;
mod server;
mod source;

use self::rig::LineRig;

hot_reload::conformance!(LineRig);
