//! Memory by region over time, kept small: a long run has millions of points, most of which differ from the one before in
//! a time and one or two regions. A point takes about 15 bytes in place of 88; reading it back costs a walk from the start.

use std::fmt;

/// Memory of one executor at one moment, bytes by region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelinePoint {
    /// When, ns since the start.
    pub time_ns: u64,
    /// Executor, by position in [`RunRecord::executors`](super::RunRecord::executors).
    pub executor: u32,
    /// On-heap execution in use.
    pub on_heap_execution: u64,
    /// On-heap storage in use, unroll memory included.
    pub on_heap_storage: u64,
    /// Off-heap execution in use.
    pub off_heap_execution: u64,
    /// Off-heap storage in use.
    pub off_heap_storage: u64,
    /// Plain heap of running tasks that Spark does not count.
    pub user_memory: u64,
    /// Heap held by Spark and the JVM at rest.
    pub reserved: u64,
    /// Size of the on-heap execution pool.
    pub execution_pool: u64,
    /// Running tasks.
    pub running_tasks: u64,
}

/// Numbers of a point beside its time and executor.
const NUMBERS: usize = 9;

impl TimelinePoint {
    fn numbers(&mut self) -> [&mut u64; NUMBERS] {
        [
            &mut self.on_heap_execution,
            &mut self.on_heap_storage,
            &mut self.off_heap_execution,
            &mut self.off_heap_storage,
            &mut self.user_memory,
            &mut self.reserved,
            &mut self.execution_pool,
            &mut self.running_tasks,
            &mut self.time_ns,
        ]
    }
}

/// Points in the order in which they were added.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Of each point: its executor, which numbers differ from those of the executor's last point, and by how much.
    bytes: Vec<u8>,
    last: Last,
}

/// The last point of each executor that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Last(Vec<Option<TimelinePoint>>);

impl Last {
    fn of(&mut self, executor: u32) -> &mut Option<TimelinePoint> {
        let place = executor as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        &mut self.0[place]
    }
}

impl Timeline {
    /// Adds a point. Executors are numbered densely: a place is kept for every number up to the largest.
    pub fn push(&mut self, point: &TimelinePoint) {
        let last = self.last.of(point.executor).get_or_insert_default();
        let before = last.numbers().map(|number| *number);
        last.clone_from(point);
        let now = last.numbers().map(|number| *number);
        let changed = (0..NUMBERS).filter(|&number| now[number] != before[number]);
        let mask = changed.clone().map(|number| 1 << number).sum::<u64>();
        put(&mut self.bytes, u64::from(point.executor));
        put(&mut self.bytes, mask);
        for number in changed {
            put(&mut self.bytes, zigzag(now[number].wrapping_sub(before[number])));
        }
    }

    /// Adds a point unless the executor's last one says the same of an earlier time.
    pub fn push_change(&mut self, point: &TimelinePoint) {
        let before = self.last.of(point.executor).as_ref();
        let same = before.is_some_and(|before| {
            let then = TimelinePoint { time_ns: point.time_ns, ..before.clone() };
            then == *point
        });
        if !same {
            self.push(point);
        }
    }

    /// The points in order.
    pub fn iter(&self) -> Points<'_> {
        Points { bytes: &self.bytes, last: Last::default() }
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Timeline {
    type Item = TimelinePoint;
    type IntoIter = Points<'a>;

    fn into_iter(self) -> Points<'a> {
        self.iter()
    }
}

impl Extend<TimelinePoint> for Timeline {
    fn extend<T: IntoIterator<Item = TimelinePoint>>(&mut self, points: T) {
        points.into_iter().for_each(|point| self.push(&point));
    }
}

/// Walks through the points of a [`Timeline`].
#[derive(Clone, Debug)]
pub struct Points<'a> {
    bytes: &'a [u8],
    last: Last,
}

impl Iterator for Points<'_> {
    type Item = TimelinePoint;

    fn next(&mut self) -> Option<TimelinePoint> {
        if self.bytes.is_empty() {
            return None;
        }
        let executor = take(&mut self.bytes) as u32;
        let mask = take(&mut self.bytes);
        let last = self.last.of(executor).get_or_insert_default();
        for (number, value) in last.numbers().into_iter().enumerate() {
            if mask >> number & 1 == 1 {
                *value = value.wrapping_add(unzigzag(take(&mut self.bytes)));
            }
        }
        last.executor = executor;
        Some(last.clone())
    }
}

/// Puts small differences of both signs into small numbers.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ ((difference as i64 >> 63) as u64)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Seven bits a byte, the lowest first, the top bit where more follow.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    let mut shift = 0;
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_back_as_they_were() {
        let mut timeline = Timeline::default();
        let point = |time_ns, executor, on_heap_execution, execution_pool, running_tasks| TimelinePoint {
            time_ns,
            executor,
            on_heap_execution,
            execution_pool,
            running_tasks,
            ..TimelinePoint::default()
        };
        let points = [
            point(0, 0, 0, 1 << 40, 0),
            point(5, 3, u64::MAX, 7, u64::MAX),
            point(5, 0, 12 << 20, 1 << 40, 4),
            point(9_000_000_000, 0, 1, 0, 3),
            point(2, 3, 0, u64::MAX, 0),
            point(2, 3, 0, u64::MAX, 0),
        ];
        timeline.extend(points.clone());
        assert_eq!(timeline.iter().collect::<Vec<_>>(), points);
    }

    #[test]
    fn only_changes_are_kept_where_asked() {
        let mut timeline = Timeline::default();
        for (time_ns, used) in [(1, 10), (2, 10), (3, 20), (3, 10), (4, 10)] {
            timeline.push_change(&TimelinePoint {
                time_ns,
                on_heap_storage: used,
                ..TimelinePoint::default()
            });
        }
        let kept: Vec<u64> = timeline.iter().map(|point| point.time_ns).collect();
        assert_eq!(kept, [1, 3, 3]);
    }
}
