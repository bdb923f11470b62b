//! How amounts follow a partitioning: values a task, and Spark's rule for splitting files. Which keys fall into which
//! partition is `keys`'s matter.

/// A quantity of a stage.
#[derive(Clone, Debug, PartialEq)]
pub enum PerTask {
    /// Total over the stage; a task gets it in proportion to its share of the input.
    Total(u64),
    /// One value a task, as observed. Under another number of tasks the sum is shared out like a total.
    Each(Vec<u64>),
}

impl Default for PerTask {
    fn default() -> Self {
        Self::Total(0)
    }
}

impl PerTask {
    /// Sum over the stage.
    pub fn total(&self) -> u64 {
        match self {
            Self::Total(total) => *total,
            Self::Each(values) => values.iter().sum(),
        }
    }

    /// Multiplies every value.
    pub fn scale(&mut self, factor: f64) {
        let times = |value: u64| (value as f64 * factor).round() as u64;
        match self {
            Self::Total(total) => *total = times(*total),
            Self::Each(values) => values.iter_mut().for_each(|value| *value = times(*value)),
        }
    }

    /// One value a task: the observed ones when there is one for each of `shares`, else the total by `shares`
    /// (which sum to 1) times `scale`. Rounded so that the values add up to the scaled total.
    pub fn spread(&self, shares: &[f64], scale: f64) -> Vec<u64> {
        if let Self::Each(values) = self
            && values.len() == shares.len()
        {
            return values.iter().map(|&v| (v as f64 * scale).round() as u64).collect();
        }
        let total = (self.total() as f64 * scale).round();
        let (mut cumulated, mut given) = (0.0, 0u64);
        shares
            .iter()
            .map(|share| {
                cumulated += share;
                let until = ((total * cumulated).round() as u64).max(given);
                let value = until - given;
                given = until;
                value
            })
            .collect()
    }
}

/// Target bytes of a file split: `min(maxPartitionBytes, max(openCost, (bytes + files * openCost) / parallelism))`
/// (Spark's `FilePartition.maxSplitBytes`).
pub fn split_bytes(bytes: u64, files: u32, max_partition: u64, open_cost: u64, parallelism: u32) -> u64 {
    let per_core = (bytes + u64::from(files) * open_cost) / u64::from(parallelism.max(1));
    max_partition.min(open_cost.max(per_core)).max(1)
}

/// Bytes of each partition when `files` equal files of `bytes` in all are split and packed (Spark's
/// `FilePartition.getFilePartitions`: splits in descending size, next-fit, each charged with the open cost).
pub fn file_partitions(
    bytes: u64,
    files: u32,
    max_partition: u64,
    open_cost: u64,
    parallelism: u32,
) -> Vec<u64> {
    let split = split_bytes(bytes, files, max_partition, open_cost, parallelism);
    let mut splits = Vec::new();
    for file in 0..u64::from(files.max(1)) {
        let n = u64::from(files.max(1));
        let mut left = bytes * (file + 1) / n - bytes * file / n;
        while left > 0 {
            let size = left.min(split);
            splits.push(size);
            left -= size;
        }
    }
    splits.sort_unstable_by(|a, b| b.cmp(a));
    let mut partitions = Vec::new();
    let (mut current, mut charged) = (0, 0);
    for size in splits {
        if charged > 0 && charged + size > split {
            partitions.push(current);
            (current, charged) = (0, 0);
        }
        current += size;
        charged += size + open_cost;
    }
    if charged > 0 {
        partitions.push(current);
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    #[test]
    fn totals_are_shared_out_without_loss() {
        assert_eq!(PerTask::Total(10).spread(&[0.25, 0.25, 0.5], 1.0), [3, 2, 5]);
        assert_eq!(PerTask::Total(1).spread(&[1.0 / 3.0; 3], 1.0).iter().sum::<u64>(), 1);
        assert_eq!(PerTask::Each(vec![1, 9]).spread(&[0.5, 0.5], 1.0), [1, 9]);
        assert_eq!(PerTask::Each(vec![1, 9]).spread(&[0.5, 0.25, 0.25], 1.0), [5, 3, 2]);
    }

    #[test]
    fn files_split_as_spark_splits_them() {
        // 16 files of 17.4 MiB, 16 MiB splits, 4 MiB open cost: 16 full splits and 16 tails of 1.4 MiB, packed three to
        // a partition because each is charged with the open cost. A real run had these 22 tasks.
        let parts = file_partitions(279 * MIB, 16, 16 * MIB, 4 * MIB, 2);
        assert_eq!(parts.len(), 22);
        assert_eq!(parts.iter().sum::<u64>(), 279 * MIB);
        assert_eq!(file_partitions(0, 0, 16 * MIB, 4 * MIB, 2).len(), 0);
    }
}
