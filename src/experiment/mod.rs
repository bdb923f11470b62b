//! Many runs of one application: the points of a study, their replications, what the numbers are worth, and the search
//! for the cheapest configuration.
//!
//! A run itself is [`crate::sim`]'s matter. [`host`] holds the physics under Spark against tables of measurements.
//! Nothing here opens files or prints: `cli` feeds it and keeps what comes out.

mod base;
pub mod host;
mod place;
mod points;
mod reseed;
pub mod statistics;
mod study;
mod summary;
mod vary;

pub use base::{Base, HOST_AXES, NO_VARIANT, Prepared, VARIANT};
pub use place::{Placed, machines, place};
pub use points::Space;
pub use reseed::reseed;
pub use study::{Known, Replications, Shard, Stopped, Study};
pub use summary::{Overview, RunKey, Summariser};
pub use vary::Axis;
