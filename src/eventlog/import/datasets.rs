//! What the application cached: which partitions, how large, and what computing them costs.
//!
//! Sizes come from block updates; a log without them still tells the size of a block by the bytes that a task reads from
//! the cache. A task that computed its partition read its rows one by one; one that found it read batches, so the records
//! read tell the two apart.

use std::collections::BTreeMap;

use super::honesty::Honesty;
use super::stages::StageRun;
use crate::eventlog::app_log::{AppLog, BlockName, RddRecord, StorageLevel as LoggedLevel};
use crate::memory::StorageLevel;
use crate::workload::{CachedPartition, Dataset};

/// Serialized bytes for one byte of a deserialized block of column batches, which hardly differ (CACHE-1).
const COLUMN_BATCHES_SERIALIZED: f64 = 1.0;
/// Serialized bytes for one byte of objects on the heap: Java objects are two to five times their serialized form.
const OBJECTS_SERIALIZED: f64 = 0.4;

/// A cached dataset of the log.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) rdd_id: u32,
    pub(super) dataset: Dataset,
    /// By stage id: whether each of its tasks computed its partition.
    pub(super) computed: BTreeMap<u32, Vec<bool>>,
    /// Work to compute one partition, ns.
    pub(super) compute_ns: u64,
}

/// Finds the datasets that stages read from the cache.
pub(super) fn datasets(log: &AppLog, runs: &[StageRun<'_>], honesty: &mut Honesty) -> Vec<Cached> {
    let mut found: Vec<Cached> = Vec::new();
    for rdd in &log.rdds {
        let readers: Vec<&StageRun<'_>> =
            runs.iter().filter(|run| cached_in(run, rdd.rdd_id).is_some()).collect();
        let Some(level) = readers.iter().find_map(|run| cached_in(run, rdd.rdd_id)) else { continue };
        found.push(cached(log, rdd, level, &readers, honesty));
    }
    found
}

/// The level under which a stage knows an RDD as cached.
pub(super) fn cached_in(run: &StageRun<'_>, rdd: u32) -> Option<LoggedLevel> {
    run.record.rdds.iter().find(|r| r.rdd_id == rdd && r.storage.is_cached()).map(|r| r.storage)
}

/// A storage level as the log states it.
pub(super) fn level(logged: LoggedLevel) -> StorageLevel {
    StorageLevel {
        use_disk: logged.use_disk,
        use_memory: logged.use_memory,
        use_off_heap: logged.use_off_heap,
        deserialized: logged.deserialized,
        replication: logged.replication.max(1),
    }
}

fn cached(
    log: &AppLog,
    rdd: &RddRecord,
    logged: LoggedLevel,
    readers: &[&StageRun<'_>],
    honesty: &mut Honesty,
) -> Cached {
    let level = level(logged);
    let column_batches = rdd.scope.as_deref().is_some_and(|scope| scope.contains("InMemoryTableScan"));
    let serialized_share = if column_batches { COLUMN_BATCHES_SERIALIZED } else { OBJECTS_SERIALIZED };
    let count = rdd.partitions.max(1) as usize;
    let mut partitions = vec![CachedPartition::default(); count];
    for update in &log.block_updates {
        let BlockName::Rdd { rdd_id, partition } = update.block else { continue };
        if rdd_id != rdd.rdd_id || partition as usize >= count {
            continue;
        }
        let known = &mut partitions[partition as usize];
        if update.storage.deserialized {
            known.memory_bytes = known.memory_bytes.max(update.memory_bytes);
        } else {
            known.serialized_bytes = known.serialized_bytes.max(update.memory_bytes);
        }
        known.disk_bytes = known.disk_bytes.max(update.disk_bytes);
    }
    let (computed, elements) = computed_tasks(readers);
    for run in readers {
        let flags = &computed[&run.record.stage_id];
        for (at, metrics) in run.metrics().enumerate() {
            let (Some(metrics), Some(partition)) = (metrics, partitions.get_mut(at)) else { continue };
            if !flags[at] && partition.memory_bytes == 0 && level.deserialized {
                partition.memory_bytes = metrics.input.bytes;
            } else if !flags[at] && partition.serialized_bytes == 0 && !level.deserialized {
                partition.serialized_bytes = metrics.input.bytes;
            }
        }
    }
    fill(&mut partitions, serialized_share, &rdd.name, honesty);
    let compute_ns = compute_time(readers, &computed);
    let mean: u64 = partitions.iter().map(|p| p.memory_bytes).sum::<u64>() / count as u64;
    let unpersisted = log.unpersists.iter().find(|u| u.rdd_id == rdd.rdd_id).map(|u| u.after_ms);
    let dataset = Dataset {
        id: rdd.rdd_id,
        name: name(rdd),
        level,
        partitions,
        compute_ns_per_byte: compute_ns as f64 / mean.max(1) as f64,
        elements: elements.max(1),
        unpersist_after: unpersisted
            .and_then(|ms| log.jobs.iter().rposition(|job| job.complete_ms.is_some_and(|end| end <= ms))),
    };
    Cached { rdd_id: rdd.rdd_id, dataset, computed, compute_ns }
}

/// A name that fits a property key: plans are long.
fn name(rdd: &RddRecord) -> String {
    let first = rdd.name.lines().next().unwrap_or_default().trim();
    if first.is_empty() || first.starts_with('*') || first.contains(' ') || first.ends_with("RDD") {
        format!("rdd_{}", rdd.rdd_id)
    } else {
        first.to_owned()
    }
}

/// By stage, which tasks computed; and the elements (records read by those that did not).
fn computed_tasks(readers: &[&StageRun<'_>]) -> (BTreeMap<u32, Vec<bool>>, u64) {
    let records = |run: &StageRun<'_>| -> Vec<Option<u64>> {
        run.metrics().map(|metrics| metrics.map(|metrics| metrics.input.records)).collect()
    };
    let all: Vec<u64> = readers.iter().flat_map(|run| records(run)).flatten().filter(|&n| n > 0).collect();
    let (least, most) = (all.iter().copied().min().unwrap_or(0), all.iter().copied().max().unwrap_or(0));
    // Batches hold thousands of rows; without that gap the first reader is taken to have computed.
    let apart = most > 4 * least;
    let computed = readers
        .iter()
        .enumerate()
        .map(|(order, run)| {
            let flags = records(run).into_iter().map(|n| match n {
                Some(n) if apart => n > 4 * least,
                _ => order == 0,
            });
            (run.record.stage_id, flags.collect())
        })
        .collect();
    (computed, if apart { least } else { most })
}

/// What computing a partition adds to a task's time: the lower quarter of those that did, whose code was compiled by then,
/// less the median of those that did not.
fn compute_time(readers: &[&StageRun<'_>], computed: &BTreeMap<u32, Vec<bool>>) -> u64 {
    let times = |wanted: bool| {
        let mut times: Vec<u64> = readers
            .iter()
            .flat_map(|run| {
                let flags = &computed[&run.record.stage_id];
                run.metrics().enumerate().filter(move |(at, _)| flags[*at] == wanted).filter_map(|(_, m)| m)
            })
            .map(|metrics| {
                let running = metrics.totals.run_ms.saturating_sub(metrics.totals.gc_ms) * 1_000_000;
                if metrics.totals.cpu_ns > 0 { metrics.totals.cpu_ns.min(running) } else { running }
            })
            .collect();
        times.sort_unstable();
        times.get(times.len() / if wanted { 4 } else { 2 }).copied().unwrap_or(0)
    };
    times(true).saturating_sub(times(false))
}

/// Completes sizes that the log left open.
fn fill(partitions: &mut [CachedPartition], serialized_share: f64, name: &str, honesty: &mut Honesty) {
    let mean = |value: fn(&CachedPartition) -> u64, all: &[CachedPartition]| {
        let known: Vec<u64> = all.iter().map(value).filter(|&bytes| bytes > 0).collect();
        known.iter().sum::<u64>() / known.len().max(1) as u64
    };
    let (memory, serialized, disk) = (
        mean(|p| p.memory_bytes, partitions),
        mean(|p| p.serialized_bytes, partitions),
        mean(|p| p.disk_bytes, partitions),
    );
    if memory == 0 && serialized == 0 && disk == 0 {
        honesty.lack(format!("the size of cached {name}"), "its blocks are taken as empty");
    }
    for partition in partitions {
        let or = |own: u64, mean: u64| if own > 0 { own } else { mean };
        let known_memory = or(partition.memory_bytes, memory);
        let known_disk = or(partition.disk_bytes, disk);
        let known_serialized = or(partition.serialized_bytes, serialized);
        let serialized = match (known_serialized, known_disk, known_memory) {
            (0, 0, memory) => (memory as f64 * serialized_share) as u64,
            (0, disk, _) => disk,
            (known, ..) => known,
        };
        partition.memory_bytes =
            if known_memory > 0 { known_memory } else { (serialized as f64 / serialized_share) as u64 };
        partition.serialized_bytes = serialized;
        partition.disk_bytes = if known_disk > 0 { known_disk } else { serialized };
    }
}
