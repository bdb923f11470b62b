//! The moment at which a limit fell: which one, what it came to, and who held the bytes; and how close every limit came.
//!
//! A fall is what kills a task, an executor or the application. It is noted where the simulation decides it, so that the
//! ledger is of that very moment. One limit is of time, an executor's heartbeat; the throughput of the collector is not here.

/// A limit whose passing ends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// `-Xmx` of an executor's JVM.
    Heap,
    /// What a task can get of an executor's execution memory (EXEC-2 to EXEC-4).
    TaskShare,
    /// Bytes that a container's process tree may use.
    Container,
    /// `spark.driver.maxResultSize` (COLL-2).
    ResultSize,
    /// `-Xmx` of the driver's JVM.
    DriverHeap,
    /// Memory and swap space of a host.
    Host,
    /// Memory of a host that swaps until its tasks stand still; swap space does not count.
    Memory,
    /// Room for Spark's files on a host's disk.
    Disk,
    /// Time without a heartbeat, for an executor that collects ([`Fall::silence`]); the ledger is of its heap.
    Heartbeat,
}

impl Limit {
    /// Name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::TaskShare => "taskShare",
            Self::Container => "container",
            Self::ResultSize => "resultSize",
            Self::DriverHeap => "driverHeap",
            Self::Host => "host",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// What bytes of a ledger are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// Heap of Spark and the JVM at rest.
    AtRest,
    /// Execution memory of an operator.
    Execution,
    /// Cached blocks of a dataset.
    Cached,
    /// A broadcast table in the storage pool.
    Broadcast,
    /// Unroll memory of blocks under way into the cache, and other storage.
    Unroll,
    /// Plain heap that Spark does not count: buffers and objects of user code and of operators.
    UserHeap,
    /// A broadcast table on the plain heap, because the storage pool had no room for it.
    BroadcastOnHeap,
    /// Heap that the JVM has touched and that no live object fills.
    Garbage,
    /// The process outside the heap: metaspace, code, threads, direct buffers, libraries.
    NonHeap,
    /// Python workers.
    Python,
    /// Serialized results on the driver.
    Results,
    /// Rows collected to the driver.
    Collected,
    /// A hash relation under construction on the driver.
    Relation,
    /// A process on a host, in memory and in swap, or the kernel's own memory.
    Process,
    /// Spill files of a running task.
    SpillFiles,
    /// Shuffle files of a stage.
    ShuffleFiles,
    /// Spark's other local files, and what was being written.
    Files,
    /// What the operation that failed asked for and did not get.
    Asked,
}

impl Holding {
    /// Name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtRest => "atRest",
            Self::Execution => "execution",
            Self::Cached => "cached",
            Self::Broadcast => "broadcast",
            Self::Unroll => "unroll",
            Self::UserHeap => "userHeap",
            Self::BroadcastOnHeap => "broadcastOnHeap",
            Self::Garbage => "garbage",
            Self::NonHeap => "nonHeap",
            Self::Python => "python",
            Self::Results => "results",
            Self::Collected => "collected",
            Self::Relation => "relation",
            Self::Process => "process",
            Self::SpillFiles => "spillFiles",
            Self::ShuffleFiles => "shuffleFiles",
            Self::Files => "files",
            Self::Asked => "asked",
        }
    }
}

/// One line of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What the bytes are.
    pub holding: Holding,
    /// Operator, dataset, table; empty where the kind says all.
    pub name: String,
    /// The task that holds them, if one does.
    pub task_id: Option<u64>,
    /// Its stage, or the stage that they come from.
    pub stage_id: Option<u32>,
    /// How many, bytes.
    pub bytes: u64,
    /// Off the heap.
    pub off_heap: bool,
    /// Cannot be spilled or evicted.
    pub stays: bool,
}

/// How close a limit came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approach {
    /// Which.
    pub limit: Limit,
    /// The limit, bytes.
    pub limit_bytes: u64,
    /// The most that it came to, bytes.
    pub used: u64,
    /// Executor, by position in [`super::RunRecord::executors`]; `None`: the driver, or a host.
    pub executor: Option<u32>,
}

impl Approach {
    /// Bytes that were left; 0 once the limit is passed.
    pub fn headroom(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used)
    }

    /// Whether the limit is nearer, in parts of itself, than `other` is.
    pub fn is_nearer_than(&self, other: &Self) -> bool {
        let scaled = |a: &Self, b: &Self| u128::from(a.used) * u128::from(b.limit_bytes.max(1));
        scaled(self, other) > scaled(other, self)
    }
}

/// The fall of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fall {
    /// Which limit.
    pub limit: Limit,
    /// When, ns since the start.
    pub time_ns: u64,
    /// Executor, by position in [`super::RunRecord::executors`]; `None`: the driver, or a host.
    pub executor: Option<u32>,
    /// The task that passed it.
    pub task_id: Option<u64>,
    /// Stage of the task, or the stage whose results or rows passed it.
    pub stage_id: Option<u32>,
    /// Partition of the task.
    pub index: Option<u32>,
    /// What it came to, bytes.
    pub used: u64,
    /// The limit, bytes.
    pub limit_bytes: u64,
    /// Tasks that ran on the executor.
    pub running_tasks: u32,
    /// For a task's share: the execution pool at its largest, and the tasks that share it.
    pub pool: Option<SharedPool>,
    /// For a limit of time: how it was passed.
    pub silence: Option<Silence>,
    /// Who held the bytes, largest first; they sum to `used`.
    pub holders: Vec<Holder>,
}

impl Fall {
    /// A fall of which no more is known than what it came to and who held it.
    pub fn new(limit: Limit, used: u64, limit_bytes: u64, holders: Vec<Holder>) -> Self {
        Self {
            limit,
            time_ns: 0,
            executor: None,
            task_id: None,
            stage_id: None,
            index: None,
            used,
            limit_bytes,
            running_tasks: 0,
            pool: None,
            silence: None,
            holders,
        }
    }

    /// Bytes over the limit.
    pub fn over(&self) -> u64 {
        self.used.saturating_sub(self.limit_bytes)
    }
}

/// An executor that the driver did not hear of in time, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// The collection under way.
    pub pause_ns: u64,
    /// Since its last heartbeat.
    pub silent_ns: u64,
    /// What the driver allows.
    pub timeout_ns: u64,
}

/// An execution pool that tasks share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedPool {
    /// Bytes that it could grow to: the region less what storage holds and keeps.
    pub bytes: u64,
    /// Bytes that nobody held.
    pub free: u64,
    /// Tasks that had asked for memory.
    pub active_tasks: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_limit_is_the_fuller_one() {
        let of = |used, limit_bytes| Approach { limit: Limit::Heap, limit_bytes, used, executor: None };
        assert!(of(90, 100).is_nearer_than(&of(800, 1_000)));
        assert!(!of(90, 100).is_nearer_than(&of(900, 1_000)));
        assert!(of(u64::MAX, u64::MAX).is_nearer_than(&of(0, 0)));
        assert_eq!((of(90, 100).headroom(), of(110, 100).headroom()), (10, 0));
    }
}
