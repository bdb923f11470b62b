//! An executor's container where it may swap, or is held back before its limit.
//!
//! What a container may have in swap beside its limit of memory is `memory.swap.max` of cgroup v2, and the difference of
//! `memory.memsw.limit_in_bytes` and `memory.limit_in_bytes` of v1; none by default, as Kubernetes has it. Above `memory.high`
//! the kernel first swaps, and where it cannot, lets whoever takes more memory sleep, the longer the further it is above; it
//! never kills for that ([`crate::host::cgroup`]). The kill comes when memory and swap of the container are both full. The container's pages come and
//! go as a host's do ([`crate::host::ram`]), among themselves. None of this was measured on containers. Left out: page cache
//! within the container, a standstill of a container as an end of its own, other processes in it than the executor's.

use super::World;
use super::pages::Missing;
use crate::host::cgroup::sleep_s;
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
    /// What that does to the executor.
    pub(super) missing: Missing,
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
            missing: Missing::NONE,
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
        if quiet {
            // All is back in memory; nothing is known of pages in swap any more.
            let container = &mut self.executors[index].container;
            container.ram = Ram::default();
            container.missing = Missing::NONE;
        }
        let container = &self.executors[index].container;
        let old = now.since(container.seen_at) >= super::host::BALANCE_MAX_AGE && !quiet;
        if !old && bytes.abs_diff(container.seen) < STEP_BYTES {
            return bytes.saturating_sub(swapped);
        }
        let grown = bytes.saturating_sub(container.seen);
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
        let sleep_s = if held_back { sleep_s(grown, in_memory, room.high) } else { 0.0 };
        self.executors[index].container.asleep_ns += sleep_s * 1e9;
        let process = self.executor_process(index, bytes);
        let copies = self.hosts[host].copies;
        let Some(ledger) = self.hosts[host].memory.as_deref_mut() else { return bytes };
        let container = &mut self.executors[index].container;
        let device = ledger.setup.swap_device;
        let found = container.ram.settle(&[process], (in_memory / PAGE_BYTES) as f64, device, seconds);
        let share = &found.shares[0];
        container.swapped = ((share.swapped_pages * PAGE_BYTES as f64) as u64).min(room.swap);
        container.missing = Missing::of(share);
        ledger.in_containers = ledger.in_containers + container.swapped - swapped;
        // The same container of each copy does the same.
        ledger.swap_in_pages += found.page_ins * copies;
        ledger.swap_out_pages += found.page_outs * copies;
        ledger.worst_slowdown = ledger.worst_slowdown.max(share.slowdown);
        ledger.debt_pages += container.swapped.saturating_sub(swapped) as f64 / PAGE_BYTES as f64;
        let stays = bytes.saturating_sub(container.swapped);
        self.executors[index].swap_read_s = device.read_us(1.0) / 1e6;
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
