//! What one task asks of execution memory and gets, request by request, for whoever wants to follow it. Off unless asked for;
//! then it costs one entry a request.

use super::OperatorIndex;

/// What became of a request, or what a spill gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// All that was asked for.
    Granted,
    /// Less than was asked for; the operator spills itself, goes on with less, or fails.
    Short,
    /// The task waits below half its share (EXEC-4).
    Waits,
    /// Less was to be had than a page or array needs: the request throws, and the operator spills itself or fails the task.
    Refused,
    /// An operator spilled; `got` is what that released. Whose request made it, if another's.
    Spilled(Option<OperatorIndex>),
}

/// One line of a task's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceEntry {
    /// Who.
    pub operator: OperatorIndex,
    /// What.
    pub event: TraceEvent,
    /// Bytes asked for; 0 for a spill.
    pub wanted: u64,
    /// Bytes given, or released by a spill.
    pub got: u64,
    /// Bytes that the task holds afterwards, in both modes.
    pub held: u64,
    /// What the execution pool could grow to then, bytes.
    pub pool_bytes: u64,
    /// What nobody held of the pool then, bytes.
    pub pool_free: u64,
    /// Tasks that share it.
    pub active_tasks: u32,
}

/// Entries under way.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) entries: Vec<TraceEntry>,
    /// Bytes of the request under way.
    pub(super) wanted: u64,
}
