//! What happened in a run: plain data that the simulation writes and reports read. The columns that CSV, JSON and tables
//! share are declared once, in `columns`.

pub mod columns;
mod confidence;
mod fall;
mod host;
mod observed;
pub mod study;
mod timeline;
mod trace;

pub use confidence::{Confidence, Range};
pub use fall::{Approach, Fall, Holder, Holding, Limit, SharedPool, Silence};
pub use host::{CACHED_FILES, FREE_MEMORY, HostPoint, HostRecord, LedgerEntry, TenantRecord, gives_way};
pub use observed::{ErrorRecord, ObservedRun, ObservedStage, Quantities};
pub use timeline::{Points, Timeline, TimelinePoint};
pub use trace::{TraceKind, TraceRecord, TracedTask};

/// How an application ended (design: JSON contract).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All jobs succeeded.
    #[default]
    Ok,
    /// `java.lang.OutOfMemoryError: Java heap space`.
    HeapOom,
    /// `java.lang.OutOfMemoryError: GC overhead limit exceeded`.
    GcOverhead,
    /// Spark's own out-of-memory error.
    SparkOom,
    /// The cluster manager or the container's limit killed an executor.
    ContainerKilled,
    /// The kernel's OOM killer chose a process of the application.
    HostOomKilled,
    /// `spark.driver.maxResultSize` exceeded.
    MaxResultSize,
    /// The driver ran out of heap.
    DriverOom,
    /// No space left on a local disk.
    DiskFull,
    /// Heartbeat or network timeout.
    Timeout,
    /// Spark refuses the configuration.
    Refused,
    /// Anything else.
    Other,
}

impl Outcome {
    /// Word in JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::HeapOom => "heap_oom",
            Self::GcOverhead => "gc_overhead",
            Self::SparkOom => "spark_oom",
            Self::ContainerKilled => "container_killed",
            Self::HostOomKilled => "host_oom_killed",
            Self::MaxResultSize => "max_result_size",
            Self::DriverOom => "driver_oom",
            Self::DiskFull => "disk_full",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

/// Everything that is known after one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRecord {
    /// Application name.
    pub name: String,
    /// Seed of the run.
    pub seed: u64,
    /// Spark version, as `4.1`.
    pub spark_version: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One line, as Spark or the kernel would say it; empty when ok.
    pub reason: String,
    /// Time during which at least one job ran, ns.
    pub wall_ns: u64,
    /// From the start to the end of the last job, driver gaps included, ns.
    pub app_ns: u64,
    /// Sums and peaks over all task attempts and executors.
    pub totals: Metrics,
    /// Stages in the order of their submission, one entry an attempt.
    pub stages: Vec<StageRecord>,
    /// Task attempts in the order of their end.
    pub tasks: Vec<TaskRecord>,
    /// Executors in the order of their start.
    pub executors: Vec<ExecutorRecord>,
    /// Cached datasets at the end.
    pub datasets: Vec<DatasetRecord>,
    /// Memory events in the order of time.
    pub events: Vec<EventRecord>,
    /// Memory by region over time.
    pub timeline: Timeline,
    /// Machines whose memory is known.
    pub hosts: Vec<HostRecord>,
    /// Who held their memory when most was wanted.
    pub ledger: Vec<LedgerEntry>,
    /// Neighbours on them.
    pub tenants: Vec<TenantRecord>,
    /// Memory of their processes over time.
    pub host_timeline: Vec<HostPoint>,
    /// How close each limit came, in the order of [`Limit`]; limits that nothing came under are not there.
    pub limits: Vec<Approach>,
    /// Limits that were passed, in the order of time; only the first ones of many.
    pub falls: Vec<Fall>,
    /// The limit that was passed last before the end, also in a run that keeps no falls.
    pub last_limit: Option<Limit>,
    /// The ledger of the task that the run follows.
    pub trace: Vec<TraceRecord>,
    /// Bytes of each executor's memory for execution and storage, on heap and off, that are ample: where it has as many, the
    /// run would be the same with any more of it and any storage fraction.
    pub ample_memory: [u64; 2],
    /// Where time went that a better configuration could save.
    pub causes: Vec<Cause>,
    /// What the answer rests on.
    pub confidence: Confidence,
    /// Simulated events, for speed figures.
    pub engine_events: u64,
}

/// Spark's metrics, summed over tasks; peaks where the name says so. `None`: not modelled. Bytes unless named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Task attempts that ended.
    pub tasks: u64,
    /// Attempts that failed.
    pub failed_tasks: u64,
    /// Memory released by spilling.
    pub memory_bytes_spilled: u64,
    /// Spill file bytes after compression.
    pub disk_bytes_spilled: u64,
    /// Largest task metric `peakExecutionMemory`.
    pub peak_execution_memory_max: u64,
    /// Sum of the tasks' `peakExecutionMemory`.
    pub peak_execution_memory_sum: u64,
    /// Sum of the tasks' garbage collection time, ns.
    pub jvm_gc_time_ns: Option<u64>,
    /// Sum of run times, ns.
    pub executor_run_time_ns: u64,
    /// Sum of CPU times, ns.
    pub executor_cpu_time_ns: u64,
    /// Compressed bytes fetched.
    pub shuffle_read_bytes: u64,
    /// Records fetched.
    pub shuffle_read_records: u64,
    /// Compressed bytes written for shuffles.
    pub shuffle_write_bytes: u64,
    /// Records written for shuffles.
    pub shuffle_write_records: u64,
    /// Bytes read from storage and caches.
    pub input_bytes: u64,
    /// Bytes written to storage.
    pub output_bytes: u64,
    /// Serialized results sent to the driver.
    pub result_bytes: u64,
    /// Blocks of cached datasets in memory at the end.
    pub cached_blocks_memory: Option<u64>,
    /// Blocks of cached datasets on disk at the end.
    pub cached_blocks_disk: Option<u64>,
    /// Blocks of cached datasets that left memory to make room.
    pub blocks_dropped: Option<u64>,
    /// Cached partitions computed more than once.
    pub blocks_recomputed: Option<u64>,
    /// Largest on-heap execution pool use of an executor.
    pub peak_on_heap_execution: u64,
    /// Largest on-heap storage pool use of an executor.
    pub peak_on_heap_storage: u64,
    /// Largest off-heap execution pool use of an executor.
    pub peak_off_heap_execution: u64,
    /// Largest off-heap storage pool use of an executor.
    pub peak_off_heap_storage: u64,
    /// Largest live heap of an executor (without garbage).
    pub peak_heap_used: Option<u64>,
    /// Largest resident memory of an executor's process tree.
    pub peak_rss: Option<u64>,
    /// Bytes swapped in.
    pub swap_in_bytes: Option<u64>,
    /// Bytes swapped out.
    pub swap_out_bytes: Option<u64>,
    /// Time that tasks waited for execution memory, ns.
    pub memory_wait_time_ns: u64,
    /// Times that an operator spilled.
    pub spills: u64,
    /// Task time that spilling costs: sorting, serializing, writing, merging back; ns.
    pub spill_time_ns: u64,
}

impl Metrics {
    /// Adds what a task, or several, did; of peaks the larger stays where the name says so. Peaks of pools, heap and process
    /// are the executors' own and stay.
    pub fn add(&mut self, task: &Self) {
        self.tasks += task.tasks;
        self.failed_tasks += task.failed_tasks;
        self.memory_bytes_spilled += task.memory_bytes_spilled;
        self.disk_bytes_spilled += task.disk_bytes_spilled;
        self.peak_execution_memory_max = self.peak_execution_memory_max.max(task.peak_execution_memory_max);
        self.peak_execution_memory_sum += task.peak_execution_memory_sum;
        if let Some(gc) = task.jvm_gc_time_ns {
            self.jvm_gc_time_ns = Some(self.jvm_gc_time_ns.unwrap_or(0) + gc);
        }
        self.executor_run_time_ns += task.executor_run_time_ns;
        self.executor_cpu_time_ns += task.executor_cpu_time_ns;
        self.shuffle_read_bytes += task.shuffle_read_bytes;
        self.shuffle_read_records += task.shuffle_read_records;
        self.shuffle_write_bytes += task.shuffle_write_bytes;
        self.shuffle_write_records += task.shuffle_write_records;
        self.input_bytes += task.input_bytes;
        self.output_bytes += task.output_bytes;
        self.result_bytes += task.result_bytes;
        self.memory_wait_time_ns += task.memory_wait_time_ns;
        self.spills += task.spills;
        self.spill_time_ns += task.spill_time_ns;
    }
}

/// One attempt of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageRecord {
    /// Spark's stage id.
    pub stage_id: u32,
    /// Attempt, from 0.
    pub attempt: u32,
    /// Job it belongs to.
    pub job_id: u32,
    /// Name.
    pub name: String,
    /// Its operators in their order, in Spark's words: what tells stages of one name apart.
    pub operators: String,
    /// Submission, ns since the start.
    pub submitted_ns: u64,
    /// Completion, ns since the start.
    pub completed_ns: u64,
    /// Why it failed; empty when it did not.
    pub failure: String,
    /// Its sums and peaks; `peak_on_heap_*` and the like stay zero here.
    pub metrics: Metrics,
}

/// Parts of stage names that are the same for every stage of an application: the bridge from Python, and AQE's threads.
const CALL_SITES_OF_NOBODY: [&str; 2] = ["NativeMethodAccessorImpl", "$anonfun$withThreadLocalCaptured"];
/// Operators that tell nothing about a stage as long as there are others.
const OPERATORS_EVERYWHERE: [&str; 3] = ["ColumnarToRow", "Output", "Exchange (read)"];

impl StageRecord {
    /// What tables call the stage: its name, or where that is the same for all stages (`save at
    /// NativeMethodAccessorImpl.java:0`) the operation and the stage's operators.
    pub fn label(&self) -> String {
        if self.operators.is_empty() || !CALL_SITES_OF_NOBODY.iter().any(|site| self.name.contains(site)) {
            return self.name.clone();
        }
        let telling: Vec<&str> =
            self.operators.split(", ").filter(|name| !OPERATORS_EVERYWHERE.contains(name)).collect();
        let operators = if telling.is_empty() { self.operators.clone() } else { telling.join(", ") };
        match self.name.split_once(" at ") {
            Some((operation, _)) if !operation.starts_with('$') => format!("{operation}: {operators}"),
            _ => operators,
        }
    }
}

/// One task attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRecord {
    /// Task id, unique in the run.
    pub task_id: u64,
    /// Spark's stage id.
    pub stage_id: u32,
    /// Stage attempt.
    pub stage_attempt: u32,
    /// Partition.
    pub index: u32,
    /// Attempt of this partition.
    pub attempt: u32,
    /// Executor, by position in [`RunRecord::executors`].
    pub executor: u32,
    /// `PROCESS_LOCAL`, `NODE_LOCAL`, `NO_PREF`, `ANY`.
    pub locality: &'static str,
    /// Launch, ns since the start.
    pub launch_ns: u64,
    /// Finish, ns since the start.
    pub finish_ns: u64,
    /// Why it failed; empty when it did not.
    pub failure: String,
    /// Its metrics (counts of one task).
    pub metrics: Metrics,
}

/// One executor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutorRecord {
    /// Spark's executor id (`driver` in local mode).
    pub id: String,
    /// Host.
    pub host: String,
    /// Task slots.
    pub cores: u32,
    /// Start, ns.
    pub added_ns: u64,
    /// End, ns, when it was lost.
    pub removed_ns: Option<u64>,
    /// Why it was lost.
    pub removed_reason: String,
    /// `-Xmx`, bytes.
    pub heap_bytes: u64,
    /// Unified region on heap, bytes (`maxOnHeapStorageMemory` of the web UI's executor page).
    pub max_on_heap_memory: u64,
    /// Unified region off heap, bytes.
    pub max_off_heap_memory: u64,
    /// Limit of its container, bytes.
    pub container_bytes: Option<u64>,
    /// Sums over its tasks, and its peaks.
    pub metrics: Metrics,
}

/// A cached dataset at the end of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetRecord {
    /// RDD id.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Storage level in force.
    pub storage_level: String,
    /// Partitions.
    pub partitions: u32,
    /// Partitions in memory on at least one executor.
    pub in_memory: u32,
    /// Partitions on disk on at least one executor.
    pub on_disk: u32,
    /// Bytes in memory over all executors.
    pub memory_bytes: u64,
    /// Bytes on disk over all executors.
    pub disk_bytes: u64,
    /// Reads served from memory.
    pub memory_hits: u64,
    /// Reads served from disk.
    pub disk_hits: u64,
    /// Reads served by another executor.
    pub remote_hits: u64,
    /// Reads that had to compute.
    pub misses: u64,
    /// Blocks that left memory to make room.
    pub dropped: u64,
    /// Partitions computed more than once.
    pub recomputed: u64,
}

/// Kinds of memory events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// An operator spilled.
    Spill,
    /// A task waits for its share of execution memory (EXEC-4).
    Wait,
    /// A waiting task goes on.
    Resume,
    /// A request for memory was granted short.
    GrantShort,
    /// A block was put into memory.
    Put,
    /// A block did not fit.
    PutRefused,
    /// A block left memory and is gone.
    Evict,
    /// A block left memory and is on disk.
    DropToDisk,
    /// A block came back from disk into memory.
    Reload,
    /// A cached partition is computed again.
    Recompute,
    /// A task failed.
    TaskFailed,
    /// An executor died.
    ExecutorLost,
    /// A collection that the driver may miss begins.
    LongPause,
    /// The kernel killed a process.
    Kill,
    /// The application ended early.
    Abort,
}

impl EventKind {
    /// Word in CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spill => "spill",
            Self::Wait => "wait",
            Self::Resume => "resume",
            Self::GrantShort => "grant_short",
            Self::Put => "put",
            Self::PutRefused => "put_refused",
            Self::Evict => "evict",
            Self::DropToDisk => "drop_to_disk",
            Self::Reload => "reload",
            Self::Recompute => "recompute",
            Self::TaskFailed => "task_failed",
            Self::LongPause => "long_pause",
            Self::ExecutorLost => "executor_lost",
            Self::Kill => "kill",
            Self::Abort => "abort",
        }
    }
}

/// One memory event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// When, ns since the start.
    pub time_ns: u64,
    /// Executor, by position in [`RunRecord::executors`].
    pub executor: Option<u32>,
    /// Task id.
    pub task_id: Option<u64>,
    /// What.
    pub kind: EventKind,
    /// How many bytes.
    pub bytes: u64,
    /// Operator, block or reason.
    pub detail: String,
}

/// A cause of lost time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Short name (`spill`, `garbage collection`, `recomputation`, `skew` ...).
    pub kind: &'static str,
    /// Task time lost to it, ns.
    pub lost_ns: u64,
    /// One sentence with the numbers.
    pub text: String,
}
