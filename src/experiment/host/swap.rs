//! `swap.csv`: one working set against one limit of memory.

use super::table::{Table, TableError};
use super::{Comparison, Kind};
use crate::host::swap::{SwapDevice, Touches, WorkingSet};
use crate::units::MIB;

/// The table.
pub(super) const KIND: Kind = Kind {
    name: "swap",
    about: "one working set against one limit of memory",
    columns: &[
        "id",
        "pattern",
        "limit_mb",
        "working_set_mb",
        "work_ns",
        "write_share",
        "threads",
        "ns_per_touch",
    ],
    compare,
};

const PATTERNS: &[(&str, Touches)] =
    &[("seq", Touches::Sequential), ("rand", Touches::Random), ("zipf", Touches::Zipf)];

/// Faults a touch from which on a working set is beyond the knee; at a limit that just fits, stray pages cost up to half as
/// many.
const BEYOND_THE_KNEE: f64 = 0.005;

fn side(faults_per_touch: f64) -> &'static str {
    if faults_per_touch > BEYOND_THE_KNEE { "swaps" } else { "fits" }
}

fn compare(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    for row in table.rows() {
        let megabytes = |column: &str| row.positive(column).map(|mb| (mb * MIB as f64) as u64);
        let set = WorkingSet {
            touches: row.one_of("pattern", PATTERNS)?,
            bytes: megabytes("working_set_mb")?,
            limit: megabytes("limit_mb")?,
            work_ns: row.number("work_ns")?,
            write_share: row.number("write_share")?.min(1.0),
            threads: row.positive("threads")? as u32,
        };
        let Some(measured) = row.optional("ns_per_touch")? else { continue };
        let cost = set.touch(SwapDevice::LOCAL_SSD);
        let id = row.text("id");
        found.push(Comparison::amount(id, "ns_per_touch", measured, cost.mean_ns()));
        if let Some(faults) = row.optional("major_faults_per_touch")? {
            found.push(Comparison::word(id, "side of the knee", side(faults), side(cost.faults_per_touch)));
        }
    }
    Ok(found)
}
