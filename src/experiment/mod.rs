//! Many runs of one application: the points of a study, their replications, what the numbers are worth, and the search
//! for the cheapest configuration; and predictions held against real runs (`score` compares one prediction with what a run
//! was seen to do, `summary` puts many comparisons together, `ranges` says how sure a prediction is).
//!
//! A run itself is [`crate::sim`]'s matter. [`host`] holds the physics under Spark against tables of measurements.
//! Nothing here opens files or prints: `cli` feeds it and keeps what comes out.

mod answer;
mod base;
mod explain;
pub mod host;
mod overview;
mod place;
mod points;
mod python;
pub mod ranges;
mod reseed;
mod same_runs;
pub mod score;
pub mod side_by_side;
pub mod statistics;
mod study;
pub mod summary;
mod tune;
pub mod uncertainty;
mod vary;
mod verdict;
pub mod why;

pub use answer::{Band, GOOD_ENOUGH, SIGNIFICANT, StudyAnswer, conclude, pareto};
pub use base::{Base, HOST_AXES, NO_VARIANT, Prepared, VARIANT};
pub use explain::{explain, root_cause};
pub use overview::{Other, Overview, RunKey, Summariser};
pub use place::{Placed, machines, place};
pub use points::Space;
pub use python::PythonNeed;
pub use ranges::{Predicted, Sureness, sureness};
pub use reseed::reseed;
pub use score::{Comparison, Naive, compare};
pub use study::{Known, Replications, Shard, Stopped, Study, unless_broken};
pub use summary::{Summary, summarise};
pub use tune::{Found, TOLERANCE, tune};
pub use vary::{Axis, bare_unit, number_of};
pub use verdict::{Goal, Limit, Objective, Verdict, judge};
