//! An executor's container where it may swap, or is held back before its limit.
//!
//! What a container may have in swap beside its limit of memory is `memory.swap.max` of cgroup v2, and the difference of
//! `memory.memsw.limit_in_bytes` and `memory.limit_in_bytes` of v1; none by default, as Kubernetes has it. Above `memory.high`
//! the kernel first swaps, and where it cannot, lets whoever takes more memory sleep, the longer the further it is above; it
//! never kills for that. The kill comes when memory and swap of the container are both full. The container's pages come and
//! go as a host's do ([`crate::host::ram`]), among themselves. None of this was measured on containers. Left out: page cache
//! within the container, a standstill of a container as an end of its own, other processes in it than the executor's.

use super::World;
use crate::host::ram::Ram;
use crate::host::swap::PAGE_BYTES;
use crate::units::{HumanBytes, SimTime};

/// What a container may use, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Room {
    memory: u64,
    high: u64,
    swap: u64,
}

/// The pages of an executor's container.
#[derive(Debug)]
pub(super) struct Container {
    ram: Ram,
    /// Bytes of it in swap.
    pub(super) swapped: u64,
    /// Time that missing pages make of a unit of work; 1 is none.
    pub(super) slow: f64,
    /// Share of the live data that is in swap.
    pub(super) missing: f64,
    /// Bytes of memory and swap at the last look, and when that was.
    seen: u64,
    seen_at: SimTime,
    /// Time that tasks have yet to sleep for memory above `memory.high`, ns.
    asleep_ns: f64,
}

impl Container {
    pub(super) fn new() -> Self {
        Self {
            ram: Ram::default(),
            swapped: 0,
            slow: 1.0,
            missing: 0.0,
            seen: 0,
            seen_at: SimTime::ZERO,
            asleep_ns: 0.0,
        }
    }

    /// Time that a task has to sleep for what it took above `memory.high`, ns; counted once.
    pub(super) fn take_sleep(&mut self) -> u64 {
        std::mem::take(&mut self.asleep_ns) as u64
    }
}

/// Less of a change than this is not worth a look, bytes.
const STEP_BYTES: u64 = 2 << 20;

/// Bytes that a thread charges at a time (`MEMCG_CHARGE_BATCH`, 64 pages).
const BATCH_BYTES: f64 = 64.0 * PAGE_BYTES as f64;
/// Sleep for a batch, s, by the square of the share above `memory.high`; less than the shortest is none, more than the longest
/// the longest (`calculate_high_delay` and `mem_cgroup_handle_over_high` of `mm/memcontrol.c`, Linux 5.7 and later).
const SLEEP_S: f64 = 64.0;
const SLEEP_MIN_S: f64 = 0.01;
const SLEEP_MAX_S: f64 = 2.0;

/// Sleep for a batch of memory, s, when a container has `used` bytes and `high` as its `memory.high`.
fn sleep_s(used: u64, high: u64) -> f64 {
    let above = used.saturating_sub(high) as f64 / high.max(1) as f64;
    let sleep = SLEEP_S * above * above;
    if sleep < SLEEP_MIN_S { 0.0 } else { sleep.min(SLEEP_MAX_S) }
}

impl World<'_> {
    /// What an executor's container may use; `None` where nothing but its limit matters.
    fn container_room(&self, index: usize) -> Option<Room> {
        let knobs = &self.settings.knobs;
        if knobs.container_swap == 0 && knobs.container_high.is_none() {
            return None;
        }
        let executor = &self.executors[index];
        let memory = executor.record.container_bytes?;
        let high = knobs.container_high.unwrap_or(memory).min(memory);
        Some(Room { memory, high, swap: self.container_swap(index) })
    }

    /// Bytes that an executor's container may have in swap: what it was given, and no more than the host has left beside what
    /// others have there. Of what is left the same container of each copy gets as much.
    pub(super) fn container_swap(&self, index: usize) -> u64 {
        let host = &self.hosts[self.executors[index].host];
        let Some(ledger) = host.memory.as_deref() else { return 0 };
        let own = self.executors[index].container.swapped;
        let hosts = (ledger.swapped_pages * PAGE_BYTES as f64).ceil() as u64;
        let left = ledger.swap_room(host.copies).saturating_sub(hosts);
        self.settings.knobs.container_swap.min(own + (left as f64 / host.copies) as u64)
    }

    /// Moves pages between an executor's container and its swap, now that its processes have `bytes`; returns what of them
    /// stays in memory.
    pub(super) fn settle_container(&mut self, index: usize, bytes: u64) -> u64 {
        let Some(room) = self.container_room(index) else { return bytes };
        let now = self.queue.now();
        let host = self.executors[index].host;
        let container = &self.executors[index].container;
        let swapped = container.swapped;
        if bytes == 0 {
            // Its processes are gone.
            self.executors[index].container.swapped = 0;
            if let Some(ledger) = self.hosts[host].memory.as_deref_mut() {
                ledger.in_containers -= swapped;
            }
            return 0;
        }
        let quiet = bytes <= room.high && swapped == 0;
        let old = now.since(container.seen_at) >= super::host::BALANCE_MAX_AGE && !quiet;
        if !old && bytes.abs_diff(container.seen) < STEP_BYTES {
            return bytes.saturating_sub(swapped);
        }
        let grown = bytes.saturating_sub(container.seen) as f64;
        let seconds = if swapped > 0 { now.since(container.seen_at).as_secs() } else { 0.0 };
        self.executors[index].container.seen = bytes;
        self.executors[index].container.seen_at = now;
        if quiet {
            return bytes;
        }
        // What the swap has no room for stays.
        let wanted = bytes.saturating_sub(room.high).min(room.swap);
        let in_memory = bytes - wanted;
        let held_back = self.settings.knobs.container_high.is_some();
        let sleep_s = if held_back { grown / BATCH_BYTES * sleep_s(in_memory, room.high) } else { 0.0 };
        self.executors[index].container.asleep_ns += sleep_s * 1e9;
        let process = self.executor_process(index, bytes);
        let Some(ledger) = self.hosts[host].memory.as_deref_mut() else { return bytes };
        let container = &mut self.executors[index].container;
        let device = ledger.setup.swap_device;
        let found = container.ram.settle(&[process], (in_memory / PAGE_BYTES) as f64, device, seconds);
        let share = &found.shares[0];
        container.swapped = ((share.swapped_pages * PAGE_BYTES as f64) as u64).min(room.swap);
        container.slow = share.slowdown;
        container.missing = share.miss_shares[super::pages::LIVE];
        ledger.in_containers = ledger.in_containers + container.swapped - swapped;
        ledger.swap_in_pages += found.page_ins;
        ledger.swap_out_pages += found.page_outs;
        ledger.worst_slowdown = ledger.worst_slowdown.max(share.slowdown);
        ledger.debt_pages += container.swapped.saturating_sub(swapped) as f64 / PAGE_BYTES as f64;
        let (slow, missing, read_s) = (container.slow, container.missing, device.read_us(1.0) / 1e6);
        let stays = bytes.saturating_sub(container.swapped);
        let executor = &mut self.executors[index];
        executor.swap_slow = executor.swap_slow.max(slow);
        executor.missing_share = executor.missing_share.max(missing);
        executor.swap_read_s = read_s;
        stays
    }

    /// What an executor's container has, as a message names it.
    pub(super) fn container_text(&self, index: usize, limit: u64) -> String {
        match self.container_swap(index) {
            0 => HumanBytes(limit).to_string(),
            swap => format!("{} of memory and {} of swap", HumanBytes(limit), HumanBytes(swap)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    #[test]
    fn sleeps_are_the_kernels() {
        let at = |used: u64| sleep_s(used * MIB, 100 * MIB);
        // Up to the limit and a little above there is none; then its square, up to two seconds.
        assert_eq!((at(100), at(101)), (0.0, 0.0));
        assert!((at(105) - 0.16).abs() < 1e-9 && (at(110) - 0.64).abs() < 1e-9);
        assert_eq!(at(200), 2.0);
    }
}
