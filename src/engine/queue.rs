//! The event queue: two binary heaps keyed by (time, sequence number), one of events that come once and cannot be taken
//! back, one of timers, each of which stands for one recurring event and may be set again while it runs. Scheduling,
//! setting and popping cost O(log n) in what is pending; a timer has a place of its own, so that setting it anew moves its
//! entry and leaves none behind.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::units::SimTime;

/// A timer of an [`EventQueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId(u32);

/// Events of type `E` in the order of (time, scheduling).
#[derive(Debug)]
pub struct EventQueue<E> {
    once: BinaryHeap<Reverse<Entry<E>>>,
    timers: Timers<E>,
    sequence: u64,
    now: SimTime,
    served: u64,
}

#[derive(Debug)]
struct Entry<E> {
    due: Due,
    event: E,
}

/// When something happens: the earlier time first, then what was scheduled first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    time: SimTime,
    sequence: u64,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
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
        self.due.cmp(&other.due)
    }
}

impl<E: Copy> Default for EventQueue<E> {
    fn default() -> Self {
        Self {
            once: BinaryHeap::new(),
            timers: Timers::default(),
            sequence: 0,
            now: SimTime::ZERO,
            served: 0,
        }
    }
}

impl<E: Copy> EventQueue<E> {
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
        let due = self.due(time);
        self.once.push(Reverse(Entry { due, event }));
    }

    /// Adds a timer for `event`, which does not run yet.
    pub fn add_timer(&mut self, event: E) -> TimerId {
        self.timers.add(event)
    }

    /// Lets a timer go off at `time`, or now when `time` has passed, and at no other time; never with `None`. Among what
    /// happens at the same time it stands as if it had been scheduled just now.
    pub fn set_timer(&mut self, timer: TimerId, time: Option<SimTime>) {
        match time {
            Some(time) => {
                let due = self.due(time);
                self.timers.set(timer, due);
            }
            None => self.timers.stop(timer),
        }
    }

    /// Takes the next event and moves the clock to its time.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let timer = self.timers.next();
        let once = self.once.peek().map(|Reverse(entry)| entry.due);
        let (due, event) = match (timer, once) {
            (Some(timer), once) if once.is_none_or(|once| timer < once) => (timer, self.timers.go_off()),
            _ => {
                let Reverse(entry) = self.once.pop()?;
                (entry.due, entry.event)
            }
        };
        self.now = due.time;
        self.served += 1;
        Some((due.time, event))
    }

    fn due(&mut self, time: SimTime) -> Due {
        let due = Due { time: time.max(self.now), sequence: self.sequence };
        self.sequence += 1;
        due
    }
}

/// The timers that run, as a heap that knows the place of each.
#[derive(Debug)]
struct Timers<E> {
    events: Vec<E>,
    /// By timer, `STOPPED` for those that do not run.
    place: Vec<u32>,
    heap: Vec<(Due, TimerId)>,
    /// The first of the heap has gone off. It stays until the next look, since mostly it is set again at once.
    gone_off: bool,
}

/// Place of a timer that does not run.
const STOPPED: u32 = u32::MAX;

impl<E> Default for Timers<E> {
    fn default() -> Self {
        Self { events: Vec::new(), place: Vec::new(), heap: Vec::new(), gone_off: false }
    }
}

impl<E: Copy> Timers<E> {
    fn add(&mut self, event: E) -> TimerId {
        self.events.push(event);
        self.place.push(STOPPED);
        TimerId(self.events.len() as u32 - 1)
    }

    fn next(&mut self) -> Option<Due> {
        if self.gone_off {
            self.gone_off = false;
            self.remove(0);
        }
        self.heap.first().map(|&(due, _)| due)
    }

    /// The event of the first timer, of which there is one and which has not gone off.
    fn go_off(&mut self) -> E {
        self.gone_off = true;
        self.events[self.heap[0].1.0 as usize]
    }

    fn set(&mut self, timer: TimerId, due: Due) {
        let place = self.place[timer.0 as usize];
        if place == STOPPED {
            self.heap.push((due, timer));
            self.rise(self.heap.len() - 1);
            return;
        }
        let place = place as usize;
        self.gone_off &= place != 0;
        let later = due > self.heap[place].0;
        self.heap[place].0 = due;
        if later {
            self.sink(place);
        } else {
            self.rise(place);
        }
    }

    fn stop(&mut self, timer: TimerId) {
        let place = self.place[timer.0 as usize];
        if place != STOPPED {
            self.gone_off &= place != 0;
            self.remove(place as usize);
        }
    }

    fn remove(&mut self, place: usize) {
        self.place[self.heap[place].1.0 as usize] = STOPPED;
        let last = self.heap.pop().expect("who has a place is in the heap");
        if place < self.heap.len() {
            let later = last.0 > self.heap[place].0;
            self.heap[place] = last;
            if later {
                self.sink(place);
            } else {
                self.rise(place);
            }
        }
    }

    fn rise(&mut self, mut place: usize) {
        let moving = self.heap[place];
        while place > 0 {
            let above = (place - 1) / 2;
            if self.heap[above].0 <= moving.0 {
                break;
            }
            self.put(place, self.heap[above]);
            place = above;
        }
        self.put(place, moving);
    }

    fn sink(&mut self, mut place: usize) {
        let moving = self.heap[place];
        loop {
            let mut below = 2 * place + 1;
            if below >= self.heap.len() {
                break;
            }
            if below + 1 < self.heap.len() && self.heap[below + 1].0 < self.heap[below].0 {
                below += 1;
            }
            if moving.0 <= self.heap[below].0 {
                break;
            }
            self.put(place, self.heap[below]);
            place = below;
        }
        self.put(place, moving);
    }

    fn put(&mut self, place: usize, entry: (Due, TimerId)) {
        self.heap[place] = entry;
        self.place[entry.1.0 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_timer_goes_off_when_it_was_last_set_to() {
        let mut queue = EventQueue::new();
        let timer = queue.add_timer('t');
        queue.set_timer(timer, Some(SimTime(3)));
        queue.schedule(SimTime(5), 'a');
        queue.set_timer(timer, Some(SimTime(5)));
        assert_eq!(queue.pop(), Some((SimTime(5), 'a')));
        assert_eq!(queue.pop(), Some((SimTime(5), 't')));
        assert_eq!(queue.pop(), None);
        queue.set_timer(timer, Some(SimTime(9)));
        queue.set_timer(timer, None);
        assert_eq!(queue.pop(), None);
    }

    proptest! {
        /// Against a list of what is pending, of which the least is taken.
        #[test]
        fn timers_and_events_come_in_order(steps in prop::collection::vec((0..8_u8, 0..6_usize, 0..20_u64), 1..200)) {
            let mut queue = EventQueue::new();
            let timers: Vec<TimerId> = (0..6).map(|timer| queue.add_timer(timer)).collect();
            let mut pending: Vec<(u64, usize, usize)> = Vec::new();
            let mut now = 0;
            for (sequence, (step, which, distance)) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        queue.schedule(SimTime(now + distance), 100 + which);
                        pending.push((now + distance, sequence, 100 + which));
                    }
                    1..=3 => {
                        queue.set_timer(timers[which], Some(SimTime(now + distance)));
                        pending.retain(|&(.., event)| event != which);
                        pending.push((now + distance, sequence, which));
                    }
                    4 => {
                        queue.set_timer(timers[which], None);
                        pending.retain(|&(.., event)| event != which);
                    }
                    _ => {
                        let next = pending.iter().copied().min();
                        pending.retain(|entry| Some(*entry) != next);
                        let found = queue.pop();
                        prop_assert_eq!(found, next.map(|(time, _, event)| (SimTime(time), event)));
                        now = next.map_or(now, |(time, ..)| time);
                    }
                }
            }
        }
    }
}
