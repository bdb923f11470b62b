//! Integration tests: one binary, one module per behaviour.
#![allow(clippy::print_stdout, reason = "tests print what they compared")]

#[cfg(feature = "eventlog")]
#[cfg(feature = "scenario")]

mod conformance;
mod eventlog;
mod memory_invariants;
mod memory_vectors;
mod scenario;
mod settings;
mod sizes;
