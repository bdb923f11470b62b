//! What garbage collection costs a JVM that runs tasks: [`collector`](super::collector) with what is known of such a program
//! put in.
//!
//! Pages of execution memory and serialised blocks are arrays, the rest are small objects. What tasks allocate dies almost all
//! at once. Where part of the heap is in swap, collections of the old generation read it back, several times over. Left out:
//! humongous arrays that tasks take and give back (how many depends on their operators), class unloading, what young
//! collections need of swapped pages.

use super::collector::{self, Collector, HeapEnd, HeapFate, HeapLoad, swapped_walk_s};

/// What a heap holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskHeap {
    /// `-Xmx`.
    pub heap: u64,
    /// Live data in small objects.
    pub objects: u64,
    /// Live data in arrays.
    pub arrays: u64,
    /// Share of the live data that is in swap.
    pub missing: f64,
    /// Time of a random read of the swap device, seconds.
    pub swap_read_s: f64,
}

impl TaskHeap {
    /// Live bytes that come or go on the way to `other`; the most there are where something else changes.
    pub fn moved_to(self, other: Self) -> u64 {
        let same = Self { objects: other.objects, arrays: other.arrays, ..self } == other;
        let moved = self.objects.abs_diff(other.objects) + self.arrays.abs_diff(other.arrays);
        if same { moved } else { u64::MAX }
    }

    /// The error of which a program dies whose heap, under `collector`, holds more than fits.
    pub fn end(&self, collector: Collector) -> HeapEnd {
        let mut load = HeapLoad::objects(0.0, self.objects as f64, 0.0);
        load.live_pages = self.arrays as f64;
        match collector::fate(collector, &load) {
            HeapFate::DiesFilling(end) | HeapFate::DiesRunning(end) => end,
            HeapFate::Lives => HeapEnd::JavaHeapSpace,
        }
    }
}

/// Share of what tasks allocate that replaces live objects. Measured on one PySpark job (aggregation, join, sort; 1 GiB, two
/// cores, G1): 0.7 % of 7.5 GB was promoted, 3 % survived a first collection.
const TURNOVER: f64 = 0.02;
/// Seconds of a pause that go to what is not in the heap: code, class loaders, threads of a Spark JVM. Same job: pauses with
/// hardly a survivor take 4 to 6 ms, of a bare program 0.8 ms.
const ROOTS_S: f64 = 4e-3;
/// Live data above this share of what the collector can use is taken as this share: the program is about to die of it, and
/// whether it does is decided elsewhere.
const USED_SHARE_MAX: f64 = 0.95;

/// Bytes of a heap of `heap` that live data can fill beside a collector at work.
pub fn fillable(heap: u64) -> u64 {
    (heap as f64 * USED_SHARE_MAX) as u64
}

/// What collections of a heap take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pauses {
    /// Nanoseconds for one byte that tasks allocate.
    pub ns_per_byte: f64,
    /// The longest kind of pause, ns.
    pub longest_ns: f64,
    /// Bytes allocated between two of that kind.
    pub every_bytes: f64,
}

/// What collections of `heap` take while tasks allocate.
pub fn pauses(collector: Collector, heap: TaskHeap) -> Pauses {
    let size = heap.heap.max(1) as f64;
    let live = (heap.objects + heap.arrays) as f64;
    let fitting = (USED_SHARE_MAX * collector::usable(collector, size) / live.max(1.0)).clamp(0.0, 1.0);
    let mut load = HeapLoad::objects(size, heap.objects as f64 * fitting, TURNOVER);
    load.live_pages = heap.arrays as f64 * fitting;
    load.away_s = swapped_walk_s(collector, load.live_objects, heap.missing, heap.swap_read_s);
    let cost = collector::cost(collector, &load);
    let every =
        if cost.full_every_bytes.is_finite() { cost.full_every_bytes } else { 1.0 / cost.pauses_per_byte };
    Pauses {
        ns_per_byte: (cost.pause_s_per_byte + ROOTS_S * cost.pauses_per_byte) * 1e9,
        longest_ns: (cost.longest_pause_s + ROOTS_S) * 1e9,
        every_bytes: every,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    #[test]
    fn a_fuller_heap_costs_more_and_never_infinitely_much() {
        let cost = |objects: u64, arrays: u64| {
            let heap = TaskHeap {
                heap: 1024 * MIB,
                objects: objects * MIB,
                arrays: arrays * MIB,
                ..TaskHeap::default()
            };
            pauses(Collector::G1, heap).ns_per_byte
        };
        assert!(cost(900, 0) > 2.0 * cost(500, 0));
        assert!(cost(500, 0) > cost(100, 400));
        let end = |objects, arrays| {
            let heap = TaskHeap { heap: 1, objects, arrays, ..TaskHeap::default() };
            heap.end(Collector::Parallel)
        };
        assert_eq!((end(9, 1), end(1, 9)), (HeapEnd::GcOverheadLimit, HeapEnd::JavaHeapSpace));
        assert!(cost(5_000, 0).is_finite() && cost(0, 5_000).is_finite());
    }

    #[test]
    fn a_collector_that_walks_a_swapped_heap_waits_for_its_pages() {
        let longest_s = |collector, missing, swap_read_s| {
            let heap = TaskHeap { heap: 1024 * MIB, objects: 700 * MIB, arrays: 0, missing, swap_read_s };
            pauses(collector, heap).longest_ns / 1e9
        };
        for collector in [Collector::G1, Collector::Parallel, Collector::Serial] {
            let [memory, swapped] = [0.0, 0.3].map(|missing| longest_s(collector, missing, 71e-6));
            // Measured for 400 MiB of objects at overcommit 1.5: 3 to 11 s instead of 0.2 to 0.3.
            assert!(memory < 1.0 && (4.0..20.0).contains(&swapped), "{collector:?} {memory} {swapped}");
            assert!(longest_s(collector, 0.3, 1e-3) > 10.0 * swapped);
        }
    }
}
