//! `gc.csv`: one bare JVM run at one share of live data in its heap.

use super::table::{Table, TableError};
use super::{Comparison, Kind};
use crate::host::GcCost;
use crate::units::GIB;

/// The table.
pub(super) const KIND: Kind = Kind {
    name: "gc",
    about: "one JVM run at one share of live data",
    columns: &["id", "collector", "heap_mb", "live_bytes", "outcome", "pause_s_per_gib"],
    compare,
};

const COLLECTORS: &[(&str, GcCost)] =
    &[("G1", GcCost::G1), ("Parallel", GcCost::PARALLEL), ("Serial", GcCost::SERIAL)];

fn compare(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    for row in table.rows() {
        let cost = row.one_of("collector", COLLECTORS)?;
        let heap = row.positive("heap_mb")? * 1048576.0;
        let live = row.number("live_bytes")?;
        if let Some(measured) = row.optional("pause_s_per_gib")? {
            let predicted = cost.pause_ns_per_byte(live as u64, heap as u64) * GIB as f64 / 1e9;
            found.push(Comparison::amount(row.text("id"), "pause_s_per_gib", measured, predicted));
        }
    }
    Ok(found)
}
