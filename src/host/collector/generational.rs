//! Parallel and Serial: eden and two survivor spaces (together a third of the heap, `NewRatio` 2), and the old generation.
//!
//! Follows `ParallelScavengeHeap`, `PSScavenge::should_attempt_scavenge`, `PSParallelCompact` and `GenCollectedHeap` of
//! OpenJDK 17 in outline. Two regimes: while the old generation has room for a whole eden, young collections do the work and
//! a full one comes when what they promote has filled it; beyond that no young collection is tried any more, and every
//! collection is a full one that comes whenever what is free of eden is used up.
//!
//! Left out: the adaptive sizes of Parallel's spaces, except that its eden is smaller than it might be.

use super::{GcCost, HeapEnd, HeapFate, HeapLoad, JVM_OWN_BYTES, still_alive};
use crate::units::{GIB, MIB};

const BYTES_PER_GIB: f64 = GIB as f64;
/// Share of the heap that the old generation has (`NewRatio` 2).
const OLD_SHARE: f64 = 2.0 / 3.0;
/// Least that a full collection frees before the next, bytes.
const ROOM_MIN: f64 = 0.3 * MIB as f64;

/// One of the two collectors: the arithmetic of its spaces, and its speeds. Speeds are seconds per GiB, measured with two
/// threads (Parallel) or one (Serial).
pub(super) struct Generational {
    /// Share of the heap that eden has.
    eden_share: f64,
    /// Share of the heap that live data can fill.
    usable_share: f64,
    /// Share of the heap that a survivor space has which can be filled when eden is full, one locked call for every object.
    survivor_used: f64,
    /// Part of eden in use between young collections, where objects survive them.
    eden_used: f64,
    /// Whether it has a limit of overhead.
    overhead_limit: bool,
    /// Seconds of a young collection that copies nothing.
    young_s: f64,
    copy_objects: f64,
    copy_pages: f64,
    /// A full collection, by GiB of heap that small objects are spread over.
    full_heap: f64,
    /// By GiB of live objects: marking; marking and sorting those that lie scattered since others replaced their neighbours;
    /// moving them together; moving by share of turnover, which scatters them.
    full_mark: f64,
    full_scattered: f64,
    full_move: f64,
    full_move_scattered: f64,
    /// By GiB of heap without small objects, and of live arrays that move.
    full_empty: f64,
    move_pages: f64,
    /// A full collection leaves objects in place as long as the garbage between them is below this share of the live data;
    /// 0 if it always moves.
    dead_wood: f64,
}

/// Parallel. Eden starts as three quarters of the young generation (`InitialSurvivorRatio` 8 gives each survivor space an
/// eighth), and after a full collection live data may stay in eden but not in a survivor space: 2/3 + 1/4 of the heap. Full
/// collections of objects within 15 % for most rows, of arrays within 40 % (repeats of one row differ by 40 %).
pub(super) const PARALLEL: Generational = Generational {
    eden_share: 0.25,
    usable_share: OLD_SHARE + 0.25,
    survivor_used: 0.0,
    eden_used: 0.6,
    overhead_limit: true,
    young_s: 0.6e-3,
    copy_objects: 1.25,
    copy_pages: 0.135,
    full_heap: 0.2,
    full_mark: 0.475,
    full_scattered: 0.0,
    full_move: 0.36,
    full_move_scattered: 0.9,
    full_empty: 7e-3,
    move_pages: 0.045,
    dead_wood: 0.0,
};

/// Serial. Eden is eight tenths of the young generation (`SurvivorRatio` 8); one survivor space can be filled too. From
/// eight rows at 512 MiB; within 20 %, arrays within 40 %.
pub(super) const SERIAL: Generational = Generational {
    eden_share: 8.0 / 30.0,
    usable_share: OLD_SHARE + 9.0 / 30.0,
    survivor_used: 1.0 / 30.0,
    eden_used: 1.0,
    overhead_limit: false,
    young_s: 0.6e-3,
    copy_objects: 4.0,
    copy_pages: 0.14,
    full_heap: 0.39,
    full_mark: 0.10,
    full_scattered: 0.47,
    full_move: 0.57,
    full_move_scattered: 0.0,
    full_empty: 7e-3,
    move_pages: 0.075,
    // `MarkSweepDeadRatio`.
    dead_wood: 0.05,
};

/// Part of eden by which the expected promotion is padded before a young collection is tried. Measured: full collections
/// come with 40 to 50 MiB free of a 341 MiB old generation.
const PROMOTION_PADDING: f64 = 0.35;
/// Live objects below this share of the heap are spread over less than all of it.
const SPREAD_SHARE: f64 = 0.1;

impl Generational {
    /// Bytes of the heap that live data can fill.
    pub(super) fn usable(&self, heap: f64) -> f64 {
        self.usable_share * heap
    }

    /// Whether the program lives, and of what it dies.
    pub(super) fn fate(&self, load: &HeapLoad) -> HeapFate {
        let live = load.live() + JVM_OWN_BYTES;
        let usable = self.usable(load.heap);
        // Small objects find some room after every full collection until the overhead limit counts five in a row; a large
        // array that finds none fails at once.
        let small = load.live_objects > load.live_pages;
        let limit = if self.overhead_limit { HeapEnd::GcOverheadLimit } else { HeapEnd::JavaHeapSpace };
        if live > usable {
            return HeapFate::DiesFilling(if small { limit } else { HeapEnd::JavaHeapSpace });
        }
        if load.page_turnover > 0.0 && live + load.page > usable {
            return HeapFate::DiesRunning(limit);
        }
        HeapFate::Lives
    }

    /// What allocating costs under `load`.
    pub(super) fn cost(&self, load: &HeapLoad) -> GcCost {
        let heap = load.heap.max(1.0);
        let live = load.live() + JVM_OWN_BYTES;
        let eden = self.eden_share * heap;
        if live > OLD_SHARE * heap - eden {
            return self.full_only(load, heap, live, eden);
        }
        let eden = if load.live_objects > 0.0 { self.eden_used * eden } else { eden };
        let (objects, pages) = (load.object_turnover * eden, load.page_turnover * eden);
        let lifetimes = objects / load.live_objects.max(1.0);
        let objects = objects * still_alive(lifetimes);
        let pages = pages * still_alive(pages / load.live_pages.max(1.0));
        let young = self.young_s + (self.copy_objects * objects + self.copy_pages * pages) / BYTES_PER_GIB;
        // Of the objects that survived once, this much is replaced before it is promoted; pages find no room in a survivor
        // space.
        let promoted = (objects * (-lifetimes).exp() + pages) / eden;
        let room = (OLD_SHARE * heap - live - PROMOTION_PADDING * self.eden_share * heap).max(ROOM_MIN);
        let turnover = load.object_turnover + load.page_turnover;
        let full = if promoted > 0.0 { self.full_s(load, heap, room / turnover) } else { 0.0 };
        GcCost {
            pauses_per_byte: 1.0 / eden + promoted / room,
            pause_s_per_byte: young / eden + promoted / room * full,
            full_every_bytes: if promoted > 0.0 { room / promoted } else { f64::INFINITY },
            longest_pause_s: young.max(full),
            ..GcCost::default()
        }
    }

    /// The old generation has no room for an eden: every collection is a full one.
    fn full_only(&self, load: &HeapLoad, heap: f64, live: f64, eden: f64) -> GcCost {
        // The next page does not fit into the end of eden; on the average half of one is wasted.
        let waste = if load.page_turnover > 0.0 { load.page / 2.0 } else { 0.0 };
        let room = (self.usable(heap) - live - waste).min(eden).max(ROOM_MIN);
        let full = self.full_s(load, heap, room);
        GcCost {
            pauses_per_byte: 1.0 / room,
            pause_s_per_byte: full / room,
            full_every_bytes: room,
            longest_pause_s: full,
            slow_share: self.slow_share(heap, live, room, eden),
            ..GcCost::default()
        }
    }

    /// Share of what is allocated that goes into a survivor space.
    fn slow_share(&self, heap: f64, live: f64, room: f64, eden: f64) -> f64 {
        let space = self.survivor_used * heap;
        if space <= 0.0 || self.usable(heap) - live >= eden + space { 0.0 } else { (space / room).min(1.0) }
    }

    /// Seconds of a full collection after `allocated` bytes.
    pub(super) fn full_s(&self, load: &HeapLoad, heap: f64, allocated: f64) -> f64 {
        let moved_of = |dead: f64| {
            let limit = self.dead_wood * load.live();
            if limit > 0.0 { (dead / limit).min(1.0) } else { 1.0 }
        };
        let mut seconds = self.full_empty * heap;
        if load.live_objects > 0.0 {
            let spread = (load.live_objects / (SPREAD_SHARE * heap)).min(1.0);
            seconds += (self.full_heap - self.full_empty) * spread * heap;
            seconds += self.full_mark * load.live_objects;
            if load.object_turnover > 0.0 {
                let moving = self.full_move + self.full_move_scattered * load.object_turnover;
                let moved = moving * moved_of(load.object_turnover * allocated);
                seconds += (self.full_scattered + moved) * load.live_objects;
            }
        }
        if load.page > 0.0 && load.page_turnover > 0.0 {
            // Everything above the lowest hole slides down; k holes leave 1/(k + 1) below the lowest.
            let holes = load.page_turnover * allocated / load.page;
            let above = holes / (holes + 1.0);
            seconds += self.move_pages * load.live_pages * above * moved_of(load.page_turnover * allocated);
        }
        seconds / BYTES_PER_GIB + load.away_s
    }
}
