//! The operators against traces of Spark's own classes, each alone over a `UnifiedMemoryManager` (`operators-*.jsonl.gz`).
//!
//! Page-based operators (`BytesToBytesMap`, `UnsafeExternalSorter`, `ShuffleExternalSorter`) are predicted from the
//! parameters of a case alone: every change of the task's memory, at the record at which it was seen, every spill and the
//! reported peak. The collections of RDD operations spill by an estimated size, which depends on which elements of
//! their arrays Spark happens to sample: it is an input of the model, compared here within a margin.

use std::io::BufReader;

use flate2::read::GzDecoder;
use serde_json::Value;
use spillcast::memory::operators::{
    GroupCurve, INITIAL_MEMORY_THRESHOLD, OperatorConf, OperatorIndex, OperatorSpec, SpillLimits, Step,
    TaskOperators,
};
use spillcast::memory::{MemoryManager, MemoryMode, TaskId, TaskMemoryManager, UnifiedRegions};

/// One case: its parameters, the changes in order, and the line at its end.
struct Case {
    params: Value,
    changes: Vec<Value>,
    end: Value,
}

impl Case {
    fn name(&self) -> &str {
        self.params["case"].as_str().expect("a case has a name")
    }

    fn class(&self) -> &str {
        self.params["class"].as_str().expect("a case has a class")
    }

    fn number(&self, key: &str) -> u64 {
        number(&self.params, key)
    }
}

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_else(|| panic!("{key} in {line}"))
}

fn cases(version: &str) -> Vec<Case> {
    let path =
        format!("{}/tests/data/memory-manager/operators-{version}.jsonl.gz", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut cases: Vec<Case> = Vec::new();
    for line in
        serde_json::Deserializer::from_reader(BufReader::new(GzDecoder::new(file))).into_iter::<Value>()
    {
        let line = line.expect("a trace is JSON lines");
        if line.get("case").is_some() {
            cases.push(Case { params: line, changes: Vec::new(), end: Value::Null });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if line.get("end").is_some() {
            case.end = line;
        } else {
            case.changes.push(line);
        }
    }
    cases
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
    fn new(case: &Case, spec: OperatorSpec) -> Self {
        let heap = case.number("maxHeap");
        let page_size = case.params["pageSize"].as_u64().unwrap_or(1 << 20);
        let regions =
            UnifiedRegions { on_heap: heap, on_heap_storage: heap / 2, off_heap: 0, off_heap_storage: 0 };
        let conf = OperatorConf { tungsten_mode: MemoryMode::OnHeap, page_size, limits_before_request: true };
        let mut task =
            TaskOperators::new(TaskMemoryManager::new(TaskId(0), MemoryMode::OnHeap, page_size), conf);
        let operator = task.add(spec);
        let mut run = Self {
            manager: MemoryManager::unified(regions),
            task,
            operator,
            changes: Vec::new(),
            inserted: 0,
            spilled: 0,
            failed: false,
        };
        run.task.open(operator, &mut run.manager);
        run.note(0);
        run
    }

    /// Inserts one record at a time, as the traced run did, and notes what changes.
    fn one_by_one(mut self, records: u64) -> Self {
        for _ in 0..records {
            let foreseen = self.task.records_until_request(self.operator) > 0;
            let held = self.task.memory_used();
            match self.task.insert(self.operator, 1, &mut self.manager) {
                Step::Ready => self.inserted += 1,
                Step::Wait => panic!("a task alone never waits"),
                Step::OutOfMemory(_) => {
                    self.failed = true;
                    break;
                }
            }
            assert!(!foreseen || held == self.task.memory_used(), "memory moved at record {}", self.inserted);
            self.note(self.inserted);
        }
        self
    }

    /// Inserts all records at once: the changes in between are not seen, the rest must not differ.
    fn at_once(mut self, records: u64) -> Self {
        self.failed =
            matches!(self.task.insert(self.operator, records, &mut self.manager), Step::OutOfMemory(_));
        self.note(records);
        self
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

fn spec(case: &Case) -> OperatorSpec {
    let limits =
        SpillLimits { records: case.params["spillRecords"].as_u64().unwrap_or(u64::MAX), bytes: u64::MAX };
    let radix = case.params["radix"].as_bool().unwrap_or(false);
    match case.class() {
        "BytesToBytesMap" => OperatorSpec::HashedRelation {
            // A relation asks for `trunc(1.5 × estimate + 1)` slots, rounded up to a power of two.
            size_estimate: case.number("initialCapacity") / 2,
            rows: case.number("records"),
            keys: case.number("records"),
            key_value_bytes: case.number("keyBytes") + case.number("valueBytes"),
        },
        "UnsafeExternalSorter" => OperatorSpec::Sort {
            row_bytes: case.number("recordBytes"),
            radix,
            initial_records: case.number("initialSize"),
            limits,
        },
        "ShuffleExternalSorter" => OperatorSpec::ShuffleSort {
            record_bytes: case.number("recordBytes"),
            radix,
            initial_records: case.number("initialSize"),
            limits,
        },
        other => panic!("unknown class {other}"),
    }
}

fn replay(version: &str) {
    let mut mismatches = Vec::new();
    let mut compared = 0;
    for case in cases(version) {
        if !matches!(case.class(), "BytesToBytesMap" | "UnsafeExternalSorter" | "ShuffleExternalSorter") {
            continue;
        }
        let records = case.number("records");
        let mut run = Run::new(&case, spec(&case)).one_by_one(records);
        let expected: Vec<_> = case
            .changes
            .iter()
            .map(|line| (number(line, "n"), number(line, "mem"), line["spilled"].as_u64().unwrap_or(0)))
            .collect();
        compared += expected.len();
        if run.changes != expected {
            let at = run.changes.iter().zip(&expected).position(|(a, b)| a != b);
            let at = at.unwrap_or(expected.len().min(run.changes.len()));
            mismatches.push(format!(
                "{}: change {at}: {:?}, Spark {:?}",
                case.name(),
                run.changes.get(at),
                expected.get(at)
            ));
        }
        let failed = case.end["end"] != "all";
        let (peak, after) = run.finish();
        let ours = (run.inserted, run.failed, peak, after);
        let spark = (number(&case.end, "n"), failed, number(&case.end, "peak"), number(&case.end, "after"));
        if ours != spark {
            mismatches.push(format!("{}: end {ours:?}, Spark {spark:?}", case.name()));
        }
        if let Some(spilled) = case.end["spilled"].as_u64()
            && spilled != run.spilled
        {
            mismatches.push(format!("{}: spilled {}, Spark {spilled}", case.name(), run.spilled));
        }
        let mut bulk = Run::new(&case, spec(&case)).at_once(records);
        let (bulk_peak, _) = bulk.finish();
        if (bulk_peak, bulk.spilled, bulk.failed) != (peak, run.spilled, run.failed) {
            mismatches.push(format!("{}: inserting all records at once makes a difference", case.name()));
        }
    }
    assert!(compared > 1000, "only {compared} changes compared");
    assert!(mismatches.is_empty(), "{} mismatches:\n{}", mismatches.len(), mismatches.join("\n"));
}

#[test]
fn page_based_operators_grow_as_in_4_1_4() {
    replay("4.1.4");
}

#[test]
fn page_based_operators_grow_as_in_3_5_9() {
    replay("3.5.9");
}
