//! Suite `operators`: what hash maps, sorters and collections of real Spark held while records came in, each alone over a
//! `UnifiedMemoryManager`.
//!
//! Page-based operators (`BytesToBytesMap`, `UnsafeExternalSorter`, `ShuffleExternalSorter`) are predicted from the
//! parameters of a case alone: every change of the task's memory, at the record at which it was seen, every spill, the
//! refusal of a full map, and the reported peak. They are fed record by record and once more with all records at a time.
//!
//! The collections of RDD operations go by an estimated size, which depends on the elements of their arrays that Spark
//! happens to sample: see [`super::spills`] for what is an input there.

use std::path::Path;

use serde_json::{Map, Value};
use spillcast::memory::operators::{
    OperatorConf, OperatorIndex, OperatorSpec, SpillLimits, Step, TaskOperators,
};
use spillcast::memory::{MemoryManager, MemoryMode, TaskId, TaskMemoryManager, UnifiedRegions};

use super::report::{Fault, Mismatch, Report};
use super::spills;
use super::trace::{self, LineResult, Op};

/// A line with its number in the file.
pub(crate) type Line = (usize, Map<String, Value>);

/// One case: its parameters, and the changes in order with the line at the end as the last.
pub(crate) struct Case {
    header: Line,
    pub(crate) lines: Vec<Line>,
}

impl Case {
    pub(crate) fn header(&self) -> Op<'_> {
        Op(&self.header.1)
    }
}

/// Where the results of a case go.
pub(crate) struct Check<'a> {
    path: &'a Path,
    case: String,
    report: &'a mut Report,
    /// Line at hand.
    pub(crate) line: usize,
}

impl Check<'_> {
    /// Compares a field of the line at hand.
    pub(crate) fn compare<T: PartialEq + ToString>(&mut self, field: &str, expected: &T, found: &T) {
        if expected != found {
            self.differ(field, expected.to_string(), found.to_string());
        }
    }

    pub(crate) fn differ(&mut self, field: &str, expected: String, found: String) {
        self.report.mismatch(Mismatch {
            file: self.path.to_owned(),
            trace: self.case.clone(),
            line: self.line,
            operation: "insert".to_owned(),
            field: field.to_owned(),
            expected,
            found,
        });
    }
}

/// Replays a file of cases.
pub(crate) fn replay(path: &Path, report: &mut Report) -> Result<(), Fault> {
    let mut cases: Vec<Case> = Vec::new();
    trace::for_each_line(path, |number, line| {
        if line.contains_key("case") {
            cases.push(Case { header: (number, line.clone()), lines: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            case.lines.push((number, line.clone()));
        } else {
            return Err(Fault::new(path, number, "a change before any case"));
        }
        Ok(())
    })?;
    if cases.is_empty() {
        return Err(Fault::new(path, 0, "no cases"));
    }
    for case in cases {
        report.count_trace();
        case.lines.iter().for_each(|_| report.count_line());
        let name = case.header().text("case").unwrap_or_default().to_owned();
        let mut check = Check { path, case: name, report, line: case.header.0 };
        replay_case(&case, &mut check).map_err(|message| Fault::new(path, check.line, message))?;
    }
    Ok(())
}

fn replay_case(case: &Case, check: &mut Check<'_>) -> LineResult<()> {
    match case.header().text("class")? {
        "PartitionedPairBuffer" | "PartitionedAppendOnlyMap" => spills::replay_estimates(case, check),
        "ExternalAppendOnlyMap" => spills::replay_append_only_map(case, check),
        _ => replay_pages(case, check),
    }
}

/// An operator that is predicted from its parameters.
fn replay_pages(case: &Case, check: &mut Check<'_>) -> LineResult<()> {
    let header = case.header();
    let records = header.number("records")?;
    let mut run = Run::new(&header, spec(&header)?)?;
    run.one_by_one(records);
    let (peak, after) = run.finish();
    let mut changes = run.changes.iter();
    let mut ended = false;
    for (number, line) in &case.lines {
        check.line = *number;
        let op = Op(line);
        if ended {
            return Err("a line after the end of the case".to_owned());
        }
        if line.contains_key("end") {
            ended = true;
            check.compare("changes left", &0, &changes.len());
            let end = if run.failed { "full" } else { "all" };
            check.compare("end", &op.text("end")?, &end);
            check.compare("n", &op.number("n")?, &run.inserted);
            check.compare("peak", &op.number("peak")?, &peak);
            check.compare("after", &op.number("after")?, &after);
            // The traces of some classes do not say how much was spilled in all.
            if line.contains_key("spilled") {
                check.compare("spilled", &op.number("spilled")?, &run.spilled);
            }
        } else {
            let Some(&(n, mem, spilled)) = changes.next() else {
                check.differ("mem", "another change".to_owned(), "none".to_owned());
                return Ok(());
            };
            check.compare("n", &op.number("n")?, &n);
            check.compare("mem", &op.number("mem")?, &mem);
            let expected = if line.contains_key("spilled") { op.number("spilled")? } else { 0 };
            check.compare("spilled", &expected, &spilled);
        }
    }
    if !ended {
        return Err("the case has no end".to_owned());
    }
    let mut bulk = Run::new(&header, spec(&header)?)?;
    bulk.at_once(records);
    let (bulk_peak, _) = bulk.finish();
    check.compare("peak, all records at once", &peak, &bulk_peak);
    check.compare("spilled, all records at once", &run.spilled, &bulk.spilled);
    check.compare("failure, all records at once", &run.failed, &bulk.failed);
    Ok(())
}

/// An operator alone on a manager, and what was seen of it.
pub(crate) struct Run {
    manager: MemoryManager,
    task: TaskOperators,
    operator: OperatorIndex,
    /// Records inserted, bytes held, bytes spilled since the line before.
    pub(crate) changes: Vec<(u64, u64, u64)>,
    inserted: u64,
    pub(crate) spilled: u64,
    failed: bool,
}

impl Run {
    pub(crate) fn new(header: &Op<'_>, spec: OperatorSpec) -> LineResult<Self> {
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
    pub(crate) fn one_by_one(&mut self, records: u64) {
        for _ in 0..records {
            let without_request = self.task.records_until_request(self.operator, 0) > 0;
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
    pub(crate) fn at_once(&mut self, records: u64) {
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
    pub(crate) fn finish(&mut self) -> (u64, u64) {
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
