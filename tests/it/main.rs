//! Integration tests: one binary, one module per behaviour.

mod conformance;
mod memory_invariants;
mod memory_vectors;
mod real_runs;
