//! For authors of sources: a suite that a source passes against its real server, and what it is tested
//! with.

mod rig;

pub use self::rig::{Rig, Sample};
