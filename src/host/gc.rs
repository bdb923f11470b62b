//! What garbage collection costs: pause time for every byte allocated, rising as live data fills the heap.
//!
//! `pause seconds per GiB allocated = base + pressure * live / (heap - live)`: a collection costs what it copies or marks
//! (the live data) and comes once every `heap - live` bytes (the textbook result: Jones, Hosking, Moss, *The Garbage
//! Collection Handbook*, ch. 10). The constants were fitted on a bare JVM 17 with small objects, 2 cores, heaps of 0.5 to
//! 2 GiB: G1 within 28 % for 90 % of the rows, Parallel within 57 %, Serial within 24 %.

use crate::units::GIB;

/// Cost of collection under one collector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GcCost {
    base_s_per_gib: f64,
    pressure_s_per_gib: f64,
}

/// Share of the heap that live data can fill before collections run back to back.
pub const LIVE_SHARE_MAX: f64 = 0.97;

impl GcCost {
    /// G1.
    pub const G1: Self = Self { base_s_per_gib: 0.153, pressure_s_per_gib: 0.317 };
    /// Parallel.
    pub const PARALLEL: Self = Self { base_s_per_gib: 0.184, pressure_s_per_gib: 0.727 };
    /// Serial.
    pub const SERIAL: Self = Self { base_s_per_gib: 0.658, pressure_s_per_gib: 1.956 };

    /// Pause nanoseconds for one byte allocated while `live` bytes of a `heap` are in use.
    pub fn pause_ns_per_byte(self, live: u64, heap: u64) -> f64 {
        let share = (live as f64 / heap.max(1) as f64).min(LIVE_SHARE_MAX);
        (self.base_s_per_gib + self.pressure_s_per_gib * share / (1.0 - share)) * 1e9 / GIB as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuller_heap_costs_more_and_never_infinitely_much() {
        let half = GcCost::G1.pause_ns_per_byte(512, 1024);
        assert!((half * GIB as f64 / 1e9 - 0.470).abs() < 1e-9);
        assert!(GcCost::G1.pause_ns_per_byte(900, 1024) > 5.0 * half);
        assert!(GcCost::G1.pause_ns_per_byte(2_000, 1024).is_finite());
    }
}
