//! For authors of sources: a suite that a source passes against its real server, and what it is tested
//! with.

mod conformance;
mod proxy;
mod rig;
pub mod rules;

pub use self::{
    conformance::run,
    proxy::Proxy,
    rig::{Rig, Sample},
};
