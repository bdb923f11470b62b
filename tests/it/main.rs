//! Integration tests: one binary, one module per behaviour.
#![allow(clippy::print_stdout, reason = "tests print what they compared")]

#[cfg(feature = "cli")]
mod cli;
mod conformance;
#[cfg(feature = "eventlog")]
mod eventlog;
mod legacy;
mod memory_invariants;
mod memory_vectors;
mod real_runs;
#[cfg(feature = "scenario")]
mod scenario;
mod settings;
mod simulate;
