//! `swap_jvm.csv`: full collections of a JVM whose heap is partly swapped out; by the whole rule, and by the part of it that a
//! run has, which knows neither what was used last nor what lies idle.

use super::gc::{COLLECTORS, OBJECT_KINDS};
use super::table::{Table, TableError};
use super::{Comparison, Kind};
use crate::host::collector::{
    After, HeapLoad, SwappedHeap, full_collection_s, swapped_full_collection_s, swapped_walk_s,
};
use crate::units::MIB;

/// The table.
pub(super) const KIND: Kind = Kind {
    name: "swap_jvm",
    about: "one full collection of a JVM that is partly swapped out",
    columns: &[
        "id",
        "collector",
        "object_kind",
        "live_mb",
        "heap_mb",
        "overcommit",
        "limit_mb",
        "first_gc_s",
        "second_gc_s",
        "third_gc_s",
    ],
    compare,
};

/// Time of a random 4 KiB read of the swap device that was measured, seconds.
const READ_S: f64 = 71e-6;

/// Garbage that the program makes before the third collection, bytes.
const GARBAGE: f64 = 100.0 * MIB as f64;

/// The three collections, what came before each, and the name of the same by the part of the rule that a run has.
const COLLECTIONS: [(&str, After, &str); 3] = [
    ("first_gc_s", After::Limit, "first_gc_s as in a run"),
    ("second_gc_s", After::Collection, "second_gc_s as in a run"),
    ("third_gc_s", After::Allocation, "third_gc_s as in a run"),
];

fn compare(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    for row in table.rows() {
        let collector = row.one_of("collector", COLLECTORS)?;
        let arrays = row.one_of("object_kind", OBJECT_KINDS)?;
        let live = row.positive("live_mb")? * MIB as f64;
        let limit = row.positive("limit_mb")? * MIB as f64;
        // The limit is set to so much less than the live data and what else the process needs.
        let beside = (row.positive("overcommit")? * limit - live).max(0.0);
        let mut load = HeapLoad::objects(row.positive("heap_mb")? * MIB as f64, live, 0.0);
        if arrays {
            (load.live_objects, load.live_pages) = (0.0, live);
        }
        let missing = (1.0 - limit / (live + beside)).max(0.0);
        let in_run = full_collection_s(collector, &load)
            + swapped_walk_s(collector, load.live_objects, missing, READ_S);
        for (column, after, as_in_a_run) in COLLECTIONS {
            let garbage = if after == After::Allocation { GARBAGE } else { 0.0 };
            let heap = SwappedHeap { load, limit, beside, garbage, read_s: READ_S };
            if let Some(measured) = row.optional(column)? {
                let predicted = swapped_full_collection_s(collector, &heap, after);
                found.push(Comparison::amount(row.text("id"), column, measured, predicted));
                found.push(Comparison::amount(row.text("id"), as_in_a_run, measured, in_run));
            }
        }
    }
    Ok(found)
}
