//! G1: regions, a young generation that gives way, marking beside the program, full collections when the old regions have
//! eaten the room.
//!
//! Follows `G1Policy`, `G1YoungGenSizer` and `G1FullCollector` of OpenJDK 17 in outline:
//!
//! - The young generation takes what is free beyond the reserve (`G1ReservePercent` 10), but 5 to 60 % of the heap.
//! - A program whose live data stays below the marking threshold (`InitiatingHeapOccupancyPercent` 45) has its garbage of the
//!   old regions taken by mixed collections. Above it, what turns over fills the free regions: the young generation shrinks
//!   to a quarter of what is left, until too little is left to evacuate into and a full collection makes room again.
//! - A large array is humongous: above the threshold each one starts a marking cycle with a young pause.
//!
//! Left out: pause-time goals (never reached in heaps up to 2 GiB), adaptive thresholds, string deduplication.

use super::{GcCost, HeapEnd, HeapFate, HeapLoad, JVM_OWN_BYTES, alive_of};
use crate::units::{GIB, MIB};

/// `G1NewSizePercent`.
const YOUNG_SHARE_MIN: f64 = 0.05;
/// `G1MaxNewSizePercent`.
const YOUNG_SHARE_MAX: f64 = 0.60;
/// `G1ReservePercent`.
const RESERVE_SHARE: f64 = 0.10;
/// `InitiatingHeapOccupancyPercent`.
const MARKING_SHARE: f64 = 0.45;
/// Share of the heap that live objects may fill while mixed collections still keep pace: the threshold less the reserve.
const MIXED_SHARE: f64 = MARKING_SHARE - RESERVE_SHARE;
/// Part of what is left that the young generation takes when it is less than its own least size. Measured (collections
/// between two full ones, 512 MiB and 1 GiB): 0.19 to 0.27.
const YOUNG_PART_OF_REST: f64 = 0.25;
/// Share of the heap that must stay free to evacuate into, or else a full collection comes. Measured: 0.030 to 0.039.
const EVACUATION_SHARE: f64 = 0.036;

/// Seconds of a young pause that copies nothing, and what an eden as large as the heap adds to it. Measured 0.7 to 0.95 ms
/// with small edens, 1.3 to 1.6 ms with the largest.
const YOUNG_S: f64 = 0.8e-3;
const YOUNG_S_PER_HEAP: f64 = 1.2e-3;
/// Seconds of the two other pauses of a marking cycle (remark, cleanup). Measured 0.6 to 0.86 ms.
const CYCLE_S: f64 = 0.75e-3;
/// Seconds in which the program waits for a marking cycle to start, beside the pauses. Measured 2 to 3.7 ms.
const CYCLE_STALL_S: f64 = 2.4e-3;
/// Copying small objects, seconds per GiB. Measured 0.8 to 0.95, two threads.
const COPY_S_PER_GIB: f64 = 0.86;
/// Looking at a reference on a dirty card, seconds. Measured about 5 ns, within a factor of 2.
const REFERENCE_S: f64 = 5e-9;
/// Bytes of live objects behind one reference of the program's tables, and bytes of such a reference: the clusters of the
/// measured programs, which real ones may differ from.
const CLUSTER_BYTES: f64 = 512.0;
const REFERENCE_BYTES: f64 = 4.0;
const CARD_BYTES: f64 = 512.0;
/// Part of the young generation that survivor regions may hold before objects are promoted (`SurvivorRatio` 8, target 50 %).
const SURVIVOR_PART: f64 = 1.0 / 16.0;
/// `MaxTenuringThreshold` less the first copy.
const AGES_MAX: f64 = 14.0;

/// A full collection, two threads: seconds per GiB of heap, of live objects in the order of their making, more of those that
/// lie scattered, and of garbage. Measured 0.27 to 0.41 s in 512 MiB, 0.53 to 0.75 s in 1 GiB, 1.07 to 1.24 s in 2 GiB; in
/// order 0.16 to 0.19 s for 400 MiB live of 640.
const FULL_HEAP_S_PER_GIB: f64 = 0.12;
const FULL_LIVE_S_PER_GIB: f64 = 0.27;
const FULL_SCATTERED_S_PER_GIB: f64 = 0.31;
const FULL_DEAD_S_PER_GIB: f64 = 0.40;
/// A full collection that finds no small objects, per GiB of heap. Measured 1.8 ms in 640 MiB.
const FULL_EMPTY_S_PER_GIB: f64 = 2.9e-3;
/// A mixed collection does this part of a full one's work for the same room. Measured 0.5 to 0.6.
const MIXED_PART: f64 = 0.55;
/// Marking and refining beside the program, processor seconds per GiB allocated while marking goes on. Measured 0.25 to 0.65.
const CONCURRENT_S_PER_GIB: f64 = 0.4;

/// With a reference from every cluster to another one: live data kept by dead objects, marking and copying dearer by these
/// shares. From two rows; within a factor of 2.
const LINKS_KEEP: f64 = 0.12;
const LINKS_MARK_S_PER_GIB: f64 = 0.2;
const LINKS_COPY: f64 = 0.3;

/// Regions that live data leaves free: one for eden, one to evacuate into.
const REGIONS_LEFT: f64 = 2.0;
/// The same where arrays of many regions turn over. Measured: 6 suffice, 2 do not.
const REGIONS_LEFT_FOR_PAGES: f64 = 4.0;
/// HotSpot aims at 2048 regions of 1 to 32 MiB.
const REGIONS: f64 = 2048.0;

const BYTES_PER_GIB: f64 = GIB as f64;

/// The largest power of two of mebibytes, 1 to 32, of which the heap has `REGIONS`. Asked for with every price.
fn region(heap: f64) -> f64 {
    let mebibytes = heap / REGIONS / MIB as f64;
    let mut size = 1.0;
    while size < 32.0 && 2.0 * size <= mebibytes {
        size *= 2.0;
    }
    size * MIB as f64
}

/// Bytes of the heap that live data can fill.
pub(super) fn usable(heap: f64) -> f64 {
    heap - REGIONS_LEFT * region(heap)
}

/// Whether the program lives; G1 17 knows no limit of overhead.
pub(super) fn fate(load: &HeapLoad) -> HeapFate {
    let live = load.live() + JVM_OWN_BYTES;
    if live > usable(load.heap) {
        return HeapFate::DiesFilling(HeapEnd::JavaHeapSpace);
    }
    let turning = live + load.page + REGIONS_LEFT_FOR_PAGES * region(load.heap);
    if load.page_turnover > 0.0 && turning > load.heap {
        return HeapFate::DiesRunning(HeapEnd::JavaHeapSpace);
    }
    HeapFate::Lives
}

/// Seconds of a full collection that somebody asks for.
pub(super) fn full_s(load: &HeapLoad) -> f64 {
    let g1 = G1::new(load);
    // Regions of arrays are neither walked nor moved, and there may be no others.
    if g1.objects > 0.0 { g1.full_s(0.0) } else { FULL_EMPTY_S_PER_GIB * g1.heap / BYTES_PER_GIB }
}

/// What allocating costs under `load`.
pub(super) fn cost(load: &HeapLoad) -> GcCost {
    let g1 = G1::new(load);
    if load.object_turnover > 0.0 && g1.objects > 0.0 {
        let found = if g1.objects + load.live_pages < MIXED_SHARE * g1.heap { g1.mixed() } else { g1.full() };
        return g1.with_pages(found);
    }
    g1.static_objects()
}

/// The load with what follows from it.
struct G1<'a> {
    load: &'a HeapLoad,
    heap: f64,
    /// Live small objects with what dead ones keep alive.
    objects: f64,
    /// Bytes that are neither live nor needed for a page in the making.
    free: f64,
    links: f64,
}

impl<'a> G1<'a> {
    fn new(load: &'a HeapLoad) -> Self {
        let heap = load.heap.max(1.0);
        // A few links keep hardly anything: what they point to is live more often than not.
        let links = if load.cross_links > 0.5 { load.cross_links } else { 0.0 };
        let objects = load.live_objects * (1.0 + LINKS_KEEP * links);
        let in_the_making = if load.page_turnover > 0.0 { load.page } else { 0.0 };
        let free = (heap - objects - load.live_pages - JVM_OWN_BYTES - in_the_making).max(region(heap));
        Self { load, heap, objects, free, links }
    }

    /// Eden where nothing but the young generation needs room.
    fn eden(&self, free: f64) -> f64 {
        let wanted = (free - RESERVE_SHARE * self.heap)
            .clamp(YOUNG_SHARE_MIN * self.heap, YOUNG_SHARE_MAX * self.heap);
        wanted.min(free).max(region(self.heap))
    }

    /// Seconds of a young pause after `eden` bytes, without the copying.
    fn young(&self, eden: f64) -> f64 {
        YOUNG_S + YOUNG_S_PER_HEAP * eden / self.heap
    }

    /// Seconds of a young pause after `eden` bytes of which `survivors` survive.
    fn young_with_survivors(&self, eden: f64, survivors: f64) -> f64 {
        let ages = 1.0 + (eden * SURVIVOR_PART / survivors.max(1.0)).min(AGES_MAX);
        let copied = survivors * ages * (1.0 + LINKS_COPY * self.links);
        let references = self.objects / CLUSTER_BYTES;
        let cards = (references * REFERENCE_BYTES / CARD_BYTES).max(1.0);
        let written = self.load.object_turnover * eden / CLUSTER_BYTES;
        let scanned = references * (1.0 - (-written / cards).exp());
        self.young(eden) + COPY_S_PER_GIB * copied / BYTES_PER_GIB + REFERENCE_S * scanned
    }

    /// Bytes that survive a young collection after `eden` bytes, and the share of objects that is not replaced meanwhile.
    fn survivors(&self, eden: f64) -> (f64, f64) {
        let replacing = self.load.object_turnover * eden;
        let lifetimes = replacing / self.objects.max(1.0);
        let kept = (-lifetimes).exp();
        (replacing * alive_of(lifetimes, kept), kept)
    }

    /// Seconds of a full collection that finds `dead` bytes of garbage in old regions.
    fn full_s(&self, dead: f64) -> f64 {
        let scattered = if self.load.object_turnover > 0.0 { FULL_SCATTERED_S_PER_GIB } else { 0.0 };
        let marking = FULL_LIVE_S_PER_GIB + scattered + LINKS_MARK_S_PER_GIB * self.links;
        let work = FULL_HEAP_S_PER_GIB * self.heap + marking * self.objects + FULL_DEAD_S_PER_GIB * dead;
        work / BYTES_PER_GIB + self.load.away_s
    }

    /// Live data well below the marking threshold: mixed collections take the garbage.
    fn mixed(&self) -> GcCost {
        let turnover = self.load.object_turnover;
        let eden = (0.40 * self.heap).min(0.6 * self.free) / (1.0 + turnover);
        let (survivors, kept) = self.survivors(eden);
        // Of what survived once, the rest is replaced before it is promoted.
        let promoted = survivors / eden * kept;
        let room = (self.free - RESERVE_SHARE * self.heap).max(region(self.heap));
        let young = self.young_with_survivors(eden, survivors);
        GcCost {
            pauses_per_byte: 1.0 / eden,
            pause_s_per_byte: young / eden + promoted / room * MIXED_PART * self.full_s(room),
            concurrent_s_per_byte: 0.3 * CONCURRENT_S_PER_GIB / BYTES_PER_GIB,
            full_every_bytes: f64::INFINITY,
            longest_pause_s: young,
            ..GcCost::default()
        }
    }

    /// Live data above the threshold: what turns over fills the room until a full collection.
    fn full(&self) -> GcCost {
        let turnover = self.load.object_turnover;
        let left = EVACUATION_SHARE * self.heap;
        // In the end one region at a time is got.
        let filled = (self.free - left).max(turnover * region(self.heap));
        let end = (self.free - filled).max(region(self.heap));
        // First edens of the least size, then ever smaller ones.
        let eden_first = YOUNG_SHARE_MIN * self.heap / (1.0 + turnover);
        let bend = (eden_first / YOUNG_PART_OF_REST).clamp(end, self.free.max(end));
        let first = (self.free - bend).max(0.0) / (turnover * eden_first);
        let shrinking = (bend / end).ln() / (turnover * YOUNG_PART_OF_REST);
        let allocated = filled / turnover;
        let collections = (first + shrinking).max(1.0);
        let eden = allocated / collections;
        let pauses = collections * self.young_with_survivors(eden, self.survivors(eden).0);
        let full = self.full_s(filled);
        GcCost {
            pauses_per_byte: (collections + 1.0) / allocated,
            pause_s_per_byte: (pauses + full) / allocated,
            concurrent_s_per_byte: CONCURRENT_S_PER_GIB / BYTES_PER_GIB,
            full_every_bytes: allocated,
            longest_pause_s: full,
            ..GcCost::default()
        }
    }

    /// Adds the marking cycles of large arrays to what the small objects cost.
    fn with_pages(&self, objects: GcCost) -> GcCost {
        let cycles = self.page_cycles(self.eden(self.free));
        GcCost {
            pauses_per_byte: objects.pauses_per_byte + 2.0 * cycles,
            pause_s_per_byte: objects.pause_s_per_byte + cycles * (YOUNG_S + CYCLE_S),
            stall_s_per_byte: objects.stall_s_per_byte + cycles * CYCLE_STALL_S,
            ..objects
        }
    }

    /// Marking cycles that large arrays start, for a byte allocated.
    fn page_cycles(&self, eden: f64) -> f64 {
        let load = self.load;
        if load.page_turnover <= 0.0 || load.page <= 0.0 {
            return 0.0;
        }
        let pages = load.page_turnover / load.page;
        let below = (MARKING_SHARE * self.heap - load.live()) / load.page;
        // Dead pages are taken at every young collection; so many are allocated between two.
        let between = eden / ((1.0 - load.page_turnover) / pages).max(1.0);
        let every = if below <= 0.0 { 1.0 } else { below.floor() + 1.0 };
        if every == 1.0 || every < between { pages / every } else { 0.0 }
    }

    /// Nothing small survives: young collections find nothing to copy.
    fn static_objects(&self) -> GcCost {
        let load = self.load;
        let above = load.live() + JVM_OWN_BYTES > MARKING_SHARE * self.heap;
        let marks_objects = above && load.live_objects > load.live_pages;
        // Old regions that are never given back leave less for the young ones.
        let eden = self.eden(if marks_objects { 0.6 * self.free } else { self.free });
        let by_eden = (1.0 - load.page_turnover) / eden;
        let by_pages = self.page_cycles(eden);
        let cycles = if load.page_turnover > 0.0 {
            by_pages
        } else if above && !marks_objects {
            // Arrays are marked in no time: every other young collection starts the next cycle.
            by_eden / 2.0
        } else {
            0.0
        };
        let collections = by_eden.max(by_pages);
        let pause = self.young((1.0 - load.page_turnover) / collections);
        GcCost {
            pauses_per_byte: collections + cycles,
            pause_s_per_byte: collections * pause + cycles * CYCLE_S,
            concurrent_s_per_byte: if marks_objects { CONCURRENT_S_PER_GIB / BYTES_PER_GIB } else { 0.0 },
            stall_s_per_byte: cycles * CYCLE_STALL_S,
            full_every_bytes: f64::INFINITY,
            longest_pause_s: pause,
            ..GcCost::default()
        }
    }
}
