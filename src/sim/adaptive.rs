//! Which parts of finished shuffles each task of a stage reads under adaptive execution: small partitions put together
//! (AQE-1), huge ones of a join split between map outputs (AQE-2), shuffles read where they were written.
//!
//! Follows `CoalesceShufflePartitions`, `OptimizeSkewedJoin`, `OptimizeShuffleWithLocalRead` and `ShufflePartitionsUtil` of
//! Spark 4.1. They see sizes as map statuses report them, on a scale of steps of a tenth (`MapStatus.compressSize`): what
//! differs by less comes out equal. Left out: the averages that stand for blocks of shuffles of more than 2,000 partitions,
//! `RebalancePartitions`.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::conf::AdaptiveSettings;
use crate::workload::ShuffleIndex;

/// What one task reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slice {
    /// The partitions.
    pub(super) partitions: Range<usize>,
    /// The share of their rows, of the shuffles of which it does not read them whole.
    pub(super) parts: Vec<(ShuffleIndex, f64)>,
}

impl Slice {
    fn whole(partitions: Range<usize>) -> Self {
        Self { partitions, parts: Vec::new() }
    }

    /// The share of the partitions' rows of a shuffle that it reads.
    pub(super) fn part(&self, shuffle: ShuffleIndex) -> f64 {
        self.parts.iter().find(|(of, _)| *of == shuffle).map_or(1.0, |(_, part)| *part)
    }
}

/// A shuffle that is written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) shuffle: ShuffleIndex,
    /// Bytes of each partition.
    pub(super) partitions: Vec<f64>,
    /// Rows in a byte.
    pub(super) rows_per_byte: f64,
    /// Share of the bytes that each map task wrote.
    pub(super) maps: Vec<f64>,
}

impl Written {
    /// Bytes of a partition as the map statuses report them.
    pub(super) fn reported(&self) -> Vec<u64> {
        let maps = self.like_maps();
        let of = |bytes: &f64| {
            maps.iter().map(|(share, count)| self.reported_block(bytes * share) * count).sum::<f64>() as u64
        };
        self.partitions.iter().map(of).collect()
    }

    /// Mean shares of map tasks that wrote as much within a hundredth of an even share, a tenth of a step, and their number.
    fn like_maps(&self) -> Vec<(f64, f64)> {
        let even = self.maps.len() as f64;
        let mut like: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for share in &self.maps {
            let (sum, count) = like.entry((share * even * 100.0).round() as u64).or_default();
            *sum += share;
            *count += 1.0;
        }
        like.into_values().map(|(sum, count)| (sum / count, count)).collect()
    }

    /// What the statuses report on the mean for blocks of about `bytes`: rows fall into blocks at random, so that blocks
    /// differ by the root of their rows, and some reach the next step.
    fn reported_block(&self, bytes: f64) -> f64 {
        /// Middles of five equal parts of the normal distribution.
        const PARTS: [f64; 5] = [-1.28, -0.52, 0.0, 0.52, 1.28];
        let spread = (bytes * self.rows_per_byte).max(1.0).sqrt().recip();
        PARTS.iter().map(|part| reported_bytes(bytes * (1.0 + part * spread)) as f64).sum::<f64>() / 5.0
    }
}

/// Bytes that a map status reports for a block of `bytes`: the next power of 1.1 (`MapStatus`).
fn reported_bytes(bytes: f64) -> u64 {
    const BASE: f64 = 1.1;
    const STEPS_MAX: f64 = 255.0;
    if bytes < 1.0 {
        return 0;
    }
    BASE.powf((bytes.ln() / BASE.ln()).ceil().min(STEPS_MAX)) as u64
}

/// What each task of a stage reads of `written`, whose partitions belong together. Of `may_split` ones huge partitions are
/// split.
pub(super) fn slices(
    written: &[Written],
    may_split: &[ShuffleIndex],
    settings: &AdaptiveSettings,
    default_parallelism: u32,
) -> Vec<Slice> {
    let count = written.first().map_or(0, |first| first.partitions.len());
    let reported: Vec<Vec<u64>> = written.iter().map(Written::reported).collect();
    let splits = if settings.skew_join_enabled {
        skewed(written, &reported, may_split, settings)
    } else {
        vec![Vec::new(); count]
    };
    let mut sizes = vec![0u64; count];
    for of_shuffle in &reported {
        for (size, bytes) in sizes.iter_mut().zip(of_shuffle) {
            *size += bytes;
        }
    }
    let target = coalescing_target(sizes.iter().sum(), settings, default_parallelism);
    let mut found = Vec::new();
    let mut start = 0;
    let together = |range: Range<usize>, found: &mut Vec<Slice>| {
        if settings.coalesce_enabled {
            found.extend(
                coalesce(&sizes[range.clone()], target, settings.min_partition_size)
                    .into_iter()
                    .map(|group| Slice::whole(range.start + group.start..range.start + group.end)),
            );
        } else {
            found.extend(range.map(|partition| Slice::whole(partition..partition + 1)));
        }
    };
    for (partition, parts) in splits.into_iter().enumerate() {
        if parts.is_empty() {
            continue;
        }
        together(start..partition, &mut found);
        found.extend(parts.into_iter().map(|parts| Slice { partitions: partition..partition + 1, parts }));
        start = partition + 1;
    }
    together(start..count, &mut found);
    if found.is_empty() {
        // A stage has a task even if all that it reads is empty.
        found.push(Slice::whole(0..count));
    }
    found
}

/// Size that partitions are put together up to.
fn coalescing_target(total: u64, settings: &AdaptiveSettings, default_parallelism: u32) -> u64 {
    let fewest = settings.min_partition_num.map_or_else(
        || if settings.parallelism_first { u64::from(default_parallelism) } else { 1 },
        u64::from,
    );
    settings.min_partition_size.max(settings.advisory_partition_size.min(total.div_ceil(fewest.max(1))))
}

/// Neighbours are put together while they stay within the target; a group below `least` joins the smaller of its own
/// neighbours, and what is empty gets no task.
fn coalesce(sizes: &[u64], target: u64, least: u64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut start, mut current, mut last) = (0, 0, 0);
    for (index, &size) in sizes.iter().enumerate() {
        if index == start || current + size <= target {
            current += size;
            continue;
        }
        if current >= least {
            if current > 0 {
                groups.push(start..index);
            }
            (start, last, current) = (index, current, size);
            continue;
        }
        match groups.last_mut().filter(|_| last > 0 && last < size) {
            Some(before) => {
                before.end = index;
                last += current;
                (start, current) = (index, size);
            }
            None => current += size,
        }
    }
    match groups.last_mut().filter(|_| current < least && last > 0) {
        Some(before) => before.end = sizes.len(),
        None if current > 0 => groups.push(start..sizes.len()),
        None => {}
    }
    groups
}

/// For each partition the parts that its tasks read, where it is split.
fn skewed(
    written: &[Written],
    reported: &[Vec<u64>],
    may_split: &[ShuffleIndex],
    settings: &AdaptiveSettings,
) -> Vec<Vec<Vec<(ShuffleIndex, f64)>>> {
    let count = written.first().map_or(0, |first| first.partitions.len());
    let mut found: Vec<Vec<Vec<(ShuffleIndex, f64)>>> = vec![Vec::new(); count];
    for (of, sizes) in written.iter().zip(reported).filter(|(of, _)| may_split.contains(&of.shuffle)) {
        let by_factor = (median(sizes) as f64 * settings.skewed_partition_factor) as u64;
        let threshold = settings.skewed_partition_threshold.max(by_factor);
        let usual: Vec<u64> = sizes.iter().copied().filter(|&size| size <= threshold).collect();
        let mean = usual.iter().sum::<u64>() / (usual.len() as u64).max(1);
        let target = settings.advisory_partition_size.max(mean);
        for (partition, _) in sizes.iter().enumerate().filter(|(_, size)| **size > threshold) {
            let blocks: Vec<u64> =
                of.maps.iter().map(|share| reported_bytes(of.partitions[partition] * share)).collect();
            let ranges = split(&blocks, target);
            if ranges.len() < 2 {
                continue;
            }
            let own = ranges.into_iter().map(|range| (of.shuffle, of.maps[range].iter().sum::<f64>()));
            let others = std::mem::take(&mut found[partition]);
            found[partition] = if others.is_empty() {
                own.map(|part| vec![part]).collect()
            } else {
                // Each part of one side meets each part of the other.
                let own: Vec<_> = own.collect();
                let pairs = others.iter().flat_map(|other| own.iter().map(move |part| (other, *part)));
                pairs.map(|(other, part)| other.iter().copied().chain([part]).collect()).collect()
            };
        }
    }
    found
}

/// As Spark's `Utils.median`: at least 1.
fn median(sizes: &[u64]) -> u64 {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    let value = match sorted.len() {
        0 => 1,
        even if even % 2 == 0 => u64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    };
    value.max(1)
}

/// Ranges of neighbouring blocks of about `target` bytes (`ShufflePartitionsUtil.splitSizeListByTargetSize`): a range that
/// is small, or that fits the one before, joins it.
fn split(blocks: &[u64], target: u64) -> Vec<Range<usize>> {
    const SMALL: f64 = 0.2;
    const MERGED: f64 = 1.2;
    let target_f = target as f64;
    let mut starts = vec![0];
    let mut last: Option<u64> = None;
    let mut close = |starts: &mut Vec<usize>, current: u64| {
        let joins = last.is_some_and(|last| {
            ((current + last) as f64) < target_f * MERGED
                || (current as f64) < target_f * SMALL
                || (last as f64) < target_f * SMALL
        });
        if joins {
            starts.pop();
        }
        last = Some(if joins { last.unwrap_or(0) + current } else { current });
    };
    let mut current = 0;
    for (index, &block) in blocks.iter().enumerate() {
        if index > 0 && current + block > target {
            close(&mut starts, current);
            starts.push(index);
            current = 0;
        }
        current += block;
    }
    close(&mut starts, current);
    let ends = starts.iter().skip(1).copied().chain([blocks.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Share of a shuffle that each task reads where it reads the outputs of map tasks instead of partitions: as many tasks as
/// there would be partitions, or a whole number of them for each map task.
pub(super) fn local_shares(maps: &[f64], expected: usize) -> Vec<f64> {
    let expected = expected.max(1);
    if expected >= maps.len() {
        let each = expected / maps.len().max(1);
        return maps.iter().flat_map(|share| std::iter::repeat_n(share / each as f64, each)).collect();
    }
    let (least, more) = (maps.len() / expected, maps.len() % expected);
    let mut start = 0;
    (0..expected)
        .map(|task| {
            let end = start + least + usize::from(task < more);
            let share = maps[start..end].iter().sum();
            start = end;
            share
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Settings, SparkConf, SparkVersion};

    fn settings() -> AdaptiveSettings {
        Settings::resolve(&SparkConf::new(SparkVersion::DEFAULT)).unwrap().sql.adaptive
    }

    fn ends(groups: &[Range<usize>]) -> Vec<usize> {
        groups.iter().map(|group| group.end).collect()
    }

    /// What `ShufflePartitionsUtil.coalescePartitions` of Spark 4.1.4 answers, called through py4j (of 400 random lists
    /// all came out alike).
    #[test]
    fn partitions_are_put_together_as_by_spark() {
        for (sizes, target, least, expected) in [
            (vec![10, 10, 10, 10, 1], 20, 0, vec![2, 4, 5]),
            (vec![10, 10, 10, 10, 1], 20, 5, vec![2, 5]),
            (vec![50, 50, 3], 60, 0, vec![1, 3]),
            (vec![100, 5], 100, 0, vec![1, 2]),
            (vec![0, 0, 50, 0, 60, 0], 60, 0, vec![4, 6]),
            (vec![20, 20, 20, 20, 20, 4], 40, 0, vec![2, 4, 6]),
            (vec![40, 40, 5, 90, 40, 3], 80, 20, vec![3, 4, 6]),
            (vec![40, 40, 5, 6, 90, 40, 3], 80, 20, vec![4, 5, 7]),
            (vec![5, 90, 5, 90, 70], 80, 20, vec![2, 4, 5]),
            (vec![0, 2, 0], 1, 0, vec![2]),
        ] {
            assert_eq!(ends(&coalesce(&sizes, target, least)), expected, "{sizes:?}");
        }
    }

    #[test]
    fn blocks_of_a_huge_partition_are_split_by_map_outputs() {
        assert_eq!(ends(&split(&[9; 8], 6)), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ends(&split(&[3; 8], 6)), [2, 4, 6, 8]);
        // The last range is under a fifth of the target.
        assert_eq!(ends(&split(&[4, 4, 4, 4, 1], 8)), [2, 5]);
        assert_eq!(ends(&split(&[100], 10)), [1]);
    }

    #[test]
    fn sizes_are_reported_on_a_scale_of_steps() {
        assert_eq!([0.0, 1.0, 100.0, 1000.0].map(reported_bytes), [0, 1, 106, 1051]);
        // Partitions that hardly differ come out equal, and fit two groups of half the sum.
        let partitions = [1.000, 1.002, 1.001, 1.003, 0.999, 0.998, 1.0, 0.997].map(|share| share * 7.6e6);
        let written =
            Written { shuffle: 0, partitions: partitions.into(), rows_per_byte: 0.05, maps: vec![0.125; 8] };
        let settings = settings();
        assert_eq!(slices(&[written], &[], &settings, 2).len(), 2);
    }

    #[test]
    fn each_block_steps_by_itself() {
        // The first map's blocks end just below a step, the second's twentieth more is the next one.
        let step = 1.1_f64.powi(60);
        let maps = [0.9999, 1.05].map(|times| times * step);
        let sum: f64 = maps.iter().sum();
        let written = Written {
            shuffle: 0,
            partitions: vec![sum; 2],
            rows_per_byte: 1e9,
            maps: maps.iter().map(|bytes| bytes / sum).collect(),
        };
        let expected = (1.1_f64.powi(60) as u64) + (1.1_f64.powi(61) as u64);
        assert_eq!(written.reported(), [expected; 2]);
    }

    #[test]
    fn a_hot_partition_of_one_side_meets_the_whole_of_the_other() {
        let settings = AdaptiveSettings {
            skewed_partition_threshold: 1000,
            advisory_partition_size: 500,
            min_partition_size: 1,
            ..settings()
        };
        let written = [
            Written {
                shuffle: 3,
                partitions: vec![400.0, 4000.0, 400.0],
                rows_per_byte: 1.0,
                maps: vec![0.25; 4],
            },
            Written { shuffle: 5, partitions: vec![10.0; 3], rows_per_byte: 1.0, maps: vec![1.0] },
        ];
        let found = slices(&written, &[3, 5], &settings, 2);
        assert_eq!(found.len(), 6);
        assert!(found[1..5].iter().all(|slice| slice.partitions == (1..2)));
        assert_eq!((found[1].part(3), found[1].part(5), found[0].part(3)), (0.25, 1.0, 1.0));
        assert_eq!(slices(&written, &[5], &settings, 2).len(), 3);
        let off = AdaptiveSettings { skew_join_enabled: false, ..settings };
        assert_eq!(slices(&written, &[3], &off, 2).len(), 3);
    }

    #[test]
    fn local_reads_take_map_outputs() {
        assert_eq!(local_shares(&[0.5, 0.5], 8), [0.125; 8]);
        assert_eq!(local_shares(&[0.25; 4], 3), [0.5, 0.25, 0.25]);
        assert_eq!(local_shares(&[0.25; 4], 0), [1.0]);
    }
}
