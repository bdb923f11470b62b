//! Whether a run is small enough to be simulated: how many tasks it has at most, and how much data. What a slip of the pen
//! asks for (`spark.sql.shuffle.partitions=2147483647`, splits of one byte) would fill the memory of the machine first.
//!
//! Left out: time, which grows with spills and retries too.

use super::plan::{partitioning, partitions};
use crate::conf::Settings;
use crate::workload::{
    Operator, OperatorKind, Partitioning, PerTask, ShufflePartitions, Workload, split_bytes,
};

/// Tasks of a run: ten million took 35 s and 1.5 GB on one processor of the machine of `docs/studies.md`.
const TASKS_MAX: f64 = 1e7;
/// Rows, bytes or nanoseconds of an operator over all tasks: a few of them still add up in 64 bits.
const AMOUNT_MAX: f64 = 1e18;

/// Refuses what is too large to be simulated.
///
/// # Errors
/// What is too large, how large, and the settings that decide it.
pub fn check_size(workload: &Workload, settings: &Settings, default_parallelism: u32) -> Result<(), String> {
    let scale = settings.knobs.data_scale;
    for stage in &workload.stages {
        let all = stage.operators.iter().flat_map(amounts);
        if let Some(amount) = all.map(|amount| total(amount) * scale).find(|amount| *amount > AMOUNT_MAX) {
            return Err(format!(
                "stage {} ({}) has {amount:.1e} rows, bytes or nanoseconds in one operator, more than can be simulated \
                 (1e18); the scenario and spillcast.dataScale = {scale} decide it",
                stage.id, stage.name
            ));
        }
    }
    let now = partitioning(settings, default_parallelism);
    let of_shuffle = |index: usize| f64::from(partitions(&workload.shuffles[index], settings, u64::MAX));
    let adaptive = &settings.sql.adaptive;
    let words = |tasks: f64| match tasks {
        _ if tasks == f64::from(settings.sql.shuffle_partitions) => {
            format!("spark.sql.shuffle.partitions = {tasks}")
        }
        _ if tasks == f64::from(adaptive.initial_partition_num) => {
            format!("spark.sql.adaptive.coalescePartitions.initialPartitionNum = {tasks}")
        }
        _ => "the workload".to_owned(),
    };
    let planned = workload.stages.iter().map(|stage| {
        let (tasks, decided_by) = match &stage.partitioning {
            Partitioning::Fixed(tasks) => (f64::from(*tasks), "the workload".to_owned()),
            Partitioning::Dataset(dataset) => {
                (workload.datasets[*dataset].partitions.len() as f64, "the workload".to_owned())
            }
            Partitioning::Shuffle { shuffles, .. } => (
                shuffles.first().map_or(0.0, |first| of_shuffle(*first)),
                words(shuffles.first().map_or(0.0, |first| of_shuffle(*first))),
            ),
            Partitioning::Files { bytes, files, .. } => {
                let bytes = (*bytes as f64 * scale) as u64;
                let split = split_bytes(
                    bytes,
                    *files,
                    now.max_partition_bytes,
                    now.open_cost_bytes,
                    default_parallelism,
                );
                let words = format!("spark.sql.files.maxPartitionBytes = {}", now.max_partition_bytes);
                (bytes as f64 / split as f64 + f64::from(*files), words)
            }
        };
        (tasks, format!("stage {} ({}), where {decided_by} decides", stage.id, stage.name))
    });
    // Joins that are planned anew exchange by the setting, whatever the stages of the log say.
    let anew = (!workload.queries.is_empty()
        || workload.shuffles.iter().any(|shuffle| shuffle.partitions == ShufflePartitions::Conf))
    .then(|| {
        let initial = adaptive.enabled && adaptive.coalesce_enabled;
        let partitions = settings.sql.shuffle_partitions;
        let tasks = f64::from(if initial { adaptive.initial_partition_num } else { partitions });
        (tasks, format!("each shuffle, where {} decides", words(tasks)))
    });
    for (tasks, what) in planned.chain(anew) {
        if tasks > TASKS_MAX {
            return Err(format!("{what}: {tasks:.0} tasks are more than can be simulated (ten million)"));
        }
    }
    Ok(())
}

/// What grows with the data in an operator.
fn amounts(operator: &Operator) -> impl Iterator<Item = &PerTask> {
    let own = match &operator.kind {
        OperatorKind::Scan { bytes }
        | OperatorKind::ShuffleRead { bytes, .. }
        | OperatorKind::ShuffleWrite { bytes, .. }
        | OperatorKind::Output { bytes } => Some(bytes),
        OperatorKind::ShuffledHashJoin { keys, .. } => Some(keys),
        _ => None,
    };
    [&operator.rows, &operator.cpu_ns, &operator.heap_bytes].into_iter().chain(own)
}

fn total(amount: &PerTask) -> f64 {
    match amount {
        PerTask::Total(total) => *total as f64,
        PerTask::Each(values) => values.iter().map(|value| *value as f64).sum(),
    }
}
