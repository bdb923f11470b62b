//! Integration tests: one binary, one module per behaviour.
#![allow(clippy::print_stdout, reason = "tests print what they compared")]

#[cfg(feature = "cli")]
mod cli;
mod conformance;
#[cfg(all(feature = "eventlog", feature = "report"))]
mod determinism;
#[cfg(feature = "eventlog")]
mod eventlog;
#[cfg(feature = "experiment")]
mod experiment;
#[cfg(feature = "cli")]
mod host_pressure;
#[cfg(feature = "eventlog")]
mod joins;
mod legacy;
mod memory_invariants;
mod memory_vectors;
#[cfg(feature = "cli")]
mod pages;
#[cfg(feature = "cli")]
mod questions;
#[cfg(feature = "experiment")]
mod random_scenarios;
mod real_runs;
#[cfg(feature = "scenario")]
mod scenario;
#[cfg(feature = "cli")]
mod scenarios;
mod settings;
mod simulate;
#[cfg(feature = "eventlog")]
mod sql_adaptive;
#[cfg(feature = "eventlog")]
mod sql_operators;
mod tidy;
#[cfg(feature = "eventlog")]
mod times;
#[cfg(feature = "cli")]
mod why;
