//! From a workload and a configuration to tasks: how many each stage has and how much of everything each of them gets.
//!
//! Values that were observed one a task are used as they are while the settings that decided them are unchanged; under
//! other settings their sums are shared out anew: file splits by Spark's split rule, shuffle partitions by hashing the
//! same keys again, coalesced where adaptive execution would do so (AQE-1).

use std::collections::BTreeSet;

use super::adaptive::{self, Written};
use super::layout::Layout;
use crate::conf::Settings;
use crate::memory::operators::{GroupCurve, WindowPartitions};
use crate::units::share_of;
use crate::workload::{
    Distribution, Observed, Operator, OperatorKind, Partitioning, PerTask, Shuffle, ShuffleIndex,
    ShufflePartitions, Stage, Workload, file_partitions, filled_blocks, needs_equal_keys, reblocked_bytes,
};

/// What every stage does under one configuration.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// By stage index.
    pub stages: Vec<StagePlan>,
    /// Partitions of each shuffle as written, by shuffle index.
    pub shuffle_partitions: Vec<u32>,
}

/// The tasks of one stage.
#[derive(Clone, Debug, Default)]
pub struct StagePlan {
    /// Number of tasks.
    pub tasks: usize,
    /// By operator of the stage.
    pub operators: Vec<OperatorPlan>,
    /// Serialized result of each task, bytes.
    pub result_bytes: Vec<u64>,
    /// Fixed time before each task runs, ns.
    pub launch_ns: Vec<u64>,
    /// Bytes that each task allocates on the heap.
    pub allocated_bytes: Vec<u64>,
}

/// What one operator does in each task.
#[derive(Clone, Debug, Default)]
pub struct OperatorPlan {
    /// Rows out.
    pub rows: Vec<u64>,
    /// Own work, ns.
    pub cpu_ns: Vec<u64>,
    /// Plain heap held, bytes.
    pub heap_bytes: Vec<u64>,
    /// Bytes moved: read, fetched or written, as the kind says; empty where it moves none.
    pub bytes: Vec<u64>,
    /// Distinct keys of a build side; empty elsewhere.
    pub keys: Vec<u64>,
    /// Window partitions; empty elsewhere.
    pub window_partitions: Vec<WindowPartitions>,
}

/// The settings that decide partitioning, in the form in which a workload remembers those it was observed under.
pub fn partitioning(settings: &Settings, default_parallelism: u32) -> Observed {
    let adaptive = &settings.sql.adaptive;
    Observed {
        shuffle_partitions: settings.sql.shuffle_partitions,
        adaptive: if adaptive.enabled {
            format!(
                "coalesce={} parallelismFirst={} advisory={} min={} initial={} minPartitions={:?}",
                adaptive.coalesce_enabled,
                adaptive.parallelism_first,
                adaptive.advisory_partition_size,
                adaptive.min_partition_size,
                adaptive.initial_partition_num,
                adaptive.min_partition_num,
            )
        } else {
            "off".to_owned()
        },
        skew_join: if adaptive.enabled && adaptive.skew_join_enabled {
            format!(
                "factor={} threshold={}",
                adaptive.skewed_partition_factor, adaptive.skewed_partition_threshold
            )
        } else {
            "off".to_owned()
        },
        local_reader: adaptive.enabled && adaptive.local_shuffle_reader,
        max_partition_bytes: settings.sql.files_max_partition_bytes,
        open_cost_bytes: settings.sql.files_open_cost,
        default_parallelism: default_parallelism.max(1),
        data_scale: 1.0,
    }
}

/// Plans `workload` under `settings` with a default parallelism (all cores, unless set).
pub fn plan(workload: &Workload, settings: &Settings, default_parallelism: u32) -> Plan {
    let now = partitioning(settings, default_parallelism);
    let mut planner = Planner {
        workload,
        settings,
        now,
        scale: settings.knobs.data_scale,
        block_factors: vec![1.0; workload.shuffles.len()],
        map_shares: vec![vec![1.0]; workload.shuffles.len()],
    };
    let shuffle_partitions: Vec<u32> =
        (0..workload.shuffles.len()).map(|s| planner.partitions_written(s)).collect();
    let mut stages = vec![StagePlan::default(); workload.stages.len()];
    for index in writers_first(workload) {
        let stage = &workload.stages[index];
        let layout = planner.layout(stage);
        planner.count_blocks(stage, &layout);
        stages[index] = planner.stage(stage, &layout);
        planner.remember_maps(stage, &stages[index]);
    }
    super::sampling::skip_needless(workload, &shuffle_partitions, &mut stages);
    Plan { stages, shuffle_partitions }
}

/// Partitions that a shuffle of `rows` rows is written in.
pub fn partitions(shuffle: &Shuffle, settings: &Settings, rows: u64) -> u32 {
    if shuffle.distribution == Distribution::Single {
        return 1;
    }
    let sql = &settings.sql;
    let partitions = match shuffle.partitions {
        ShufflePartitions::Fixed(n) => n,
        ShufflePartitions::Conf if sql.adaptive.enabled && sql.adaptive.coalesce_enabled => {
            sql.adaptive.initial_partition_num
        }
        ShufflePartitions::Conf => sql.shuffle_partitions,
    };
    // Boundaries are drawn from the rows: there are no more ranges than rows (`RangePartitioner`).
    let by_rows = shuffle.distribution == Distribution::Range;
    let ranges = if by_rows { u32::try_from(rows).unwrap_or(u32::MAX) } else { u32::MAX };
    partitions.min(ranges).max(1)
}

struct Planner<'a> {
    workload: &'a Workload,
    settings: &'a Settings,
    now: Observed,
    scale: f64,
    /// By shuffle: bytes for one observed, as the number of blocks decides; 1 until the stage that writes it is planned.
    block_factors: Vec<f64>,
    /// By shuffle: share of its bytes that each map task writes; one map task until the stage that writes it is planned.
    map_shares: Vec<Vec<f64>>,
}

impl Planner<'_> {
    fn remember_maps(&mut self, stage: &Stage, planned: &StagePlan) {
        let (Some(operator), Some(plan)) = (stage.operators.last(), planned.operators.last()) else { return };
        if let OperatorKind::ShuffleWrite { shuffle, .. } = operator.kind {
            let total = plan.bytes.iter().sum::<u64>() as f64;
            if total > 0.0 {
                self.map_shares[shuffle] = plan.bytes.iter().map(|&bytes| bytes as f64 / total).collect();
            }
        }
    }

    fn partitions_written(&self, index: usize) -> u32 {
        partitions(&self.workload.shuffles[index], self.settings, self.rows_written(index))
    }

    /// Bytes now for one observed of the shuffle that a stage writes, as more or fewer and smaller blocks are written.
    fn count_blocks(&mut self, stage: &Stage, layout: &Layout) {
        let Some(Operator { kind: OperatorKind::ShuffleWrite { shuffle, bytes }, rows, .. }) =
            stage.operators.last()
        else {
            return;
        };
        let of = &self.workload.shuffles[*shuffle];
        if of.blocks == 0 || bytes.total() == 0 {
            return;
        }
        let maps = layout.shares.len() as u64;
        let rows = (rows.total() as f64 * self.scale) as u64;
        let bytes = (bytes.total() as f64 * self.scale) as u64;
        let blocks = filled_blocks(maps, u64::from(self.partitions_written(*shuffle)), rows);
        let now = reblocked_bytes(bytes, rows, of.record_bytes, of.blocks, blocks);
        self.block_factors[*shuffle] = now as f64 / bytes.max(1) as f64;
    }

    fn stage(&self, stage: &Stage, layout: &Layout) -> StagePlan {
        let tasks = layout.shares.len();
        let mut operators: Vec<OperatorPlan> = Vec::with_capacity(stage.operators.len());
        // The share of each operator's rows that each task gets, by operator.
        let mut shares: Vec<Vec<f64>> = Vec::with_capacity(stage.operators.len());
        // The part of each partition's rows that flow through each operator in each task, by operator.
        let mut parts: Vec<Option<Vec<f64>>> = Vec::with_capacity(stage.operators.len());
        // How many times the log's tasks read the rows of each operator.
        let mut times: Vec<f64> = Vec::with_capacity(stage.operators.len());
        for operator in &stage.operators {
            let part = match operator.kind {
                OperatorKind::ShuffleRead { shuffle, .. } => layout.parts(shuffle),
                _ => product(operator.inputs.iter().filter_map(|&input| parts[input].as_ref())),
            };
            let read_times = match operator.kind {
                OperatorKind::ShuffleRead { shuffle, .. } if !layout.as_observed => {
                    self.times_read(shuffle, &operator.rows)
                }
                _ if operator.inputs.len() == 1 => times[operator.inputs[0]],
                _ => 1.0,
            };
            let share = match &operator.kind {
                OperatorKind::ShuffleRead { shuffle, .. } => {
                    let keys = &self.workload.shuffles[*shuffle].keys;
                    layout.group(|partitions| keys.shares(partitions), Some(*shuffle))
                }
                OperatorKind::HashAggregate { .. } | OperatorKind::ObjectHashAggregate { .. } => {
                    self.groups_share(stage, operator.inputs.first().copied(), layout)
                }
                _ => {
                    let first = operator.inputs.first();
                    let share = first.map_or_else(|| layout.shares.clone(), |&i| shares[i].clone());
                    let others = operator.inputs.iter().skip(1).filter_map(|&input| parts[input].as_ref());
                    match product(others) {
                        Some(part) => share.iter().zip(part).map(|(share, part)| share * part).collect(),
                        None => share,
                    }
                }
            };
            let by = |amount: &PerTask, shares: &[f64]| {
                let observed = self.observed().and_then(|_| layout.of_partitions(amount, part.as_ref()));
                observed.unwrap_or_else(|| self.spread(amount, shares, layout.as_observed, read_times))
            };
            let spread = |amount: &PerTask| by(amount, &share);
            // Work follows the rows that come in: a hot key makes one task of an aggregation slow, not large.
            let work = operator.inputs.first().map_or(&share, |&input| &shares[input]);
            let (bytes, keys) = match &operator.kind {
                OperatorKind::Scan { bytes } | OperatorKind::Output { bytes } => (spread(bytes), Vec::new()),
                OperatorKind::ShuffleRead { bytes, shuffle }
                | OperatorKind::ShuffleWrite { bytes, shuffle } => {
                    let factor = self.block_factors[*shuffle];
                    let scaled = spread(bytes);
                    (scaled.into_iter().map(|bytes| (bytes as f64 * factor) as u64).collect(), Vec::new())
                }
                OperatorKind::ShuffledHashJoin { keys, .. } => (Vec::new(), spread(keys)),
                _ => (Vec::new(), Vec::new()),
            };
            let rows = spread(&operator.rows);
            let window_partitions = match operator.kind {
                OperatorKind::Window => {
                    self.window_partitions(stage, operator.inputs.first().copied(), layout, &rows)
                }
                _ => Vec::new(),
            };
            // What user code and lists of values hold grows with the rows that come in, hot keys' included.
            let mut heap_bytes = by(&operator.heap_bytes, work);
            if let (OperatorKind::ObjectHashAggregate { .. }, &[input]) =
                (&operator.kind, &operator.inputs[..])
            {
                let tasks = heap_bytes.iter_mut().zip(operators[input].rows.iter().zip(&rows));
                for (bytes, (&rows_in, &groups)) in tasks {
                    *bytes = self.held_in_lists(*bytes, rows_in, groups);
                }
            }
            operators.push(OperatorPlan {
                rows,
                cpu_ns: by(&operator.cpu_ns, work),
                heap_bytes,
                bytes,
                keys,
                window_partitions,
            });
            shares.push(share);
            parts.push(part);
            times.push(read_times);
        }
        let even = vec![1.0 / tasks.max(1) as f64; tasks];
        let heaviest = shares.first().unwrap_or(&layout.shares);
        self.charge_tasks(stage, &mut operators, tasks);
        StagePlan {
            tasks,
            result_bytes: per_task(&stage.result_bytes, &even, layout.as_observed),
            launch_ns: match &stage.launch_ns {
                PerTask::Each(values) if layout.as_observed && values.len() == tasks => values.clone(),
                // The first tasks of a JVM are not what many more would be like.
                PerTask::Each(_) | PerTask::Total(0) => vec![self.workload.rates.task_launch_ns; tasks],
                observed @ PerTask::Total(_) => per_task(observed, &even, layout.as_observed),
            },
            allocated_bytes: self.spread(&stage.allocated_bytes, heaviest, layout.as_observed, 1.0),
            operators,
        }
    }

    /// More tasks than were observed cost their fixed work each; fewer save it.
    fn charge_tasks(&self, stage: &Stage, operators: &mut [OperatorPlan], tasks: usize) {
        let observed = stage.operators.iter().find_map(|operator| match &operator.cpu_ns {
            PerTask::Each(values) => Some(values.len()),
            PerTask::Total(_) => None,
        });
        let working = operators.iter_mut().find(|operator| operator.cpu_ns.iter().any(|&ns| ns > 0));
        let (Some(observed), Some(first)) = (observed, working) else { return };
        let fixed =
            self.workload.rates.task_fixed_ns as f64 * (tasks as f64 - observed as f64) / tasks.max(1) as f64;
        for ns in &mut first.cpu_ns {
            *ns = (*ns as f64 + fixed).max(0.0) as u64;
        }
    }

    /// How often the tasks of the log read the rows of a shuffle: more than once, where partitions of another shuffle were
    /// split (AQE-2).
    fn times_read(&self, shuffle: ShuffleIndex, rows: &PerTask) -> f64 {
        let written = self.rows_written(shuffle);
        let PerTask::Each(rows) = rows else { return 1.0 };
        let read: u64 = rows.iter().sum();
        if written == 0 || written == u64::MAX { 1.0 } else { (read as f64 / written as f64).max(1.0) }
    }

    /// Plain heap of an object aggregation whose lists take `all` together: those of the groups that come before it sorts
    /// instead, and then one group's after the other (AGG-8).
    fn held_in_lists(&self, all: u64, rows: u64, groups: u64) -> u64 {
        let threshold = self.settings.sql.object_hash_fallback_threshold;
        match GroupCurve::in_random_order(rows, groups, threshold).rows(threshold) {
            Some(before) if groups.min(rows) > 0 => share_of(all, before, rows).max(all / groups),
            _ => all,
        }
    }

    /// An amount by task, of rows that the tasks of the log read `times` times.
    fn spread(&self, amount: &PerTask, shares: &[f64], as_observed: bool, times: f64) -> Vec<u64> {
        match amount {
            PerTask::Each(_) if as_observed => amount.spread(shares, self.scale),
            other => PerTask::Total((other.total() as f64 / times) as u64).spread(shares, self.scale),
        }
    }

    /// Share of the groups in each task: by distinct keys of the shuffle that feeds the aggregation, else as the rows.
    fn groups_share(&self, stage: &Stage, mut input: Option<usize>, layout: &Layout) -> Vec<f64> {
        while let Some(index) = input {
            let operator = &stage.operators[index];
            if let OperatorKind::ShuffleRead { shuffle, .. } = operator.kind {
                let keys = &self.workload.shuffles[shuffle].keys;
                return layout.group(|partitions| keys.distinct_shares(partitions), None);
            }
            input = operator.inputs.first().copied();
        }
        layout.shares.clone()
    }

    /// Window partitions of each task: a hot key of the shuffle that feeds the window is one of them, the rest of the rows
    /// are shared among the other keys. Where nobody counted those they are taken to be small.
    fn window_partitions(
        &self,
        stage: &Stage,
        mut input: Option<usize>,
        layout: &Layout,
        rows: &[u64],
    ) -> Vec<WindowPartitions> {
        while let Some(operator) = input.map(|index| &stage.operators[index]) {
            if let OperatorKind::ShuffleRead { shuffle, .. } = operator.kind {
                return layout.window_partitions(&self.workload.shuffles[shuffle].keys, rows);
            }
            input = operator.inputs.first().copied();
        }
        vec![WindowPartitions { largest: 1, others: 1 }; rows.len()]
    }

    fn layout(&self, stage: &Stage) -> Layout {
        let same_scale = self.same_scale();
        let observed = self.observed();
        match &stage.partitioning {
            Partitioning::Fixed(n) => Layout::even(*n as usize, true),
            Partitioning::Dataset(dataset) => {
                let sizes = self.workload.datasets[*dataset].partitions.iter().map(|p| p.memory_bytes);
                Layout::by_size(&sizes.collect::<Vec<_>>(), true)
            }
            Partitioning::Files { bytes, files, tasks } => {
                let rule = |p: &Observed, scale: f64| {
                    let bytes = (*bytes as f64 * scale) as u64;
                    file_partitions(
                        bytes,
                        *files,
                        p.max_partition_bytes,
                        p.open_cost_bytes,
                        p.default_parallelism,
                    )
                };
                let split_alike = |o: &Observed| {
                    o.max_partition_bytes == self.now.max_partition_bytes
                        && o.open_cost_bytes == self.now.open_cost_bytes
                        && o.default_parallelism == self.now.default_parallelism
                };
                if *tasks > 0 && observed.is_none_or(split_alike) && same_scale {
                    return Layout::even(*tasks as usize, true);
                }
                let sizes = rule(&self.now, self.scale);
                let Some(was) = self.workload.observed.as_ref().filter(|_| *tasks > 0) else {
                    return Layout::by_size(&sizes, false);
                };
                // The rule explains the observed number only up to what the log does not show (sizes of single files);
                // what it misses stays as a factor.
                let ruled = rule(was, 1.0).len().max(1);
                if sizes.len() == ruled && same_scale {
                    return Layout::even(*tasks as usize, true);
                }
                if ruled == *tasks as usize {
                    return Layout::by_size(&sizes, false);
                }
                let scaled = (sizes.len() as f64 * f64::from(*tasks) / ruled as f64).round().max(1.0);
                Layout::even(scaled as usize, false)
            }
            Partitioning::Shuffle { shuffles, tasks, may_split, local } => {
                let local = *local || read_locally(stage);
                self.reduce_layout(stage, shuffles, *tasks, may_split, local)
            }
        }
    }

    fn reduce_layout(
        &self,
        stage: &Stage,
        shuffles: &[usize],
        tasks: u32,
        may_split: &[usize],
        local: bool,
    ) -> Layout {
        let first = &self.workload.shuffles[shuffles[0]];
        let partitions = self.partitions_written(shuffles[0]) as usize;
        let by_conf =
            first.partitions == ShufflePartitions::Conf && first.distribution != Distribution::Single;
        let settings = &self.settings.sql.adaptive;
        // Beside files or cached partitions a shuffle stays as it is (`CoalesceShufflePartitions`).
        let alone = !stage.operators.iter().any(|operator| {
            matches!(operator.kind, OperatorKind::Scan { .. } | OperatorKind::CachedScan { .. })
        });
        let adaptive = by_conf && settings.enabled && alone;
        let partitioned_alike = |o: &Observed| {
            !by_conf
                || (o.shuffle_partitions == self.now.shuffle_partitions
                    && (o.adaptive == self.now.adaptive || !alone)
                    && (may_split.is_empty() || o.skew_join == self.now.skew_join)
                    && (!local || o.local_reader == self.now.local_reader)
                    && (!adaptive || o.default_parallelism == self.now.default_parallelism))
        };
        if tasks > 0 && self.observed().is_some_and(partitioned_alike) {
            let mut layout = Layout::even(tasks as usize, true);
            if adaptive && local && settings.local_shuffle_reader {
                layout.partitions = 0;
            } else {
                layout.shares = first.keys.shares(tasks as usize);
            }
            return layout;
        }
        let shares: Vec<Vec<f64>> =
            shuffles.iter().map(|&s| self.workload.shuffles[s].keys.shares(partitions)).collect();
        if !adaptive {
            return Layout { shares: shares[0].clone(), slices: Vec::new(), partitions, as_observed: false };
        }
        let written: Vec<Written> = shuffles
            .iter()
            .zip(&shares)
            .map(|(&shuffle, shares)| {
                let total = self.bytes_written(shuffle) as f64 * self.scale;
                let partitions = shares.iter().map(|share| total * share).collect();
                let rows_per_byte = self.rows_written(shuffle) as f64 * self.scale / total.max(1.0);
                Written { shuffle, partitions, rows_per_byte, maps: self.map_shares[shuffle].clone() }
            })
            .collect();
        let slices = adaptive::slices(&written, may_split, settings, self.now.default_parallelism);
        if settings.local_shuffle_reader && local {
            let shares = adaptive::local_shares(&written[0].maps, slices.len());
            return Layout { shares, slices: Vec::new(), partitions: 0, as_observed: false };
        }
        let mut layout = Layout { shares: Vec::new(), slices, partitions, as_observed: false };
        layout.shares = layout.group(|_| shares[0].clone(), Some(shuffles[0]));
        layout
    }

    fn same_scale(&self) -> bool {
        (self.scale - 1.0).abs() < f64::EPSILON
    }

    /// The settings under which values were observed, where those can hold.
    fn observed(&self) -> Option<&Observed> {
        self.workload.observed.as_ref().filter(|_| self.same_scale())
    }

    /// Rows that go through a shuffle, unlimited where nobody writes it.
    fn rows_written(&self, shuffle: usize) -> u64 {
        let writes = self.workload.stages.iter().flat_map(|stage| &stage.operators);
        let rows = writes.filter_map(|operator| match operator.kind {
            OperatorKind::ShuffleWrite { shuffle: s, .. } if s == shuffle => Some(operator.rows.total()),
            _ => None,
        });
        rows.max().unwrap_or(u64::MAX)
    }

    fn bytes_written(&self, shuffle: usize) -> u64 {
        let written = self.workload.stages.iter().flat_map(|stage| &stage.operators).filter_map(|operator| {
            match &operator.kind {
                OperatorKind::ShuffleWrite { shuffle: s, bytes } if *s == shuffle => Some(bytes.total()),
                _ => None,
            }
        });
        (written.sum::<u64>() as f64 * self.block_factors[shuffle]) as u64
    }
}

/// Stages by position, parents before their children: what a reader gets of a split or coalesced shuffle depends on its map
/// tasks. Otherwise in their own order.
fn writers_first(workload: &Workload) -> Vec<usize> {
    let stages = &workload.stages;
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); stages.len()];
    for (index, stage) in stages.iter().enumerate() {
        for &parent in &stage.parents {
            readers[parent].push(index);
        }
    }
    let mut waits: Vec<usize> = stages.iter().map(|stage| stage.parents.len()).collect();
    let mut ready: BTreeSet<usize> = (0..stages.len()).filter(|&index| waits[index] == 0).collect();
    let mut left: BTreeSet<usize> = (0..stages.len()).filter(|&index| waits[index] > 0).collect();
    let mut order = Vec::with_capacity(stages.len());
    // Stages that wait for each other cannot run; planned all the same, in their own order.
    while let Some(index) = ready.pop_first().or_else(|| left.pop_first()) {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 && left.remove(&reader) {
                ready.insert(reader);
            }
        }
    }
    order
}

/// Whether a stage probes a broadcast table with a shuffle that was written for another join: each task may then read it
/// where it was written (`OptimizeShuffleWithLocalRead`), unless what follows needs rows of equal keys together.
fn read_locally(stage: &Stage) -> bool {
    stage.operators.iter().enumerate().any(|(at, operator)| {
        let probes = matches!(operator.kind, OperatorKind::BroadcastHashJoin { .. });
        let input = operator.inputs.first().map(|&input| &stage.operators[input].kind);
        probes
            && matches!(input, Some(OperatorKind::ShuffleRead { .. }))
            && !needs_equal_keys(&stage.operators[at + 1..])
    })
}

/// Amounts that grow with the number of tasks, not with the data: the median task's stays.
fn per_task(amount: &PerTask, even: &[f64], as_observed: bool) -> Vec<u64> {
    match amount {
        PerTask::Each(values) if values.len() == even.len() && as_observed => values.clone(),
        PerTask::Each(values) => {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            vec![sorted.get(sorted.len() / 2).copied().unwrap_or(0); even.len()]
        }
        PerTask::Total(_) => amount.spread(even, 1.0),
    }
}

/// The product of parts by task; `None` where there are none.
fn product<'a>(mut parts: impl Iterator<Item = &'a Vec<f64>>) -> Option<Vec<f64>> {
    let first = parts.next()?.clone();
    Some(parts.fold(first, |product, part| product.iter().zip(part).map(|(a, b)| a * b).collect()))
}
