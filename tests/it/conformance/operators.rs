//! Suite `operators`: what hash maps, sorters and collections of real Spark held while records came in, each alone over a
//! `UnifiedMemoryManager`.
//!
//! Page-based operators (`BytesToBytesMap`, `UnsafeExternalSorter`, `ShuffleExternalSorter`) are predicted from the
//! parameters of a case alone: every change of the task's memory, at the record at which it was seen, every spill, the
//! refusal of a full map, and the reported peak. They are fed record by record and once more with all records at a time.
//!
//! The collections of RDD operations go by an estimated size, which depends on the elements of their arrays that Spark
//! happens to sample: the estimates of the `Partitioned...` collections are demanded within a factor of 1.5, and an
//! `ExternalAppendOnlyMap` only where that leaves no doubt whether it reaches the size at which it first asks.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};
use spillcast::memory::operators::{
    GroupCurve, OperatorConf, OperatorIndex, OperatorSpec, SpillLimits, Step, TaskOperators,
};
use spillcast::memory::{MemoryManager, MemoryMode, TaskId, TaskMemoryManager, UnifiedRegions};

use super::report::{Fault, Mismatch, Report};
use super::trace::{LineResult, Op};

/// Bytes of a boxed key, and of a tuple of partition and key, beside a value of known size.
const KEY_BYTES: u64 = 16;
const PARTITIONED_KEY_BYTES: u64 = 40;

/// A line with its number in the file.
type Line = (usize, Map<String, Value>);

/// One case: its parameters, the changes in order with the line at the end as the last.
struct Case {
    header: Line,
    lines: Vec<Line>,
}

/// Replays a file of cases.
pub(crate) fn replay_operators(path: &Path, report: &mut Report) -> Result<(), Fault> {
    for case in read(path)? {
        report.count_trace();
        let at = case.header.0;
        replay_case(path, &case, report).map_err(|message| Fault::new(path, at, message))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Case>, Fault> {
    let file = File::open(path).map_err(|error| Fault::new(path, 0, error.to_string()))?;
    let reader = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut cases: Vec<Case> = Vec::new();
    for (index, text) in reader.lines().enumerate() {
        let number = index + 1;
        let fault = |message: String| Fault::new(path, number, message);
        let text = text.map_err(|error| fault(error.to_string()))?;
        let line: Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| fault(format!("no JSON object: {error}")))?;
        if line.contains_key("case") {
            cases.push(Case { header: (number, line), lines: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            case.lines.push((number, line));
        } else {
            return Err(fault("a change before any case".to_owned()));
        }
    }
    Ok(cases)
}

fn replay_case(path: &Path, case: &Case, report: &mut Report) -> LineResult<()> {
    let header = Op(&case.header.1);
    let name = header.text("case")?;
    let mut check = |line: &Line, field: &str, expected: String, found: String| {
        if expected != found {
            report.mismatch(Mismatch {
                file: path.to_owned(),
                trace: name.to_owned(),
                line: line.0,
                operation: "insert".to_owned(),
                field: field.to_owned(),
                expected,
                found,
            });
        }
    };
    match header.text("class")? {
        "PartitionedPairBuffer" | "PartitionedAppendOnlyMap" => {
            for line in &case.lines {
                let records = Op(&line.1).number("n")?;
                let expected = Op(&line.1).number("estimate")?;
                let found = estimate(&header, records)?;
                let is_near = found * 2 <= expected * 3 && expected * 2 <= found * 3;
                let near = if is_near { expected } else { found };
                check(line, "estimate, within a factor of 1.5", expected.to_string(), near.to_string());
            }
        }
        "ExternalAppendOnlyMap" => {
            let Some(found) = replay_append_only_map(&header)? else { return Ok(()) };
            for (line, found) in case.lines.iter().zip(found) {
                check(line, "mem", Op(&line.1).number("mem")?.to_string(), found.to_string());
            }
        }
        _ => {
            let records = header.number("records")?;
            let mut run = Run::new(&header, spec(&header)?)?;
            run.one_by_one(records);
            let end = case.lines.last().ok_or("a case without lines")?;
            let (peak, after) = run.finish();
            let mut found: Vec<String> = run.changes.iter().map(|change| format!("{change:?}")).collect();
            let reason = if run.failed { "full" } else { "all" };
            found
                .push(format!("{reason} {} peak {peak} after {after} spilled {}", run.inserted, run.spilled));
            for (index, line) in case.lines.iter().enumerate() {
                let op = Op(&line.1);
                let expected = if line.1.contains_key("end") {
                    // The traces of some classes do not say how much was spilled in all.
                    let spilled = op.number("spilled").unwrap_or(run.spilled);
                    let (end, n, peak, after) =
                        (op.text("end")?, op.number("n")?, op.number("peak")?, op.number("after")?);
                    format!("{end} {n} peak {peak} after {after} spilled {spilled}")
                } else {
                    format!("{:?}", (op.number("n")?, op.number("mem")?, op.number("spilled").unwrap_or(0)))
                };
                check(line, "n, mem, spilled", expected, found.get(index).cloned().unwrap_or_default());
            }
            let mut bulk = Run::new(&header, spec(&header)?)?;
            bulk.at_once(records);
            let (bulk_peak, _) = bulk.finish();
            let bulk = (bulk_peak, bulk.spilled, bulk.failed);
            check(end, "all at once", format!("{:?}", (peak, run.spilled, run.failed)), format!("{bulk:?}"));
        }
    }
    for _ in &case.lines {
        report.count_line();
    }
    Ok(())
}

/// An operator alone on a manager, and what was seen of it.
struct Run {
    manager: MemoryManager,
    task: TaskOperators,
    operator: OperatorIndex,
    /// Records inserted, bytes held, bytes spilled since the line before.
    changes: Vec<(u64, u64, u64)>,
    inserted: u64,
    spilled: u64,
    failed: bool,
}

impl Run {
    fn new(header: &Op<'_>, spec: OperatorSpec) -> LineResult<Self> {
        let heap = header.number("maxHeap").unwrap_or(1 << 30);
        let page_size = header.number("pageSize").unwrap_or(1 << 20);
        let regions =
            UnifiedRegions { on_heap: heap, on_heap_storage: heap / 2, off_heap: 0, off_heap_storage: 0 };
        let conf = OperatorConf { tungsten_mode: MemoryMode::OnHeap, page_size, limits_before_request: true };
        let tmm = TaskMemoryManager::new(TaskId(0), MemoryMode::OnHeap, page_size);
        let mut task = TaskOperators::new(tmm, conf);
        let operator = task.add(spec);
        let mut manager = MemoryManager::unified(regions);
        if task.open(operator, &mut manager) != Step::Ready {
            return Err("the operator cannot be opened".to_owned());
        }
        let (changes, inserted, spilled, failed) = (Vec::new(), 0, 0, false);
        let mut run = Self { manager, task, operator, changes, inserted, spilled, failed };
        run.note(0);
        Ok(run)
    }

    /// Inserts one record at a time, as the traced run did, and notes what changes.
    fn one_by_one(&mut self, records: u64) {
        for _ in 0..records {
            let without_request = self.task.records_until_request(self.operator) > 0;
            let held = self.task.memory_used();
            match self.task.insert(self.operator, 1, &mut self.manager) {
                Step::Ready => self.inserted += 1,
                Step::Wait => panic!("a task alone never waits"),
                Step::OutOfMemory(_) => {
                    self.failed = true;
                    break;
                }
            }
            assert!(!without_request || held == self.task.memory_used(), "a request was not foreseen");
            self.note(self.inserted);
        }
    }

    /// Inserts all records at once: the changes in between are not seen, the end must not differ.
    fn at_once(&mut self, records: u64) {
        let step = self.task.insert(self.operator, records, &mut self.manager);
        self.failed = matches!(step, Step::OutOfMemory(_));
        self.note(records);
    }

    fn note(&mut self, n: u64) {
        let held = self.task.memory_used();
        let spilled: u64 = self.task.take_spills().iter().map(|s| s.memory_bytes).sum();
        self.spilled += spilled;
        if spilled > 0 || self.changes.last().is_none_or(|last| last.1 != held) {
            self.changes.push((n, held, spilled));
        }
    }

    /// Peak at the end of the input, and what is left after the cleanup.
    fn finish(&mut self) -> (u64, u64) {
        if !self.failed {
            assert_eq!(self.task.finish_input(self.operator, &mut self.manager), Step::Ready);
        }
        let peak = self.task.peak(self.operator);
        self.task.close(self.operator, &mut self.manager);
        (peak, self.task.memory_used())
    }
}

fn spec(header: &Op<'_>) -> LineResult<OperatorSpec> {
    let limits = SpillLimits { records: header.number("spillRecords").unwrap_or(u64::MAX), bytes: u64::MAX };
    let radix = header.0.get("radix").and_then(Value::as_bool).unwrap_or(false);
    Ok(match header.text("class")? {
        "BytesToBytesMap" => OperatorSpec::HashedRelation {
            // A relation asks for `trunc(1.5 × estimate + 1)` slots, rounded up to a power of two.
            size_estimate: header.number("initialCapacity")? / 2,
            rows: header.number("records")?,
            keys: header.number("records")?,
            key_value_bytes: header.number("keyBytes")? + header.number("valueBytes")?,
        },
        "UnsafeExternalSorter" => OperatorSpec::Sort {
            row_bytes: header.number("recordBytes")?,
            radix,
            initial_records: header.number("initialSize")?,
            limits,
        },
        "ShuffleExternalSorter" => OperatorSpec::ShuffleSort {
            record_bytes: header.number("recordBytes")?,
            radix,
            initial_records: header.number("initialSize")?,
            limits,
        },
        other => return Err(format!("unknown class `{other}`")),
    })
}

/// The size that the model finds for a partitioned collection of so many records with distinct keys.
fn estimate(header: &Op<'_>, records: u64) -> LineResult<u64> {
    let is_map = header.text("class")? == "PartitionedAppendOnlyMap";
    let spec = OperatorSpec::ExternalSorter {
        entry_bytes: PARTITIONED_KEY_BYTES + header.number("valueKnownSize")?,
        serialized_bytes: 0,
        map_side_combine: is_map.then(|| GroupCurve::even(records, records)),
        writes_shuffle: true,
        initial_memory_threshold: 1 << 50,
        limits: SpillLimits::default(),
    };
    let mut run = Run::new(header, spec)?;
    run.at_once(records);
    Ok(run.finish().0)
}

/// Memory at the start and at the end, unless the size comes too close to the threshold to tell.
fn replay_append_only_map(header: &Op<'_>) -> LineResult<Option<[u64; 2]>> {
    let threshold = header.number("initialMemoryThreshold")?;
    let spec = OperatorSpec::ExternalAppendOnlyMap {
        entry_bytes: KEY_BYTES + header.number("valueKnownSize")?,
        serialized_bytes: 0,
        keys: GroupCurve::even(header.number("records")?, header.number("distinctKeys")?),
        initial_memory_threshold: threshold,
        limits: SpillLimits::default(),
    };
    let mut run = Run::new(header, spec)?;
    let start = run.task.memory_used();
    run.one_by_one(header.number("records")?);
    let end = run.task.memory_used();
    let (size, _) = run.finish();
    let doubtful = size * 3 > threshold * 2 && size * 2 < threshold * 3;
    Ok((!doubtful).then_some([start, end]))
}
