//! What the kernel does to a group of processes that takes more than its `memory.high` (cgroup v2).
//!
//! Whoever charges memory then sleeps before it goes back to its work, by the square of the share that the group is above. The
//! rule is the kernel's (`calculate_high_delay` and `mem_cgroup_handle_over_high` of `mm/memcontrol.c`, Linux 5.7 and later);
//! it was not measured. Left out: sleeps for swap above `memory.swap.high`.

use super::swap::PAGE_BYTES;

/// Bytes that a thread charges at a time (`MEMCG_CHARGE_BATCH`, 64 pages).
const BATCH_BYTES: f64 = 64.0 * PAGE_BYTES as f64;
/// Sleep for a batch, s, by the square of the share above; less than the shortest is none, more than the longest the longest.
const SLEEP_S: f64 = 64.0;
const SLEEP_MIN_S: f64 = 0.01;
const SLEEP_MAX_S: f64 = 2.0;

/// Sleep for `grown` bytes more, s, when a group has `used` bytes and `high` as its `memory.high`.
pub fn sleep_s(grown: u64, used: u64, high: u64) -> f64 {
    let above = used.saturating_sub(high) as f64 / high.max(1) as f64;
    let sleep = SLEEP_S * above * above;
    let of_batch = if sleep < SLEEP_MIN_S { 0.0 } else { sleep.min(SLEEP_MAX_S) };
    grown as f64 / BATCH_BYTES * of_batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    #[test]
    fn sleeps_are_the_kernels() {
        let at = |used: u64| sleep_s(64 * PAGE_BYTES, used * MIB, 100 * MIB);
        // Up to the limit and a little above there is none; then its square, up to two seconds.
        assert_eq!((at(100), at(101)), (0.0, 0.0));
        assert!((at(105) - 0.16).abs() < 1e-9 && (at(110) - 0.64).abs() < 1e-9);
        assert_eq!(at(200), 2.0);
        assert_eq!(sleep_s(128 * PAGE_BYTES, 200 * MIB, 100 * MIB), 4.0);
    }
}
