//! The ledger of one task: what it asked of execution memory, what it got, where it waited and what it spilled.

/// The task that a run follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracedTask {
    /// Of this id.
    Id(u64),
    /// All attempts of a partition of a stage.
    Partition {
        /// Spark's stage id.
        stage_id: u32,
        /// Partition.
        index: u32,
    },
}

/// Kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceKind {
    /// The task was launched.
    Start,
    /// A request was granted whole.
    Grant,
    /// A request was granted in part, or got nothing.
    GrantShort,
    /// The task waits: it would stay under half its share.
    Wait,
    /// Less was to be had than the operator cannot do without: it spills itself or fails the task.
    Refuse,
    /// An operator spilled.
    Spill,
    /// The task ended.
    End,
}

impl TraceKind {
    /// Word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Grant => "grant",
            Self::GrantShort => "grant_short",
            Self::Wait => "wait",
            Self::Refuse => "refuse",
            Self::Spill => "spill",
            Self::End => "end",
        }
    }
}

/// One line of a task's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// When, ns since the start.
    pub time_ns: u64,
    /// Task id.
    pub task_id: u64,
    /// Spark's stage id.
    pub stage_id: u32,
    /// Partition.
    pub index: u32,
    /// Attempt of the partition.
    pub attempt: u32,
    /// Executor, by position in [`super::RunRecord::executors`].
    pub executor: u32,
    /// Operator; empty for start and end.
    pub operator: String,
    /// For a spill that another operator's request made: that operator. For the end: why it failed.
    pub detail: String,
    /// What.
    pub kind: TraceKind,
    /// Bytes asked for.
    pub wanted: u64,
    /// Bytes given; for a spill, released.
    pub got: u64,
    /// Bytes that the task holds afterwards.
    pub held: u64,
    /// What the execution pool could grow to, bytes.
    pub pool_bytes: u64,
    /// What nobody held of the pool, bytes.
    pub pool_free: u64,
    /// Tasks that share it.
    pub active_tasks: u32,
}
