//! What is wrong with a setting: the value, where it came from, what Spark says, and what would be valid.

use std::fmt;

use super::spark_conf::Origin;

/// How a value fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is no value of the key's kind, or the key does not exist.
    Malformed,
    /// A value of the right kind that the key never takes.
    OutOfRange,
    /// Values that are fine by themselves, with which Spark refuses to start.
    Refused,
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfError {
    /// Property.
    pub key: String,
    /// Its value as written.
    pub value: String,
    /// Where that came from.
    pub origin: Origin,
    /// How it fails.
    pub kind: ErrorKind,
    /// Why, in Spark's own words where Spark refuses it; one line.
    pub message: String,
    /// What would be accepted.
    pub valid: String,
    /// Spark's error condition, where the version has one (`INVALID_EXECUTOR_MEMORY`).
    pub condition: Option<&'static str>,
    /// Whether Spark itself refuses the value; otherwise this program does.
    pub by_spark: bool,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({}): {}", self.key, self.value, self.origin, self.message)?;
        if self.valid.is_empty() { Ok(()) } else { write!(f, "; valid: {}", self.valid) }
    }
}

impl std::error::Error for ConfError {}
