//! Spark's metrics as columns: which kinds of row carry each, and its declaration. The order is that of the JSON contract,
//! our additions after it.

use super::Value;
use super::{Column, Scope, Unit, column, int, int_or_absent, whole_ms};
use crate::record::Metrics;

const RUN: Scope = Scope::Run;
const STAGE: Scope = Scope::Stage;
const EXECUTOR: Scope = Scope::Executor;
const TASK: Scope = Scope::Task;

/// Spark's metrics; which rows carry each, and the column.
pub(super) static METRICS: &[(&[Scope], Column<Metrics>)] = &[
    (&[RUN, STAGE, EXECUTOR], column("tasks", Unit::Count, "Task attempts that ended.", |_, m| int(m.tasks))),
    (
        &[RUN, STAGE, EXECUTOR],
        column("failedTasks", Unit::Count, "Task attempts that failed.", |_, m| int(m.failed_tasks)),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("memoryBytesSpilled", Unit::Bytes, "Memory that spilling released.", |_, m| {
            int(m.memory_bytes_spilled)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("diskBytesSpilled", Unit::Bytes, "Size of the spill files, after compression.", |_, m| {
            int(m.disk_bytes_spilled)
        }),
    ),
    (
        &[TASK],
        column(
            "peakExecutionMemory",
            Unit::Bytes,
            "Sum of the peaks of the task's operators, as Spark counts them.",
            |_, m| int(m.peak_execution_memory_max),
        ),
    ),
    (
        &[RUN, STAGE, EXECUTOR],
        column("peakExecutionMemoryMax", Unit::Bytes, "Largest peakExecutionMemory of a task.", |_, m| {
            int(m.peak_execution_memory_max)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR],
        column("peakExecutionMemorySum", Unit::Bytes, "Sum of the tasks' peakExecutionMemory.", |_, m| {
            int(m.peak_execution_memory_sum)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column(
            "jvmGcTime",
            Unit::Ms,
            "Garbage collection while tasks ran, once for each running task.",
            |_, m| m.jvm_gc_time_ns.map_or(Value::Absent, whole_ms),
        ),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("executorRunTime", Unit::Ms, "Time that tasks spent running.", |_, m| {
            whole_ms(m.executor_run_time_ns)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("executorCpuTime", Unit::Ns, "CPU time of tasks.", |_, m| int(m.executor_cpu_time_ns)),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("shuffleReadBytes", Unit::Bytes, "Compressed bytes fetched from shuffles.", |_, m| {
            int(m.shuffle_read_bytes)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("shuffleWriteBytes", Unit::Bytes, "Compressed bytes written for shuffles.", |_, m| {
            int(m.shuffle_write_bytes)
        }),
    ),
    (
        &[RUN, EXECUTOR],
        column(
            "cachedBlocksMemory",
            Unit::Count,
            "Blocks of cached datasets in memory at the end.",
            |_, m| int_or_absent(m.cached_blocks_memory),
        ),
    ),
    (
        &[RUN, EXECUTOR],
        column("cachedBlocksDisk", Unit::Count, "Blocks of cached datasets on disk at the end.", |_, m| {
            int_or_absent(m.cached_blocks_disk)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR],
        column(
            "blocksDropped",
            Unit::Count,
            "Blocks of cached datasets that left memory to make room.",
            |_, m| int_or_absent(m.blocks_dropped),
        ),
    ),
    (
        &[RUN, STAGE, EXECUTOR],
        column("blocksRecomputed", Unit::Count, "Cached partitions computed more than once.", |_, m| {
            int_or_absent(m.blocks_recomputed)
        }),
    ),
    (
        &[RUN, EXECUTOR],
        column(
            "peakOnHeapExecution",
            Unit::Bytes,
            "Largest on-heap execution memory of an executor.",
            |_, m| int(m.peak_on_heap_execution),
        ),
    ),
    (
        &[RUN, EXECUTOR],
        column("peakOnHeapStorage", Unit::Bytes, "Largest on-heap storage memory of an executor.", |_, m| {
            int(m.peak_on_heap_storage)
        }),
    ),
    (
        &[RUN, EXECUTOR],
        column(
            "peakOffHeapExecution",
            Unit::Bytes,
            "Largest off-heap execution memory of an executor.",
            |_, m| int(m.peak_off_heap_execution),
        ),
    ),
    (
        &[RUN, EXECUTOR],
        column(
            "peakOffHeapStorage",
            Unit::Bytes,
            "Largest off-heap storage memory of an executor.",
            |_, m| int(m.peak_off_heap_storage),
        ),
    ),
    (
        &[RUN, EXECUTOR],
        column("peakHeapUsed", Unit::Bytes, "Largest live heap of an executor, without garbage.", |_, m| {
            int_or_absent(m.peak_heap_used)
        }),
    ),
    (
        &[RUN, EXECUTOR],
        column("peakRss", Unit::Bytes, "Largest resident memory of an executor's process tree.", |_, m| {
            int_or_absent(m.peak_rss)
        }),
    ),
    (
        &[RUN, EXECUTOR],
        column("swapInBytes", Unit::Bytes, "Bytes swapped in.", |_, m| int_or_absent(m.swap_in_bytes)),
    ),
    (
        &[RUN, EXECUTOR],
        column("swapOutBytes", Unit::Bytes, "Bytes swapped out.", |_, m| int_or_absent(m.swap_out_bytes)),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("shuffleReadRecords", Unit::Count, "Records fetched from shuffles.", |_, m| {
            int(m.shuffle_read_records)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("shuffleWriteRecords", Unit::Count, "Records written for shuffles.", |_, m| {
            int(m.shuffle_write_records)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("inputBytes", Unit::Bytes, "Bytes read from storage and from caches.", |_, m| {
            int(m.input_bytes)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("outputBytes", Unit::Bytes, "Bytes written to storage.", |_, m| int(m.output_bytes)),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column("resultSize", Unit::Bytes, "Serialized results sent to the driver.", |_, m| {
            int(m.result_bytes)
        }),
    ),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column(
            "memoryWaitTime",
            Unit::Ms,
            "Time that tasks waited for their share of execution memory.",
            |_, m| whole_ms(m.memory_wait_time_ns),
        ),
    ),
    (&[RUN, STAGE, EXECUTOR, TASK], column("spills", Unit::Count, "Spills.", |_, m| int(m.spills))),
    (
        &[RUN, STAGE, EXECUTOR, TASK],
        column(
            "spillTime",
            Unit::Ms,
            "Task time that spilling costs: sorting, writing, merging back.",
            |_, m| whole_ms(m.spill_time_ns),
        ),
    ),
];
