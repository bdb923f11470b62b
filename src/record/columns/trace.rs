//! The ledger of a followed task as columns.

use super::{Table, Unit, column, executor_id, fine_ms, int, text, text_or_absent};
use crate::record::TraceRecord;

/// One row a line of the ledger of a followed task.
pub static TRACE: Table<TraceRecord> = Table {
    name: "trace",
    doc: "One entry a request, wait or spill of the task that `--trace-task` names, in the order of time (JSON only).",
    lead: &[
        column("timeMs", Unit::Ms, "When, since the start of the application.", |_, t| fine_ms(t.time_ns)),
        column("taskId", Unit::None, "Task id.", |_, t| int(t.task_id)),
        column("stageId", Unit::None, "Stage.", |_, t| int(t.stage_id)),
        column("index", Unit::None, "Partition.", |_, t| int(t.index)),
        column("attempt", Unit::None, "Attempt of the partition.", |_, t| int(t.attempt)),
        column("executorId", Unit::None, "Executor.", |run, t| executor_id(run, t.executor)),
        column(
            "kind",
            Unit::None,
            "`start`, `grant`, `grant_short`, `wait`, `refuse`, `spill` or `end`.",
            |_, t| text(t.kind.as_str()),
        ),
        column("operator", Unit::None, "Operator that asks or spills.", |_, t| text_or_absent(&t.operator)),
        column(
            "detail",
            Unit::None,
            "Of a spill, the operator whose request made it; of the end, why the task failed.",
            |_, t| text_or_absent(&t.detail),
        ),
        column("askedBytes", Unit::Bytes, "Bytes asked for.", |_, t| int(t.wanted)),
        column("gotBytes", Unit::Bytes, "Bytes given; of a spill, released.", |_, t| int(t.got)),
        column("heldBytes", Unit::Bytes, "Bytes that the task holds afterwards.", |_, t| int(t.held)),
        column("poolBytes", Unit::Bytes, "What the execution pool could grow to.", |_, t| int(t.pool_bytes)),
        column("poolFreeBytes", Unit::Bytes, "What nobody held of the pool.", |_, t| int(t.pool_free)),
        column("activeTasks", Unit::Count, "Tasks that share the pool: N of 1/N and 1/2N.", |_, t| {
            int(t.active_tasks)
        }),
    ],
    metrics: None,
    tail: &[],
};
