//! Replays of traces of the real Spark classes.

mod operators;
