//! Questions that take more than one run, or a comparison with what was measured: what the program's answers are worth.
//!
//! [`host`] holds the physics under Spark against tables of measurements. Files are opened by `cli`.

pub mod host;
