//! Events of Spark's core as they stand in the log's JSON (LOG-1); those of SQL are in `events_sql`.
//! Follows `JsonProtocol` of Spark 4.1, which promises that fields are added and never removed: every field here has
//! a default, so logs since 2.4 are read, and unknown fields are skipped. Field by field copies of the JSON: see there
//! for meanings, and `app_log` for what is made of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::metrics::{
    ExecutorPeaks, InputMetrics, OutputMetrics, PushBasedShuffleMetrics, ShuffleWriteMetrics,
};
use super::values::{MaybeInt, Text};

/// A map of texts, such as properties.
pub(super) type TextMap<'a> = BTreeMap<Text<'a>, Text<'a>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogStart<'a> {
    #[serde(rename = "Spark Version", borrow)]
    pub(super) spark_version: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApplicationStart<'a> {
    #[serde(rename = "App Name", borrow)]
    pub(super) name: Text<'a>,
    #[serde(rename = "App ID", borrow)]
    pub(super) id: Text<'a>,
    #[serde(rename = "App Attempt ID", borrow)]
    pub(super) attempt_id: Text<'a>,
    #[serde(rename = "Timestamp")]
    pub(super) time: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApplicationEnd {
    #[serde(rename = "Timestamp")]
    pub(super) time: MaybeInt,
    #[serde(rename = "ExitCode")]
    pub(super) exit_code: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EnvironmentUpdate<'a> {
    #[serde(rename = "JVM Information", borrow)]
    pub(super) jvm: TextMap<'a>,
    #[serde(rename = "Spark Properties", borrow)]
    pub(super) spark: TextMap<'a>,
    #[serde(rename = "Hadoop Properties", borrow)]
    pub(super) hadoop: TextMap<'a>,
    #[serde(rename = "System Properties", borrow)]
    pub(super) system: TextMap<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceProfileAdded<'a> {
    #[serde(rename = "Resource Profile Id")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Executor Resource Requests", borrow)]
    pub(super) executor: BTreeMap<Text<'a>, ResourceRequest>,
    #[serde(rename = "Task Resource Requests", borrow)]
    pub(super) task: BTreeMap<Text<'a>, ResourceRequest>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceRequest {
    #[serde(rename = "Amount")]
    pub(super) amount: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExecutorAdded<'a> {
    #[serde(rename = "Timestamp")]
    pub(super) time: MaybeInt,
    #[serde(rename = "Executor ID", borrow)]
    pub(super) executor: Text<'a>,
    #[serde(rename = "Executor Info", borrow)]
    pub(super) info: ExecutorInfo<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExecutorInfo<'a> {
    #[serde(rename = "Host", borrow)]
    pub(super) host: Text<'a>,
    #[serde(rename = "Total Cores")]
    pub(super) cores: MaybeInt,
    #[serde(rename = "Resource Profile Id")]
    pub(super) resource_profile: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExecutorRemoved<'a> {
    #[serde(rename = "Timestamp")]
    pub(super) time: MaybeInt,
    #[serde(rename = "Executor ID", borrow)]
    pub(super) executor: Text<'a>,
    #[serde(rename = "Removed Reason", borrow)]
    pub(super) reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockManagerId<'a> {
    #[serde(rename = "Executor ID", borrow)]
    pub(super) executor: Text<'a>,
    #[serde(rename = "Host", borrow)]
    pub(super) host: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockManagerAdded<'a> {
    #[serde(rename = "Block Manager ID", borrow)]
    pub(super) id: BlockManagerId<'a>,
    #[serde(rename = "Timestamp")]
    pub(super) time: MaybeInt,
    #[serde(rename = "Maximum Memory")]
    pub(super) memory: MaybeInt,
    #[serde(rename = "Maximum Onheap Memory")]
    pub(super) on_heap: MaybeInt,
    #[serde(rename = "Maximum Offheap Memory")]
    pub(super) off_heap: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockManagerRemoved<'a> {
    #[serde(rename = "Block Manager ID", borrow)]
    pub(super) id: BlockManagerId<'a>,
    #[serde(rename = "Timestamp")]
    pub(super) time: MaybeInt,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Level {
    #[serde(rename = "Use Disk")]
    pub(super) use_disk: bool,
    #[serde(rename = "Use Memory")]
    pub(super) use_memory: bool,
    #[serde(rename = "Use Off Heap", alias = "Use ExternalBlockStore")]
    pub(super) use_off_heap: bool,
    #[serde(rename = "Deserialized")]
    pub(super) deserialized: bool,
    #[serde(rename = "Replication")]
    pub(super) replication: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockUpdated<'a> {
    #[serde(rename = "Block Updated Info", borrow)]
    pub(super) info: BlockUpdatedInfo<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockUpdatedInfo<'a> {
    #[serde(rename = "Block Manager ID", borrow)]
    pub(super) manager: BlockManagerId<'a>,
    #[serde(rename = "Block ID", borrow)]
    pub(super) block: Text<'a>,
    #[serde(rename = "Storage Level")]
    pub(super) level: Level,
    #[serde(rename = "Memory Size")]
    pub(super) memory_bytes: MaybeInt,
    #[serde(rename = "Disk Size")]
    pub(super) disk_bytes: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UnpersistRdd {
    #[serde(rename = "RDD ID")]
    pub(super) rdd: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobStart<'a> {
    #[serde(rename = "Job ID")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Submission Time")]
    pub(super) time: MaybeInt,
    #[serde(rename = "Stage Infos", borrow)]
    pub(super) stages: Vec<StageInfo<'a>>,
    #[serde(rename = "Stage IDs")]
    pub(super) stage_ids: Vec<MaybeInt>,
    #[serde(rename = "Properties", borrow)]
    pub(super) properties: Option<TextMap<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobEnd<'a> {
    #[serde(rename = "Job ID")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Completion Time")]
    pub(super) time: MaybeInt,
    #[serde(rename = "Job Result", borrow)]
    pub(super) result: JobEndResult<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobEndResult<'a> {
    #[serde(rename = "Result", borrow)]
    pub(super) result: Text<'a>,
    #[serde(rename = "Exception", borrow)]
    pub(super) exception: Option<JobException<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobException<'a> {
    #[serde(rename = "Message", borrow)]
    pub(super) message: Text<'a>,
}

/// `SparkListenerStageSubmitted` and `SparkListenerStageCompleted`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StageEvent<'a> {
    #[serde(rename = "Stage Info", borrow)]
    pub(super) info: StageInfo<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StageInfo<'a> {
    #[serde(rename = "Stage ID")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Stage Attempt ID")]
    pub(super) attempt: MaybeInt,
    #[serde(rename = "Stage Name", borrow)]
    pub(super) name: Text<'a>,
    #[serde(rename = "Number of Tasks")]
    pub(super) tasks: MaybeInt,
    #[serde(rename = "RDD Info", borrow)]
    pub(super) rdds: Vec<RddInfo<'a>>,
    #[serde(rename = "Parent IDs")]
    pub(super) parents: Vec<MaybeInt>,
    #[serde(rename = "Submission Time")]
    pub(super) submitted: MaybeInt,
    #[serde(rename = "Completion Time")]
    pub(super) completed: MaybeInt,
    #[serde(rename = "Failure Reason", borrow)]
    pub(super) failure: Text<'a>,
    #[serde(rename = "Resource Profile Id")]
    pub(super) resource_profile: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RddInfo<'a> {
    #[serde(rename = "RDD ID")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Name", borrow)]
    pub(super) name: Text<'a>,
    #[serde(rename = "Scope", borrow)]
    pub(super) scope: Text<'a>,
    #[serde(rename = "Callsite", borrow)]
    pub(super) callsite: Text<'a>,
    #[serde(rename = "Parent IDs")]
    pub(super) parents: Vec<MaybeInt>,
    #[serde(rename = "Storage Level")]
    pub(super) level: Level,
    #[serde(rename = "Barrier")]
    pub(super) barrier: bool,
    #[serde(rename = "Number of Partitions")]
    pub(super) partitions: MaybeInt,
    #[serde(rename = "Number of Cached Partitions")]
    pub(super) cached_partitions: MaybeInt,
    #[serde(rename = "Memory Size")]
    pub(super) memory_bytes: MaybeInt,
    #[serde(rename = "Disk Size")]
    pub(super) disk_bytes: MaybeInt,
}

/// The JSON text inside `Scope`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scope<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskStart<'a> {
    #[serde(rename = "Stage ID")]
    pub(super) stage: MaybeInt,
    #[serde(rename = "Stage Attempt ID")]
    pub(super) stage_attempt: MaybeInt,
    #[serde(rename = "Task Info", borrow)]
    pub(super) info: TaskInfo<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskEnd<'a> {
    #[serde(rename = "Stage ID")]
    pub(super) stage: MaybeInt,
    #[serde(rename = "Stage Attempt ID")]
    pub(super) stage_attempt: MaybeInt,
    #[serde(rename = "Task Type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(rename = "Task End Reason", borrow)]
    pub(super) reason: EndReason<'a>,
    #[serde(rename = "Task Info", borrow)]
    pub(super) info: TaskInfo<'a>,
    #[serde(rename = "Task Executor Metrics")]
    pub(super) executor_peaks: Option<ExecutorPeaks>,
    /// Read in two goes, as [`TaskTotals`](super::metrics::TaskTotals) and as [`MetricGroups`]: flattening one into the other would make serde
    /// copy every field first.
    #[serde(rename = "Task Metrics", borrow)]
    pub(super) metrics: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskInfo<'a> {
    #[serde(rename = "Task ID")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Index")]
    pub(super) index: MaybeInt,
    #[serde(rename = "Attempt")]
    pub(super) attempt: MaybeInt,
    #[serde(rename = "Partition ID")]
    pub(super) partition: MaybeInt,
    #[serde(rename = "Launch Time")]
    pub(super) launched: MaybeInt,
    #[serde(rename = "Executor ID", borrow)]
    pub(super) executor: Text<'a>,
    #[serde(rename = "Host", borrow)]
    pub(super) host: Text<'a>,
    #[serde(rename = "Locality", borrow)]
    pub(super) locality: Text<'a>,
    #[serde(rename = "Speculative")]
    pub(super) speculative: bool,
    #[serde(rename = "Getting Result Time")]
    pub(super) getting_result: MaybeInt,
    #[serde(rename = "Finish Time")]
    pub(super) finished: MaybeInt,
    #[serde(rename = "Accumulables", borrow)]
    pub(super) accumulables: Vec<Accumulable<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accumulable<'a> {
    #[serde(rename = "ID")]
    pub(super) id: MaybeInt,
    #[serde(rename = "Name", borrow)]
    pub(super) name: Text<'a>,
    #[serde(rename = "Update")]
    pub(super) update: MaybeInt,
}

/// All end reasons in one: each sets the fields it has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndReason<'a> {
    #[serde(rename = "Reason", borrow)]
    pub(super) reason: Text<'a>,
    #[serde(rename = "Class Name", borrow)]
    pub(super) class: Text<'a>,
    #[serde(rename = "Description", borrow)]
    pub(super) description: Text<'a>,
    #[serde(rename = "Stack Trace", borrow)]
    pub(super) stack: Vec<StackFrame<'a>>,
    #[serde(rename = "Message", borrow)]
    pub(super) message: Text<'a>,
    #[serde(rename = "Loss Reason", borrow)]
    pub(super) loss: Text<'a>,
    #[serde(rename = "Exit Caused By App")]
    pub(super) exit_caused_by_app: Option<bool>,
    #[serde(rename = "Kill Reason", borrow)]
    pub(super) kill: Text<'a>,
    #[serde(rename = "Shuffle ID")]
    pub(super) shuffle: MaybeInt,
    #[serde(rename = "Accumulator Updates", borrow)]
    pub(super) updates: Vec<Accumulable<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StackFrame<'a> {
    #[serde(rename = "Declaring Class", borrow)]
    pub(super) class: Text<'a>,
    #[serde(rename = "Method Name", borrow)]
    pub(super) method: Text<'a>,
}

/// The groups inside `Task Metrics`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MetricGroups<'a> {
    /// Read in two goes, as [`ShuffleReadMetrics`](super::metrics::ShuffleReadMetrics) and as [`PushBased`].
    #[serde(rename = "Shuffle Read Metrics", borrow)]
    pub(super) shuffle_read: Option<&'a RawValue>,
    #[serde(rename = "Shuffle Write Metrics")]
    pub(super) shuffle_write: Option<ShuffleWriteMetrics>,
    #[serde(rename = "Input Metrics")]
    pub(super) input: Option<InputMetrics>,
    #[serde(rename = "Output Metrics")]
    pub(super) output: Option<OutputMetrics>,
    #[serde(rename = "Updated Blocks", borrow)]
    pub(super) updated_blocks: Option<Vec<UpdatedBlock<'a>>>,
}

/// The group inside `Shuffle Read Metrics`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PushBased {
    #[serde(rename = "Push Based Shuffle")]
    pub(super) metrics: Option<PushBasedShuffleMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UpdatedBlock<'a> {
    #[serde(rename = "Block ID", borrow)]
    pub(super) block: Text<'a>,
    #[serde(rename = "Status")]
    pub(super) status: BlockStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockStatus {
    #[serde(rename = "Storage Level")]
    pub(super) level: Level,
    #[serde(rename = "Memory Size")]
    pub(super) memory_bytes: MaybeInt,
    #[serde(rename = "Disk Size")]
    pub(super) disk_bytes: MaybeInt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StageExecutorMetrics<'a> {
    #[serde(rename = "Executor ID", borrow)]
    pub(super) executor: Text<'a>,
    #[serde(rename = "Stage ID")]
    pub(super) stage: MaybeInt,
    #[serde(rename = "Stage Attempt ID")]
    pub(super) stage_attempt: MaybeInt,
    #[serde(rename = "Executor Metrics")]
    pub(super) peaks: ExecutorPeaks,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExecutorMetricsUpdate<'a> {
    #[serde(rename = "Executor ID", borrow)]
    pub(super) executor: Text<'a>,
    #[serde(rename = "Executor Metrics Updated")]
    pub(super) updates: Vec<HeartbeatPeaks>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HeartbeatPeaks {
    #[serde(rename = "Stage ID")]
    pub(super) stage: MaybeInt,
    #[serde(rename = "Stage Attempt ID")]
    pub(super) stage_attempt: MaybeInt,
    #[serde(rename = "Executor Metrics")]
    pub(super) peaks: ExecutorPeaks,
}
