//! The columns.
