//! Integration tests: one binary, one module per behaviour.
#![allow(clippy::print_stdout, reason = "comparisons with measured truth print what they compared")]

mod settings;
mod sizes;
