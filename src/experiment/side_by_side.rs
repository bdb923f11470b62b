//! Two configurations of one application side by side, over replications that see the same draws, and the two bounds that
//! no configuration gets below: memory without end, and spills that cost nothing.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::base::{Base, Prepared};
use super::explain::explain;
use super::statistics::{Interval, Intervals, Paired, Sample};
use crate::memory::{StaticRegions, UnifiedRegions};
use crate::record::columns::{STAGES, SUMMARY, Unit, total_of};
use crate::record::{Outcome, RunRecord, StageRecord};
use crate::sim::{Processes, Regions};

/// A heap that nothing fills, bytes: 4 PiB leave room to add several of them up.
const ENDLESS: u64 = 1 << 52;

/// A quantity of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its column.
    pub name: &'static str,
    /// Unit of the column.
    pub unit: Unit,
    /// Means of both sides over the pairs of which both ended well.
    pub means: [f64; 2],
    /// Standard deviations of both; `None` of fewer than two pairs.
    pub deviations: Option<[f64; 2]>,
    /// Second less first.
    pub paired: Paired,
}

/// A stage of both sides; a side in which it did not run has no numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct StageDifference {
    /// Spark's stage id.
    pub stage_id: u32,
    /// Name.
    pub name: String,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// A bound of one side: mean `wallMs` over the replications that end well.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// With memory without end: nothing spills, nothing is evicted, little is collected.
    pub endless_memory: Option<f64>,
    /// With the memory that it has, and spills that cost no time.
    pub free_spills: Option<f64>,
}

/// Two configurations side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Replications.
    pub runs: u32,
    /// Endings of both sides, in the order of replications, with the reasons.
    pub endings: [Vec<(Outcome, String)>; 2],
    /// Quantities of the whole run.
    pub totals: Vec<Difference>,
    /// Quantities of each stage, in the order of the first side.
    pub stages: Vec<StageDifference>,
    /// Why the second differs from the first, in words.
    pub causes: Vec<String>,
    /// What either side could gain at most.
    pub bounds: [Bounds; 2],
    /// Bytes that the executors take.
    pub allocated_memory: [Option<u64>; 2],
}

/// Columns of a stage that are compared.
const OF_STAGE: [&str; 6] =
    ["wallMs", "tasks", "memoryBytesSpilled", "diskBytesSpilled", "jvmGcTime", "executorRunTime"];

/// Compares two configurations over `runs` replications.
pub fn compare(base: &Base, sides: [&Prepared; 2], runs: u32, confidence: f64) -> Comparison {
    let records: Vec<[RunRecord; 2]> =
        (0..runs).into_par_iter().map(|r| sides.map(|side| base.run(side, r, false))).collect();
    let mut intervals = Intervals::new(confidence);
    let ok = |pair: &&[RunRecord; 2]| pair.iter().all(|run| run.outcome == Outcome::Ok);
    let pairs: Vec<&[RunRecord; 2]> = records.iter().filter(ok).collect();
    let totals = SUMMARY
        .columns()
        .filter(|(_, unit, _)| *unit != Unit::None)
        .filter_map(|(name, unit, _)| {
            let values = pairs.iter().filter_map(|pair| {
                let [a, b] = [0, 1].map(|side| total_of(&pair[side], name));
                Some((a?, b?))
            });
            difference(name, unit, values.collect(), &mut intervals)
        })
        .collect();
    let stages = stages(&pairs, &mut intervals);
    let causes = records.first().map_or_else(Vec::new, |[first, second]| explain(first, second));
    let bounds = sides.map(|side| bounds(base, side, runs));
    let endings = [0, 1]
        .map(|side| records.iter().map(|pair| (pair[side].outcome, pair[side].reason.clone())).collect());
    let allocated_memory = sides.map(Prepared::allocated_memory);
    Comparison { runs, endings, totals, stages, causes, bounds, allocated_memory }
}

fn difference(
    name: &'static str,
    unit: Unit,
    pairs: Vec<(f64, f64)>,
    intervals: &mut Intervals,
) -> Option<Difference> {
    if pairs.is_empty() {
        return None;
    }
    let [a, b] = [Sample::of(pairs.iter().map(|pair| pair.0)), Sample::of(pairs.iter().map(|pair| pair.1))];
    let means = [a.mean, b.mean];
    let deviations = a.deviation().zip(b.deviation()).map(|(a, b)| [a, b]);
    Some(Difference { name, unit, means, deviations, paired: intervals.paired(pairs) })
}

fn stages(pairs: &[&[RunRecord; 2]], intervals: &mut Intervals) -> Vec<StageDifference> {
    let mut seen: Vec<(u32, String)> = Vec::new();
    for stage in pairs.iter().flat_map(|pair| pair.iter()).flat_map(|run| &run.stages) {
        if !seen.iter().any(|(id, _)| *id == stage.stage_id) {
            seen.push((stage.stage_id, stage.name.clone()));
        }
    }
    let each = seen.into_iter().map(|(stage_id, name)| {
        let differences = OF_STAGE.iter().filter_map(|column| {
            let unit = STAGES.unit(column).unwrap_or(Unit::None);
            let values = pairs.iter().filter_map(|pair| {
                let [a, b] = [0, 1].map(|side| of_stage(&pair[side], stage_id, column));
                Some((a?, b?))
            });
            difference(column, unit, values.collect(), intervals)
        });
        StageDifference { stage_id, differences: differences.collect(), name }
    });
    each.collect()
}

/// A quantity of a stage over its attempts.
fn of_stage(run: &RunRecord, stage_id: u32, column: &str) -> Option<f64> {
    let attempts: Vec<&StageRecord> = run.stages.iter().filter(|stage| stage.stage_id == stage_id).collect();
    if attempts.is_empty() {
        return None;
    }
    let cell = |stage: &&StageRecord| STAGES.cell(column, run, stage)?.number();
    Some(attempts.iter().filter_map(cell).sum())
}

/// What a side could gain at most.
fn bounds(base: &Base, side: &Prepared, runs: u32) -> Bounds {
    let Prepared::Ready { settings, processes } = side else { return Bounds::default() };
    let endless = Prepared::Ready { settings: settings.clone(), processes: without_end(processes) };
    let mean = |run: &(dyn Fn(u32) -> RunRecord + Sync)| {
        let walls: Vec<Option<f64>> = (0..runs)
            .into_par_iter()
            .map(|replication| {
                let record = run(replication);
                (record.outcome == Outcome::Ok).then_some(record.wall_ns as f64 / 1e6)
            })
            .collect();
        let sample = Sample::of(walls.into_iter().flatten());
        (sample.count > 0).then_some(sample.mean)
    };
    Bounds {
        endless_memory: mean(&|replication| base.run(&endless, replication, false)),
        free_spills: mean(&|replication| {
            let mut workload = (*base.workload(replication)).clone();
            workload.rates.spill_write_ns_per_byte = 0.0;
            workload.rates.spill_read_ns_per_byte = 0.0;
            // What is compressed to nothing needs no disk.
            workload.rates.spill_compression = 0.0;
            base.run_on(&workload, side, replication, false)
        }),
    }
}

/// The same processes with memory that nothing fills.
fn without_end(processes: &Processes) -> Processes {
    let mut processes = processes.clone();
    processes.driver_heap = ENDLESS;
    // Hosts of which nothing is said have enough for everybody.
    processes.memory.clear();
    for executor in &mut processes.executors {
        executor.heap = ENDLESS;
        executor.container_limit = None;
        executor.regions = match executor.regions {
            Regions::Unified(regions) => Regions::Unified(UnifiedRegions {
                on_heap: ENDLESS / 2,
                on_heap_storage: ENDLESS / 4,
                off_heap: if regions.off_heap > 0 { ENDLESS / 2 } else { 0 },
                off_heap_storage: if regions.off_heap > 0 { ENDLESS / 4 } else { 0 },
            }),
            Regions::Static(regions) => Regions::Static(StaticRegions {
                execution: ENDLESS / 4,
                storage: ENDLESS / 4,
                max_unroll: ENDLESS / 8,
                off_heap: if regions.off_heap > 0 { ENDLESS / 2 } else { 0 },
            }),
        };
    }
    processes
}

impl Comparison {
    /// The difference of a quantity of the whole run.
    pub fn total(&self, name: &str) -> Option<&Difference> {
        self.totals.iter().find(|difference| difference.name == name)
    }

    /// Replications of a side that end well.
    pub fn ok(&self, side: usize) -> usize {
        self.endings[side].iter().filter(|(outcome, _)| *outcome == Outcome::Ok).count()
    }
}

impl Difference {
    /// Whether the interval of the difference leaves 0 out; `None` where there is no interval.
    pub fn is_sure(&self) -> Option<bool> {
        self.paired.interval.map(|Interval { low, high }| low > 0.0 || high < 0.0)
    }
}
