//! Suite `regions`: the regions and pages of a configuration, or the failure to start with it.

use std::fs;
use std::path::Path;

use spillcast::memory::layout::{LayoutErrorKind, LayoutInput, LayoutRules, RESERVED_MEMORY_BYTES};
use spillcast::memory::{Collector, MemoryLayout, MemoryMode};

use super::report::{Fault, Mismatch, Report};

/// Replays a file of configurations; its name ends in `-<version>-<collector>.csv`.
pub(crate) fn replay(path: &Path, report: &mut Report) -> Result<(), Fault> {
    let text = fs::read_to_string(path).map_err(|error| Fault::new(path, 0, error.to_string()))?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = name.split('-').nth(1).unwrap_or_default();
    let rules = match version.as_bytes().first() {
        Some(b'2') => LayoutRules::V2,
        Some(b'3') => LayoutRules::V3_3,
        Some(b'4') => LayoutRules::V4,
        _ => return Err(Fault::new(path, 0, format!("`{version}` is no known Spark version"))),
    };
    let mut lines = text.lines();
    let header: Vec<String> = cells(lines.next().ok_or_else(|| Fault::new(path, 1, "no header"))?);
    report.count_trace();
    for (index, line) in lines.enumerate() {
        let number = index + 2;
        let values = cells(line);
        if values.len() != header.len() {
            let message = format!("{} cells, the header has {}", values.len(), header.len());
            return Err(Fault::new(path, number, message));
        }
        let row = Row { header: &header, values: &values };
        report.count_line();
        let found = outputs(&row, rules).map_err(|message| Fault::new(path, number, message))?;
        for (field, found) in found {
            let expected = row.get(field).map_err(|message| Fault::new(path, number, message))?;
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

struct Row<'a> {
    header: &'a [String],
    values: &'a [String],
}

impl Row<'_> {
    fn get(&self, column: &str) -> Result<&str, String> {
        let at = self.header.iter().position(|name| name == column);
        at.map(|at| self.values[at].as_str()).ok_or_else(|| format!("missing column `{column}`"))
    }

    fn parsed<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>, String> {
        let text = self.get(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| format!("`{text}` in column `{column}` is no number"))
    }
}

/// What the layout says for each output column that it has something to say about.
fn outputs(row: &Row<'_>, rules: LayoutRules) -> Result<Vec<(&'static str, String)>, String> {
    let executor_memory_text = row.get("executorMemory")?;
    let executor_memory = size(executor_memory_text).map(|size| size as u64);
    let cores: i64 = row.parsed("cores")?.ok_or("column `cores` is empty")?;
    let off_heap_size = size(row.get("offHeapSize")?).ok_or("column `offHeapSize` has no size")?;
    let reserved = if row.get("testing")? == "true" { 0 } else { RESERVED_MEMORY_BYTES };
    let input = LayoutInput {
        rules,
        system_memory: row.parsed("systemMemory")?.ok_or("column `systemMemory` is empty")?,
        reserved_memory: row.parsed("reservedMemory")?.unwrap_or(reserved),
        executor_memory,
        memory_fraction: row.parsed("memoryFraction")?.unwrap_or(0.6),
        storage_fraction: row.parsed("storageFraction")?.unwrap_or(0.5),
        off_heap_enabled: row.get("offHeapEnabled")? == "true",
        off_heap_size,
        cores: u32::try_from(cores).unwrap_or(0),
        page_size: match row.get("pageSizeConf")? {
            "" => None,
            text => Some(size(text).ok_or("column `pageSizeConf` has no size")? as u64),
        },
        collector: match row.get("gc")? {
            "G1" => Collector::G1,
            "Parallel" => Collector::Parallel,
            other => return Err(format!("`{other}` is no collector of these files")),
        },
    };
    let refused = executor_memory.is_none() && !executor_memory_text.is_empty();
    let layout = match MemoryLayout::unified(&input) {
        // Spark reads `spark.executor.memory` right after it has found the heap large enough.
        Ok(_) if refused => return Ok(failure("java.lang.NumberFormatException")),
        Err(error) if refused && !matches!(error.kind, LayoutErrorKind::SystemMemory { .. }) => {
            return Ok(failure("java.lang.NumberFormatException"));
        }
        Err(error) => {
            let mut outputs = failure(error.java_class());
            outputs.push(("errorMessage", error.to_string()));
            return Ok(outputs);
        }
        Ok(layout) => layout,
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

fn failure(java_class: &str) -> Vec<(&'static str, String)> {
    vec![("maxHeapMemory", String::new()), ("errorClass", java_class.to_owned())]
}

/// Sizes as these files write them: digits and a suffix, bytes without one.
fn size(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok().map(|number| number * unit)
}

/// Splits a line of CSV; a quoted cell may have commas and doubled quotes.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut().expect("there is always a cell");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}
