//! What garbage collection costs, by counting what a collector does: how many collections an allocated GiB brings, and what
//! each copies, marks or moves at which speed.
//!
//! `g1` and `generational` (Parallel and Serial) hold the two mechanisms with their constants, `swapped` what a full
//! collection costs when part of the heap is on disk. Common to all:
//!
//! - Objects that die young cost nothing by themselves; a young collection copies what survives it.
//! - Survivors fill the old generation; when no room is left, a full collection marks all live objects and moves them
//!   together. How much room there is is the collector's arithmetic on the size of the heap.
//! - Page-sized arrays of primitives hold no references: they are copied at the speed of memory and marked in no time.
//!
//! So the cost depends on what is live and on what turns over, and grows without bound as the room shrinks.
//!
//! Measured with bare programs on JVM 17, two processors, heaps of 0.5, 1 and 2 GiB (`validate --host`, docs/host.md, which
//! also says how far off the predictions are). Not measured: more collector threads (every speed here is that of two, or of
//! one for Serial), heaps above 2 GiB, ZGC, Shenandoah, weak references.

mod g1;
mod generational;
mod swapped;

pub use swapped::{After, SwappedHeap, swapped_full_collection_s, swapped_walk_s};

use crate::units::MIB;

/// A collector of HotSpot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    /// G1, what a JVM chooses on two processors and 1792 MiB or more.
    G1,
    /// Parallel.
    Parallel,
    /// Serial, what a JVM chooses on a smaller machine.
    Serial,
}

/// A heap and what a program does to it. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeapLoad {
    /// Size of the heap (`-Xmx`).
    pub heap: f64,
    /// Live data in many small objects.
    pub live_objects: f64,
    /// Live data in arrays of `page` bytes.
    pub live_pages: f64,
    /// Size of one large array; without effect where there are none.
    pub page: f64,
    /// Share of the allocated bytes that are small objects which replace live ones; the rest, less the pages, dies at once.
    pub object_turnover: f64,
    /// Share of the allocated bytes that are pages which replace live ones.
    pub page_turnover: f64,
    /// Share of the live objects' clusters that point to another one anywhere in the heap.
    pub cross_links: f64,
    /// Seconds that a full collection waits for pages in swap ([`swapped_walk_s`]); 0 where all is in memory.
    pub away_s: f64,
}

impl HeapLoad {
    /// A heap with live small objects only.
    pub fn objects(heap: f64, live: f64, turnover: f64) -> Self {
        Self {
            heap,
            live_objects: live,
            live_pages: 0.0,
            page: 0.0,
            object_turnover: turnover,
            page_turnover: 0.0,
            cross_links: 0.0,
            away_s: 0.0,
        }
    }

    fn live(&self) -> f64 {
        self.live_objects + self.live_pages
    }
}

/// What allocating costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GcCost {
    /// Seconds of pauses for a byte allocated.
    pub pause_s_per_byte: f64,
    /// Pauses for a byte allocated.
    pub pauses_per_byte: f64,
    /// Seconds of processor that collector threads take for a byte allocated while the program runs.
    pub concurrent_s_per_byte: f64,
    /// Seconds for a byte in which the program waits for the collector outside of pauses.
    pub stall_s_per_byte: f64,
    /// Share of the allocated bytes for which every object is a locked call into the heap (Serial with eden full).
    pub slow_share: f64,
    /// Bytes allocated between two full collections; infinite where there are none.
    pub full_every_bytes: f64,
    /// Pause of a full collection, or of a young one where there are no full ones, seconds.
    pub longest_pause_s: f64,
}

/// Which OutOfMemoryError a program dies of when its heap is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapEnd {
    /// `Java heap space`: an allocation found no room after a full collection.
    JavaHeapSpace,
    /// `GC overhead limit exceeded`: five full collections in a row took 98 % of the time and left 2 % of the heap
    /// (`-XX:GCTimeLimit`, `-XX:GCHeapFreeLimit`; Parallel only).
    GcOverheadLimit,
}

impl HeapEnd {
    /// The message of the error.
    pub fn message(self) -> &'static str {
        match self {
            Self::JavaHeapSpace => "Java heap space",
            Self::GcOverheadLimit => "GC overhead limit exceeded",
        }
    }
}

/// When a heap became too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapFate {
    /// It is large enough.
    Lives,
    /// The live data itself does not fit.
    DiesFilling(HeapEnd),
    /// The live data fits, but nothing can be replaced any more.
    DiesRunning(HeapEnd),
}

/// What an idle JVM of its own keeps alive: class mirrors, strings, module graph. Measured: what full collections of
/// Parallel left beyond the program's own data, 1.0 to 1.5 MiB.
const JVM_OWN_BYTES: f64 = 1.2 * MIB as f64;

/// Share of `x` lifetimes' worth of new data that is still alive when all of it is there: while a young generation fills,
/// the first survivors in it are replaced already.
fn still_alive(lifetimes: f64) -> f64 {
    alive_of(lifetimes, (-lifetimes).exp())
}

/// The same where the share that is `kept` through all of it, `exp(-lifetimes)`, is known.
fn alive_of(lifetimes: f64, kept: f64) -> f64 {
    if lifetimes < 1e-6 { 1.0 } else { (1.0 - kept) / lifetimes }
}

/// What allocating costs under `load`.
pub fn cost(collector: Collector, load: &HeapLoad) -> GcCost {
    match collector {
        Collector::G1 => g1::cost(load),
        Collector::Parallel => generational::PARALLEL.cost(load),
        Collector::Serial => generational::SERIAL.cost(load),
    }
}

/// Seconds of a full collection that somebody asks for while the heap is resident.
pub fn full_collection_s(collector: Collector, load: &HeapLoad) -> f64 {
    match collector {
        Collector::G1 => g1::full_s(load),
        Collector::Parallel => generational::PARALLEL.full_s(load, load.heap.max(1.0), 0.0),
        Collector::Serial => generational::SERIAL.full_s(load, load.heap.max(1.0), 0.0),
    }
}

/// Whether a program lives in its heap, and of what it dies.
pub fn fate(collector: Collector, load: &HeapLoad) -> HeapFate {
    match collector {
        Collector::G1 => g1::fate(load),
        Collector::Parallel => generational::PARALLEL.fate(load),
        Collector::Serial => generational::SERIAL.fate(load),
    }
}

/// Bytes of a heap that live data can fill before the program dies.
pub fn usable(collector: Collector, heap: f64) -> f64 {
    let usable = match collector {
        Collector::G1 => g1::usable(heap),
        Collector::Parallel => generational::PARALLEL.usable(heap),
        Collector::Serial => generational::SERIAL.usable(heap),
    };
    usable - JVM_OWN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GIB;

    const ALL: [Collector; 3] = [Collector::G1, Collector::Parallel, Collector::Serial];

    fn per_gib(collector: Collector, load: &HeapLoad) -> f64 {
        cost(collector, load).pause_s_per_byte * GIB as f64
    }

    #[test]
    fn fuller_heaps_and_more_survivors_cost_more() {
        let heap = 512.0 * MIB as f64;
        for collector in ALL {
            let costs: Vec<f64> = [0.1, 0.3, 0.5, 0.7, 0.9]
                .map(|share| per_gib(collector, &HeapLoad::objects(heap, share * heap, 0.2)))
                .to_vec();
            assert!(costs.is_sorted(), "{collector:?}: {costs:?}");
            let turnover = |share| per_gib(collector, &HeapLoad::objects(heap, 0.8 * heap, share));
            assert!(turnover(0.05) < turnover(0.2) && turnover(0.2) < turnover(0.5), "{collector:?}");
        }
    }

    #[test]
    fn pages_cost_a_tenth_of_objects() {
        let heap = 512.0 * MIB as f64;
        let objects = HeapLoad::objects(heap, 0.8 * heap, 0.2);
        let pages = HeapLoad {
            live_objects: 0.0,
            live_pages: objects.live_objects,
            page: 4.0 * MIB as f64,
            object_turnover: 0.0,
            page_turnover: 0.2,
            ..objects
        };
        for collector in ALL {
            let ratio = per_gib(collector, &objects) / per_gib(collector, &pages);
            assert!(ratio > 10.0, "{collector:?}: {ratio}");
        }
    }

    #[test]
    fn any_load_has_a_finite_cost() {
        for collector in ALL {
            for heap in [1.0, 64.0 * MIB as f64, 40.0 * GIB as f64] {
                for share in [0.0, 0.3, 0.44, 0.97, 1.0, 3.0] {
                    for turnover in [0.0, 1e-9, 0.5, 1.0] {
                        let mut load = HeapLoad::objects(heap, share * heap / 2.0, turnover / 2.0);
                        load.live_pages = share * heap / 2.0;
                        load.page = 64.0 * MIB as f64;
                        load.page_turnover = turnover / 2.0;
                        let found = cost(collector, &load);
                        let figures =
                            [found.pause_s_per_byte, found.concurrent_s_per_byte, found.stall_s_per_byte];
                        let fine = figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0);
                        assert!(fine, "{collector:?} {load:?}: {found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn parallel_uses_eleven_twelfths_and_says_which_limit_it_was() {
        let heap = 512.0 * MIB as f64;
        let fate_at = |share: f64| fate(Collector::Parallel, &HeapLoad::objects(heap, share * heap, 0.2));
        assert_eq!(fate_at(0.905), HeapFate::Lives);
        assert_eq!(fate_at(0.92), HeapFate::DiesFilling(HeapEnd::GcOverheadLimit));
        assert_eq!(HeapEnd::GcOverheadLimit.message(), "GC overhead limit exceeded");
        assert!((usable(Collector::Parallel, heap) / heap - 0.914).abs() < 0.001);
    }
}
