//! What kind of death a run died, as an operator would call it.

use crate::conf::Master;
use crate::record::{Limit, Outcome, RunRecord};

/// The limit that ended an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// None: it ended well.
    None,
    /// `-Xmx` of an executor: `Java heap space`.
    JavaHeap,
    /// The JVM gave up collecting: `GC overhead limit exceeded`.
    GcLimit,
    /// Spark's own out-of-memory error: a task's share of execution memory.
    SparkOutOfMemory,
    /// A limit on the process tree that no cluster manager of Spark's set: a cgroup.
    ContainerLimit,
    /// A Kubernetes pod's limit.
    PodLimit,
    /// YARN's check of physical memory.
    YarnCheck,
    /// The kernel's OOM killer: the host ran out of RAM and swap.
    HostOomKiller,
    /// `spark.driver.maxResultSize`.
    DriverResult,
    /// `-Xmx` of the driver.
    DriverHeap,
    /// The driver did not hear of an executor in time.
    Heartbeat,
    /// A host that swaps so hard that tasks stand still.
    Timeout,
    /// A local disk is full.
    DiskFull,
    /// Spark or the cluster manager refuses to start it.
    Refused,
    /// No task can go on.
    Stuck,
}

impl Class {
    /// The class of a run under a cluster manager.
    pub fn of(record: &RunRecord, master: Option<&Master>) -> Self {
        let driver_fell = record
            .limits
            .iter()
            .any(|approach| approach.limit == Limit::DriverHeap && approach.used > approach.limit_bytes);
        match record.outcome {
            Outcome::Ok => Self::None,
            Outcome::HeapOom => Self::JavaHeap,
            Outcome::GcOverhead => Self::GcLimit,
            Outcome::SparkOom if driver_fell => Self::DriverHeap,
            Outcome::SparkOom => Self::SparkOutOfMemory,
            Outcome::ContainerKilled => match master {
                Some(Master::Yarn) => Self::YarnCheck,
                Some(Master::Kubernetes) => Self::PodLimit,
                _ => Self::ContainerLimit,
            },
            Outcome::HostOomKilled => Self::HostOomKiller,
            Outcome::MaxResultSize => Self::DriverResult,
            Outcome::DriverOom => Self::DriverHeap,
            Outcome::DiskFull => Self::DiskFull,
            Outcome::Timeout if record.last_limit == Some(Limit::Heartbeat) => Self::Heartbeat,
            Outcome::Timeout => Self::Timeout,
            Outcome::Refused => Self::Refused,
            Outcome::Other => Self::Stuck,
        }
    }

    /// Name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::JavaHeap => "javaHeap",
            Self::GcLimit => "gcLimit",
            Self::SparkOutOfMemory => "sparkOutOfMemory",
            Self::ContainerLimit => "containerLimit",
            Self::PodLimit => "podLimit",
            Self::YarnCheck => "yarnCheck",
            Self::HostOomKiller => "hostOomKiller",
            Self::DriverResult => "driverResult",
            Self::DriverHeap => "driverHeap",
            Self::Heartbeat => "heartbeatTimeout",
            Self::Timeout => "timeout",
            Self::DiskFull => "diskFull",
            Self::Refused => "refused",
            Self::Stuck => "stuck",
        }
    }

    /// What an operator calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "no limit",
            Self::JavaHeap => "Java heap of an executor (-Xmx)",
            Self::GcLimit => "GC overhead limit",
            Self::SparkOutOfMemory => "Spark's own OutOfMemory (a task's share of execution memory)",
            Self::ContainerLimit => "container limit (cgroup)",
            Self::PodLimit => "pod limit (cgroup, exit code 137)",
            Self::YarnCheck => "YARN's check of physical memory",
            Self::HostOomKiller => "the host's OOM killer (exit code 137)",
            Self::DriverResult => "driver result size (spark.driver.maxResultSize)",
            Self::DriverHeap => "Java heap of the driver (-Xmx)",
            Self::Heartbeat => "heartbeat timeout (the driver gives up an executor that collects garbage)",
            Self::Timeout => "time-out: the host swaps and tasks stand still",
            Self::DiskFull => "full local disk",
            Self::Refused => "refused at the start",
            Self::Stuck => "no task can go on",
        }
    }

    /// The limit in bytes behind it, where there is one.
    pub fn limit(self) -> Option<Limit> {
        match self {
            Self::JavaHeap | Self::GcLimit => Some(Limit::Heap),
            Self::SparkOutOfMemory => Some(Limit::TaskShare),
            Self::ContainerLimit | Self::PodLimit | Self::YarnCheck => Some(Limit::Container),
            Self::DriverResult => Some(Limit::ResultSize),
            Self::DriverHeap => Some(Limit::DriverHeap),
            Self::HostOomKiller => Some(Limit::Host),
            // Only a host that thrashes stands still so long in the simulation.
            Self::Timeout => Some(Limit::Memory),
            Self::Heartbeat => Some(Limit::Heartbeat),
            Self::DiskFull => Some(Limit::Disk),
            Self::None | Self::Refused | Self::Stuck => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_told_by_its_limit_not_by_its_words() {
        let of = |last_limit, reason: &str| {
            let reason = reason.to_owned();
            let record = RunRecord { outcome: Outcome::Timeout, last_limit, reason, ..RunRecord::default() };
            Class::of(&record, None)
        };
        assert_eq!(of(Some(Limit::Heartbeat), "in other words"), Class::Heartbeat);
        assert_eq!(of(Some(Limit::Memory), "host \"heartbeat timed out\" thrashes"), Class::Timeout);
    }
}
