//! Every output column, declared once: its name, unit, meaning, and how to read it from a [`RunRecord`]. CSV, JSON, the
//! terminal's tables and `docs/columns.md` all read these declarations, so a name never differs between two outputs.
//!
//! Names are the spelling of Spark's REST API where Spark has the quantity (`memoryBytesSpilled`, `jvmGcTime`), so that a
//! join with metrics of real runs needs no renaming; our own names follow the same manner, with the unit last where it is
//! not bytes. Times that Spark has are whole milliseconds as Spark's are; our own (`wallMs`) keep microseconds.
//!
//! A quantity that is not modelled is [`Value::Absent`] (an empty CSV field, a missing JSON key), never zero. How values
//! are written is left to `report`.

mod hosts;
mod metrics;
mod study;
mod trace;
mod value;

pub use hosts::{HOST_TIMELINE, HOSTS, LEDGER, TENANTS};

use std::borrow::Cow;
use std::fmt::Write as _;

use self::metrics::METRICS;
pub use self::study::{SWEEP, SWEEP_SUMMARY};
pub use self::trace::TRACE;
pub use self::value::{Unit, Value};
use super::{
    Cause, DatasetRecord, ErrorRecord, EventRecord, ExecutorRecord, Metrics, RunRecord, StageRecord,
    TaskRecord, TimelinePoint,
};

/// A column of rows of type `R`.
pub struct Column<R: 'static> {
    /// Header in CSV, key in JSON.
    pub name: &'static str,
    /// What its numbers count.
    pub unit: Unit,
    /// One line of documentation.
    pub doc: &'static str,
    get: for<'a> fn(&'a RunRecord, &'a R) -> Value<'a>,
}

/// The columns of one kind of row: what identifies it, its Spark metrics, and what ends it.
pub struct Table<R: 'static> {
    /// Name of the CSV file without `.csv`, and of the JSON list.
    pub name: &'static str,
    /// What one row is.
    pub doc: &'static str,
    lead: &'static [Column<R>],
    metrics: Option<Carries<R>>,
    tail: &'static [Column<R>],
}

/// Which metrics a row carries, and where they are.
type Carries<R> = (Scope, fn(&R) -> &Metrics);

/// Rows that carry [`Metrics`]. Not every metric makes sense for each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Run,
    Stage,
    Executor,
    Task,
}

impl<R> Table<R> {
    /// Name, unit and documentation of each column, in the order of output.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, Unit, &'static str)> {
        let metrics = self.metric_columns().map(|column| (column.name, column.unit, column.doc));
        let plain = |column: &Column<R>| (column.name, column.unit, column.doc);
        self.lead.iter().map(plain).chain(metrics).chain(self.tail.iter().map(plain))
    }

    /// Name and value of each column of one row, in the order of [`Table::columns`].
    pub fn cells<'a>(
        &self,
        run: &'a RunRecord,
        row: &'a R,
    ) -> impl Iterator<Item = (&'static str, Value<'a>)> {
        let plain = move |column: &Column<R>| (column.name, (column.get)(run, row));
        self.lead.iter().map(plain).chain(self.metric_cells(run, row)).chain(self.tail.iter().map(plain))
    }

    /// The metrics among [`Table::cells`], as in the `totals` of a run.
    pub fn metric_cells<'a>(
        &self,
        run: &'a RunRecord,
        row: &'a R,
    ) -> impl Iterator<Item = (&'static str, Value<'a>)> {
        let metrics = self.metrics.map(|(_, metrics)| metrics(row));
        self.metric_columns().filter_map(move |column| Some((column.name, (column.get)(run, metrics?))))
    }

    /// Value of the column called `name`; `None` when this table has no such column.
    pub fn cell<'a>(&self, name: &str, run: &'a RunRecord, row: &'a R) -> Option<Value<'a>> {
        self.cells(run, row).find(|cell| cell.0 == name).map(|cell| cell.1)
    }

    /// Unit of the column called `name`; `None` when this table has no such column.
    pub fn unit(&self, name: &str) -> Option<Unit> {
        self.columns().find(|column| column.0 == name).map(|column| column.1)
    }

    fn metric_columns(&self) -> impl Iterator<Item = &'static Column<Metrics>> + use<R> {
        let scope = self.metrics.map(|(scope, _)| scope);
        METRICS
            .iter()
            .filter(move |(scopes, _)| scope.is_some_and(|scope| scopes.contains(&scope)))
            .map(|m| &m.1)
    }
}

const fn column<R>(
    name: &'static str,
    unit: Unit,
    doc: &'static str,
    get: for<'a> fn(&'a RunRecord, &'a R) -> Value<'a>,
) -> Column<R> {
    Column { name, unit, doc, get }
}

fn text(value: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(value))
}

fn text_or_absent(value: &str) -> Value<'_> {
    if value.is_empty() { Value::Absent } else { text(value) }
}

fn int(value: impl Into<u64>) -> Value<'static> {
    Value::Int(value.into())
}

fn int_or_absent(value: Option<u64>) -> Value<'static> {
    value.map_or(Value::Absent, Value::Int)
}

fn float_or_absent(value: Option<f64>) -> Value<'static> {
    value.map_or(Value::Absent, Value::Float)
}

/// A share to a millionth, so that the text of a number stays short.
fn share_or_absent(value: Option<f64>) -> Value<'static> {
    float_or_absent(value.map(|share| (share * 1e6).round() / 1e6))
}

/// Whole milliseconds, rounded to the nearest.
fn whole_ms(ns: u64) -> Value<'static> {
    Value::Int(ns.saturating_add(500_000) / 1_000_000)
}

/// Milliseconds with microseconds as the fraction, so that the text of a number stays short.
fn fine_ms(ns: u64) -> Value<'static> {
    Value::Float((ns.saturating_add(500) / 1_000) as f64 / 1e3)
}

fn executor_id(run: &RunRecord, position: u32) -> Value<'_> {
    run.executors.get(position as usize).map_or(Value::Absent, |executor| text(&executor.id))
}

/// A quantity of a whole run, in the unit of its column of [`SUMMARY`]; `None` where it is not modelled.
pub fn total_of(run: &RunRecord, column: &str) -> Option<f64> {
    SUMMARY.cell(column, run, run)?.number()
}

/// The quantities of [`SUMMARY`] that are modelled in this run.
pub fn totals_modelled(run: &RunRecord) -> Vec<&'static str> {
    let counted = SUMMARY.columns().filter(|(_, unit, _)| *unit != Unit::None);
    counted.map(|(name, ..)| name).filter(|name| total_of(run, name).is_some()).collect()
}

/// One row a run.
pub static SUMMARY: Table<RunRecord> = Table {
    name: "summary",
    doc: "One row: the run. In JSON its metrics are the object `totals`.",
    lead: &[
        column("name", Unit::None, "Name of the application.", |_, r| text(&r.name)),
        column("seed", Unit::None, "Seed of the run; the same seed gives the same run.", |_, r| int(r.seed)),
        column("sparkVersion", Unit::None, "Version of Spark whose rules were simulated.", |_, r| {
            text(&r.spark_version)
        }),
        column(
            "outcome",
            Unit::None,
            "How the application ended; `ok`, or the class of its failure.",
            |_, r| text(r.outcome.as_str()),
        ),
        column("reason", Unit::None, "The failure in one line, as Spark or the kernel says it.", |_, r| {
            text(&r.reason)
        }),
        column("wallMs", Unit::Ms, "Time during which at least one job ran.", |_, r| fine_ms(r.wall_ns)),
        column("appMs", Unit::Ms, "Time to the end of the last job, gaps between jobs included.", |_, r| {
            fine_ms(r.app_ns)
        }),
        column("grade", Unit::None, "Weakest grade of fidelity that the answer rests on.", |_, r| {
            text_or_absent(&r.confidence.grade)
        }),
    ],
    metrics: Some((Scope::Run, |run| &run.totals)),
    tail: &[],
};

/// One row an attempt of a stage.
pub static STAGES: Table<StageRecord> = Table {
    name: "stages",
    doc: "One row an attempt of a stage, in the order of submission.",
    lead: &[
        column("stageId", Unit::None, "Spark's stage id.", |_, s| int(s.stage_id)),
        column("attempt", Unit::None, "Attempt of the stage, from 0.", |_, s| int(s.attempt)),
        column("jobId", Unit::None, "Job that the stage belongs to.", |_, s| int(s.job_id)),
        column("name", Unit::None, "Name of the stage.", |_, s| text(&s.name)),
        column("submissionTime", Unit::Ms, "Submission, since the start of the application.", |_, s| {
            whole_ms(s.submitted_ns)
        }),
        column("completionTime", Unit::Ms, "Completion, since the start of the application.", |_, s| {
            whole_ms(s.completed_ns)
        }),
        column("failureReason", Unit::None, "Why it failed; absent when it did not.", |_, s| {
            text_or_absent(&s.failure)
        }),
    ],
    metrics: Some((Scope::Stage, |stage| &stage.metrics)),
    tail: &[column("wallMs", Unit::Ms, "From submission to completion.", |_, s| {
        fine_ms(s.completed_ns.saturating_sub(s.submitted_ns))
    })],
};

/// One row a task attempt.
pub static TASKS: Table<TaskRecord> = Table {
    name: "tasks",
    doc: "One row a task attempt, in the order of their end.",
    lead: &[
        column("taskId", Unit::None, "Task id, unique in the run.", |_, t| int(t.task_id)),
        column("stageId", Unit::None, "Spark's stage id.", |_, t| int(t.stage_id)),
        column("stageAttempt", Unit::None, "Attempt of the stage, from 0.", |_, t| int(t.stage_attempt)),
        column("index", Unit::None, "Partition that it computed.", |_, t| int(t.index)),
        column("attempt", Unit::None, "Attempt at this partition, from 0.", |_, t| int(t.attempt)),
        column("executorId", Unit::None, "Executor that ran it.", |run, t| executor_id(run, t.executor)),
        column("taskLocality", Unit::None, "Locality of its launch, as Spark names it.", |_, t| {
            text_or_absent(t.locality)
        }),
        column("status", Unit::None, "`SUCCESS` or `FAILED`.", |_, t| {
            text(if t.failure.is_empty() { "SUCCESS" } else { "FAILED" })
        }),
        column("launchTime", Unit::Ms, "Launch, since the start of the application.", |_, t| {
            whole_ms(t.launch_ns)
        }),
        column("duration", Unit::Ms, "From launch to finish.", |_, t| {
            whole_ms(t.finish_ns.saturating_sub(t.launch_ns))
        }),
    ],
    metrics: Some((Scope::Task, |task| &task.metrics)),
    tail: &[column("errorMessage", Unit::None, "Why it failed; absent when it did not.", |_, t| {
        text_or_absent(&t.failure)
    })],
};

/// One row an executor.
pub static EXECUTORS: Table<ExecutorRecord> = Table {
    name: "executors",
    doc: "One row an executor, in the order of their start. Sums and peaks are of its own tasks.",
    lead: &[
        column("id", Unit::None, "Spark's executor id; `driver` in local mode.", |_, e| text(&e.id)),
        column("host", Unit::None, "Host that it ran on.", |_, e| text_or_absent(&e.host)),
        column("totalCores", Unit::Count, "Cores, hence task slots at one core a task.", |_, e| int(e.cores)),
        column("addTime", Unit::Ms, "Start, since the start of the application.", |_, e| {
            whole_ms(e.added_ns)
        }),
        column(
            "removeTime",
            Unit::Ms,
            "Loss, since the start of the application; absent when it lived.",
            |_, e| e.removed_ns.map_or(Value::Absent, whole_ms),
        ),
        column("removeReason", Unit::None, "Why it was lost; absent when it lived.", |_, e| {
            text_or_absent(&e.removed_reason)
        }),
        column("maxHeap", Unit::Bytes, "Limit of its Java heap (-Xmx).", |_, e| int(e.heap_bytes)),
        column(
            "maxOnHeapMemory",
            Unit::Bytes,
            "Region that execution and storage share on the heap.",
            |_, e| int(e.max_on_heap_memory),
        ),
        column(
            "maxOffHeapMemory",
            Unit::Bytes,
            "Region that execution and storage share off the heap.",
            |_, e| int(e.max_off_heap_memory),
        ),
        column(
            "containerLimit",
            Unit::Bytes,
            "Limit of its container or pod; absent when it has none.",
            |_, e| int_or_absent(e.container_bytes),
        ),
    ],
    metrics: Some((Scope::Executor, |executor| &executor.metrics)),
    tail: &[],
};

/// One row a cached dataset.
pub static DATASETS: Table<DatasetRecord> = Table {
    name: "datasets",
    doc: "One row a cached dataset, as it is at the end of the run.",
    lead: &[
        column("id", Unit::None, "RDD id.", |_, d| int(d.id)),
        column("name", Unit::None, "Name of the dataset.", |_, d| text(&d.name)),
        column("storageLevel", Unit::None, "Storage level in force.", |_, d| {
            text_or_absent(&d.storage_level)
        }),
        column("numPartitions", Unit::Count, "Partitions of the dataset.", |_, d| int(d.partitions)),
        column("partitionsInMemory", Unit::Count, "Partitions in the memory of an executor.", |_, d| {
            int(d.in_memory)
        }),
        column("partitionsOnDisk", Unit::Count, "Partitions on the disk of an executor.", |_, d| {
            int(d.on_disk)
        }),
        column("memoryUsed", Unit::Bytes, "Bytes in memory over all executors.", |_, d| int(d.memory_bytes)),
        column("diskUsed", Unit::Bytes, "Bytes on disk over all executors.", |_, d| int(d.disk_bytes)),
        column("memoryHits", Unit::Count, "Reads served from memory.", |_, d| int(d.memory_hits)),
        column("diskHits", Unit::Count, "Reads served from disk.", |_, d| int(d.disk_hits)),
        column("remoteHits", Unit::Count, "Reads served by another executor.", |_, d| int(d.remote_hits)),
        column("misses", Unit::Count, "Reads that had to compute.", |_, d| int(d.misses)),
        column("blocksDropped", Unit::Count, "Blocks that left memory to make room.", |_, d| int(d.dropped)),
        column("blocksRecomputed", Unit::Count, "Partitions computed more than once.", |_, d| {
            int(d.recomputed)
        }),
    ],
    metrics: None,
    tail: &[],
};

/// One row a memory event.
pub static EVENTS: Table<EventRecord> = Table {
    name: "events",
    doc: "One row a memory event, in the order of time.",
    lead: &[
        column("timeMs", Unit::Ms, "When, since the start of the application.", |_, e| fine_ms(e.time_ns)),
        column("executorId", Unit::None, "Executor that it happened on.", |run, e| {
            e.executor.map_or(Value::Absent, |position| executor_id(run, position))
        }),
        column("taskId", Unit::None, "Task that it happened to.", |_, e| int_or_absent(e.task_id)),
        column("kind", Unit::None, "What happened, for example `spill`, `evict`, `task_failed`.", |_, e| {
            text(e.kind.as_str())
        }),
        column("bytes", Unit::Bytes, "How many bytes it concerned.", |_, e| int(e.bytes)),
        column("detail", Unit::None, "Operator, block or reason.", |_, e| text_or_absent(&e.detail)),
    ],
    metrics: None,
    tail: &[],
};

/// One row a change of an executor's memory.
pub static TIMELINE: Table<TimelinePoint> = Table {
    name: "timeline",
    doc: "One row a change of an executor's memory, in the order of time; each value holds until the executor's next row.",
    lead: &[
        column("timeMs", Unit::Ms, "When, since the start of the application.", |_, p| fine_ms(p.time_ns)),
        column("executorId", Unit::None, "Executor.", |run, p| executor_id(run, p.executor)),
        column("onHeapExecution", Unit::Bytes, "On-heap execution memory in use.", |_, p| {
            int(p.on_heap_execution)
        }),
        column(
            "onHeapStorage",
            Unit::Bytes,
            "On-heap storage memory in use, unroll memory included.",
            |_, p| int(p.on_heap_storage),
        ),
        column("offHeapExecution", Unit::Bytes, "Off-heap execution memory in use.", |_, p| {
            int(p.off_heap_execution)
        }),
        column("offHeapStorage", Unit::Bytes, "Off-heap storage memory in use.", |_, p| {
            int(p.off_heap_storage)
        }),
        column("userMemory", Unit::Bytes, "Heap of running tasks that Spark does not count.", |_, p| {
            int(p.user_memory)
        }),
        column("reserved", Unit::Bytes, "Heap that Spark and the JVM hold at rest.", |_, p| int(p.reserved)),
        column("executionPool", Unit::Bytes, "Size of the on-heap execution pool.", |_, p| {
            int(p.execution_pool)
        }),
        column("runningTasks", Unit::Count, "Tasks that were running.", |_, p| int(p.running_tasks)),
    ],
    metrics: None,
    tail: &[],
};

/// One row a cause of lost time.
pub static CAUSES: Table<Cause> = Table {
    name: "causes",
    doc: "One entry a cause of lost time, the dearest first (JSON only).",
    lead: &[
        column("kind", Unit::None, "Short name of the cause.", |_, c| text(c.kind)),
        column("lostMs", Unit::Ms, "Task time lost to it.", |_, c| fine_ms(c.lost_ns)),
        column("text", Unit::None, "The cause in one sentence with its numbers.", |_, c| text(&c.text)),
    ],
    metrics: None,
    tail: &[],
};

/// One row a predicted quantity, as `validate --csv` writes them.
pub static ERRORS: Table<ErrorRecord> = Table {
    name: "errors",
    doc: "`validate --csv FILE`: one row a predicted quantity of a replay or of a pair of logs.",
    lead: &[
        column("base", Unit::None, "Log that the prediction was made from.", |_, e| text(&e.base)),
        column("target", Unit::None, "Log that shows what was real; the base itself in a replay.", |_, e| {
            text(&e.target)
        }),
        column("stageId", Unit::None, "Spark's stage id; absent for the whole run.", |_, e| {
            int_or_absent(e.stage_id.map(u64::from))
        }),
        column(
            "quantity",
            Unit::None,
            "Column that is compared, in its unit; `gcShare` is in percent.",
            |_, e| text(e.quantity),
        ),
        column("real", Unit::None, "What was real.", |_, e| Value::Float(e.real)),
        column("predicted", Unit::None, "What was predicted.", |_, e| float_or_absent(e.predicted)),
        column("low", Unit::None, "Lowest value that was expected.", |_, e| {
            float_or_absent(e.range.map(|range| range.0))
        }),
        column(
            "high",
            Unit::None,
            "Highest value that was expected; absent where nothing bounds it.",
            |_, e| float_or_absent(e.range.and_then(|range| range.1)),
        ),
        column("naive", Unit::None, "The naive answer: as in the base run.", |_, e| float_or_absent(e.naive)),
        column(
            "error",
            Unit::None,
            "Distance of the prediction: a share of the real value; for counts a difference; for shares points.",
            |_, e| share_or_absent(e.error),
        ),
        column("naiveError", Unit::None, "Distance of the naive answer, in the same measure.", |_, e| {
            share_or_absent(e.naive_error)
        }),
    ],
    metrics: None,
    tail: &[],
};

/// Documentation of all columns as Markdown: what `docs/columns.md` holds.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Output columns\n\n\
         Generated from `src/record/columns/`; a test fails when this page is stale.\n\n\
         `--out DIR` writes one CSV file a section (RFC 4180; the header is the first row), `--json` uses the same names \
         as keys.\n\
         Names are those of Spark's REST API where Spark has the quantity.\n\
         A quantity that is not modelled, or does not apply, is an empty field in CSV and a missing key in JSON; it is \
         never written as 0.\n\
         Times are counted from the start of the application.\n",
    );
    section(&mut out, &SUMMARY);
    section(&mut out, &STAGES);
    section(&mut out, &TASKS);
    section(&mut out, &EXECUTORS);
    section(&mut out, &DATASETS);
    section(&mut out, &EVENTS);
    section(&mut out, &TIMELINE);
    section(&mut out, &CAUSES);
    section(&mut out, &HOSTS);
    section(&mut out, &LEDGER);
    section(&mut out, &TENANTS);
    section(&mut out, &HOST_TIMELINE);
    section(&mut out, &TRACE);
    section(&mut out, &SWEEP);
    section(&mut out, &SWEEP_SUMMARY);
    section(&mut out, &ERRORS);
    out
}

fn section<R>(out: &mut String, table: &Table<R>) {
    let _ = write!(
        out,
        "\n## {}\n\n{}\n\n| column | unit | meaning |\n| --- | --- | --- |\n",
        table.name, table.doc
    );
    for (name, unit, doc) in table.columns() {
        let _ = writeln!(out, "| `{name}` | {} | {doc} |", unit.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn check_names<R>(table: &Table<R>) {
        let mut seen = BTreeSet::new();
        for (name, unit, doc) in table.columns() {
            let table = table.name;
            assert!(seen.insert(name), "{table} declares {name} twice");
            assert!(doc.ends_with('.') && !doc.contains('|'), "{table}.{name}: {doc}");
            assert!(
                !name.ends_with("Ms") || unit == Unit::Ms,
                "{table}.{name} ends in Ms, its unit says otherwise"
            );
            assert!(!name.ends_with("Bytes") || unit == Unit::Bytes, "{table}.{name} ends in Bytes");
        }
    }

    #[test]
    fn names_are_unique_and_agree_with_their_units() {
        check_names(&SUMMARY);
        check_names(&STAGES);
        check_names(&TASKS);
        check_names(&EXECUTORS);
        check_names(&DATASETS);
        check_names(&EVENTS);
        check_names(&TIMELINE);
        check_names(&CAUSES);
        check_names(&HOSTS);
        check_names(&LEDGER);
        check_names(&TENANTS);
        check_names(&HOST_TIMELINE);
        check_names(&TRACE);
        check_names(&ERRORS);
    }

    #[test]
    fn cells_follow_the_columns() {
        let run = RunRecord { stages: vec![StageRecord::default()], ..RunRecord::default() };
        let declared: Vec<_> = STAGES.columns().map(|column| column.0).collect();
        let read: Vec<_> = STAGES.cells(&run, &run.stages[0]).map(|cell| cell.0).collect();
        assert_eq!(read, declared);
        assert_eq!(declared.last(), Some(&"wallMs"));
    }

    #[test]
    fn what_is_not_modelled_is_absent() {
        let mut run = RunRecord::default();
        assert_eq!(SUMMARY.cell("jvmGcTime", &run, &run), Some(Value::Absent));
        assert_eq!(SUMMARY.cell("memoryBytesSpilled", &run, &run), Some(Value::Int(0)));
        assert_eq!(SUMMARY.cell("peakExecutionMemory", &run, &run), None, "a task's column, not a run's");
        run.totals.jvm_gc_time_ns = Some(1_500_000);
        assert_eq!(SUMMARY.cell("jvmGcTime", &run, &run), Some(Value::Int(2)));
    }

    #[test]
    fn times_of_our_own_keep_microseconds() {
        assert_eq!(fine_ms(12_345_678_901), Value::Float(12_345.679));
        assert_eq!(whole_ms(12_345_678_901), Value::Int(12_346));
    }

    #[test]
    fn a_task_of_an_unknown_executor_has_no_executor_id() {
        let run = RunRecord { executors: vec![ExecutorRecord::default()], ..RunRecord::default() };
        let task = TaskRecord { executor: 7, ..TaskRecord::default() };
        assert_eq!(TASKS.cell("executorId", &run, &task), Some(Value::Absent));
    }

    #[test]
    fn the_page_names_every_column() {
        let page = markdown();
        for (name, ..) in SUMMARY.columns().chain(TASKS.columns()).chain(TIMELINE.columns()) {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
