//! Experiments: predictions held against real runs. `score` compares one prediction with what a run was seen to do,
//! `summary` puts many comparisons together.
//!
//! Left out: opening logs and making configurations of them (`cli`), how results look (`report`).

pub mod score;
pub mod summary;

pub use score::{Comparison, Naive, compare};
pub use summary::{Summary, summarise};
