//! Integration tests: one binary, one module per behaviour.
#[cfg(feature = "scenario")]
mod scenario;
