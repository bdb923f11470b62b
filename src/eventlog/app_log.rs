//! Facts of one application as its event log states them: flat plain data by id, nothing derived, nothing guessed.
//! What a log does not state is `None`, empty or 0. Times are milliseconds since 1970, sizes bytes.
//!
//! Left out: physical plan texts (the plan nodes say the same), stack traces beyond the first frame, accumulator
//! values of stages (the tasks' updates add up to them), class paths.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::block_name::BlockName;
pub use super::metrics::{
    ExecutorPeaks, InputMetrics, OutputMetrics, PushBasedShuffleMetrics, ShuffleReadMetrics,
    ShuffleWriteMetrics, TaskMetrics, TaskTotals,
};
pub use super::plan::{MetricKind, PlanMetric, PlanNode, SqlPlan};

/// Everything one application's log says.
#[derive(Clone, Debug, Default)]
pub struct AppLog {
    /// Version of Spark that wrote the log, such as `4.1.4`.
    pub spark_version: String,
    /// Application name.
    pub app_name: String,
    /// Application id.
    pub app_id: String,
    /// Attempt of the application, on YARN in cluster mode.
    pub attempt_id: Option<String>,
    /// Start of the application.
    pub start_ms: Option<u64>,
    /// End of the application; none when it was killed or still runs.
    pub end_ms: Option<u64>,
    /// Exit code of the driver (4.1 and later).
    pub exit_code: Option<i64>,
    /// Latest time stated by any event.
    pub last_ms: u64,
    /// Spark properties of the application.
    pub properties: BTreeMap<String, String>,
    /// Properties of Hadoop that bound YARN's containers: `yarn.nodemanager.*` and `yarn.scheduler.*`.
    pub yarn_properties: BTreeMap<String, String>,
    /// The driver's JVM.
    pub jvm: JvmInfo,
    /// Resource profiles, in order of appearance.
    pub resource_profiles: Vec<ResourceProfileRecord>,
    /// Executors and the driver, by [`ExecutorIndex`].
    pub executors: Vec<ExecutorRecord>,
    /// Jobs by id.
    pub jobs: Vec<JobRecord>,
    /// Stage attempts by (id, attempt), skipped stages included.
    pub stages: Vec<StageRecord>,
    /// RDDs by id.
    pub rdds: Vec<RddRecord>,
    /// Finished task attempts, in order of their ends.
    pub tasks: Vec<TaskRecord>,
    /// Task attempts that had started and not ended when the log ends, by task id.
    pub running_tasks: Vec<RunningTask>,
    /// Changes of blocks, in order; empty unless the log was asked for them (LOG-9).
    pub block_updates: Vec<BlockUpdate>,
    /// RDDs given up by `unpersist`, in order.
    pub unpersists: Vec<Unpersist>,
    /// SQL executions by id.
    pub sql: Vec<SqlExecutionRecord>,
    /// Values that the driver set on SQL metrics, in order.
    pub driver_accumulators: Vec<DriverAccumulator>,
    /// Peaks of executors, one record for each source, stage attempt and executor.
    pub peaks: Vec<PeakRecord>,
    /// Exclusion events (`SparkListenerExecutorExcluded` and its kin) by name, with their number.
    pub exclusions: BTreeMap<String, u64>,
}

/// Position in [`AppLog::executors`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutorIndex(pub u32);

/// What the log says of the driver's JVM; executors usually run the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JvmInfo {
    /// Java version with its vendor, such as `17.0.15 (Debian)`.
    pub java_version: String,
    /// Scala version.
    pub scala_version: String,
    /// Name of the virtual machine.
    pub vm_name: String,
    /// Processor architecture.
    pub os_arch: String,
    /// Operating system.
    pub os_name: String,
    /// Command line of the driver after the main class.
    pub java_command: String,
}

/// Resources asked for an executor and a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceProfileRecord {
    /// Id; 0 is the default profile.
    pub id: u32,
    /// Executor resources by name; memory amounts in MiB.
    pub executor: BTreeMap<String, f64>,
    /// Task resources by name.
    pub task: BTreeMap<String, f64>,
}

/// An executor, or the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutorRecord {
    /// Id; `driver` for the driver and for everything in local mode (LOG-10).
    pub id: String,
    /// Host name.
    pub host: String,
    /// Cores offered to tasks; none when the log never added it as an executor.
    pub cores: Option<u32>,
    /// Resource profile, 0 by default.
    pub resource_profile: u32,
    /// When it registered.
    pub added_ms: Option<u64>,
    /// When it was lost or given up.
    pub removed_ms: Option<u64>,
    /// Why it was lost or given up.
    pub removed_reason: Option<String>,
    /// When its block manager registered.
    pub block_manager_added_ms: Option<u64>,
    /// When its block manager was removed.
    pub block_manager_removed_ms: Option<u64>,
    /// On-heap and off-heap pools together (LOG-6).
    pub max_memory: Option<u64>,
    /// On-heap pool (LOG-6).
    pub max_on_heap: Option<u64>,
    /// Off-heap pool.
    pub max_off_heap: Option<u64>,
}

/// A job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRecord {
    /// Id.
    pub job_id: u32,
    /// Its stages, skipped ones included, in the log's order.
    pub stage_ids: Vec<u32>,
    /// Submission.
    pub submit_ms: Option<u64>,
    /// Completion; none while it runs.
    pub complete_ms: Option<u64>,
    /// How it ended.
    pub result: JobResult,
    /// The SQL execution it belongs to.
    pub sql_execution: Option<u64>,
    /// Properties that differ from the application's, call sites and scopes left out.
    pub properties: BTreeMap<String, String>,
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JobResult {
    /// The log ends before it does.
    #[default]
    Unfinished,
    /// All its stages are done.
    Succeeded,
    /// It was aborted; the first line of the reason.
    Failed(String),
}

/// A stage attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageRecord {
    /// Id.
    pub stage_id: u32,
    /// Attempt, from 0.
    pub attempt: u32,
    /// Call site.
    pub name: String,
    /// Tasks to run.
    pub number_of_tasks: u32,
    /// Parent stages.
    pub parent_ids: Vec<u32>,
    /// RDDs computed in it, with the storage level each had at the time.
    pub rdds: Vec<StageRdd>,
    /// Resource profile.
    pub resource_profile: u32,
    /// Submission; none for a stage that was skipped because its output was already there.
    pub submit_ms: Option<u64>,
    /// Completion or failure.
    pub complete_ms: Option<u64>,
    /// First line of the failure.
    pub failure: Option<String>,
}

/// An RDD in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageRdd {
    /// RDD id.
    pub rdd_id: u32,
    /// Storage level at the time.
    pub storage: StorageLevel,
}

/// An RDD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RddRecord {
    /// Id.
    pub rdd_id: u32,
    /// Name; the class unless the application or the cache set another.
    pub name: String,
    /// Name of the operation that made it, such as `Exchange`.
    pub scope: Option<String>,
    /// Id of that operation, equal for all its RDDs.
    pub scope_id: Option<String>,
    /// Call site.
    pub callsite: String,
    /// Parents.
    pub parent_ids: Vec<u32>,
    /// Partitions.
    pub partitions: u32,
    /// Its tasks run all at once.
    pub barrier: bool,
    /// Largest number of cached partitions stated; usually 0 even when cached (LOG-9).
    pub cached_partitions: u32,
    /// Largest cached size in memory stated; usually 0 (LOG-9).
    pub memory_bytes: u64,
    /// Largest cached size on disk stated; usually 0 (LOG-9).
    pub disk_bytes: u64,
}

/// A storage level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageLevel {
    /// Blocks may be or are in memory.
    pub use_memory: bool,
    /// Blocks may be or are on disk.
    pub use_disk: bool,
    /// Memory is off-heap memory.
    pub use_off_heap: bool,
    /// Blocks are kept as objects.
    pub deserialized: bool,
    /// Copies of each block.
    pub replication: u8,
}

impl StorageLevel {
    /// Memory or disk is used.
    pub fn is_cached(self) -> bool {
        self.use_memory || self.use_disk
    }
}

/// How close to its data a task ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locality {
    /// In the executor that holds the data.
    ProcessLocal,
    /// On the host that holds the data.
    NodeLocal,
    /// The data has no place.
    NoPref,
    /// In the same rack.
    RackLocal,
    /// Anywhere.
    #[default]
    Any,
}

/// Whether a task writes shuffle output or gives a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskKind {
    /// Writes shuffle output.
    ShuffleMap,
    /// Gives its result to the driver.
    #[default]
    Result,
}

/// A finished task attempt. About 350 bytes, plus 8 for each accumulator update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRecord {
    /// Id, unique in the application.
    pub task_id: u64,
    /// Stage.
    pub stage_id: u32,
    /// Stage attempt.
    pub stage_attempt: u32,
    /// Index in the task set.
    pub index: u32,
    /// Attempt of this index, from 0.
    pub attempt: u32,
    /// Partition; the index where the log does not say (before 3.3).
    pub partition: u32,
    /// Where it ran.
    pub executor: ExecutorIndex,
    /// How close to its data.
    pub locality: Locality,
    /// What it does with its output.
    pub kind: TaskKind,
    /// Launched because another attempt was slow.
    pub speculative: bool,
    /// Launch.
    pub launch_ms: u64,
    /// When the driver began to fetch a large result; 0 when the result came with the status.
    pub getting_result_ms: u64,
    /// End.
    pub finish_ms: u64,
    /// How it ended.
    pub end: TaskEndState,
    /// Its metrics; lost with the executor.
    pub metrics: Option<TaskMetrics>,
    /// Updates of SQL metrics and the user's own accumulators.
    pub accumulators: AccumulatorUpdates,
}

/// Values that a task added to accumulators, sorted by accumulator id. Tasks of a stage share their list of ids: 8
/// bytes an update instead of 16, at the price of an indirection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccumulatorUpdates {
    ids: Arc<[u64]>,
    values: Box<[i64]>,
}

impl AccumulatorUpdates {
    /// Makes updates from pairs sorted by id. Takes `shared` for ids if it is the same list, and leaves its own there
    /// if not.
    pub(super) fn new(pairs: &[(u64, i64)], shared: &mut Arc<[u64]>) -> Self {
        let ids = pairs.iter().map(|(id, _)| *id);
        if !shared.iter().copied().eq(ids.clone()) {
            *shared = ids.collect();
        }
        Self { ids: Arc::clone(shared), values: pairs.iter().map(|(_, value)| *value).collect() }
    }

    /// The value for an accumulator.
    pub fn get(&self, id: u64) -> Option<i64> {
        let at = self.ids.binary_search(&id).ok()?;
        Some(self.values[at])
    }

    /// Accumulator ids and values, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u64, i64)> {
        self.ids.iter().copied().zip(self.values.iter().copied())
    }

    /// Number of updates.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// There is no update.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl TaskRecord {
    /// The task's value of an accumulator.
    pub fn accumulator(&self, id: u64) -> Option<i64> {
        self.accumulators.get(id)
    }

    /// Ended well.
    pub fn succeeded(&self) -> bool {
        matches!(self.end, TaskEndState::Success)
    }
}

/// How a task attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TaskEndState {
    /// Well.
    #[default]
    Success,
    /// Killed by the driver, with the reason's first line.
    Killed(Box<str>),
    /// Otherwise.
    Failed(Box<TaskFailure>),
}

/// Why a task attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFailure {
    /// Kind: `ExceptionFailure`, `ExecutorLostFailure`, `FetchFailed`, `TaskCommitDenied`, `Resubmitted` and so on.
    pub reason: String,
    /// Class of the exception, such as `java.lang.OutOfMemoryError`.
    pub class: String,
    /// First line of the message.
    pub message: String,
    /// Where the exception was thrown: class and method.
    pub thrown_in: String,
    /// A lost executor ended through its own fault, as far as the driver knows.
    pub exit_caused_by_app: Option<bool>,
    /// Shuffle whose blocks could not be fetched.
    pub shuffle_id: Option<u32>,
}

/// A task attempt that had not ended when the log does: with an executor that died, or a driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunningTask {
    /// Id.
    pub task_id: u64,
    /// Stage.
    pub stage_id: u32,
    /// Stage attempt.
    pub stage_attempt: u32,
    /// Index in the task set.
    pub index: u32,
    /// Attempt of this index.
    pub attempt: u32,
    /// Where it runs.
    pub executor: ExecutorIndex,
    /// Launch.
    pub launch_ms: u64,
}

/// A change of a block's whereabouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockUpdate {
    /// Which block.
    pub block: BlockName,
    /// On which executor.
    pub executor: ExecutorIndex,
    /// Where it is now. Neither memory nor disk: it is gone.
    pub storage: StorageLevel,
    /// Size in memory. A block that left memory still carries the size it had there: only
    /// [`StorageLevel::use_memory`] tells.
    pub memory_bytes: u64,
    /// Size on disk.
    pub disk_bytes: u64,
    /// Latest time stated by an earlier event; the update itself carries none.
    pub after_ms: u64,
    /// Task attempts that had ended by then.
    pub tasks_ended: u32,
    /// Told by this task's metrics rather than by an event of its own.
    pub told_by_task: Option<u64>,
}

/// An RDD given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpersist {
    /// RDD id.
    pub rdd_id: u32,
    /// Latest time stated by an earlier event; the event itself carries none.
    pub after_ms: u64,
    /// Block updates that came before.
    pub updates_before: u32,
}

/// A SQL execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlExecutionRecord {
    /// Id.
    pub id: u64,
    /// The execution that started this one; itself when none did.
    pub root: Option<u64>,
    /// Call site or the user's description.
    pub description: String,
    /// Start.
    pub start_ms: Option<u64>,
    /// End.
    pub end_ms: Option<u64>,
    /// First line of the error that ended it.
    pub error: Option<String>,
    /// SQL properties of the session that differ from the application's.
    pub modified_configs: BTreeMap<String, String>,
    /// Plan at the start.
    pub initial_plan: Option<SqlPlan>,
    /// Plan after the last adaptive update; none when there was none.
    pub adaptive_plan: Option<SqlPlan>,
    /// Adaptive updates.
    pub adaptive_updates: u32,
    /// Metrics of operators that are no longer in the last plan, with the operator's name.
    pub earlier_metrics: Vec<(String, PlanMetric)>,
}

impl SqlExecutionRecord {
    /// The plan that ran, as far as the log knows.
    pub fn final_plan(&self) -> Option<&SqlPlan> {
        self.adaptive_plan.as_ref().or(self.initial_plan.as_ref())
    }
}

/// A value that the driver set on a SQL metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverAccumulator {
    /// SQL execution.
    pub execution: u64,
    /// Accumulator id.
    pub accumulator: u64,
    /// Value.
    pub value: i64,
}

/// Where a peak was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeakSource {
    /// `SparkListenerStageExecutorMetrics`, written when a stage ends if the log was asked for it.
    Stage,
    /// `Task Executor Metrics` of tasks (3.0 and later), the largest of a stage attempt.
    Task,
    /// `SparkListenerExecutorMetricsUpdate`: the driver's own.
    Heartbeat,
}

/// Peaks of one executor during a stage attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeakRecord {
    /// Where it was stated.
    pub source: PeakSource,
    /// Stage and attempt; none for the driver's own.
    pub stage: Option<(u32, u32)>,
    /// Executor.
    pub executor: ExecutorIndex,
    /// The peaks.
    pub peaks: ExecutorPeaks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_stays_small() {
        let size = size_of::<TaskRecord>();
        assert!(size <= 352, "{size} bytes a task; with fifteen accumulators 500 are the budget");
    }

    #[test]
    fn tasks_of_a_stage_share_accumulator_ids() {
        let mut shared = Arc::default();
        let first = AccumulatorUpdates::new(&[(3, 30), (7, 70)], &mut shared);
        let second = AccumulatorUpdates::new(&[(3, 31), (7, 71)], &mut shared);
        let other = AccumulatorUpdates::new(&[(3, 32)], &mut shared);
        assert!(Arc::ptr_eq(&first.ids, &second.ids) && !Arc::ptr_eq(&first.ids, &other.ids));
        assert_eq!((second.get(7), second.get(4), other.get(7)), (Some(71), None, None));
        assert_eq!(second.iter().collect::<Vec<_>>(), [(3, 31), (7, 71)]);
    }
}
