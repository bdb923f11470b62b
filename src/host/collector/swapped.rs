//! A full collection of a heap that is partly swapped out: it walks all live objects, and does so in several passes, each of
//! which reads back what the one before pushed out.
//!
//! Arrays of primitives are not walked: their pages stay where they are. Measured on one fast disk (a random 4 KiB read takes
//! 71 us); a slower one is taken to be slower in proportion, which was not measured. Left out: that the kernel may kill a
//! process whose pages are all active (3 of about 20 measured steps).

use super::{Collector, HeapLoad, full_collection_s};
use crate::units::MIB;

/// A heap under a limit of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwappedHeap {
    /// The heap.
    pub load: HeapLoad,
    /// Bytes that the process may keep in memory.
    pub limit: f64,
    /// Bytes of the process outside the heap that it keeps using.
    pub beside: f64,
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

/// Seconds of a full collection of `heap`.
pub fn swapped_full_collection_s(collector: Collector, heap: &SwappedHeap, after: After) -> f64 {
    let load = &heap.load;
    let resident = full_collection_s(collector, load);
    let Walk { passes, page_s, touched } = Walk::of(collector);
    let wanted = load.live_objects + load.live_pages + heap.beside;
    let overcommit = wanted / heap.limit.max(MIB as f64);
    let pages = if overcommit > 1.0 {
        passes * load.live_objects * (1.0 - (-MISSES * (1.0 - 1.0 / overcommit)).exp())
    } else if walks_untouched(collector, after) && load.live_objects > 0.0 {
        // The live data would fit, but what lies on disk is where the collection works.
        let process = (touched * load.heap).max(load.live_objects + load.live_pages) + heap.beside;
        passes * (process - heap.limit).max(0.0)
    } else {
        0.0
    };
    resident + pages / PAGE * page_s * heap.read_s / MEASURED_READ_S
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
            let heap = SwappedHeap { load, limit: (live + beside) / overcommit, beside, read_s: 71e-6 };
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
            let heap = SwappedHeap { load, limit: 300.0 * MIB as f64, beside: 0.0, read_s };
            swapped_full_collection_s(Collector::G1, &heap, After::Limit)
                - full_collection_s(Collector::G1, &load)
        };
        assert!((at(710e-6) / at(71e-6) - 10.0).abs() < 1e-9);
    }
}
