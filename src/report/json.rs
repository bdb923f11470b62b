//! One run as one JSON object, the form that scripts read. The keys and their order are a contract with them: new keys may
//! come, at the end, but none changes its name or meaning.
//!
//! Tasks, events and the time line are left to CSV: they are long, and JSON would hold them all in memory.

use std::io;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::json;

use crate::record::columns::{self, Table, Value};
use crate::record::{Confidence, Range, RunRecord};

/// Writes `run` as one JSON object, indented, and a line end. `input` is what the user calls the scenario or log.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(run: &RunRecord, input: &str, mut out: impl io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &Document { run, input })?;
    out.write_all(b"\n")
}

/// Gives `run` as a JSON value, for larger documents that hold many runs. Keys come in alphabetical order here.
pub fn value(run: &RunRecord, input: &str) -> serde_json::Value {
    serde_json::to_value(Document { run, input })
        .expect("numbers, text, lists and maps with text keys always serialize")
}

struct Document<'a> {
    run: &'a RunRecord,
    input: &'a str,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let run = self.run;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("spillcast", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("input", self.input)?;
        for name in ["seed", "sparkVersion", "outcome", "reason", "wallMs"] {
            map.serialize_entry(name, &Cell(summary(run, name)))?;
        }
        map.serialize_entry("totals", &Totals(run))?;
        map.serialize_entry("stages", &Rows { run, table: &columns::STAGES, list: &run.stages })?;
        map.serialize_entry("executors", &Rows { run, table: &columns::EXECUTORS, list: &run.executors })?;
        map.serialize_entry("tenants", &Rows { run, table: &columns::TENANTS, list: &run.tenants })?;
        map.serialize_entry("confidence", &Sure(&run.confidence))?;
        map.serialize_entry("name", &Cell(summary(run, "name")))?;
        map.serialize_entry("appMs", &Cell(summary(run, "appMs")))?;
        map.serialize_entry("datasets", &Rows { run, table: &columns::DATASETS, list: &run.datasets })?;
        map.serialize_entry("causes", &Rows { run, table: &columns::CAUSES, list: &run.causes })?;
        map.serialize_entry("hosts", &Rows { run, table: &columns::HOSTS, list: &run.hosts })?;
        map.serialize_entry("ledger", &Rows { run, table: &columns::LEDGER, list: &run.ledger })?;
        if !run.trace.is_empty() {
            map.serialize_entry("trace", &Rows { run, table: &columns::TRACE, list: &run.trace })?;
        }
        map.end()
    }
}

fn summary<'a>(run: &'a RunRecord, name: &str) -> Value<'a> {
    columns::SUMMARY.cell(name, run, run).expect("the contract's keys are columns of the summary")
}

struct Totals<'a>(&'a RunRecord);

impl Serialize for Totals<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object(columns::SUMMARY.metric_cells(self.0, self.0), serializer)
    }
}

struct Rows<'a, R: 'static> {
    run: &'a RunRecord,
    table: &'a Table<R>,
    list: &'a [R],
}

impl<R> Serialize for Rows<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.list.len()))?;
        for row in self.list {
            list.serialize_element(&Row { rows: self, row })?;
        }
        list.end()
    }
}

struct Row<'a, R: 'static> {
    rows: &'a Rows<'a, R>,
    row: &'a R,
}

impl<R> Serialize for Row<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object(self.rows.table.cells(self.rows.run, self.row), serializer)
    }
}

/// Writes cells as an object, leaving out what is absent.
fn object<'a, S: Serializer>(
    cells: impl Iterator<Item = (&'static str, Value<'a>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in cells.filter(|cell| cell.1 != Value::Absent) {
        map.serialize_entry(name, &Cell(value))?;
    }
    map.end()
}

struct Cell<'a>(Value<'a>);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Int(number) => serializer.serialize_u64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Absent => serializer.serialize_none(),
        }
    }
}

struct Sure<'a>(&'a Confidence);

impl Serialize for Sure<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("grade", &self.0.grade)?;
        map.serialize_entry("assumed", &self.0.assumed)?;
        map.serialize_entry("replay", &self.0.replay)?;
        if !self.0.ranges.is_empty() {
            map.serialize_entry("ranges", &Ranges(&self.0.ranges))?;
        }
        let endings = self.0.other_endings.iter();
        let endings: Vec<_> = endings
            .map(|(outcome, because)| json!({ "outcome": outcome.as_str(), "because": because }))
            .collect();
        if !endings.is_empty() {
            map.serialize_entry("otherEndings", &endings)?;
        }
        map.end()
    }
}

/// Ranges by quantity; one without a highest value has no `high`.
struct Ranges<'a>(&'a [Range]);

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for range in self.0 {
            let mut entry = json!({ "low": range.low, "grade": range.grade, "because": range.because });
            if let Some(high) = range.high {
                entry["high"] = high.into();
            }
            map.serialize_entry(range.column, &entry)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metrics;
    use crate::report::fixture;

    fn text(run: &RunRecord) -> String {
        let mut out = Vec::new();
        write(run, "log.zstd", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The contract, key by key (design, section 7).
    const KEYS: [&str; 11] = [
        "spillcast",
        "input",
        "seed",
        "sparkVersion",
        "outcome",
        "reason",
        "wallMs",
        "totals",
        "stages",
        "executors",
        "tenants",
    ];
    const TOTALS: [&str; 23] = [
        "tasks",
        "failedTasks",
        "memoryBytesSpilled",
        "diskBytesSpilled",
        "peakExecutionMemoryMax",
        "peakExecutionMemorySum",
        "jvmGcTime",
        "executorRunTime",
        "executorCpuTime",
        "shuffleReadBytes",
        "shuffleWriteBytes",
        "cachedBlocksMemory",
        "cachedBlocksDisk",
        "blocksDropped",
        "blocksRecomputed",
        "peakOnHeapExecution",
        "peakOnHeapStorage",
        "peakOffHeapExecution",
        "peakOffHeapStorage",
        "peakHeapUsed",
        "peakRss",
        "swapInBytes",
        "swapOutBytes",
    ];

    #[test]
    fn every_key_of_the_contract_is_there_and_in_its_order() {
        let run = fixture::spilling();
        let text = text(&run);
        let mut from = 0;
        for key in KEYS.iter().chain(&["confidence"]) {
            let at =
                text[from..].find(&format!("\n  \"{key}\": ")).unwrap_or_else(|| panic!("{key} in {text}"));
            from += at + 1;
        }
        let object = value(&run, "log.zstd");
        let order: Vec<_> = columns::SUMMARY.metric_cells(&run, &run).map(|cell| cell.0).collect();
        assert_eq!(order[..TOTALS.len()], TOTALS);
        for key in TOTALS {
            assert!(object["totals"][key].is_u64(), "totals.{key} is {}", object["totals"][key]);
        }
        for key in ["stageId", "attempt", "name", "tasks", "memoryBytesSpilled", "wallMs"] {
            assert!(object["stages"][0].get(key).is_some(), "stages[0].{key}");
        }
        for key in ["grade", "assumed", "replay"] {
            assert!(object["confidence"].get(key).is_some(), "confidence.{key}");
        }
    }

    #[test]
    fn what_is_not_modelled_has_no_key() {
        let mut run = fixture::spilling();
        run.totals = Metrics { jvm_gc_time_ns: None, peak_rss: None, ..Metrics::default() };
        let object = value(&run, "x");
        assert!(object["totals"].get("jvmGcTime").is_none());
        assert!(object["totals"].get("peakRss").is_none());
        assert_eq!(object["totals"]["memoryBytesSpilled"], 0);
    }

    #[test]
    fn golden() {
        fixture::check_golden("run.json", &text(&fixture::failing()));
    }
}
