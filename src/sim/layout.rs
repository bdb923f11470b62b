//! How the input of a stage falls into its tasks: which share each reads, of which partitions, and in which parts.
//!
//! `plan` makes layouts and shares amounts out by them.

use super::adaptive::Slice;
use crate::memory::operators::WindowPartitions;
use crate::workload::{Keys, PerTask, ShuffleIndex};

/// How a stage's input falls into tasks.
pub(super) struct Layout {
    /// Share of the input of each task.
    pub(super) shares: Vec<f64>,
    /// Partitions before coalescing; 0 where tasks read what map tasks wrote, whatever the partition.
    pub(super) partitions: usize,
    /// What each task reads; empty: one partition a task.
    pub(super) slices: Vec<Slice>,
    /// Values observed one a task hold.
    pub(super) as_observed: bool,
}

impl Layout {
    pub(super) fn even(tasks: usize, as_observed: bool) -> Self {
        let shares = vec![1.0 / tasks.max(1) as f64; tasks];
        Self { shares, partitions: tasks, slices: Vec::new(), as_observed }
    }

    pub(super) fn by_size(sizes: &[u64], as_observed: bool) -> Self {
        let total = sizes.iter().sum::<u64>().max(1) as f64;
        let shares = sizes.iter().map(|&size| size as f64 / total).collect();
        Self { shares, partitions: sizes.len(), slices: Vec::new(), as_observed }
    }

    /// The first task that reads `partition`.
    pub(super) fn task_of(&self, partition: usize) -> usize {
        if self.slices.is_empty() {
            return partition;
        }
        self.slices.partition_point(|slice| slice.partitions.end <= partition)
    }

    /// Rows of the window partitions of each task, whose rows are `rows`.
    pub(super) fn window_partitions(&self, keys: &Keys, rows: &[u64]) -> Vec<WindowPartitions> {
        let all = rows.iter().sum::<u64>() as f64;
        let smooth_keys = keys.distinct.saturating_sub(keys.hot.len() as u64);
        let smooth_rows = all * (1.0 - keys.hot.iter().sum::<f64>()).max(0.0);
        let others = if smooth_keys == 0 { 1 } else { (smooth_rows / smooth_keys as f64).ceil() as u64 };
        let mut partitions =
            vec![WindowPartitions { largest: others.max(1), others: others.max(1) }; rows.len()];
        // Where shares are as observed, the hot keys are what made the largest tasks large; else they are hashed.
        let mut by_rows: Vec<usize> = (0..rows.len()).collect();
        by_rows.sort_by_key(|&task| std::cmp::Reverse(rows[task]));
        let observed = keys.observed.len() == self.partitions;
        for (key, share) in keys.hot.iter().enumerate() {
            let task = if observed {
                by_rows.get(key).copied()
            } else {
                Some(self.task_of(keys.home(key as u64, self.partitions)))
            };
            if let Some(task) = task.and_then(|task| partitions.get_mut(task)) {
                task.largest = task.largest.max((all * share).round() as u64);
            }
        }
        for (task, &rows) in partitions.iter_mut().zip(rows) {
            task.largest = task.largest.min(rows).max(1);
        }
        partitions
    }

    /// Shares of the tasks, from those of the partitions, whatever their number; of a shuffle, in the parts of partitions
    /// that tasks read.
    pub(super) fn group(
        &self,
        shares: impl Fn(usize) -> Vec<f64>,
        shuffle: Option<ShuffleIndex>,
    ) -> Vec<f64> {
        if self.partitions == 0 {
            return self.shares.clone();
        }
        let shares = shares(self.partitions);
        if self.slices.is_empty() {
            return shares;
        }
        let share = |slice: &Slice| {
            let sum: f64 = shares[slice.partitions.clone()].iter().sum();
            sum * shuffle.map_or(1.0, |shuffle| slice.part(shuffle))
        };
        self.slices.iter().map(share).collect()
    }

    /// An amount that the log has for each partition, by task: of what flows through in these parts of partitions.
    pub(super) fn of_partitions(&self, amount: &PerTask, parts: Option<&Vec<f64>>) -> Option<Vec<u64>> {
        let PerTask::Each(values) = amount else { return None };
        if self.slices.is_empty() || values.len() != self.partitions {
            return None;
        }
        let of = |(task, slice): (usize, &Slice)| {
            let sum: u64 = values[slice.partitions.clone()].iter().sum();
            (sum as f64 * parts.map_or(1.0, |parts| parts[task])).round() as u64
        };
        Some(self.slices.iter().enumerate().map(of).collect())
    }

    /// The part of its partitions' rows of a shuffle that each task reads; `None`: the whole, in every task.
    pub(super) fn parts(&self, shuffle: ShuffleIndex) -> Option<Vec<f64>> {
        let split = self.slices.iter().any(|slice| !slice.parts.is_empty());
        split.then(|| self.slices.iter().map(|slice| slice.part(shuffle)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_key_is_one_window_partition_wherever_it_falls() {
        let keys = Keys { hot: vec![0.4, 0.1], distinct: 102, ..Keys::default() };
        let rows = keys.shares(8).iter().map(|share| (share * 10_000.0) as u64).collect::<Vec<_>>();
        let layout = Layout { shares: Vec::new(), partitions: 8, slices: Vec::new(), as_observed: false };
        let partitions = layout.window_partitions(&keys, &rows);
        assert!((3_990..=4_000).contains(&partitions[keys.home(0, 8)].largest), "{partitions:?}");
        assert!(partitions.iter().all(|task| task.others == 50));
        // All in one task: the larger of the two.
        let layout = Layout { slices: vec![Slice { partitions: 0..8, parts: Vec::new() }], ..layout };
        assert_eq!(layout.window_partitions(&keys, &[10_000])[0].largest, 4_000);
        // Nobody counted the keys: small.
        let unknown = Keys { distinct: 0, ..Keys::default() };
        assert_eq!(
            layout.window_partitions(&unknown, &[10_000])[0],
            WindowPartitions { largest: 1, others: 1 }
        );
    }
}
