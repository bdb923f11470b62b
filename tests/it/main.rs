//! Integration tests: one binary, one module per behaviour.
#![allow(clippy::print_stdout, reason = "tests print what they compared")]

mod conformance;
mod settings;
mod sizes;
mod scenario;
