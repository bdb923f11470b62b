//! Many runs of one application: the points of a study, their replications, what the numbers are worth, and the search
//! for the cheapest configuration; and predictions held against real runs (`score` compares one prediction with what a run
//! was seen to do, `summary` puts many comparisons together, `ranges` says how sure a prediction is).
//!
//! A run itself is [`crate::sim`]'s matter. [`host`] holds the physics under Spark against tables of measurements.
//! Nothing here opens files or prints: `cli` feeds it and keeps what comes out.

pub mod host;
mod place;
pub mod ranges;
mod reseed;
pub mod score;
pub mod summary;
pub mod uncertainty;

pub use place::{Placed, machines, place};
pub use ranges::{Predicted, Sureness, sureness};
pub use reseed::reseed;
pub use score::{Comparison, Naive, compare};
pub use summary::{Summary, summarise};
