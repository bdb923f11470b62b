//! What a file of the bypass shuffle writer costs on the log's machine. Before rows are exchanged by range Spark runs their
//! stage twice, first to sample it and then to write (`sim::sampling`): what the second run takes more than the first is the
//! writing, and with many small partitions that is the opening of files. A log without such a pair leaves the usual cost.

use crate::conf::Settings;
use crate::sim::{bypass_files, bypasses, partitions, sampling_twins};
use crate::workload::{PerTask, Stage, Workload};

/// Fewer files than this say little beside the rows that go into them.
const FILES_LEAST: u64 = 2_000;
/// No file system takes longer for a file, ns.
const FILE_MAX_NS: u64 = 5_000_000;

/// Takes the cost of a file from the log's twin stages, if it has any, and out of the writer's own work.
pub(super) fn fit_file_cost(workload: &mut Workload, settings: &Settings) {
    let (mut extra_ns, mut files) = (0, 0);
    let mut twins = sampling_twins(workload);
    twins.retain(|twin| {
        let (sample, writer) = (&workload.stages[twin.sample], &workload.stages[twin.writer]);
        let shuffle = &workload.shuffles[twin.shuffle];
        let Some(PerTask::Each(rows)) = writer.operators.last().map(|operator| &operator.rows) else {
            return false;
        };
        let partitions = partitions(shuffle, settings, rows.iter().sum());
        if !bypasses(shuffle, partitions, settings) {
            return false;
        }
        extra_ns += work_ns(writer).saturating_sub(work_ns(sample));
        files += rows.iter().map(|&rows| bypass_files(partitions, rows)).sum::<u64>();
        true
    });
    if files < FILES_LEAST {
        return;
    }
    workload.rates.shuffle_file_ns = (extra_ns / files).min(FILE_MAX_NS);
    for twin in &twins {
        let kept = work_ns(&workload.stages[twin.sample]) as f64
            / work_ns(&workload.stages[twin.writer]).max(1) as f64;
        for operator in &mut workload.stages[twin.writer].operators {
            operator.cpu_ns.scale(kept.min(1.0));
        }
    }
}

fn work_ns(stage: &Stage) -> u64 {
    stage.operators.iter().map(|operator| operator.cpu_ns.total()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Origin, SparkConf, SparkVersion};
    use crate::workload::{
        Distribution, Job, Keys, Operator, OperatorKind, Partitioning, Query, Shuffle, ShufflePartitions,
    };

    const TASKS: usize = 40;
    const ROWS_EACH: u64 = 100_000;
    const SAMPLE_NS: u64 = 1_000_000_000;

    fn stage(id: u32, last: OperatorKind, rows_each: u64, own_ns: u64) -> Stage {
        let operator = |kind, inputs, cpu_ns| Operator {
            name: String::new(),
            kind,
            inputs,
            rows: PerTask::Each(vec![rows_each; TASKS]),
            row_bytes: 16,
            cpu_ns: PerTask::Total(cpu_ns),
            heap_bytes: PerTask::default(),
        };
        let scan = OperatorKind::Scan { bytes: PerTask::default() };
        Stage {
            id,
            name: String::new(),
            parents: Vec::new(),
            partitioning: Partitioning::Fixed(TASKS as u32),
            operators: vec![operator(scan, Vec::new(), SAMPLE_NS), operator(last, vec![0], own_ns)],
            result_bytes: PerTask::default(),
            launch_ns: PerTask::default(),
            allocated_bytes: PerTask::default(),
            background_threads: 0.0,
            warm_up_ns: 0,
            compile_ns: 0,
        }
    }

    /// A sort of many rows, whose writing takes `write_ns` more than its sampling.
    fn sorted(write_ns: u64) -> Workload {
        let write = OperatorKind::ShuffleWrite { shuffle: 0, bytes: PerTask::default() };
        let output = OperatorKind::Output { bytes: PerTask::default() };
        let job =
            |id, stage| Job { id, name: String::new(), stages: vec![stage], after: Vec::new(), gap_ns: 0 };
        Workload {
            jobs: vec![job(0, 0), job(1, 1)],
            stages: vec![stage(0, output, ROWS_EACH, 0), stage(1, write, ROWS_EACH, write_ns)],
            shuffles: vec![Shuffle {
                name: String::new(),
                partitions: ShufflePartitions::Conf,
                distribution: Distribution::Range,
                keys: Keys::default(),
                record_bytes: 16,
                compression: 1.0,
                blocks: 0,
                map_side_combine: false,
                relocatable: true,
            }],
            queries: vec![Query { jobs: vec![0, 1], ..Query::default() }],
            ..Workload::default()
        }
    }

    fn fitted(mut workload: Workload, properties: &[(&str, &str)]) -> (u64, u64) {
        let mut conf = SparkConf::new(SparkVersion::DEFAULT);
        for (key, value) in properties {
            conf.set(key, value, Origin::EventLog);
        }
        workload.rates.shuffle_file_ns = 7;
        fit_file_cost(&mut workload, &Settings::resolve(&conf).unwrap());
        (workload.rates.shuffle_file_ns, work_ns(&workload.stages[1]))
    }

    #[test]
    fn files_are_counted_by_the_partitions_that_were_written() {
        const INITIAL: &str = "spark.sql.adaptive.coalescePartitions.initialPartitionNum";
        const FILE_NS: u64 = 100_000;
        let write_ns = 100 * TASKS as u64 * FILE_NS;
        assert_eq!(fitted(sorted(write_ns), &[(INITIAL, "100")]), (FILE_NS, SAMPLE_NS));
    }

    #[test]
    fn stages_that_open_no_files_keep_their_work() {
        let threshold = ("spark.shuffle.sort.bypassMergeThreshold", "100");
        assert_eq!(fitted(sorted(SAMPLE_NS), &[threshold]), (7, 2 * SAMPLE_NS));
        // Nor do they where other stages tell the cost of a file.
        let mut both = sorted(SAMPLE_NS);
        let of_few = Shuffle { partitions: ShufflePartitions::Fixed(80), ..both.shuffles[0].clone() };
        both.shuffles.push(of_few);
        let mut other = sorted(SAMPLE_NS);
        for mut stage in std::mem::take(&mut other.stages) {
            if let OperatorKind::ShuffleWrite { shuffle, .. } = &mut stage.operators[1].kind {
                *shuffle = 1;
            }
            both.stages.push(stage);
        }
        let first = both.jobs[0].clone();
        both.jobs.extend((2..4).map(|id| Job { id: id as u32, stages: vec![id], ..first.clone() }));
        both.queries.push(Query { jobs: vec![2, 3], ..Query::default() });
        let (file_ns, written_ns) = fitted(both, &[threshold]);
        assert_eq!((file_ns, written_ns), (SAMPLE_NS / (80 * TASKS as u64), 2 * SAMPLE_NS));
    }
}
