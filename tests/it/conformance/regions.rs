//! Suite `regions`: the regions and pages of a configuration, or the failure to start with it.

use std::path::Path;

use spillcast::conf::Collector;
use spillcast::conf::size::{ByteUnit, SizeError, byte_string_as_bytes, conf_entry_size};
use spillcast::memory::layout::{LayoutErrorKind, LayoutInput, LayoutRules, RESERVED_MEMORY_BYTES};
use spillcast::memory::{MemoryLayout, MemoryMode};

use super::report::{Fault, Mismatch, Report};
use super::table::{Row, Table};

/// Replays a file of configurations; its name ends in `-<version>-<collector>.csv`.
pub(crate) fn replay(path: &Path, report: &mut Report) -> Result<(), Fault> {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = name.split('-').nth(1).unwrap_or_default();
    let rules = match version.as_bytes().first() {
        Some(b'2') => LayoutRules::V2,
        Some(b'3') => LayoutRules::V3_3,
        Some(b'4') => LayoutRules::V4,
        _ => return Err(Fault::new(path, 0, format!("`{version}` is no known Spark version"))),
    };
    report.count_trace();
    for (number, row) in Table::read(path)?.rows() {
        report.count_line();
        let fault = |message: String| Fault::new(path, number, message);
        for (field, found) in outputs(&row, rules).map_err(fault)? {
            let expected = row.get(field).map_err(fault)?;
            if expected != found {
                report.mismatch(Mismatch {
                    file: path.to_owned(),
                    trace: name.clone(),
                    line: number,
                    operation: "apply".to_owned(),
                    field: field.to_owned(),
                    expected: expected.to_owned(),
                    found,
                });
            }
        }
    }
    Ok(())
}

/// What the layout says for each output column that it has something to say about.
fn outputs(row: &Row<'_>, rules: LayoutRules) -> Result<Vec<(&'static str, String)>, String> {
    let executor_memory = match row.get("executorMemory")? {
        "" => None,
        text => Some(byte_string_as_bytes(text)),
    };
    let cores: i64 = row.parsed("cores")?.ok_or("column `cores` is empty")?;
    let size = |column: &str| {
        let text = row.get(column)?;
        conf_entry_size(text, ByteUnit::Byte).map_err(|error| format!("column `{column}`: {error}"))
    };
    let reserved = if row.get("testing")? == "true" { 0 } else { RESERVED_MEMORY_BYTES };
    let input = LayoutInput {
        rules,
        system_memory: row.parsed("systemMemory")?.ok_or("column `systemMemory` is empty")?,
        reserved_memory: row.parsed("reservedMemory")?.unwrap_or(reserved),
        executor_memory: executor_memory
            .as_ref()
            .and_then(|size| size.as_ref().ok())
            .map(|&size| size as u64),
        memory_fraction: row.parsed("memoryFraction")?.unwrap_or(0.6),
        storage_fraction: row.parsed("storageFraction")?.unwrap_or(0.5),
        off_heap_enabled: row.get("offHeapEnabled")? == "true",
        off_heap_size: size("offHeapSize")?,
        cores: u32::try_from(cores).unwrap_or(0),
        page_size: match row.get("pageSizeConf")? {
            "" => None,
            _ => Some(size("pageSizeConf")? as u64),
        },
        collector: match row.get("gc")? {
            "G1" => Collector::G1,
            "Parallel" => Collector::Parallel,
            other => return Err(format!("`{other}` is no collector of these files")),
        },
    };
    let layout = match (MemoryLayout::unified(&input), executor_memory) {
        // Spark reads `spark.executor.memory` right after it has found the heap large enough.
        (Ok(_), Some(Err(refused))) => return Ok(unreadable(&refused)),
        (Err(error), Some(Err(refused))) if !matches!(error.kind, LayoutErrorKind::SystemMemory { .. }) => {
            return Ok(unreadable(&refused));
        }
        (Err(error), _) => {
            let mut outputs = failure(error.java_class());
            outputs.push(("errorMessage", error.to_string()));
            return Ok(outputs);
        }
        (Ok(layout), _) => layout,
    };
    let regions = layout.regions;
    let tungsten_mode = if layout.tungsten_mode == MemoryMode::OnHeap { "on" } else { "off" };
    let mut outputs = vec![
        ("maxHeapMemory", regions.on_heap.to_string()),
        ("storageRegion", regions.on_heap_storage.to_string()),
        ("maxOnHeapStorageMemory", regions.on_heap.to_string()),
        ("maxOffHeapStorageMemory", regions.off_heap.to_string()),
        ("offHeapStorageRegion", regions.off_heap_storage.to_string()),
        ("onHeapExecutionPool", (regions.on_heap - regions.on_heap_storage).to_string()),
        ("offHeapExecutionPool", (regions.off_heap - regions.off_heap_storage).to_string()),
        ("tungstenMode", tungsten_mode.to_owned()),
        ("errorClass", String::new()),
    ];
    // Without a core count the page depends on the machine.
    if cores > 0 {
        outputs.push(("pageSizeBytes", layout.page_size.to_string()));
    }
    Ok(outputs)
}

fn unreadable(error: &SizeError) -> Vec<(&'static str, String)> {
    failure(&format!("java.lang.{}", error.java_class()))
}

fn failure(java_class: &str) -> Vec<(&'static str, String)> {
    vec![("maxHeapMemory", String::new()), ("errorClass", java_class.to_owned())]
}
