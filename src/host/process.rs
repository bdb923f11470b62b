//! What a JVM process weighs beside its heap, by part, and how much of the heap is resident.
//!
//! What is loaded depends on what the process has done so far: a Spark executor that has shuffled once has loaded twice the
//! classes of an idle one. All figures were measured with executors of Spark 4.1.4 on JVM 17 under G1 with heaps of 0.5 to
//! 2 GiB and 2 or 4 cores, native memory tracking on (docs/host.md); other versions differ by what their code loads. Left
//! out: memory-mapped files that a job reads, transparent huge pages.

use crate::units::MIB;

/// Resident bytes of an idle Python worker with pandas and Arrow loaded, its share of pages common with other workers
/// divided among them (measured for PySpark 4.1: 115 MB for two workers and their daemon).
pub const PYTHON_WORKER_BYTES: u64 = 58 << 20;

/// What the most demanding work of a JVM was so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// It has started.
    Idle,
    /// It has scanned rows.
    Scans,
    /// It has shuffled: aggregations, joins, sorts.
    Shuffles,
    /// It has fed Python workers too.
    Python,
}

/// Memory of a JVM outside its heap, in bytes by part; committed, if nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BesideHeap {
    /// Metadata of classes.
    pub metaspace: f64,
    /// Compressed class pointers' space.
    pub class_space: f64,
    /// Compiled code.
    pub code: f64,
    /// Symbols.
    pub symbols: f64,
    /// Class data shared from the JVM's archive.
    pub shared_classes: f64,
    /// Structures of the collector: card tables, remembered sets, mark bitmaps.
    pub collector: f64,
    /// Stacks and structures of threads, as far as touched.
    pub threads: f64,
    /// Direct buffers and whatever else Java code asked for outside the heap.
    pub direct: f64,
    /// Resident files: the JVM's libraries, jars.
    pub files: f64,
    /// Resident anonymous memory in all: the parts above without files, what the allocator holds back, less what was never
    /// touched.
    pub anonymous: f64,
}

impl BesideHeap {
    /// Resident bytes in all.
    pub fn resident(&self) -> f64 {
        self.files + self.anonymous
    }
}

const MB: f64 = MIB as f64;

/// G1's structures: a fixed part and one of the committed heap. Measured within 3 % (14 samples).
const COLLECTOR_FIXED: f64 = 37.0 * MB;
const COLLECTOR_OF_HEAP: f64 = 0.041;
/// Direct buffers without any off-heap pages. Measured 8.3 to 8.6 MiB.
const DIRECT: f64 = 8.4 * MB;
/// Class data of the JVM's archive. Measured 11.78 MiB.
const SHARED_CLASSES: f64 = 11.8 * MB;
/// Memory that the allocator keeps for a thread's arenas, and committed memory that is never touched. Fitted to the resident
/// anonymous memory of 14 samples, within 8 %.
const ARENA: f64 = 0.47 * MB;
const UNTOUCHED: f64 = 32.0 * MB;

/// What the code of an activity loads, MiB, and the threads that run it (38 to 90 were seen; within 20 %).
struct Loaded {
    metaspace: f64,
    class_space: f64,
    code: f64,
    symbols: f64,
    tracking: f64,
    files: f64,
    threads: f64,
    /// Touched part of a thread's stack with its structures: the deeper the calls, the more of it. Within 5 %.
    stack: f64,
}

/// Bytes of G1's structures for a heap of which `heap_committed` bytes are committed.
pub fn collector_bytes(heap_committed: u64) -> u64 {
    (COLLECTOR_FIXED + COLLECTOR_OF_HEAP * heap_committed as f64) as u64
}

impl Activity {
    fn loaded(self) -> Loaded {
        let of = |[metaspace, class_space, code, symbols, tracking, files, threads, stack]: [f64; 8]| {
            Loaded { metaspace, class_space, code, symbols, tracking, files, threads, stack }
        };
        match self {
            Self::Idle => of([31.1, 5.2, 10.9, 8.8, 3.6, 33.4, 37.0, 0.073]),
            Self::Scans => of([44.9, 7.5, 14.7, 12.5, 5.1, 34.2, 50.0, 0.086]),
            Self::Shuffles => of([62.6, 10.3, 28.4, 16.8, 6.6, 34.4, 65.0, 0.090]),
            Self::Python => of([64.9, 10.7, 31.4, 17.2, 6.8, 34.4, 90.0, 0.095]),
        }
    }
}

/// What a JVM weighs beside a heap of which `heap_committed` bytes are committed.
pub fn beside_heap(activity: Activity, heap_committed: f64) -> BesideHeap {
    let loaded = activity.loaded();
    let mut parts = BesideHeap {
        metaspace: loaded.metaspace * MB,
        class_space: loaded.class_space * MB,
        code: loaded.code * MB,
        symbols: loaded.symbols * MB,
        shared_classes: SHARED_CLASSES,
        collector: COLLECTOR_FIXED + COLLECTOR_OF_HEAP * heap_committed,
        threads: loaded.stack * MB * loaded.threads,
        direct: DIRECT,
        files: loaded.files * MB,
        anonymous: 0.0,
    };
    let committed = parts.metaspace
        + parts.class_space
        + parts.code
        + parts.symbols
        + parts.collector
        + parts.threads
        + parts.direct
        + loaded.tracking * MB;
    parts.anonymous = committed + ARENA * loaded.threads - UNTOUCHED;
    parts
}

/// Resident bytes of a heap after its largest use: live data and the garbage that G1 lets gather before it collects, which
/// grows with the tasks that allocate at a time.
///
/// Measured for shuffles 204 to 232 MiB a core at 1 and 2 GiB (a heap of 512 MiB is touched whole); for scans 65, 90 and 170
/// MiB a core at 0.5, 1 and 2 GiB, as G1 enlarges the heap in proportion to what it may still grow; idle 57 MiB in all.
pub fn heap_resident(activity: Activity, heap_max: f64, live: f64, cores: f64) -> f64 {
    let garbage = match activity {
        Activity::Idle => 57.0 * MB,
        Activity::Scans => (20.0 * MB + 0.07 * heap_max) * cores,
        Activity::Shuffles | Activity::Python => GARBAGE_PER_CORE * cores,
    };
    (live + garbage).min(heap_max)
}

/// Garbage that gathers between collections, for each core that runs tasks which shuffle.
const GARBAGE_PER_CORE: f64 = 210.0 * MB;

/// Resident bytes of a JVM: what G1 has touched of the heap, and everything outside the heap.
///
/// G1 grows the heap while garbage is cheaper than collecting, so that a job that allocates a multiple of the heap touches
/// nearly all of a small heap. Beside the live data it holds the young generation, and the pages that finished operators have
/// let go, which only a marking cycle frees. Both amounts come from one job with heaps of 512 MB to 2 GB and live data of 150
/// to 890 MB; the error was not computed.
pub fn jvm_resident_bytes(heap_max: u64, live_peak: u64, allocated: u64, non_heap: u64) -> u64 {
    const YOUNG: u64 = 320 << 20;
    const LET_GO_PERCENT: u64 = 85;
    let touched = live_peak + allocated.min(YOUNG + live_peak * LET_GO_PERCENT / 100);
    touched.min(heap_max) + non_heap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_heap_is_touched_whole() {
        let rss = |heap: u64| jvm_resident_bytes(heap * MIB, 200 * MIB, 10_000 * MIB, 290 * MIB) / MIB;
        assert_eq!((rss(512), rss(2_048)), (802, 980));
    }

    #[test]
    fn more_work_loads_more_code() {
        let resident = |activity| beside_heap(activity, 500.0 * MB).resident() / MB;
        let weights =
            [Activity::Idle, Activity::Scans, Activity::Shuffles, Activity::Python].map(resident).to_vec();
        assert!(weights.is_sorted(), "{weights:?}");
        assert!((225.0..265.0).contains(&weights[2]), "{weights:?}");
    }
}
