//! The event queue: a binary heap keyed by (time, sequence number). Push and pop cost O(log n) in the pending events; a
//! scheduled event cannot be taken back, so owners put a generation into events that may become void and ignore old ones.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::units::SimTime;

/// Events of type `E` in the order of (time, scheduling).
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    sequence: u64,
    now: SimTime,
    served: u64,
}

#[derive(Debug)]
struct Entry<E> {
    time: SimTime,
    sequence: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.sequence).cmp(&(other.time, other.sequence))
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, now: SimTime::ZERO, served: 0 }
    }
}

impl<E> EventQueue<E> {
    /// An empty queue at time zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Time of the last event served.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Number of events served so far.
    pub fn served(&self) -> u64 {
        self.served
    }

    /// Schedules `event` at `time`, or now when `time` has passed.
    pub fn schedule(&mut self, time: SimTime, event: E) {
        let entry = Entry { time: time.max(self.now), sequence: self.sequence, event };
        self.sequence += 1;
        self.heap.push(Reverse(entry));
    }

    /// Takes the next event and moves the clock to its time.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.time;
        self.served += 1;
        Some((entry.time, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_are_served_in_insertion_order() {
        let mut queue = EventQueue::new();
        for (time, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            queue.schedule(SimTime(time), event);
        }
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcd");
        assert_eq!((queue.now(), queue.served()), (SimTime(5), 4));
    }

    #[test]
    fn the_past_is_now() {
        let mut queue = EventQueue::new();
        queue.schedule(SimTime(10), 1);
        queue.pop();
        queue.schedule(SimTime(4), 2);
        assert_eq!(queue.pop(), Some((SimTime(10), 2)));
    }
}
