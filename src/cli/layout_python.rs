//! The part of `layout --python` that says what Python workers need.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::experiment::PythonNeed;
use crate::units::{HumanBytes, MIB};

/// The section of the page.
pub(super) fn section(text: &mut String, need: &PythonNeed, row_bytes: Option<u64>) {
    let _ = writeln!(text, "\nPython workers of an executor, one for each of {} tasks", need.workers);
    let _ = writeln!(
        text,
        "  at rest: {}, {} each; beside them {} of the JVM",
        HumanBytes(need.workers * need.worker_bytes),
        HumanBytes(need.worker_bytes),
        HumanBytes(need.jvm_bytes)
    );
    match need.batch_bytes {
        Some(batch) => {
            let rows = row_bytes.map_or_else(String::new, |bytes| {
                format!(" ({} rows of {})", batch / bytes.max(1), HumanBytes(bytes))
            });
            let _ = writeln!(
                text,
                "  batches: {}{rows} at most,\n    in {} copies a task (4 in Python, 3 in the JVM; assumed): {} in all",
                HumanBytes(batch),
                need.copies,
                HumanBytes(batch.saturating_mul(need.workers * need.copies))
            );
            let needed = need.needed(batch);
            let verdict = if needed <= need.room_bytes {
                format!("fits, with {} left", HumanBytes(need.room_bytes - needed))
            } else {
                format!("{} too much", HumanBytes(needed - need.room_bytes))
            };
            let _ = writeln!(
                text,
                "  together {} of {} beside the heap: {verdict}",
                HumanBytes(needed),
                HumanBytes(need.room_bytes)
            );
            if needed > need.room_bytes {
                let _ = writeln!(
                    text,
                    "  what fits it: spark.executor.memoryOverhead={}m",
                    need.fitting_overhead_mib(batch)
                );
            }
        }
        None => text
            .push_str("  batches: before Spark 4.0 nothing bounds their bytes; --row-bytes tells of rows\n"),
    }
    let _ = writeln!(text, "  {}", batch_words(need, row_bytes));
    text.push_str("  Groups of grouped-map functions come whole, whatever a batch may have.\n");
}

/// The batch that fits what there is.
fn batch_words(need: &PythonNeed, row_bytes: Option<u64>) -> String {
    let fits = need.fitting_batch();
    if fits == 0 {
        return "no batch fits the overhead as it is: the workers at rest already fill it".to_owned();
    }
    let rows = row_bytes.map_or_else(String::new, |bytes| {
        format!(",\n    spark.sql.execution.arrow.maxRecordsPerBatch={}", (fits / bytes.max(1)).max(1))
    });
    format!("the largest batch that fits as it is: {}{rows}", HumanBytes(fits))
}

/// The object in JSON.
pub(super) fn document(need: &PythonNeed) -> Value {
    let mut value = json!({
        "workers": need.workers,
        "workerBytes": need.worker_bytes,
        "copiesOfBatch": need.copies,
        "jvmBesideHeapBytes": need.jvm_bytes,
        "roomBytes": need.room_bytes,
        "fittingBatchBytes": need.fitting_batch(),
    });
    if let Some(batch) = need.batch_bytes {
        value["batchBytes"] = json!(batch);
        value["neededBytes"] = json!(need.needed(batch));
        value["fittingOverheadBytes"] = json!(need.fitting_overhead_mib(batch) * MIB);
    }
    value
}
