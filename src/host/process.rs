//! What a JVM process weighs beside its heap, and how much of the heap is resident.

/// Resident bytes of an idle Python worker with pandas and Arrow loaded, its share of pages common with other workers
/// divided among them (measured for PySpark 4.1: 115 MB for two workers and their daemon).
pub const PYTHON_WORKER_BYTES: u64 = 58 << 20;

/// Resident bytes of a JVM: what G1 has touched of the heap, and everything outside the heap.
///
/// G1 grows the heap while garbage is cheaper than collecting, so that a job that allocates a multiple of the heap touches
/// nearly all of a small heap (measured: all of 512 MB, 570 of 1024, 650 of 2048 MB under the same job, about 420 MB more
/// than its live data).
pub fn jvm_resident_bytes(heap_max: u64, live_peak: u64, allocated: u64, non_heap: u64) -> u64 {
    const GARBAGE_BEFORE_COLLECTION: u64 = 420 << 20;
    let touched = live_peak + allocated.min(GARBAGE_BEFORE_COLLECTION);
    touched.min(heap_max) + non_heap
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    #[test]
    fn a_small_heap_is_touched_whole() {
        let rss = |heap: u64| jvm_resident_bytes(heap * MIB, 200 * MIB, 10_000 * MIB, 290 * MIB) / MIB;
        assert_eq!((rss(512), rss(2_048)), (802, 910));
    }
}
