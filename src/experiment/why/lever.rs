//! The settings that act on a limit, and how far each can be moved.

use super::bench::Change;
use crate::cluster::container::executor_container;
use crate::conf::{Collector, Master, Settings, least_memory};
use crate::record::{Holding, Limit};
use crate::units::MIB;

/// How many times over a size is raised before it counts as no help.
const RAISE_MAX: u64 = 32;
/// How many times over a number of partitions is raised.
const PARTITIONS_RAISE_MAX: u64 = 64;
/// Most partitions that are tried.
const PARTITIONS_MAX: u64 = 20_000;
/// Largest `spark.memory.fraction` that is tried, in percent: more leaves user code no heap.
const FRACTION_MAX: u64 = 90;
/// Smallest, in percent.
const FRACTION_MIN: u64 = 10;

/// What a value of a lever does to the configuration.
type Write = Box<dyn Fn(u64) -> Vec<Change> + Send + Sync>;

/// A setting that can be moved from what it is towards a bound.
pub struct Lever {
    /// Property, as reports name it.
    pub key: String,
    /// The value that holds now, as written.
    pub from_text: String,
    /// The same as a number in the lever's unit.
    pub from: u64,
    /// The last value that is tried.
    pub to: u64,
    write: Write,
}

impl std::fmt::Debug for Lever {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {} to {}", self.key, self.from, self.to)
    }
}

impl Lever {
    /// A lever whose values are written by `text`.
    pub fn new(key: &str, from: u64, to: u64, text: impl Fn(u64) -> String + Send + Sync + 'static) -> Self {
        let owned = key.to_owned();
        let from_text = text(from);
        let write = Box::new(move |value| vec![Change::new(&owned, text(value))]);
        Self { key: key.to_owned(), from_text, from, to, write }
    }

    /// The changes that make the setting `value`.
    pub fn changes(&self, value: u64) -> Vec<Change> {
        (self.write)(value)
    }

    /// Whether it moves upwards.
    pub fn is_up(&self) -> bool {
        self.to > self.from
    }

    /// The values that are tried first: each twice or half the one before.
    pub fn ladder(&self) -> Vec<u64> {
        let mut values = Vec::new();
        let mut value = self.from;
        while value != self.to {
            value = if self.is_up() {
                value.max(1).saturating_mul(2).min(self.to)
            } else {
                (value / 2).max(self.to)
            };
            values.push(value);
        }
        values
    }
}

/// Mebibytes as Spark writes them.
pub fn mib(value: u64) -> String {
    format!("{value}m")
}

fn hundredths(value: u64) -> String {
    format!("{}", value as f64 / 100.0)
}

/// The heap of whoever runs tasks.
pub fn heap(settings: &Settings) -> Lever {
    match settings.master {
        Master::Local { .. } => driver_heap(settings),
        Master::LocalCluster { executors, cores, memory_mib } => {
            let from = settings.executor.memory / MIB;
            let mut lever = Lever::new("spark.executor.memory", from, from * RAISE_MAX, mib);
            // Its workers have a memory of their own, which the executor must fit into.
            lever.write = Box::new(move |value| {
                let memory = u64::from(memory_mib).max(value);
                vec![
                    Change::new("spark.executor.memory", mib(value)),
                    Change::new("spark.master", format!("local-cluster[{executors},{cores},{memory}]")),
                ]
            });
            lever
        }
        _ => {
            let from = settings.executor.memory / MIB;
            Lever::new("spark.executor.memory", from, from * RAISE_MAX, mib)
        }
    }
}

/// A smaller heap, for the sake of what lies beside it.
pub fn smaller_heap(settings: &Settings) -> Lever {
    let Lever { key, from_text, from, write, .. } = heap(settings);
    Lever { key, from_text, from, to: (from / 8).max(least_memory(settings) / MIB).min(from), write }
}

/// The driver's heap.
pub fn driver_heap(settings: &Settings) -> Lever {
    let from = settings.driver.memory / MIB;
    Lever::new("spark.driver.memory", from, from * RAISE_MAX, mib)
}

/// Fewer tasks at once on an executor that runs `cores` of them now.
pub fn fewer_cores(settings: &Settings, cores: u64) -> Lever {
    match settings.master {
        Master::Local { max_failures, .. } => Lever::new("spark.master", cores, 1, move |value| {
            if max_failures == 1 {
                format!("local[{value}]")
            } else {
                format!("local[{value},{max_failures}]")
            }
        }),
        Master::LocalCluster { executors, memory_mib, .. } => {
            Lever::new("spark.master", cores, 1, move |value| {
                format!("local-cluster[{executors},{value},{memory_mib}]")
            })
        }
        _ => Lever::new("spark.executor.cores", cores, 1, |value| value.to_string()),
    }
}

/// More partitions of shuffles.
pub fn more_partitions(settings: &Settings) -> Lever {
    let from = u64::from(settings.sql.shuffle_partitions);
    let to = (from * PARTITIONS_RAISE_MAX).min(PARTITIONS_MAX).max(from);
    Lever::new("spark.sql.shuffle.partitions", from, to, |value| value.to_string())
}

/// Fewer partitions of shuffles.
pub fn fewer_partitions(settings: &Settings) -> Lever {
    let from = u64::from(settings.sql.shuffle_partitions);
    Lever::new("spark.sql.shuffle.partitions", from, 1, |value| value.to_string())
}

/// Smaller partitions after coalescing, where adaptive execution coalesces.
pub fn smaller_coalesced(settings: &Settings) -> Option<Lever> {
    let adaptive = &settings.sql.adaptive;
    let from = adaptive.advisory_partition_size / MIB;
    (adaptive.enabled && adaptive.coalesce_enabled && from > 1)
        .then(|| Lever::new("spark.sql.adaptive.advisoryPartitionSizeInBytes", from, 1, mib))
}

/// Smaller partitions of files.
pub fn smaller_splits(settings: &Settings) -> Lever {
    let from = (settings.sql.files_max_partition_bytes / MIB).max(1);
    Lever::new("spark.sql.files.maxPartitionBytes", from, 1, mib)
}

/// The share of the heap that Spark manages, larger.
pub fn larger_fraction(settings: &Settings) -> Lever {
    let from = percent(settings.memory.fraction);
    Lever::new("spark.memory.fraction", from, FRACTION_MAX.max(from), hundredths)
}

/// The share of the heap that Spark manages, smaller: what it does not manage has more room.
pub fn smaller_fraction(settings: &Settings) -> Lever {
    let from = percent(settings.memory.fraction);
    Lever::new("spark.memory.fraction", from, FRACTION_MIN.min(from), hundredths)
}

/// The part of the region that execution cannot take from cached blocks, smaller.
pub fn smaller_storage(settings: &Settings) -> Lever {
    Lever::new("spark.memory.storageFraction", percent(settings.memory.storage_fraction), 0, hundredths)
}

/// The part of the region that execution cannot take from cached blocks, larger.
pub fn larger_storage(settings: &Settings) -> Lever {
    Lever::new("spark.memory.storageFraction", percent(settings.memory.storage_fraction), 100, hundredths)
}

fn percent(fraction: f64) -> u64 {
    (fraction * 100.0).round().clamp(0.0, 100.0) as u64
}

/// What a container has beyond the heap; where no cluster manager sizes containers, the limit itself.
pub fn overhead(settings: &Settings, python: bool) -> Lever {
    if let Some(limit) = settings.knobs.container_limit {
        let from = limit / MIB;
        return Lever::new("spillcast.containerLimit", from, from * RAISE_MAX, mib);
    }
    let from = executor_container(settings, python).overhead_mib.max(1) as u64;
    Lever::new("spark.executor.memoryOverhead", from, from * RAISE_MAX * 4, mib)
}

/// What one action may send to the driver.
pub fn result_size(settings: &Settings) -> Option<Lever> {
    let from = (settings.driver.max_result_size? / MIB).max(1);
    Some(Lever::new("spark.driver.maxResultSize", from, from * RAISE_MAX * RAISE_MAX, mib))
}

/// Another collector for every JVM; none where it is the one that runs now.
pub fn collector(now: Option<Collector>, to: Collector) -> Option<Lever> {
    let from = now.map_or("the JVM's choice", Collector::as_str);
    (now != Some(to)).then(|| word("spillcast.collector", from, to.as_str()))
}

/// How long the driver waits for a heartbeat, seconds.
pub fn timeout(settings: &Settings) -> Lever {
    let scheduling = &settings.scheduling;
    let key = if scheduling.executor_timeout_is_own {
        "spark.storage.blockManagerHeartbeatTimeoutMs"
    } else {
        "spark.network.timeout"
    };
    let from = (scheduling.executor_timeout.0 / 1_000_000_000).max(1);
    Lever::new(key, from, from * RAISE_MAX, |value| format!("{value}s"))
}

/// A setting that has one other value worth trying.
pub fn word(key: &str, from: &str, to: &str) -> Lever {
    let from_text = from.to_owned();
    let (owned, to) = (key.to_owned(), to.to_owned());
    let write = Box::new(move |_| vec![Change::new(&owned, to.as_str())]);
    Lever { key: key.to_owned(), from_text, from: 0, to: 1, write }
}

/// What the bytes over a limit are, as far as it decides which settings act on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Cached blocks.
    pub cached: bool,
    /// Broadcast tables.
    pub broadcast: bool,
    /// Execution memory or heap of operators.
    pub operators: bool,
    /// Hash relations of shuffled joins.
    pub relations: bool,
}

impl Held {
    /// Which kinds hold bytes of a ledger.
    pub fn of(holders: &[crate::record::Holder]) -> Self {
        let any = |kinds: &[Holding]| holders.iter().any(|holder| kinds.contains(&holder.holding));
        Self {
            cached: any(&[Holding::Cached]),
            broadcast: any(&[
                Holding::Broadcast,
                Holding::BroadcastOnHeap,
                Holding::Relation,
                Holding::Collected,
            ]),
            operators: any(&[Holding::Execution, Holding::UserHeap, Holding::Python, Holding::Asked]),
            relations: holders.iter().any(|h| h.holding == Holding::Execution && h.stays),
        }
    }
}

/// The settings that act on a limit; the first is the limit's own.
pub fn of_limit(limit: Limit, held: Held, settings: &Settings, cores: u64, python: bool) -> Vec<Lever> {
    let mut levers = Vec::new();
    match limit {
        Limit::Heap => {
            levers.extend([heap(settings), fewer_cores(settings, cores)]);
            if held.operators {
                levers.extend([
                    more_partitions(settings),
                    smaller_splits(settings),
                    smaller_fraction(settings),
                ]);
                levers.extend(smaller_coalesced(settings));
            }
            if held.cached {
                levers.push(word("spillcast.storageLevel", "the application's", "MEMORY_AND_DISK_SER"));
                levers.push(word("spillcast.storageLevel", "the application's", "DISK_ONLY"));
            }
        }
        Limit::TaskShare => {
            levers.extend([
                heap(settings),
                fewer_cores(settings, cores),
                more_partitions(settings),
                larger_fraction(settings),
                smaller_storage(settings),
            ]);
            levers.extend(smaller_coalesced(settings));
            if held.relations {
                levers.push(word("spark.sql.join.preferSortMergeJoin", "false", "true"));
            }
        }
        Limit::Container => {
            levers.extend([overhead(settings, python), fewer_cores(settings, cores), smaller_heap(settings)]);
            if held.operators {
                levers.extend([more_partitions(settings), smaller_splits(settings)]);
            }
        }
        Limit::ResultSize => levers.extend(result_size(settings)),
        Limit::DriverHeap => levers.push(driver_heap(settings)),
        Limit::Host | Limit::Memory => levers.extend([
            smaller_heap(settings),
            fewer_cores(settings, cores),
            more_partitions(settings),
            smaller_fraction(settings),
        ]),
        Limit::Heartbeat => {
            levers.extend([timeout(settings), heap(settings), fewer_cores(settings, cores)]);
            levers.extend([smaller_heap(settings), smaller_fraction(settings)]);
            if held.operators {
                levers.push(more_partitions(settings));
            }
            if held.cached {
                levers.push(word("spillcast.storageLevel", "the application's", "DISK_ONLY"));
            }
        }
        Limit::Disk => levers.extend([
            heap(settings),
            more_partitions(settings),
            larger_fraction(settings),
            word("spillcast.storageLevel", "the application's", "MEMORY_ONLY"),
        ]),
    }
    if held.broadcast {
        let from = settings.sql.auto_broadcast_join_threshold;
        let from = from.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        if from != "-1" {
            levers.push(word("spark.sql.autoBroadcastJoinThreshold", &from, "-1"));
        }
    }
    levers.retain(|lever| lever.from != lever.to);
    levers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_double_or_halve_and_end_at_the_bound() {
        let up = Lever::new("x", 3, 20, |value| value.to_string());
        assert_eq!(up.ladder(), [6, 12, 20]);
        let down = Lever::new("x", 9, 1, |value| value.to_string());
        assert_eq!(down.ladder(), [4, 2, 1]);
        let zero = Lever::new("x", 0, 3, |value| value.to_string());
        assert_eq!(zero.ladder(), [2, 3]);
        assert_eq!(word("k", "a", "b").ladder(), [1]);
        assert_eq!(word("k", "a", "b").changes(1), [Change::new("k", "b")]);
    }
}
