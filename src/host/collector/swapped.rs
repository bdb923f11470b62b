//! A full collection of a heap that is partly swapped out: it walks all live objects, and does so in several passes, each of
//! which reads back what the one before pushed out.
//!
//! Arrays of primitives are not walked: their pages stay where they are. Measured on one fast disk (a random 4 KiB read takes
//! 71 us); a slower one is taken to be slower in proportion, which was not measured. Left out: that the kernel may kill a
//! process whose pages are all active (3 of about 20 measured steps).

use super::{Collector, HeapLoad, full_collection_s};
use crate::units::{GIB, MIB};

/// A heap under a limit of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwappedHeap {
    /// The heap.
    pub load: HeapLoad,
    /// Bytes that the process may keep in memory.
    pub limit: f64,
    /// Bytes of the process outside the heap that it keeps using.
    pub beside: f64,
    /// Dead small objects in eden, bytes.
    pub garbage: f64,
    /// Time of a random 4 KiB read of the swap device, seconds.
    pub read_s: f64,
}

/// What the program did since its last full collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It was cut down to the limit: what it used longest ago went first.
    Limit,
    /// Nothing: the last collection left its pages in memory.
    Collection,
    /// It filled eden again, which pushed out other pages.
    Allocation,
}

/// Bytes of a page of memory.
const PAGE: f64 = 4096.0;
/// The disk that was measured: time of a random 4 KiB read.
const MEASURED_READ_S: f64 = 71e-6;
/// How fast misses grow with overcommit: of the pages of one pass, `1 - exp(-6 (1 - 1 / overcommit))` are read back. Measured
/// 0.2 at 1.05, 0.55 at 1.2, 0.9 at 1.5, 0.95 at 1.8; within 25 %.
const MISSES: f64 = 6.0;

/// What a collector reads back how often and how fast, and how much of its heap it touches.
struct Walk {
    /// Passes over the live objects. Measured as pages read back of a heap that does not fit at all.
    passes: f64,
    /// Seconds per page read back: readahead brings neighbours along, two threads wait at once (19 to 28 us, 20 to 25 us), or
    /// one (31 to 38 us).
    page_s: f64,
    /// Share of the heap that it has touched although less is live, after filling it once. Measured.
    touched: f64,
}

impl Walk {
    fn of(collector: Collector) -> Self {
        match collector {
            Collector::G1 => Self { passes: 2.0, page_s: 20e-6, touched: 0.85 },
            Collector::Parallel => Self { passes: 1.5, page_s: 22e-6, touched: 0.96 },
            Collector::Serial => Self { passes: 3.0, page_s: 34e-6, touched: 0.93 },
        }
    }
}

/// One collection of G1 takes so much longer than the best of several, of which its speeds are, seconds: code and threads have
/// to come back to the processors. Measured 1.3 to 2.9 ms (heaps of arrays, 1.8 ms at best).
const COLD_S: f64 = 1.5e-3;
/// Pages of its own that a JVM has not used for long, which go first when a limit cuts off only what is idle, and which its next
/// full collection reads one by one: bitmaps, card tables, code. Measured 1600 to 2400 pages, 43 to 72 us each, at the first
/// limit of each of six JVMs; at lower limits, which came later, they were in use and stayed.
const OWN_IDLE_PAGES: f64 = 1_850.0;
const OWN_IDLE_READ: f64 = 0.8;
/// Serial walks over the dead objects of eden too, seconds a GiB of 64-byte arrays. Measured 8 to 10 ms for 100 MB.
const SERIAL_DEAD_S_PER_GIB: f64 = 0.09;

/// Seconds that a full collection waits for pages of `objects` bytes of live small objects, when a share `missing` of them is in
/// swap on a device with random reads of `read_s`: each pass reads back what the one before drove out.
pub fn swapped_walk_s(collector: Collector, objects: f64, missing: f64, read_s: f64) -> f64 {
    let Walk { passes, page_s, .. } = Walk::of(collector);
    let pages = passes * objects / PAGE * (1.0 - (-MISSES * missing).exp());
    pages * page_s * read_s / MEASURED_READ_S
}

/// Seconds of a full collection of `heap`.
pub fn swapped_full_collection_s(collector: Collector, heap: &SwappedHeap, after: After) -> f64 {
    let load = &heap.load;
    let Walk { passes, page_s, touched } = Walk::of(collector);
    let wanted = load.live_objects + load.live_pages + heap.beside;
    let overcommit = wanted / heap.limit.max(MIB as f64);
    let process = (touched * load.heap).max(load.live_objects + load.live_pages) + heap.beside;
    let cut = (process - heap.limit).max(0.0);
    let away = if overcommit > 1.0 {
        swapped_walk_s(collector, load.live_objects, 1.0 - 1.0 / overcommit, heap.read_s)
    } else if walks_untouched(collector, after) && load.live_objects > 0.0 {
        // The live data would fit, but what lies on disk is where the collection works.
        passes * cut / PAGE * page_s * heap.read_s / MEASURED_READ_S
    } else {
        0.0
    };
    let own = if overcommit <= 1.0 && after == After::Limit { OWN_IDLE_PAGES.min(cut / PAGE) } else { 0.0 };
    let dead =
        if collector == Collector::Serial { SERIAL_DEAD_S_PER_GIB * heap.garbage / GIB as f64 } else { 0.0 };
    let cold = if collector == Collector::G1 { COLD_S } else { 0.0 };
    full_collection_s(collector, load) + cold + away + own * OWN_IDLE_READ * heap.read_s + dead
}

/// Whether a collection needs pages that the program did not use of late: G1 moves objects into other regions each time, the
/// others slide them down, and Serial's eden is where new objects drove out old ones.
fn walks_untouched(collector: Collector, after: After) -> bool {
    match (collector, after) {
        (_, After::Collection) | (Collector::Parallel, _) => false,
        (Collector::G1, _) | (Collector::Serial, After::Allocation) => true,
        (Collector::Serial, After::Limit) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_back_several_times_and_arrays_never() {
        let live = 400.0 * MIB as f64;
        let objects = HeapLoad::objects(640.0 * MIB as f64, live, 0.0);
        let arrays = HeapLoad { live_objects: 0.0, live_pages: live, ..objects };
        let seconds = |load, overcommit: f64| {
            let beside = 45.0 * MIB as f64;
            let heap = SwappedHeap {
                load,
                limit: (live + beside) / overcommit,
                beside,
                garbage: 0.0,
                read_s: 71e-6,
            };
            swapped_full_collection_s(Collector::Serial, &heap, After::Limit)
        };
        assert!(seconds(objects, 1.5) > 20.0 * seconds(objects, 0.9));
        assert!(seconds(objects, 1.5) > seconds(objects, 1.2));
        assert!((seconds(arrays, 1.5) - seconds(arrays, 0.5)).abs() < 1e-12);
    }

    #[test]
    fn a_slower_disk_is_slower_in_proportion() {
        let load = HeapLoad::objects(640.0 * MIB as f64, 400.0 * MIB as f64, 0.0);
        let at = |read_s| {
            let heap = SwappedHeap { load, limit: 300.0 * MIB as f64, beside: 0.0, garbage: 0.0, read_s };
            swapped_full_collection_s(Collector::G1, &heap, After::Limit)
                - full_collection_s(Collector::G1, &load)
                - COLD_S
        };
        assert!((at(710e-6) / at(71e-6) - 10.0).abs() < 1e-9);
    }
}
