//! Collections so long that the driver misses an executor's heartbeats.
//!
//! An executor sends a heartbeat every `spark.executor.heartbeatInterval`, and none while its JVM is stopped. Every
//! `spark.network.timeoutInterval` the driver looks for executors that it has not heard of for longer than
//! `spark.storage.blockManagerHeartbeatTimeoutMs` (unset: `spark.network.timeout`), gives them up and has them killed and
//! replaced; that counts as a failure of their tasks (KILL-7, FAIL-3; class `HeartbeatReceiver` of Spark 4.1.4).
//!
//! Shorter collections are spread evenly over the work that brings them (`executor`). Those that a driver may miss stop
//! their executor for as long as they take, one at a time, whether it is missed in the end or not.
//!
//! In local mode driver and executor stop together: when they go on, the search that came due meanwhile finds the executor
//! silent, and its tasks are lost. Left out: that heartbeats begin after one to two intervals at random (here: after one),
//! that local mode then also forgets the outputs of finished tasks, young collections between two long ones.

use super::World;
use super::event::Event;
use crate::engine::TimerId;
use crate::host::Pauses;
use crate::record::{EventKind, Outcome, Silence};
use crate::units::{HumanDuration, SimDuration, SimTime};

/// The settings by which a driver gives an executor up, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heartbeats {
    interval: u64,
    timeout: u64,
    search: u64,
}

impl Heartbeats {
    /// The longest pause that is never missed.
    fn bearable(self) -> u64 {
        self.timeout.saturating_sub(self.interval)
    }

    /// When the driver gives up an executor, started at `added`, that stops from `start` for `length` ns, and how long it had
    /// been silent by then; none if its next heartbeat comes in time. `with_driver`: the driver stops as well.
    fn given_up(
        self,
        added: SimTime,
        start: SimTime,
        length: u64,
        with_driver: bool,
    ) -> Option<(SimTime, u64)> {
        let beats = start.since(added).0 / self.interval;
        let heard = added.0.saturating_add(beats.saturating_mul(self.interval));
        let end = start.0.saturating_add(length);
        let next_search = |after: u64| (after / self.search).saturating_add(1).saturating_mul(self.search);
        let search = if with_driver { end } else { next_search(heard.saturating_add(self.timeout)) };
        let looked = if with_driver { next_search(start.0) <= end } else { search < end };
        let silent = search.saturating_sub(heard);
        (looked && silent > self.timeout).then_some((SimTime(search), silent))
    }
}

/// Where an executor stands between collections that the driver may miss. While its collections are shorter it is idle.
#[derive(Debug, Default)]
pub(super) struct LongPauses {
    timer: Option<TimerId>,
    /// Bytes allocated since the last long collection.
    filled: f64,
    /// When that was last brought up to date; none while collections are short.
    since: Option<SimTime>,
    /// Bytes a nanosecond that its tasks have allocated since then.
    rate: f64,
    /// What the next collection would take, ns.
    next_ns: u64,
    stop: Option<Stop>,
}

impl LongPauses {
    /// The executor's JVM stands still.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }
}

/// A collection under way.
#[derive(Clone, Copy, Debug)]
struct Stop {
    length: u64,
    /// When the driver gives the executor up, and the silence until then, ns.
    given_up: Option<(SimTime, u64)>,
}

impl World<'_> {
    fn heartbeats(&self) -> Heartbeats {
        let scheduling = &self.settings.scheduling;
        Heartbeats {
            interval: scheduling.heartbeat_interval.0.max(1),
            timeout: scheduling.executor_timeout.0,
            search: scheduling.network_timeout_interval.0.max(1),
        }
    }

    /// Takes note of what collections of an executor take from now on. Returns the share of its time that goes to those
    /// which are spread over its work; 1 while it stands still.
    pub(super) fn bear_pauses(&mut self, index: usize, pauses: Pauses, processor: f64) -> f64 {
        let executor = &mut self.executors[index];
        let long = &mut executor.long_pauses;
        if long.is_stopped() {
            return 1.0;
        }
        // Tasks that wait for pages allocate the slower; the collections that they bring take as long as ever.
        let slow = executor.swap_slow();
        let rate = executor.allocation_rate * processor;
        let share_of = |pauses_per_work: f64| pauses_per_work / (slow + pauses_per_work);
        let spread = pauses.ns_per_byte * rate;
        if pauses.longest_ns <= self.heartbeats().bearable() as f64 || !pauses.every_bytes.is_finite() {
            let long = &mut self.executors[index].long_pauses;
            if long.since.take().is_some() {
                long.filled = 0.0;
                if let Some(timer) = long.timer {
                    self.queue.set_timer(timer, None);
                }
            }
            return share_of(spread);
        }
        let share = share_of((spread - pauses.longest_ns / pauses.every_bytes * rate).max(0.0));
        let now = self.queue.now();
        let long = &mut self.executors[index].long_pauses;
        let elapsed = long.since.replace(now).map_or(0, |since| now.since(since).0);
        long.filled += elapsed as f64 * long.rate;
        long.rate = rate * (1.0 - share) / slow;
        long.next_ns = pauses.longest_ns.min(u64::MAX as f64 / 4.0) as u64;
        let timer = match long.timer {
            Some(timer) => timer,
            None => self.queue.add_timer(Event::LongPause { executor: index }),
        };
        let long = &mut self.executors[index].long_pauses;
        long.timer = Some(timer);
        let left = (pauses.every_bytes - long.filled).max(0.0);
        let due = (long.rate > 0.0)
            .then(|| now + SimDuration((left / long.rate).min(u64::MAX as f64 / 4.0) as u64));
        self.queue.set_timer(timer, due);
        share
    }

    /// A long collection begins, ends, or has lasted too long for the driver.
    pub(super) fn long_pause(&mut self, index: usize) {
        let executor = &self.executors[index];
        if !executor.alive {
            return;
        }
        let now = self.queue.now();
        let Some(stop) = executor.long_pauses.stop else {
            let length = executor.long_pauses.next_ns;
            let added = SimTime(executor.record.added_ns);
            let given_up = self.heartbeats().given_up(added, now, length, self.local);
            self.event(EventKind::LongPause, Some(index), None, 0, &pause_words(length));
            let end = now + SimDuration(length);
            let long = &mut self.executors[index].long_pauses;
            long.stop = Some(Stop { length, given_up });
            let timer = long.timer;
            self.refresh(index);
            if let Some(timer) = timer {
                self.queue.set_timer(timer, Some(given_up.map_or(end, |(at, _)| at)));
            }
            return;
        };
        if let Some((_, silent)) = stop.given_up {
            self.give_up(index, stop.length, silent);
        }
        if self.ended.is_none() && self.executors[index].alive {
            let long = &mut self.executors[index].long_pauses;
            (long.stop, long.since, long.filled) = (None, None, 0.0);
            self.refresh(index);
        }
    }

    /// The driver has not heard of an executor for too long.
    fn give_up(&mut self, index: usize, pause_ns: u64, silent_ns: u64) {
        let timeout_ns = self.heartbeats().timeout;
        self.heartbeat_falls(index, Silence { pause_ns, silent_ns, timeout_ns });
        let reason = format!("Executor heartbeat timed out after {} ms", silent_ns / 1_000_000);
        if !self.local {
            self.lose_executor(index, &reason, Outcome::Timeout);
            return;
        }
        let lost = self.lost_words(index, &reason);
        let running: Vec<usize> = self.executors[index].running.iter().copied().collect();
        for key in running {
            if self.tasks[key].is_some() && self.ended.is_none() {
                self.detach(key);
                self.retry_or_abort(key, &lost, Outcome::Timeout);
            }
        }
    }
}

fn pause_words(length: u64) -> String {
    format!("a collection of {}", HumanDuration(SimDuration(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const DEFAULTS: Heartbeats = Heartbeats { interval: 10 * S, timeout: 120 * S, search: 60 * S };

    fn given_up(start: u64, length: u64) -> Option<(u64, u64)> {
        let found = DEFAULTS.given_up(SimTime(2 * S), SimTime(start * S), length * S, false);
        found.map(|(at, silent)| (at.0 / S, silent / S))
    }

    #[test]
    fn the_driver_notices_at_its_next_search_after_the_time_out() {
        // Heard of at 32 s: over at 152 s, looked for at 180 s.
        assert_eq!(given_up(40, 200), Some((180, 148)));
        assert_eq!(given_up(40, 141), Some((180, 148)));
        assert_eq!(given_up(40, 140), None, "the heartbeat of 180 s comes in time");
        // A pause just longer than the time-out is missed only with luck; one of three minutes always.
        assert_eq!((given_up(62, 121), given_up(49, 132)), (None, Some((180, 138))));
        assert!((0..60).all(|start| given_up(100 + start, 181).is_some()));
        assert!((0..60).all(|start| given_up(100 + start, 110).is_none()));
        assert_eq!(DEFAULTS.bearable(), 110 * S);
    }

    #[test]
    fn a_driver_that_stops_too_notices_when_it_goes_on() {
        let local = |length| DEFAULTS.given_up(SimTime(0), SimTime(55 * S), length * S, true);
        assert_eq!(local(100), None);
        assert_eq!(local(130), Some((SimTime(185 * S), 135 * S)));
    }
}
