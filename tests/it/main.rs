//! Integration tests: one binary, one module per behaviour.

mod conformance;
mod real_runs;
