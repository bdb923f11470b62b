//! [`Settings`]: what a configuration means, typed, in bytes and nanoseconds. Everything below `conf` reads this and
//! never a property text. [`Settings::resolve`] reports every fault at once, the ones with which Spark would refuse to
//! start included (see `start_checks`). What the values do is the readers' business.

use std::collections::BTreeMap;

use super::error::ConfError;
use super::master::Master;
use super::reader::Reader;
use super::resolve;
use super::spark_conf::SparkConf;
use super::start_checks;
use super::version::SparkVersion;
use crate::units::SimDuration;

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Version whose rules hold.
    pub spark_version: SparkVersion,
    /// Where the application runs.
    pub master: Master,
    /// Where the driver runs.
    pub deploy_mode: DeployMode,
    /// The driver's process.
    pub driver: DriverSettings,
    /// The executors' processes.
    pub executor: ExecutorSettings,
    /// Containers around them.
    pub container: ContainerSettings,
    /// The memory manager.
    pub memory: MemorySettings,
    /// Cached blocks.
    pub storage: StorageSettings,
    /// Shuffles and spilling.
    pub shuffle: ShuffleSettings,
    /// Broadcasts.
    pub broadcast: BroadcastSettings,
    /// Tasks, their failures and results.
    pub task: TaskSettings,
    /// Scheduling and time-outs.
    pub scheduling: SchedulingSettings,
    /// SQL.
    pub sql: SqlSettings,
    /// Python workers.
    pub python: PythonSettings,
    /// This program's own knobs.
    pub knobs: Knobs,
}

/// Where the driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeployMode {
    /// Where the application was submitted (MODE-3).
    Client,
    /// In the cluster (MODE-4).
    Cluster,
}

/// The driver's process.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverSettings {
    /// Heap, bytes.
    pub memory: u64,
    /// Cores in cluster mode.
    pub cores: u32,
    /// Most bytes of serialized results of one action; `None` for no limit.
    pub max_result_size: Option<u64>,
    /// Garbage collector, if anything names it.
    pub collector: Option<Collector>,
}

/// The executors' processes.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorSettings {
    /// Heap, bytes.
    pub memory: u64,
    /// Cores of each, where the conf says; what holds otherwise depends on the master (SCHED-1).
    pub cores: Option<u32>,
    /// Number, where the conf says.
    pub instances: Option<u32>,
    /// Most cores of all executors of a standalone cluster.
    pub cores_max: Option<u32>,
    /// Garbage collector, if anything names it.
    pub collector: Option<Collector>,
}

/// A garbage collector of the JVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collector {
    /// Garbage-first.
    G1,
    /// Parallel.
    Parallel,
    /// Serial.
    Serial,
}

impl Collector {
    /// Name, as `spillcast.collector` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::G1 => "G1",
            Self::Parallel => "Parallel",
            Self::Serial => "Serial",
        }
    }
}

/// An option of the JVM that switches a collector on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectorOption {
    /// One that is simulated.
    Known(Collector),
    /// One that HotSpot has or had, and that is not simulated.
    NotModelled,
    /// None of HotSpot's: it would not start.
    Unknown,
}

impl CollectorOption {
    /// What a word of the JVM's options is; `None` where it switches on no collector.
    pub fn of(word: &str) -> Option<Self> {
        let name = word.strip_prefix("-XX:+Use")?;
        // `UseMaximumCompactionOnSystemGC` and its like are about something else.
        let name = name.strip_suffix("GC").filter(|name| !name.ends_with("System"))?;
        Some(match name {
            "G1" => Self::Known(Collector::G1),
            "Parallel" | "ParallelOld" => Self::Known(Collector::Parallel),
            "Serial" => Self::Known(Collector::Serial),
            "Z" | "Shenandoah" | "Epsilon" | "ConcMarkSweep" | "ParNew" => Self::NotModelled,
            _ => Self::Unknown,
        })
    }
}

/// What the containers of driver and executors get beyond the heap; MiB where Spark counts in MiB. Explicit overheads
/// may be negative, as in Spark (CONF-4).
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSettings {
    /// `spark.executor.memoryOverhead`, MiB.
    pub executor_overhead_mib: Option<i64>,
    /// `spark.executor.memoryOverheadFactor`, if set.
    pub executor_factor: Option<f64>,
    /// Least executor overhead when it is not set, MiB.
    pub executor_min_overhead_mib: i64,
    /// `spark.driver.memoryOverhead`, MiB.
    pub driver_overhead_mib: Option<i64>,
    /// `spark.driver.memoryOverheadFactor`, if set.
    pub driver_factor: Option<f64>,
    /// Least driver overhead when it is not set, MiB.
    pub driver_min_overhead_mib: i64,
    /// `spark.kubernetes.memoryOverheadFactor`, if set.
    pub kubernetes_factor: Option<f64>,
    /// Heap of YARN's application master in client mode, MiB.
    pub am_memory_mib: i64,
    /// Its overhead, if set, MiB.
    pub am_overhead_mib: Option<i64>,
    /// Whether local directories of pods are in memory (K8S-4).
    pub tmpfs_local_dirs: bool,
}

/// The memory manager.
#[derive(Clone, Debug, PartialEq)]
pub struct MemorySettings {
    /// `spark.memory.fraction`.
    pub fraction: f64,
    /// `spark.memory.storageFraction`.
    pub storage_fraction: f64,
    /// Whether operators use off-heap memory.
    pub off_heap_enabled: bool,
    /// Off-heap bytes; they make pools even when operators do not use them (UMM-12).
    pub off_heap_size: u64,
    /// How often unmanaged memory is asked for; `None` for never.
    pub unmanaged_polling: Option<SimDuration>,
    /// The static regions of the legacy manager, when it is used.
    pub legacy: Option<LegacyFractions>,
    /// Explicit page size, bytes.
    pub page_size: Option<u64>,
}

/// Fractions of the legacy manager (LEG-1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LegacyFractions {
    /// `spark.storage.memoryFraction`.
    pub storage: f64,
    /// `spark.storage.safetyFraction`.
    pub storage_safety: f64,
    /// `spark.shuffle.memoryFraction`.
    pub shuffle: f64,
    /// `spark.shuffle.safetyFraction`.
    pub shuffle_safety: f64,
    /// `spark.storage.unrollFraction`.
    pub unroll: f64,
}

/// Cached blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageSettings {
    /// Bytes asked for before a block is unrolled.
    pub unroll_threshold: u64,
    /// Elements between two looks at its size.
    pub unroll_check_period: u64,
    /// How far ahead of its size memory is asked for.
    pub unroll_growth_factor: f64,
    /// Files at least this long are memory-mapped when read, bytes.
    pub memory_map_threshold: u64,
    /// Whether serialized cached RDD blocks are compressed.
    pub rdd_compress: bool,
}

/// A compression codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoCodec {
    /// LZ4.
    Lz4,
    /// LZF.
    Lzf,
    /// Snappy.
    Snappy,
    /// Zstandard.
    Zstd,
}

/// Shuffles and spilling.
#[derive(Clone, Debug, PartialEq)]
pub struct ShuffleSettings {
    /// Bytes of a collection before it first asks for memory (SPILL-1).
    pub spill_initial_threshold: u64,
    /// Records after which an operator spills in any case.
    pub num_elements_force_spill: u64,
    /// Bytes after which an operator spills in any case; `None` where the version or the default knows no limit.
    pub max_size_force_spill: Option<u64>,
    /// Whether spills of sorted shuffle data are compressed.
    pub spill_compress: bool,
    /// Whether shuffle files are compressed.
    pub compress: bool,
    /// Buffer of each open shuffle file, bytes.
    pub file_buffer: u64,
    /// Most partitions for the writer that sorts nothing.
    pub bypass_merge_threshold: u64,
    /// Records of the first pointer array.
    pub sort_initial_records: u64,
    /// Whether serialized shuffles use radix sort.
    pub use_radix_sort: bool,
    /// Most bytes that a reduce task fetches at once.
    pub max_size_in_flight: u64,
    /// Remote blocks larger than this go to disk, bytes.
    pub max_remote_block_to_mem: u64,
    /// Buffer of each spill file that is being merged, bytes.
    pub spill_reader_buffer: u64,
    /// Whether each has a second buffer.
    pub spill_read_ahead: bool,
    /// Whether shuffle files outlive their executor.
    pub service_enabled: bool,
    /// Codec of shuffle, spill, broadcast and compressed cached data.
    pub io_codec: IoCodec,
}

/// Broadcasts.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastSettings {
    /// Bytes of a piece.
    pub block_size: u64,
    /// Whether pieces are compressed.
    pub compress: bool,
}

/// Tasks, their failures and results.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSettings {
    /// Cores that one takes.
    pub cpus: u32,
    /// Failures after which the job fails; in local mode the master's number (FAIL-1).
    pub max_failures: u32,
    /// Larger results go through the block manager, bytes.
    pub max_direct_result_size: u64,
    /// Largest message between driver and executors, bytes.
    pub rpc_message_max: u64,
    /// Attempts of a stage in a row after which its job fails.
    pub stage_max_consecutive_attempts: u32,
    /// Attempts of a stage in all after which its job fails.
    pub stage_max_attempts: u32,
}

/// Scheduling and time-outs.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulingSettings {
    /// Wait for the executor that holds a task's block.
    pub locality_wait_process: SimDuration,
    /// Wait for the host that holds it.
    pub locality_wait_node: SimDuration,
    /// Wait for the rack that holds it.
    pub locality_wait_rack: SimDuration,
    /// When slow tasks are started twice, if they are.
    pub speculation: Option<Speculation>,
    /// Whether jobs that run at once share the slots evenly (FAIR) rather than first come, first served.
    pub fair: bool,
    /// Time without heartbeat after which an executor is lost.
    pub network_timeout: SimDuration,
    /// The same for executors; [`Self::network_timeout`] unless set by itself.
    pub executor_timeout: SimDuration,
    /// Whether [`Self::executor_timeout`] was set by itself, so that [`Self::network_timeout`] does not move it.
    pub executor_timeout_is_own: bool,
    /// How often the driver looks for lost executors.
    pub network_timeout_interval: SimDuration,
    /// Time between heartbeats.
    pub heartbeat_interval: SimDuration,
    /// Partitions of RDD shuffles, where the conf says.
    pub default_parallelism: Option<u32>,
}

/// When slow tasks are started twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speculation {
    /// Share of tasks that must be done first.
    pub quantile: f64,
    /// How many times the median time makes a task slow.
    pub multiplier: f64,
}

/// SQL.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlSettings {
    /// Partitions of shuffles.
    pub shuffle_partitions: u32,
    /// Re-planning with known sizes.
    pub adaptive: AdaptiveSettings,
    /// Size below which a table is broadcast, bytes; `None` for never.
    pub auto_broadcast_join_threshold: Option<u64>,
    /// Size at which broadcasting a table fails, bytes.
    pub max_broadcast_table_size: u64,
    /// Whether sorted joins are preferred to hashed ones.
    pub prefer_sort_merge_join: bool,
    /// Groups after which aggregations of objects sort.
    pub object_hash_fallback_threshold: u64,
    /// Whether sorts use radix sort.
    pub use_radix_sort: bool,
    /// Row buffer of sorted joins.
    pub sort_merge_join_buffer: RowBufferSettings,
    /// Row buffer of windows.
    pub window_buffer: RowBufferSettings,
    /// Rows in one batch of a cached table.
    pub columnar_batch_rows: u64,
    /// Most bytes of files in one partition.
    pub files_max_partition_bytes: u64,
    /// Bytes that opening a file counts as.
    pub files_open_cost: u64,
    /// Fewest partitions wanted of files, where the conf says.
    pub files_min_partition_num: Option<u32>,
}

/// Limits of a buffer of rows, in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowBufferSettings {
    /// Rows kept as objects before pages are used.
    pub in_memory_rows: u64,
    /// Rows after which it spills in any case.
    pub spill_rows: u64,
}

/// Adaptive query execution.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveSettings {
    /// Whether it is on.
    pub enabled: bool,
    /// Size that partitions aim at, bytes.
    pub advisory_partition_size: u64,
    /// Whether small partitions are put together.
    pub coalesce_enabled: bool,
    /// Whether that stops at as many partitions as there are cores.
    pub parallelism_first: bool,
    /// Least size of a coalesced partition, bytes.
    pub min_partition_size: u64,
    /// Fewest partitions after coalescing, where the conf says.
    pub min_partition_num: Option<u32>,
    /// Shuffle partitions before coalescing.
    pub initial_partition_num: u32,
    /// Whether huge partitions of joins are split.
    pub skew_join_enabled: bool,
    /// How many times the median makes a partition huge.
    pub skewed_partition_factor: f64,
    /// Least size of a huge partition, bytes.
    pub skewed_partition_threshold: u64,
    /// Whether a needless shuffle is read where it was written.
    pub local_shuffle_reader: bool,
    /// Size below which a finished shuffle is broadcast, bytes; `None` for never.
    pub auto_broadcast_join_threshold: Option<u64>,
    /// Size up to which all partitions of a finished shuffle are hashed by a join instead of sorted, bytes. Below
    /// [`Self::advisory_partition_size`] it does nothing.
    pub max_hashed_partition_size: u64,
}

/// Python workers.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonSettings {
    /// `spark.executor.pyspark.memory`, bytes, if set.
    pub executor_memory: Option<u64>,
    /// Memory at which a worker's own aggregations spill, bytes.
    pub worker_memory: u64,
    /// Whether workers serve several tasks.
    pub worker_reuse: bool,
    /// Most rows in an Arrow batch; `None` for no limit.
    pub arrow_batch_rows: Option<u64>,
    /// Most bytes in an Arrow batch; `None` for no limit.
    pub arrow_batch_bytes: Option<u64>,
    /// Rows in a batch of a row-at-a-time function.
    pub udf_batch_rows: u64,
}

/// Which cached block is dropped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvictionPolicy {
    /// Least recently used: Spark's.
    Lru,
    /// First stored.
    Fifo,
    /// Least often used.
    Lfu,
    /// Fewest uses to come.
    Lrc,
    /// Next use farthest away in stages.
    Mrd,
    /// Cheapest to get back for its size.
    Cost,
    /// Next use farthest away: the bound that needs to know the future.
    Belady,
}

/// This program's own knobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {
    /// Storage level of every dataset, by Spark's name (`MEMORY_AND_DISK`), instead of its own.
    pub storage_level: Option<&'static str>,
    /// Storage level by dataset; wins over the one for all.
    pub storage_levels: BTreeMap<String, &'static str>,
    /// Which cached block is dropped first.
    pub eviction_policy: EvictionPolicy,
    /// Factor on the size of all input data.
    pub data_scale: f64,
    /// Bytes that an executor's process tree may use where no cluster manager sets a limit.
    pub container_limit: Option<u64>,
    /// Bytes that an executor's container may have in swap beside its limit.
    pub container_swap: u64,
    /// Bytes of an executor's container above which the kernel takes pages from it and holds it back.
    pub container_high: Option<u64>,
    /// Memory of every host, bytes, instead of its own.
    pub host_memory: Option<u64>,
    /// Room for Spark's local files on every host, bytes, instead of its own.
    pub host_disk: Option<u64>,
    /// Swap space of every host, bytes, instead of its own.
    pub host_swap: Option<u64>,
    /// The tenants that are there; `None` for all of them.
    pub tenants: Option<Vec<String>>,
    /// Applications like this one that start on the same hosts at the same moment, itself among them.
    pub copies: u32,
    /// Garbage collector of every JVM.
    pub collector: Option<Collector>,
}

impl Knobs {
    /// The level that the knobs give the dataset `name`, if any.
    pub fn storage_level_of(&self, name: &str) -> Option<&'static str> {
        self.storage_levels.get(name).copied().or(self.storage_level)
    }
}

impl Settings {
    /// Reads and checks `conf`.
    ///
    /// # Errors
    /// Every fault of the configuration, none of them twice.
    pub fn resolve(conf: &SparkConf) -> Result<Self, Vec<ConfError>> {
        let mut reader = Reader::new(conf);
        let master = start_checks::master(&mut reader);
        let settings = resolve::read(&reader, master);
        start_checks::refuse_bad_starts(&mut reader, &settings);
        if reader.errors.is_empty() { Ok(settings) } else { Err(reader.errors) }
    }
}
