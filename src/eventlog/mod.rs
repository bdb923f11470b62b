//! Spark event logs.

pub mod codec;
