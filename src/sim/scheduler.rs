//! Which task runs next on a free slot: locality levels and delay scheduling within one set of tasks (SCHED-2..4), FIFO
//! among sets (SCHED-5). Follows `TaskSetManager` and `TaskSchedulerImpl` in what they decide, not in their bookkeeping.

use std::collections::{BTreeMap, VecDeque};

use crate::units::{SimDuration, SimTime};

/// Where a task runs in relation to its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Locality {
    /// The cached block is in this executor.
    ProcessLocal,
    /// The data is on this host.
    NodeLocal,
    /// The task does not care.
    NoPref,
    /// Anywhere.
    Any,
}

impl Locality {
    /// Word in Spark's metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ProcessLocal => "PROCESS_LOCAL",
            Self::NodeLocal => "NODE_LOCAL",
            Self::NoPref => "NO_PREF",
            Self::Any => "ANY",
        }
    }
}

/// How long to hold out for a level before taking the next (SCHED-4).
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalityWaits {
    /// `spark.locality.wait.process`.
    pub(super) process: SimDuration,
    /// `spark.locality.wait.node`.
    pub(super) node: SimDuration,
}

/// The tasks of one stage attempt that are not running.
#[derive(Debug)]
pub(super) struct TaskSet {
    /// Tasks waiting, without preference.
    anywhere: VecDeque<u32>,
    /// Tasks that prefer an executor, by executor.
    by_executor: BTreeMap<u32, VecDeque<u32>>,
    /// Tasks that prefer a host, by host.
    by_host: BTreeMap<u32, VecDeque<u32>>,
    /// All tasks that prefer something, in order.
    preferring: VecDeque<u32>,
    /// Whether each task waits; entries of the queues that do not are void.
    waiting: Vec<bool>,
    waiting_count: usize,
    /// The level that delay scheduling has reached, and since when.
    level: Locality,
    since: SimTime,
}

/// The executors, with their hosts, that hold a task's data; empty for none.
pub(super) type Preferences = Vec<(u32, u32)>;

impl TaskSet {
    /// Tasks `indices` of a stage; `preferences` tells each task's.
    pub(super) fn new(
        tasks: usize,
        indices: impl Iterator<Item = u32>,
        preferences: impl Fn(u32) -> Preferences,
        now: SimTime,
    ) -> Self {
        let mut set = Self {
            anywhere: VecDeque::new(),
            by_executor: BTreeMap::new(),
            by_host: BTreeMap::new(),
            preferring: VecDeque::new(),
            waiting: vec![false; tasks],
            waiting_count: 0,
            level: Locality::ProcessLocal,
            since: now,
        };
        for index in indices {
            set.add(index, &preferences(index), false);
        }
        set
    }

    /// Puts a task (back) into the set; a retry goes to the front, as Spark takes it next.
    pub(super) fn add(&mut self, index: u32, preferences: &Preferences, retry: bool) {
        let push = |queue: &mut VecDeque<u32>| {
            if retry {
                queue.push_front(index);
            } else {
                queue.push_back(index);
            }
        };
        if preferences.is_empty() {
            push(&mut self.anywhere);
        } else {
            for (executor, host) in preferences {
                push(self.by_executor.entry(*executor).or_default());
                push(self.by_host.entry(*host).or_default());
            }
            push(&mut self.preferring);
        }
        if !self.waiting[index as usize] {
            self.waiting[index as usize] = true;
            self.waiting_count += 1;
        }
    }

    /// An executor is gone; its tasks prefer only its host from now on.
    pub(super) fn forget_executor(&mut self, executor: u32) {
        self.by_executor.remove(&executor);
    }

    /// The task to launch on a slot of `executor` on `host`, if one may be launched there now.
    pub(super) fn offer(
        &mut self,
        executor: u32,
        host: u32,
        now: SimTime,
        waits: LocalityWaits,
    ) -> Option<(u32, Locality)> {
        if self.waiting_count == 0 {
            return None;
        }
        if let Some(index) = self.by_executor.get_mut(&executor).and_then(|q| take(q, &self.waiting)) {
            return Some(self.launch(index, Locality::ProcessLocal, now));
        }
        let allowed = self.allowed_level(now, waits);
        if allowed >= Locality::NodeLocal
            && let Some(index) = self.by_host.get_mut(&host).and_then(|q| take(q, &self.waiting))
        {
            return Some(self.launch(index, Locality::NodeLocal, now));
        }
        if let Some(index) = take(&mut self.anywhere, &self.waiting) {
            return Some(self.launch(index, Locality::NoPref, now));
        }
        if allowed == Locality::Any
            && let Some(index) = take(&mut self.preferring, &self.waiting)
        {
            return Some(self.launch(index, Locality::Any, now));
        }
        None
    }

    /// When delay scheduling allows the next level, if tasks are held back for it.
    pub(super) fn next_level_at(&self, waits: LocalityWaits) -> Option<SimTime> {
        if self.waiting_count == 0 || self.level == Locality::Any {
            return None;
        }
        let wait = if self.level == Locality::ProcessLocal { waits.process } else { waits.node };
        Some(self.since + wait)
    }

    fn launch(&mut self, index: u32, locality: Locality, now: SimTime) -> (u32, Locality) {
        self.waiting[index as usize] = false;
        self.waiting_count -= 1;
        if locality <= self.level {
            self.since = now;
        }
        (index, locality)
    }

    /// Moves past levels at which nobody waits, or whose time is up.
    fn allowed_level(&mut self, now: SimTime, waits: LocalityWaits) -> Locality {
        loop {
            let (queues, wait, next) = match self.level {
                Locality::ProcessLocal => (&mut self.by_executor, waits.process, Locality::NodeLocal),
                Locality::NodeLocal => (&mut self.by_host, waits.node, Locality::Any),
                Locality::NoPref | Locality::Any => return Locality::Any,
            };
            let somebody = queues.values_mut().any(|queue| {
                while queue.front().is_some_and(|&index| !self.waiting[index as usize]) {
                    queue.pop_front();
                }
                !queue.is_empty()
            });
            if !somebody {
                self.level = next;
                self.since = now;
            } else if now.since(self.since) >= wait {
                self.level = next;
                self.since = self.since + wait;
            } else {
                return self.level;
            }
        }
    }
}

fn take(queue: &mut VecDeque<u32>, waiting: &[bool]) -> Option<u32> {
    while let Some(index) = queue.pop_front() {
        if waiting[index as usize] {
            return Some(index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: LocalityWaits =
        LocalityWaits { process: SimDuration::from_ms(3_000), node: SimDuration::from_ms(3_000) };

    fn at(ms: u64) -> SimTime {
        SimTime(ms * 1_000_000)
    }

    #[test]
    fn tasks_without_preference_go_in_order_to_anyone() {
        let mut set = TaskSet::new(3, 0..3, |_| Vec::new(), at(0));
        let order: Vec<u32> = (0..3).filter_map(|e| set.offer(e, 0, at(0), WAITS)).map(|(i, _)| i).collect();
        assert_eq!((order, set.waiting_count), (vec![0, 1, 2], 0));
    }

    #[test]
    fn a_cached_block_is_worth_waiting_three_seconds_a_level() {
        // Both tasks' blocks are in executor 0; executor 1 is on the same host, executor 2 elsewhere.
        let mut set = TaskSet::new(3, 0..3, |_| vec![(0, 0)], at(0));
        assert_eq!(set.offer(1, 0, at(0), WAITS), None);
        assert_eq!(set.offer(0, 0, at(10), WAITS), Some((0, Locality::ProcessLocal)));
        assert_eq!(set.next_level_at(WAITS), Some(at(3_010)));
        assert_eq!(set.offer(1, 0, at(3_009), WAITS), None);
        assert_eq!(set.offer(1, 0, at(3_010), WAITS), Some((1, Locality::NodeLocal)));
        assert_eq!(set.offer(2, 1, at(3_020), WAITS), None);
        assert_eq!(set.offer(2, 1, at(6_010), WAITS), Some((2, Locality::Any)));
    }

    #[test]
    fn a_retry_goes_first() {
        let mut set = TaskSet::new(3, 0..3, |_| Vec::new(), at(0));
        let first = set.offer(0, 0, at(0), WAITS).unwrap().0;
        set.add(first, &Vec::new(), true);
        assert_eq!(set.offer(0, 0, at(1), WAITS), Some((0, Locality::NoPref)));
    }
}
