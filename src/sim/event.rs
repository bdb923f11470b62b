//! What can happen in the simulated cluster at a moment known in advance.

use crate::workload::JobIndex;

/// An event of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The driver submits a job.
    SubmitJob(JobIndex),
    /// Work on an executor's processor completes.
    Cpu { executor: usize },
    /// An executor's compiler threads have done what they had to do.
    Compiler { executor: usize },
    /// A transfer on a host's disk completes.
    Disk { host: usize },
    /// A transfer on a host's network completes.
    Network { host: usize },
    /// Pages of a host have been swapped out.
    Swap { host: usize },
    /// Pages of a host have come and gone for a while.
    Pages { host: usize },
    /// Memory and swap of a host are full and the kernel gives up looking for pages.
    OutOfMemory { host: usize },
    /// A collection that the driver may miss begins, ends, or has lasted too long.
    LongPause { executor: usize },
    /// A task has slept for memory above `memory.high`.
    SleepOver { task: usize, task_id: u64 },
    /// A task's fixed delay is over.
    Delay { task: usize, task_id: u64 },
    /// Delay scheduling may allow the next level.
    Offers,
    /// A stage whose parents were lost is submitted again.
    Resubmit { stage: usize },
    /// A replacement for a lost executor has started.
    ExecutorStarted { replaces: usize },
}
