//! Integration tests: one binary, one module per behaviour.

#[cfg(feature = "eventlog")]
mod eventlog;
