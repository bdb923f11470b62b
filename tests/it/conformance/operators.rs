//! Suite `operators`: what hash maps and sorters of real Spark held while records came in.

use std::path::Path;

use super::report::{Fault, Report};

/// Replays a file of cases.
pub(crate) fn replay_operators(_path: &Path, report: &mut Report) -> Result<(), Fault> {
    report.skip("the operators are not replayed yet");
    Ok(())
}
