//! `rss.csv`: resident memory of a Spark executor by part, after each phase of a driven job.

use super::table::{Row, Table, TableError};
use super::{Comparison, Kind};
use crate::host::process::{Activity, PYTHON_WORKER_BYTES, beside_heap, heap_resident};
use crate::units::MIB;

/// The table.
pub(super) const KIND: Kind = Kind {
    name: "rss",
    about: "one part of the memory of an executor in one phase",
    columns: &[
        "id",
        "executor_memory_mb",
        "cores",
        "phase",
        "rss_peak_mb",
        "heap_rss_peak_mb",
        "file_rss_mb",
        "other_anon_rss_mb",
        "nonheap_rss_mb",
        "python_pss_mb",
    ],
    compare,
};

/// Choices of the column `phase`.
const PHASES: &[(&str, Activity)] = &[
    ("idle", Activity::Idle),
    ("narrow", Activity::Scans),
    ("shuffle", Activity::Shuffles),
    ("python", Activity::Python),
];

const MB: f64 = MIB as f64;

/// Live data of the driven job, bytes: what an idle executor keeps, what its scan and what its shuffle hold. Heap in use
/// after collections; within 20 %.
fn live(activity: Activity) -> f64 {
    match activity {
        Activity::Idle => 37.0 * MB,
        Activity::Scans => 75.0 * MB,
        Activity::Shuffles | Activity::Python => 190.0 * MB,
    }
}

fn compare(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    for row in table.rows() {
        let activity = row.one_of("phase", PHASES)?;
        let heap = row.positive("executor_memory_mb")? * MB;
        let cores = row.positive("cores")?;
        let heap_rss = heap_resident(activity, heap, live(activity), cores);
        let beside = beside_heap(activity, heap_rss);
        let python = if activity == Activity::Python { PYTHON_WORKER_BYTES as f64 * cores } else { 0.0 };
        let parts = [
            ("rss_peak_mb", heap_rss + beside.resident()),
            ("heap_rss_peak_mb", heap_rss),
            ("file_rss_mb", beside.files),
            ("other_anon_rss_mb", beside.anonymous),
            ("nonheap_rss_mb", beside.resident()),
            ("python_pss_mb", python),
            ("nmt_metaspace_committed_mb", beside.metaspace),
            ("nmt_class_committed_mb", beside.class_space),
            ("nmt_code_committed_mb", beside.code),
            ("nmt_symbol_committed_mb", beside.symbols),
            ("nmt_shared_class_space_committed_mb", beside.shared_classes),
            ("nmt_gc_committed_mb", beside.collector),
            ("nmt_thread_committed_mb", beside.threads),
            ("nmt_other_committed_mb", beside.direct),
        ];
        for (column, predicted) in parts {
            compare_part(row, column, predicted / MB, &mut found)?;
        }
    }
    Ok(found)
}

fn compare_part(
    row: Row<'_>,
    column: &'static str,
    predicted: f64,
    found: &mut Vec<Comparison>,
) -> Result<(), TableError> {
    match row.optional(column)? {
        // No Python, and none predicted.
        Some(0.0) if predicted == 0.0 => {}
        Some(measured) => found.push(Comparison::amount(row.text("id"), column, measured, predicted)),
        None => {}
    }
    Ok(())
}
