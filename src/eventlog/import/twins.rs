//! What a file of the bypass shuffle writer costs on the log's machine. Before rows are exchanged by range Spark runs their
//! stage twice, first to sample it and then to write (`sim::sampling`): what the second run takes more than the first is the
//! writing, and with many small partitions that is the opening of files. A log without such a pair leaves the usual cost.

use crate::conf::Settings;
use crate::sim::sampling_twins;
use crate::workload::{PerTask, ShufflePartitions, Stage, Workload};

/// Fewer files than this say little beside the rows that go into them.
const FILES_LEAST: u64 = 2_000;
/// No file system takes longer for a file, ns.
const FILE_MAX_NS: u64 = 5_000_000;

/// Takes the cost of a file from the log's twin stages, if it has any, and out of the writer's own work.
pub(super) fn fit_file_cost(workload: &mut Workload, settings: &Settings) {
    let (mut extra_ns, mut files) = (0, 0);
    let twins = sampling_twins(workload);
    for twin in &twins {
        let (sample, writer) = (&workload.stages[twin.sample], &workload.stages[twin.writer]);
        let shuffle = &workload.shuffles[twin.shuffle];
        let partitions = match shuffle.partitions {
            ShufflePartitions::Fixed(partitions) => partitions,
            ShufflePartitions::Conf => settings.sql.shuffle_partitions,
        };
        let bypasses =
            u64::from(partitions) <= settings.shuffle.bypass_merge_threshold && !shuffle.map_side_combine;
        let written = writer.operators.last().map(|operator| &operator.rows);
        let (true, Some(PerTask::Each(rows))) = (bypasses, written) else { continue };
        extra_ns += work_ns(writer).saturating_sub(work_ns(sample));
        files += rows.iter().map(|rows| (*rows).min(u64::from(partitions))).sum::<u64>();
    }
    if files < FILES_LEAST {
        return;
    }
    workload.rates.shuffle_file_ns = (extra_ns / files).min(FILE_MAX_NS);
    for twin in &twins {
        let kept = work_ns(&workload.stages[twin.sample]) as f64
            / work_ns(&workload.stages[twin.writer]).max(1) as f64;
        for operator in &mut workload.stages[twin.writer].operators {
            scale(&mut operator.cpu_ns, kept.min(1.0));
        }
    }
}

fn work_ns(stage: &Stage) -> u64 {
    stage.operators.iter().map(|operator| operator.cpu_ns.total()).sum()
}

fn scale(amount: &mut PerTask, factor: f64) {
    match amount {
        PerTask::Total(total) => *total = (*total as f64 * factor) as u64,
        PerTask::Each(values) => values.iter_mut().for_each(|value| *value = (*value as f64 * factor) as u64),
    }
}
