//! Integration tests: one binary, one module per behaviour.
#![allow(clippy::print_stdout, reason = "tests print what they compared")]

mod conformance;
#[cfg(feature = "eventlog")]
mod eventlog;
mod memory_invariants;
mod memory_vectors;
mod real_runs;
mod settings;
