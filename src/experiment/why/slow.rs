//! Where the time of an application that ends well goes, what the floor is, and the change that helps.
//!
//! The causes are the run's own; for each of the dearest, the settings that act on it are moved until it is gone, or to
//! where the job is fastest. What a change does to the time of the jobs is told whether it is better or worse.

use rayon::prelude::*;

use super::bench::{Bench, Change, Trial};
use super::lever::{self, Lever};
use super::machine;
use super::search::{Found, Tried, search};
use crate::conf::{Collector, Settings};
use crate::record::{RunRecord, StageRecord};
use crate::scenario::Scenario;

/// Causes that are looked into.
const CAUSES_MAX: usize = 3;
/// A cause is worth a look from this part of the task time on: one in so many.
const CAUSE_PARTS: u64 = 100;
/// A cause counts as gone when one part in so many is left.
const GONE_PARTS: u64 = 10;
/// A change that does not end its cause helps if jobs take at least one part in so many less time.
const HELP_PARTS: u64 = 50;
/// Part of the most that a setting can save that is enough: so many of so many.
const ENOUGH: (u64, u64) = (4, 5);
/// Parts into which a hot key is salted.
pub const SALT_PARTS: usize = 8;

/// A cause of lost time.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowDown {
    /// Its name, as in [`crate::record::Cause::kind`].
    pub kind: &'static str,
    /// One sentence with its numbers.
    pub text: String,
    /// Task time lost to it, ns.
    pub lost_ns: u64,
    /// What no number of partitions beats; for uneven tasks only.
    pub floor: Option<Floor>,
    /// Changes that help, the one with the shortest jobs first.
    pub helps: Vec<Help>,
    /// Settings that do not, with the last value tried.
    pub useless: Vec<super::Useless>,
}

/// A change that helps.
#[derive(Clone, Debug, PartialEq)]
pub struct Help {
    /// Setting, as reports name it.
    pub key: String,
    /// What it is now.
    pub from: String,
    /// The change and its run.
    pub tried: Tried,
    /// The cause is gone.
    pub ends: bool,
    /// The nearest smaller move that was run and under which it is not.
    pub below: Option<Vec<Change>>,
}

/// What bounds a stage from below however its data is cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// The stage.
    pub stage_id: u32,
    /// Share of the hottest key among the rows that the stage reads; none where no key is known to be hot.
    pub hot_share: Option<f64>,
    /// Time of all its tasks, ns.
    pub work_ns: u64,
    /// Its longest task now, ns.
    pub longest_ns: u64,
    /// Its longest task under as many partitions as were tried, ns, and how many.
    pub most_partitions: Option<(u64, u64)>,
    /// The jobs with the hot keys in [`SALT_PARTS`] parts each, ns: as far as simulated, without the copies of a joined
    /// side and without putting the parts of an aggregation together.
    pub salted_wall_ns: Option<u64>,
}

/// The dearest causes of a run and what helps against each.
pub(super) fn slow_downs(bench: &Bench<'_>, settings: &Settings, trial: &Trial) -> Vec<SlowDown> {
    let least = trial.record.totals.executor_run_time_ns / CAUSE_PARTS;
    let causes = trial.record.causes.iter().filter(|cause| cause.lost_ns > least).take(CAUSES_MAX);
    causes
        .map(|cause| {
            let levers = levers(bench, cause.kind, settings, trial);
            let found: Vec<Result<Help, super::Useless>> =
                levers.par_iter().map(|lever| help(bench, trial, cause.kind, lever)).collect();
            let (mut helps, mut useless) = (Vec::new(), Vec::new());
            for found in found {
                match found {
                    Ok(help) => helps.push(help),
                    Err(lever) => useless.push(lever),
                }
            }
            helps.sort_by_key(|help: &Help| {
                (machine::is_of_the_host(&help.tried.changes), help.tried.trial.record.wall_ns)
            });
            SlowDown {
                kind: cause.kind,
                text: cause.text.clone(),
                lost_ns: cause.lost_ns,
                floor: (cause.kind == "skew").then(|| floor(bench, settings, trial)).flatten(),
                helps,
                useless,
            }
        })
        .collect()
}

/// The settings that act on a cause.
fn levers(bench: &Bench<'_>, kind: &str, settings: &Settings, trial: &Trial) -> Vec<Lever> {
    let cores = trial.record.executors.iter().map(|executor| u64::from(executor.cores)).max().unwrap_or(1);
    let fewer_cores = lever::fewer_cores(settings, cores);
    let level = |to| lever::word("spillcast.storageLevel", "the application's", to);
    let mut levers = match kind {
        "spill" => {
            let mut levers = vec![
                lever::more_partitions(settings),
                lever::heap(settings),
                lever::larger_fraction(settings),
                fewer_cores,
            ];
            levers.extend(lever::smaller_coalesced(settings));
            levers
        }
        "garbage collection" => {
            let mut levers = vec![lever::heap(settings), fewer_cores, lever::more_partitions(settings)];
            let others = [Collector::G1, Collector::Parallel];
            levers.extend(others.into_iter().filter_map(|to| lever::collector(trial.collector, to)));
            levers
        }
        // More swap is among them because people try it: it is listed as no help.
        "swap" => {
            let mut levers = vec![
                lever::smaller_heap(settings),
                fewer_cores,
                lever::more_partitions(settings),
                lever::smaller_fraction(settings),
            ];
            levers.extend(machine::levers(settings, &bench.scenario().cluster));
            levers
        }
        "memory wait" => vec![fewer_cores, lever::heap(settings), lever::more_partitions(settings)],
        "recomputation" => vec![
            lever::heap(settings),
            lever::larger_storage(settings),
            lever::larger_fraction(settings),
            level("MEMORY_AND_DISK"),
            level("MEMORY_ONLY_SER"),
        ],
        "cache on disk" => vec![
            lever::heap(settings),
            lever::larger_storage(settings),
            lever::larger_fraction(settings),
            level("MEMORY_AND_DISK_SER"),
        ],
        "task overhead" => vec![lever::fewer_partitions(settings)],
        "skew" => {
            let mut levers = vec![lever::more_partitions(settings), lever::smaller_splits(settings)];
            if !settings.sql.adaptive.enabled {
                levers.push(lever::word("spark.sql.adaptive.enabled", "false", "true"));
            }
            levers
        }
        _ => Vec::new(),
    };
    levers.retain(|lever| lever.from != lever.to);
    levers
}

fn lost(record: &RunRecord, kind: &str) -> u64 {
    record.causes.iter().filter(|cause| cause.kind == kind).map(|cause| cause.lost_ns).sum()
}

fn help(bench: &Bench<'_>, trial: &Trial, kind: &str, lever: &Lever) -> Result<Help, super::Useless> {
    let before = lost(&trial.record, kind);
    let gone = |other: &Trial| {
        let left = if kind == "spill" {
            other.record.totals.memory_bytes_spilled
        } else {
            lost(&other.record, kind)
        };
        let most = if kind == "spill" { 0 } else { before / GONE_PARTS };
        // What ends a cause and takes longer is no help; only of spills people want to know where they end.
        let slower = kind != "spill" && other.record.wall_ns > trial.record.wall_ns;
        other.is_clean() && left <= most && !slower
    };
    let help = |tried: Tried, ends, below| Help {
        key: lever.key.clone(),
        from: lever.from_text.clone(),
        tried,
        ends,
        below,
    };
    let last = match search(bench, &[], lever, false, &gone) {
        Found::Reached { least, below } => {
            return Ok(help(*least, true, below.map(|below| below.changes)));
        }
        Found::Never(last) => last,
    };
    let wall = trial.record.wall_ns;
    let ladder: Vec<Tried> = lever
        .ladder()
        .into_iter()
        .map(|value| {
            let changes = lever.changes(value);
            Tried { trial: bench.run(&changes, false), changes }
        })
        .filter(|tried| tried.trial.is_clean())
        .collect();
    let saved = |tried: &Tried| wall.saturating_sub(tried.trial.record.wall_ns);
    let most = ladder.iter().map(saved).max().unwrap_or(0);
    // The first step that saves nearly as much as the best one: the rest is not worth its price.
    let enough = ladder.into_iter().find(|tried| saved(tried) * ENOUGH.1 >= most * ENOUGH.0);
    match enough {
        Some(tried) if most > wall / HELP_PARTS => Ok(help(tried, false, None)),
        _ => Err(super::Useless { key: lever.key.clone(), changes: last.changes }),
    }
}

/// The least number of shuffle partitions at which the spills of an application end.
pub fn end_of_spills(bench: &Bench<'_>, settings: &Settings) -> Found {
    let ended = |trial: &Trial| trial.is_clean() && trial.record.totals.memory_bytes_spilled == 0;
    search(bench, &[], &lever::more_partitions(settings), false, &ended)
}

/// The stage that its longest task holds up most, and what bounds it.
fn floor(bench: &Bench<'_>, settings: &Settings, trial: &Trial) -> Option<Floor> {
    let late = |stage: &StageRecord| {
        let (longest, work, tasks) = spread(&trial.record, stage.stage_id)?;
        let wall = stage.completed_ns.saturating_sub(stage.submitted_ns);
        let unused = wall.saturating_sub(work / u64::from(trial.slots.max(1)).min(tasks));
        Some((unused.min(longest - work / tasks), stage.stage_id, longest, work))
    };
    let (_, stage_id, longest_ns, work_ns) = trial
        .record
        .stages
        .iter()
        .filter_map(late)
        .max_by_key(|(late, id, ..)| (*late, std::cmp::Reverse(*id)))?;
    let shuffles = shuffles_read(bench.scenario(), stage_id);
    if shuffles.is_empty() {
        return None;
    }
    let hot_share = hot_share(bench.scenario(), stage_id);
    let partitions = lever::more_partitions(settings);
    let most_partitions = partitions.ladder().get(3).or(partitions.ladder().last()).and_then(|&most| {
        let other = bench.run(&partitions.changes(most), true);
        let (longest, ..) = spread(&other.record, stage_id)?;
        Some((longest, most))
    });
    let salted_wall_ns = hot_share.map(|_| {
        let scenario = salted(bench.scenario(), &shuffles);
        bench.of(&scenario).run(&[], false).record.wall_ns
    });
    Some(Floor { stage_id, hot_share, work_ns, longest_ns, most_partitions, salted_wall_ns })
}

/// The shuffles that a stage reads.
fn shuffles_read(scenario: &Scenario, stage_id: u32) -> Vec<usize> {
    let stage = scenario.workload.stages.iter().find(|stage| stage.id == stage_id);
    let operators = stage.into_iter().flat_map(|stage| &stage.operators);
    operators.filter_map(|operator| operator.kind.shuffle_read()).collect()
}

/// Share of the hottest key among the rows of a shuffle that a stage reads.
pub(super) fn hot_share(scenario: &Scenario, stage_id: u32) -> Option<f64> {
    let hot = |shuffle: usize| scenario.workload.shuffles[shuffle].keys.hot.first().copied();
    shuffles_read(scenario, stage_id).into_iter().filter_map(hot).reduce(f64::max)
}

/// Longest task, time of all tasks, and their number; none for a stage without tasks.
fn spread(record: &RunRecord, stage_id: u32) -> Option<(u64, u64, u64)> {
    let tasks = record.tasks.iter().filter(|task| task.stage_id == stage_id && task.failure.is_empty());
    let times: Vec<u64> = tasks.map(|task| task.finish_ns.saturating_sub(task.launch_ns)).collect();
    Some((*times.iter().max()?, times.iter().sum(), times.len() as u64))
}

/// The application with the hot keys of some shuffles in parts.
fn salted(scenario: &Scenario, shuffles: &[usize]) -> Scenario {
    let mut scenario = scenario.clone();
    for &shuffle in shuffles {
        let keys = &mut scenario.workload.shuffles[shuffle].keys;
        let parts = |&share: &f64| vec![share / SALT_PARTS as f64; SALT_PARTS];
        keys.hot = keys.hot.iter().flat_map(parts).collect();
        keys.distinct += (keys.hot.len() - keys.hot.len() / SALT_PARTS) as u64 * u64::from(keys.distinct > 0);
        keys.observed.clear();
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Distribution, Keys, Shuffle, ShufflePartitions};

    #[test]
    fn salting_keeps_the_rows_and_cuts_the_hottest_key() {
        let keys = Keys { hot: vec![0.4, 0.2], distinct: 100, observed: vec![1.0], ..Keys::default() };
        let shuffle = Shuffle {
            name: "s".to_owned(),
            partitions: ShufflePartitions::Conf,
            distribution: Distribution::Hash,
            keys,
            record_bytes: 8,
            compression: 1.0,
            map_side_combine: false,
            blocks: 0,
            relocatable: true,
        };
        let mut scenario = Scenario::default();
        scenario.workload.shuffles = vec![shuffle.clone(), shuffle];
        let salted = salted(&scenario, &[1]);
        assert_eq!(salted.workload.shuffles[0], scenario.workload.shuffles[0]);
        let keys = &salted.workload.shuffles[1].keys;
        assert_eq!((keys.hot.len(), keys.distinct), (2 * SALT_PARTS, 114));
        assert!((keys.hot[0] - 0.05).abs() < 1e-12 && (keys.hot.iter().sum::<f64>() - 0.6).abs() < 1e-12);
        assert!(keys.observed.is_empty());
    }
}
