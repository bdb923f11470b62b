//! The pages of a host's processes: who touches which of them how often, and what of them is in memory.
//!
//! The physics are [`crate::host::ram`]'s; here is what the executors of a simulation do to their pages. Left out: which page
//! of a heap it is, memory-mapped files.

use super::World;
use crate::host::oom_killer::swap_out_bytes_per_s;
use crate::host::ram::{PageIn, Process, Share};
use crate::host::residency::{PageSet, Pattern};
use crate::host::swap::PAGE_BYTES;
use crate::memory::MemoryMode;
use crate::units::SimDuration;

/// Touches of pages in use by a running task, a second of its processor's time, beside what it allocates: rows in pages of
/// maps and sorters. Assumed: a guess that was not fitted, error not known.
const TASK_TOUCHES_PER_S: f64 = 20_000.0;
/// A JVM's memory beside its heap is touched once in so long while it works, s: code, classes, stacks. Assumed.
const BESIDE_HEAP_PERIOD_S: f64 = 5.0;
/// Position of the live data among an executor's sets of pages.
const LIVE: usize = 0;
/// Slow-downs that change by less than this share from look to look are steady.
const STEADY: f64 = 0.01;
/// Pages are looked at at least so often while some are in swap and tasks work.
const LOOK_AFTER_MAX: SimDuration = SimDuration::from_ms(10_000);
/// Names of processes that are no executors; those of a copy have its number in the upper half.
const TENANT_ID: u64 = 1 << 62;
const BESIDE_ID: u64 = 1 << 63;

/// What pages in swap do to an executor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Missing {
    /// Time that they make of a unit of work; 1 is none.
    pub(super) slow: f64,
    /// Share of its live data that is there.
    pub(super) share: f64,
}

impl Missing {
    /// Everything is in memory.
    pub(super) const NONE: Self = Self { slow: 1.0, share: 0.0 };

    pub(super) fn of(share: &Share) -> Self {
        Self { slow: share.slowdown, share: share.miss_shares[LIVE] }
    }
}

impl World<'_> {
    /// Moves pages between a host's memory and its swap; returns how long missing pages take.
    pub(super) fn settle_pages(
        &mut self,
        at: usize,
        processes: &[Process],
        demand: u64,
        seconds: f64,
    ) -> PageIn {
        let copies = self.hosts[at].copies;
        let ledger = self.hosts[at].memory.as_deref_mut().expect("a host that swaps has a ledger");
        // What swap has no place for stays in memory until the kernel kills.
        let kept = ledger.room().max(demand.saturating_sub(ledger.swap_room(copies)));
        // What is fresh in memory has not been there since the last look.
        let seconds = if ledger.shares.is_empty() { 0.0 } else { seconds };
        let found =
            ledger.ram.settle(processes, (kept / PAGE_BYTES) as f64, ledger.setup.swap_device, seconds);
        let space = (ledger.swap_room(copies) / PAGE_BYTES) as f64;
        let swapped = found.shares.iter().map(|share| share.swapped_pages).sum::<f64>().min(space);
        ledger.swap_in_pages += found.page_ins;
        ledger.swap_out_pages += found.page_outs;
        ledger.debt_pages += (swapped - ledger.swapped_pages).max(0.0) / copies;
        ledger.swapped_pages = swapped;
        ledger.shares = found.shares;
        found.page_in
    }

    /// Sees to it that pages on their way are looked at again although nothing else happens.
    pub(super) fn plan_look_at_pages(&mut self, at: usize, executors: &[usize]) {
        let now = self.queue.now();
        let timer = self.hosts[at].timers.pages;
        let Some(ledger) = self.hosts[at].memory.as_deref() else { return };
        let moving = !ledger.shares.is_empty() || ledger.in_containers > 0;
        // Where no task works nothing is slowed down, and the next event looks anyway.
        let works = |&index: &usize| {
            let executor = &self.executors[index];
            executor.running.len() > executor.waiting.len()
        };
        let next = (moving && executors.iter().any(works)).then(|| now + ledger.look_after);
        self.queue.set_timer(timer, next);
    }

    /// Time has gone by on a host with pages in swap.
    pub(super) fn look_at_pages(&mut self, at: usize) {
        let slowdowns = |world: &Self| -> Vec<f64> {
            let alive = world.alive_on(at).into_iter();
            alive.map(|index| world.executors[index].swap_slow()).collect()
        };
        let before = slowdowns(self);
        for executor in self.alive_on(at) {
            self.refresh(executor);
        }
        self.update_ledger(at, true);
        let steady =
            before.iter().zip(slowdowns(self)).all(|(before, now)| (now / before - 1.0).abs() < STEADY);
        let executors = self.alive_on(at);
        if let Some(ledger) = self.hosts[at].memory.as_deref_mut() {
            let longer = SimDuration((ledger.look_after.0 * 2).min(LOOK_AFTER_MAX.0));
            ledger.look_after = if steady { longer } else { super::host::BALANCE_MAX_AGE };
        }
        self.plan_look_at_pages(at, &executors);
    }

    /// The processes of a host with their pages: executors, those of the other copies, neighbours, files in memory.
    pub(super) fn processes_on(&self, at: usize) -> Vec<Process> {
        let Some(ledger) = self.hosts[at].memory.as_deref() else { return Vec::new() };
        let own: Vec<Process> = self
            .alive_on(at)
            .into_iter()
            .map(|index| self.executor_process(index, self.executors[index].footprint))
            .collect();
        let copies = self.hosts[at].copies as usize;
        let mut all: Vec<Process> = Vec::new();
        for copy in 0..copies as u64 {
            all.extend(own.iter().map(|own| Process { id: own.id + (copy << 32), ..own.clone() }));
        }
        let alive = ledger.setup.tenants.iter().zip(&ledger.tenants).enumerate();
        let alive = alive.filter(|(_, (_, state))| state.killed.is_none());
        all.extend(alive.map(|(number, (tenant, _))| tenant.process(TENANT_ID + number as u64)));
        let beside = (ledger.tmpfs() + ledger.setup.beside_bytes) * copies as u64;
        if beside > 0 {
            let set = PageSet {
                pages: (beside / PAGE_BYTES) as f64,
                touches_per_s: 1.0 / BESIDE_HEAP_PERIOD_S,
                pattern: Pattern::Random,
            };
            all.push(Process { id: BESIDE_ID, sets: vec![set], threads: 1.0, elder: false });
        }
        all
    }

    /// The pages of an executor's process: live data that tasks touch, the rest of the heap that allocation walks round, and
    /// what is beside the heap, of `bytes` in all.
    pub(super) fn executor_process(&self, index: usize, bytes: u64) -> Process {
        let executor = &self.executors[index];
        let rates = &self.workload.rates;
        let pages = |bytes: u64| (bytes / PAGE_BYTES) as f64;
        let off_heap = executor.manager.execution(MemoryMode::OffHeap).used()
            + executor.manager.storage(MemoryMode::OffHeap).used();
        let live = executor.live_heap(rates.heap_base_bytes);
        let beside = (rates.non_heap_bytes + executor.python_bytes).min(bytes);
        let heap = bytes.saturating_sub(beside + off_heap);
        let live = live.min(heap);
        let garbage = pages(heap - live);
        let running = executor.running.len() as f64;
        let used = pages(live + off_heap);
        let share = self.hosts[executor.host].processor_share();
        let touches = TASK_TOUCHES_PER_S * running * share;
        let allocated_pages_per_s = executor.allocation_per_s(share) / PAGE_BYTES as f64;
        let set = |pages: f64, touches: f64, pattern| PageSet {
            pages,
            touches_per_s: if pages > 0.0 { touches / pages } else { 0.0 },
            pattern,
        };
        let sets = vec![
            set(used, touches, Pattern::Random),
            set(garbage, allocated_pages_per_s, Pattern::Sequential),
            set(pages(beside), pages(beside) / BESIDE_HEAP_PERIOD_S, Pattern::Random),
        ];
        Process { id: index as u64, sets, threads: running.max(1.0), elder: false }
    }

    /// Pages that were swapped out to make room since the last call, as the time that the device needs for them, ns.
    pub(super) fn take_swap_debt(&mut self, at: usize) -> u64 {
        let Some(ledger) = self.hosts[at].memory.as_deref_mut() else { return 0 };
        let pages = std::mem::take(&mut ledger.debt_pages);
        if pages <= 0.0 {
            return 0;
        }
        let rate = swap_out_bytes_per_s(ledger.setup.swap_device.write_us());
        (pages * PAGE_BYTES as f64 / rate * 1e9) as u64
    }
}
