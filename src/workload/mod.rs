//! What an application does to memory, independent of its configuration: jobs, stages, the operators of each stage with
//! what they would use if they had all they want, cached datasets and their uses, shuffles and their keys, broadcasts.
//!
//! Everything that the configuration decides (how many partitions, which shuffle writer, what spills, what is evicted)
//! is derived when the simulation runs, never stored here. Sizes are bytes, times nanoseconds of work at full speed.
//! Scenario files and event logs both end here. Next to read: `keys` (skew), `partition` (how amounts follow a new
//! partitioning), then `crate::sim`.

mod keys;
mod may_split;
mod partition;
mod query;

pub use keys::Keys;
pub use may_split::{may_split, needs_equal_keys};
pub use partition::{PerTask, file_partitions, filled_blocks, reblocked_bytes, split_bytes};
pub use query::{Join, JoinKind, JoinSettings, Place, Query, Side, Step, StepIndex, StepKind, Strategy};

use crate::memory::StorageLevel;

/// Range of join keys that nobody knows: too wide for the dense form of a relation (HJ-6).
pub const KEY_RANGE_UNKNOWN: u64 = i64::MAX as u64;

/// Index of a stage in [`Workload::stages`].
pub type StageIndex = usize;
/// Index of a job in [`Workload::jobs`].
pub type JobIndex = usize;
/// Index of a shuffle in [`Workload::shuffles`].
pub type ShuffleIndex = usize;
/// Index of a cached dataset in [`Workload::datasets`].
pub type DatasetIndex = usize;
/// Index of a broadcast in [`Workload::broadcasts`].
pub type BroadcastIndex = usize;

/// One application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// Application name.
    pub name: String,
    /// Jobs in the order of their submission.
    pub jobs: Vec<Job>,
    /// All stages that ran; a stage belongs to one job.
    pub stages: Vec<Stage>,
    /// Data exchanged between stages.
    pub shuffles: Vec<Shuffle>,
    /// Cached (persisted) datasets.
    pub datasets: Vec<Dataset>,
    /// Broadcast tables.
    pub broadcasts: Vec<Broadcast>,
    /// Queries whose plan the configuration may change, as far as an import tells.
    pub queries: Vec<Query>,
    /// What work costs on the machines at hand.
    pub rates: Rates,
    /// The settings under which [`PerTask::Each`] values were observed; `None` for hand-written workloads.
    pub observed: Option<Observed>,
    /// Python workers run beside the executors' JVMs.
    pub python: bool,
}

/// The settings that decided the partitioning of an observed run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// `spark.sql.shuffle.partitions`.
    pub shuffle_partitions: u32,
    /// Adaptive settings as one text: equal texts partition alike (enabled, coalescing, advisory size, minimum sizes).
    pub adaptive: String,
    /// The same of the settings that split partitions of joins.
    pub skew_join: String,
    /// Whether adaptive execution may read shuffles where they were written.
    pub local_reader: bool,
    /// `spark.sql.files.maxPartitionBytes`.
    pub max_partition_bytes: u64,
    /// `spark.sql.files.openCostInBytes`.
    pub open_cost_bytes: u64,
    /// Default parallelism: task slots of all executors, at least 2 outside local mode.
    pub default_parallelism: u32,
    /// Scale of the data: 1 as observed.
    pub data_scale: f64,
}

/// A job: what one action submits.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Spark's job id, as reports show it.
    pub id: u32,
    /// Call site or description.
    pub name: String,
    /// Its stages; one runs when its parents are done.
    pub stages: Vec<StageIndex>,
    /// The jobs that end before this one is submitted; empty: submitted at the start.
    pub after: Vec<JobIndex>,
    /// Driver time between the last of `after` and the submission, ns. Not part of `wallMs`.
    pub gap_ns: u64,
}

/// A set of tasks that run the same operators on different partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Spark's stage id, as reports show it.
    pub id: u32,
    /// Call site or name.
    pub name: String,
    /// Stages whose shuffle output this one reads.
    pub parents: Vec<StageIndex>,
    /// What decides the number of tasks.
    pub partitioning: Partitioning,
    /// The operators, each after its inputs.
    pub operators: Vec<Operator>,
    /// Serialized result that a task sends to the driver, bytes (COLL-1).
    pub result_bytes: PerTask,
    /// Fixed time around a task's run: deserialization, sending the result, ns; none: [`Rates::task_launch_ns`].
    pub launch_ns: PerTask,
    /// Bytes of garbage and live objects that the tasks allocate on the heap; drives garbage collection.
    pub allocated_bytes: PerTask,
    /// Threads of each executor's JVM that want the processor beside the tasks while this stage runs (just-in-time
    /// compilation, concurrent collection); they slow tasks down where a host has no processor left for them.
    pub background_threads: f64,
    /// Processor time that a JVM spends beyond the tasks' own work before it has compiled this stage's code, ns an
    /// executor: each new executor that runs the stage spends it again.
    pub warm_up_ns: u64,
    /// Work of a JVM's compiler threads for this stage's code, ns an executor.
    pub compile_ns: u64,
}

impl Stage {
    /// The shuffle whose rows reach operator `at` through its first inputs, if it is fed by one.
    pub fn shuffle_below(&self, mut at: usize) -> Option<ShuffleIndex> {
        loop {
            if let OperatorKind::ShuffleRead { shuffle, .. } = self.operators[at].kind {
                return Some(shuffle);
            }
            at = *self.operators[at].inputs.first()?;
        }
    }
}

/// What decides the number of tasks of a stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Partitioning {
    /// So many, whatever the configuration says (`range`, `parallelize`, `repartition(n)`, RDD shuffles, one partition).
    Fixed(u32),
    /// Splits of files: `spark.sql.files.maxPartitionBytes` and the cores decide.
    Files {
        /// Bytes of all files.
        bytes: u64,
        /// Number of files, taken as equal in size.
        files: u32,
        /// Tasks that were observed or asked for; the split rule scales from it. 0: the rule alone.
        tasks: u32,
    },
    /// The reduce side of a shuffle: the shuffle's own partition count, coalesced where AQE does so.
    Shuffle {
        /// The shuffles read, all partitioned alike.
        shuffles: Vec<ShuffleIndex>,
        /// Tasks observed, 0 for none; valid while the partitioning settings are those of [`Workload::observed`].
        tasks: u32,
        /// Those of the shuffles whose huge partitions adaptive execution may split for a join (AQE-2).
        may_split: Vec<ShuffleIndex>,
        /// The tasks observed read what map tasks wrote, whatever the partition: adaptive execution needed no rows of equal
        /// keys together (`spark.sql.adaptive.localShuffleReader.enabled`).
        local: bool,
    },
    /// One task a partition of a cached dataset.
    Dataset(DatasetIndex),
}

/// One step of a stage's pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Name as in Spark's plan (`HashAggregate`, `Sort`, `Exchange` ...), free text for RDD code.
    pub name: String,
    /// What it does to memory.
    pub kind: OperatorKind,
    /// The operators of this stage that feed it, by position; evaluated in this order.
    pub inputs: Vec<usize>,
    /// Rows that come out.
    pub rows: PerTask,
    /// Bytes of one row that comes out, in Spark's binary row format (8-byte words).
    pub row_bytes: u64,
    /// Time of this operator's own work without spilling and garbage collection, ns.
    pub cpu_ns: PerTask,
    /// Plain heap that Spark does not count and that this operator holds while it works, bytes.
    pub heap_bytes: PerTask,
}

/// The kinds of operators that differ in what they do to memory.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorKind {
    /// Reads files or generates rows.
    Scan {
        /// Bytes read from storage.
        bytes: PerTask,
    },
    /// Reads a shuffle.
    ShuffleRead {
        /// Which.
        shuffle: ShuffleIndex,
        /// Compressed bytes fetched.
        bytes: PerTask,
    },
    /// Reads a cached dataset, computing what is not there.
    CachedScan {
        /// Which.
        dataset: DatasetIndex,
        /// The operator of this stage that gives a partition's rows where the partition is computed; it and what is below it
        /// hold memory then, their time is the dataset's ([`Dataset::compute_ns_per_byte`]), shared out by rows and weight.
        lineage: Option<usize>,
    },
    /// Row by row work that holds no execution memory (project, filter, generate, the merge of a sort-merge join).
    Pipelined,
    /// Hash aggregation with its sort fallback (AGG-1..7); rows out are the groups.
    HashAggregate {
        /// Bytes of the key row plus bytes of the buffer row (AGG-2 adds 16).
        key_value_bytes: u64,
        /// Generated code puts a fast map in front, as partial aggregations have it (AGG-7).
        fast_map: bool,
        /// The key is one whole number and numbers follow one another, so that the fast map takes all it has room for.
        dense_keys: bool,
        /// Keys or buffers have values of variable length, so that the fast map says how long each row is (AGG-7).
        variable_rows: bool,
    },
    /// Object hash aggregation (AGG-8): groups on the plain heap, sorts after the fallback threshold.
    ObjectHashAggregate {
        /// Bytes of the key row plus the serialized buffer of a group when the map is dumped into the fallback sorter.
        group_bytes: u64,
        /// Bytes of the key row plus the input row in the fallback sorter.
        sorter_row_bytes: u64,
        /// The whole key is one radix-sortable prefix (SORT-2).
        radix: bool,
    },
    /// SQL sort (SORT-1..11). Rows in equal rows out.
    Sort {
        /// The whole key is one radix-sortable prefix (SORT-2).
        radix: bool,
    },
    /// Probes a broadcast table.
    BroadcastHashJoin {
        /// Which.
        broadcast: BroadcastIndex,
    },
    /// Shuffled hash join: the second input is built into a relation that cannot spill (HJ-1..7).
    ShuffledHashJoin {
        /// The key is a single long (HJ-3), else the general relation (HJ-1).
        long_key: bool,
        /// Distinct keys of the build side.
        keys: PerTask,
        /// Largest key minus smallest key of a task's build side, which decides over the dense form (HJ-6).
        key_range: u64,
    },
    /// Window functions: one window partition at a time is kept in a buffer of rows (ROWBUF-3).
    Window,
    /// RDD aggregation or cogroup on the reduce side (ExternalAppendOnlyMap, SPILL-5).
    ExternalAggregation {
        /// Estimated heap bytes of one key with its combiner.
        entry_bytes: u64,
    },
    /// Rows go through a Python worker.
    Python {
        /// Resident bytes of the worker at its largest.
        worker_bytes: u64,
    },
    /// Writes a shuffle; last of its stage.
    ShuffleWrite {
        /// Which.
        shuffle: ShuffleIndex,
        /// Compressed bytes written.
        bytes: PerTask,
    },
    /// Builds a broadcast table from rows collected to the driver; last of its stage.
    Broadcast {
        /// Which.
        broadcast: BroadcastIndex,
    },
    /// Writes files, or nothing (`noop`), or returns a result to the driver; last of its stage.
    Output {
        /// Bytes written to storage.
        bytes: PerTask,
    },
}

impl OperatorKind {
    /// The shuffle that it reads, if it reads one.
    pub fn shuffle_read(&self) -> Option<ShuffleIndex> {
        match self {
            Self::ShuffleRead { shuffle, .. } => Some(*shuffle),
            _ => None,
        }
    }

    /// Time that one row costs in an operator, relative to passing it through: how a stage's time, of which a log tells the
    /// sum only, is shared out. Rough figures from runs whose stages have few operators.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Scan { .. } | Self::ShuffleRead { .. } | Self::ShuffleWrite { .. } => 2.0,
            Self::HashAggregate { .. } | Self::Sort { .. } | Self::ObjectHashAggregate { .. } => 3.0,
            Self::Python { .. } => 10.0,
            _ => 1.0,
        }
    }
}

/// Data exchanged between stages.
#[derive(Clone, Debug, PartialEq)]
pub struct Shuffle {
    /// Name in reports.
    pub name: String,
    /// What decides its number of partitions.
    pub partitions: ShufflePartitions,
    /// Where a row goes.
    pub distribution: Distribution,
    /// Popularity of the keys.
    pub keys: Keys,
    /// Bytes of one record in the writer's pages, without its length word.
    pub record_bytes: u64,
    /// Compressed bytes on disk for one serialized byte.
    pub compression: f64,
    /// Blocks with rows, one for each map task and partition, in the run that the compression was observed in; 0: not
    /// observed. Small blocks compress worse.
    pub blocks: u64,
    /// Combines on the map side, in the RDD manner (excludes the bypass and the serialized writer, SHUF-1).
    pub map_side_combine: bool,
    /// The serializer can relocate records (always so in SQL; Kryo in RDDs), SHUF-1 (2).
    pub relocatable: bool,
}

/// What decides the number of partitions of a shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShufflePartitions {
    /// `spark.sql.shuffle.partitions`; AQE may coalesce.
    Conf,
    /// A number in the code (`repartition(8)`, RDD operations).
    Fixed(u32),
}

/// Where a shuffled row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// By hash of the key.
    Hash,
    /// By range of the key (global sort); boundaries are sampled.
    Range,
    /// Evenly.
    RoundRobin,
    /// All into one partition.
    Single,
}

/// A cached dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// RDD id, as the web UI's storage tab shows it.
    pub id: u32,
    /// Name in reports and for `spillcast.storageLevel.NAME`.
    pub name: String,
    /// Level that the application asks for.
    pub level: StorageLevel,
    /// Its partitions.
    pub partitions: Vec<CachedPartition>,
    /// Work to compute one partition from its lineage, ns a byte in memory.
    pub compute_ns_per_byte: f64,
    /// Elements of the partition's iterator (rows; for SQL caches column batches), which time the unrolling checks.
    pub elements: u64,
    /// The job after which the application unpersists it.
    pub unpersist_after: Option<JobIndex>,
}

/// One partition of a cached dataset, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CachedPartition {
    /// In memory as objects (deserialized levels).
    pub memory_bytes: u64,
    /// Serialized: in memory under `_SER` levels.
    pub serialized_bytes: u64,
    /// On disk.
    pub disk_bytes: u64,
}

/// A table sent to every executor.
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// Name in reports.
    pub name: String,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of the built relation: the deserialized block on each executor (BCAST-4, `data size` in the plan).
    pub relation_bytes: u64,
    /// Bytes of its serialized, compressed pieces.
    pub pieces_bytes: u64,
    /// Driver time to build it, ns.
    pub build_ns: u64,
}

/// What work costs. Calibrated: each default names its source; an import refits them to the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Sorting and serializing spilled rows, ns a byte in memory.
    pub spill_write_ns_per_byte: f64,
    /// Reading and merging spilled rows, ns a byte in memory.
    pub spill_read_ns_per_byte: f64,
    /// Compressed spill file bytes for one serialized byte.
    pub spill_compression: f64,
    /// Sequential bandwidth of the local disk, bytes a second.
    pub disk_bytes_per_s: f64,
    /// Network bandwidth of a host, bytes a second.
    pub network_bytes_per_s: f64,
    /// Reading a cached block, ns a byte in memory: deserialized.
    pub cached_read_ns_per_byte: f64,
    /// Serializing or deserializing a cached block, ns a byte serialized.
    pub serialize_ns_per_byte: f64,
    /// Between a slot falling free and the next task running in it, ns.
    pub scheduler_delay_ns: u64,
    /// Deserializing a task and sending its result, ns, where a stage does not say.
    pub task_launch_ns: u64,
    /// Processor time of a task however little it does, ns: what more or fewer tasks for the same data cost.
    pub task_fixed_ns: u64,
    /// Processor time of a shuffle file that the bypass writer opens for one partition of one task (SHUF-1), ns.
    pub shuffle_file_ns: u64,
    /// What an executor that is a JVM of its own spends on loading and interpreting Spark's classes, beyond what the
    /// driver's JVM would, ns of its tasks' processor time.
    pub executor_warm_up_ns: u64,
    /// Work of such an executor's compiler threads for Spark's own code, ns.
    pub executor_compile_ns: u64,
    /// Loading classes to deserialize the first tasks in such an executor, ns beyond what later ones take.
    pub executor_launch_ns: u64,
    /// Fetching a stage's task binary into such an executor, ns for the first task of the stage there.
    pub stage_launch_ns: u64,
    /// Zeroing a page or array of execution memory, ns a byte.
    pub page_ns_per_byte: f64,
    /// Heap that Spark and the JVM hold at rest in an executor, bytes.
    pub heap_base_bytes: u64,
    /// Memory of the process outside the heap at rest, bytes.
    pub non_heap_bytes: u64,
    /// Start of a replacement executor, ns (FAIL-12).
    pub executor_start_ns: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            // Processor time of runs of one job with and without spills (aggregation, sort and lists; 2 cores, local SSD):
            // 2.4 to 4.2 ns a byte for both together.
            spill_write_ns_per_byte: 1.8,
            spill_read_ns_per_byte: 1.2,
            spill_compression: 0.6,
            // A local SATA solid-state disk.
            disk_bytes_per_s: 400e6,
            // 10 Gbit/s Ethernet.
            network_bytes_per_s: 1.25e9,
            cached_read_ns_per_byte: 0.3,
            serialize_ns_per_byte: 4.0,
            // Median of (launch of the next task - finish of the previous one in the same slot) in Spark 4.1 logs.
            scheduler_delay_ns: 3_000_000,
            // Median of task duration less run time in Spark 4.1 logs of small tasks, once the JVM is warm.
            task_launch_ns: 12_000_000,
            // Processor time of 342 more tasks of one small job, a task; and what is left of it for the 34 MB of pages that
            // each of the larger ones took: the bandwidth of zeroing memory.
            task_fixed_ns: 2_000_000,
            // Written by hand, work is what it says: import sets these (`eventlog::import::rates`).
            shuffle_file_ns: 0,
            executor_warm_up_ns: 0,
            executor_compile_ns: 0,
            executor_launch_ns: 0,
            stage_launch_ns: 0,
            page_ns_per_byte: 0.1,
            // Heap used by an idle Spark 4.1 executor after a full collection.
            heap_base_bytes: 60 << 20,
            // Metaspace, code cache, threads and libraries of an executor that has run SQL (rss.csv, shuffle phase).
            non_heap_bytes: 290 << 20,
            executor_start_ns: 3_000_000_000,
        }
    }
}
