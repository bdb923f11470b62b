//! One executor: its memory manager, its heap beyond what Spark counts, its share of the processor and what garbage
//! collection takes of it.

use std::collections::BTreeSet;

use super::World;
use super::container::Container;
use super::heartbeat::LongPauses;
use super::pages::Missing;
use super::processes::{ExecutorSetup, host_collector};
use super::warmup::WarmUp;
use crate::engine::{SharedResource, TimerId};
use crate::host::collector::{Collector, HeapEnd, usable};
use crate::host::{Pauses, TaskHeap, pauses};
use crate::memory::{MemoryManager, MemoryMode};
use crate::record::{ExecutorRecord, TimelinePoint};
use crate::units::SimTime;

/// A change of speed below this share is not worth rescheduling everybody.
const SPEED_STEP: f64 = 0.005;

/// Pages a task that an executor has to spare when there is plenty: more than twice what a first page and an array that
/// doubles below one, old and new, take at a time.
const PLENTY_PAGES: u64 = 4;

/// Collection is priced anew when the heap has moved by more than one part in so many of what is free of it: the price
/// changes by less than half a percent below that, up as often as down.
const PRICED_PARTS: u64 = 256;

/// State of one executor.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) host: usize,
    pub(super) free_slots: u32,
    pub(super) alive: bool,
    pub(super) manager: MemoryManager,
    pub(super) page_size: u64,
    pub(super) tungsten_mode: MemoryMode,
    /// `-Xmx`.
    pub(super) heap_max: u64,
    /// What of it live data can fill.
    pub(super) heap_usable: u64,
    /// Plain heap that Spark does not count, of running tasks.
    pub(super) user_heap: u64,
    /// Resident memory of Python workers at work.
    pub(super) python_bytes: u64,
    /// Bytes allocated so far by all tasks, roughly; decides how much of the heap was ever touched.
    pub(super) allocated: f64,
    pub(super) running: BTreeSet<usize>,
    /// Tasks that wait for execution memory, in the order of their waiting (EXEC-6).
    pub(super) waiting: Vec<usize>,
    pub(super) wakeups_seen: u64,
    pub(super) cpu: SharedResource,
    pub(super) cpu_scheduled: Option<SimTime>,
    cpu_timer: TimerId,
    /// Changes of the processor when its next completion was last announced.
    cpu_changes: u64,
    collector: Collector,
    /// Threads that want the processor beside the tasks.
    pub(super) background: f64,
    /// What its JVM pays for being new.
    pub(super) warm_up: WarmUp,
    /// Bytes allocated for one nanosecond of work, summed over the running tasks.
    pub(super) allocation_rate: f64,
    gc_share: f64,
    /// The heap that was priced last, and what collections of it take.
    priced: (TaskHeap, Pauses),
    /// It is among those that are to be settled.
    touched: bool,
    /// Its speed may have changed.
    stale: bool,
    /// Pause time so far, ns.
    pub(super) gc_ns: f64,
    /// Time of tasks that went into waiting for missing pages, ns.
    pub(super) swap_ns: f64,
    speed: f64,
    pub(super) long_pauses: LongPauses,
    /// What pages that its host has moved to swap do to it; those of its container come on top.
    pub(super) missing: Missing,
    /// Time of a random read from swap, s.
    pub(super) swap_read_s: f64,
    /// Bytes of its process tree in memory and swap, at the last look.
    pub(super) footprint: u64,
    pub(super) container: Container,
    updated: SimTime,
    pub(super) record: ExecutorRecord,
}

impl Executor {
    pub(super) fn new(
        manager: MemoryManager,
        setup: &ExecutorSetup,
        cpu_timer: TimerId,
        warm_up: WarmUp,
        record: ExecutorRecord,
    ) -> Self {
        let collector = host_collector(setup.collector);
        Self {
            host: setup.host,
            free_slots: record.cores,
            alive: true,
            manager,
            page_size: setup.page_size,
            tungsten_mode: setup.tungsten_mode,
            heap_max: record.heap_bytes,
            heap_usable: usable(collector, record.heap_bytes as f64) as u64,
            user_heap: 0,
            python_bytes: 0,
            allocated: 0.0,
            running: BTreeSet::new(),
            waiting: Vec::new(),
            wakeups_seen: 0,
            cpu: SharedResource::new(1e6, 1.0),
            cpu_scheduled: None,
            cpu_timer,
            cpu_changes: 0,
            collector,
            background: 0.0,
            warm_up,
            allocation_rate: 0.0,
            gc_share: 0.0,
            priced: (TaskHeap::default(), pauses(collector, TaskHeap::default())),
            touched: false,
            stale: false,
            gc_ns: 0.0,
            swap_ns: 0.0,
            speed: 1.0,
            long_pauses: LongPauses::default(),
            missing: Missing::NONE,
            swap_read_s: 0.0,
            footprint: 0,
            container: Container::new(),
            updated: SimTime(record.added_ns),
            record,
        }
    }

    /// Whether all tasks, of which one holds `held` bytes, could take some pages more without anybody coming short or any block
    /// being evicted: then it matters to nobody when exactly a task asks for less than a page.
    pub(super) fn has_plenty(&mut self, held: u64) -> bool {
        let slots = u64::from(self.record.cores);
        self.manager.has_room(slots, PLENTY_PAGES * self.page_size, held, self.tungsten_mode)
    }

    /// Bytes of the heap that a collection cannot free.
    pub(super) fn live_heap(&self, base: u64) -> u64 {
        base + self.manager.execution(MemoryMode::OnHeap).used()
            + self.manager.storage(MemoryMode::OnHeap).used()
            + self.user_heap
    }

    /// What the heap holds: pages and blocks are arrays, the rest small objects.
    fn task_heap(&self, base: u64) -> TaskHeap {
        let arrays = self.manager.execution(MemoryMode::OnHeap).used()
            + self.manager.storage(MemoryMode::OnHeap).used();
        let objects = base + self.user_heap;
        let (missing, swap_read_s) = (self.missing.share.max(self.container.missing.share), self.swap_read_s);
        TaskHeap { heap: self.heap_max, objects, arrays, missing, swap_read_s }
    }

    /// The error of which this heap dies when it is too full.
    pub(super) fn heap_end(&self, base: u64) -> HeapEnd {
        self.task_heap(base).end(self.collector)
    }

    /// Bytes that its tasks allocate a second with so much of a processor each.
    pub(super) fn allocation_per_s(&self, processor: f64) -> f64 {
        self.allocation_rate * processor * (1.0 - self.gc_share) * 1e9
    }

    /// Time that missing pages make of a unit of work; 1 is none.
    pub(super) fn swap_slow(&self) -> f64 {
        self.missing.slow.max(self.container.missing.slow)
    }

    /// Pause time until `now`, ns.
    pub(super) fn gc_until(&mut self, now: SimTime) -> f64 {
        let elapsed = now.since(self.updated).0 as f64;
        if elapsed > 0.0 {
            self.gc_ns += elapsed * self.gc_share;
            let slow = self.swap_slow();
            if slow > 1.0 {
                let waiting = elapsed * (1.0 - self.gc_share) * (1.0 - 1.0 / slow);
                self.swap_ns += waiting * self.running.len() as f64;
            }
            self.allocated += elapsed * self.speed * self.allocation_rate;
            self.updated = now;
        }
        self.gc_ns
    }

    /// A task that allocates `rate` bytes a nanosecond of work begins (or ends, with a negative rate).
    pub(super) fn change_allocation(&mut self, now: SimTime, rate: f64) {
        self.gc_until(now);
        self.allocation_rate = (self.allocation_rate + rate).max(0.0);
    }

    /// Resident bytes of the process tree.
    fn resident(&self, non_heap: u64, live: u64) -> u64 {
        let off_heap = self.manager.execution(MemoryMode::OffHeap).used()
            + self.manager.storage(MemoryMode::OffHeap).used();
        let jvm = crate::host::jvm_resident_bytes(
            self.heap_max,
            self.record.metrics.peak_heap_used.unwrap_or(0).max(live),
            self.allocated as u64,
            non_heap,
        );
        jvm + off_heap + self.python_bytes
    }
}

impl World<'_> {
    /// Brings the peaks and the time line of an executor up to date after something changed in it; its speed follows before
    /// time goes on ([`Self::settle`]). Returns its live heap and the resident bytes of its process tree.
    pub(super) fn refresh(&mut self, index: usize) -> (u64, u64) {
        let now = self.queue.now();
        let base = self.workload.rates.heap_base_bytes;
        let non_heap = self.workload.rates.non_heap_bytes;
        let executor = &mut self.executors[index];
        executor.gc_until(now);
        let live = executor.live_heap(base);
        let resident = executor.resident(non_heap, live);
        self.note_footprint(index, resident);
        self.change_speed(index);
        let executor = &mut self.executors[index];
        let used = |pool_mode| {
            (executor.manager.execution(pool_mode).used(), executor.manager.storage(pool_mode).used())
        };
        let (on_execution, on_storage) = used(MemoryMode::OnHeap);
        let (off_execution, off_storage) = used(MemoryMode::OffHeap);
        let peaks = &mut executor.record.metrics;
        peaks.peak_on_heap_execution = peaks.peak_on_heap_execution.max(on_execution);
        peaks.peak_on_heap_storage = peaks.peak_on_heap_storage.max(on_storage);
        peaks.peak_off_heap_execution = peaks.peak_off_heap_execution.max(off_execution);
        peaks.peak_off_heap_storage = peaks.peak_off_heap_storage.max(off_storage);
        peaks.peak_heap_used = peaks.peak_heap_used.max(Some(live));
        peaks.peak_rss = peaks.peak_rss.max(Some(resident));
        if self.options.details {
            let point = TimelinePoint {
                time_ns: now.0,
                executor: index as u32,
                on_heap_execution: on_execution,
                on_heap_storage: on_storage,
                off_heap_execution: off_execution,
                off_heap_storage: off_storage,
                user_memory: executor.user_heap,
                reserved: base,
                execution_pool: executor.manager.execution(MemoryMode::OnHeap).size(),
                running_tasks: executor.running.len() as u64,
            };
            self.record.timeline.push_change(&point);
        }
        (live, resident)
    }

    /// The next completion on an executor's processor may have changed.
    pub(super) fn touch(&mut self, index: usize) {
        if !std::mem::replace(&mut self.executors[index].touched, true) {
            self.touched.push(index);
        }
    }

    /// The speed of an executor may have changed, and with it the next completion.
    pub(super) fn change_speed(&mut self, index: usize) {
        self.executors[index].stale = true;
        self.touch(index);
    }

    /// Sets the speed and announces the next completion of all executors for which they may have changed. A task takes
    /// several steps at one moment; what collection costs after them matters only when the clock moves.
    pub(super) fn settle(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for index in touched.drain(..) {
            self.executors[index].touched = false;
            if std::mem::take(&mut self.executors[index].stale) {
                self.price(index);
                self.apply_speed(index);
            }
            self.schedule_cpu(index);
        }
        self.touched = touched;
    }

    /// Prices collection in the heap as it is now.
    fn price(&mut self, index: usize) {
        let now = self.queue.now();
        let executor = &mut self.executors[index];
        executor.gc_until(now);
        let heap = executor.task_heap(self.workload.rates.heap_base_bytes);
        let moved = executor.priced.0.moved_to(heap);
        if moved > executor.heap_usable.saturating_sub(heap.objects + heap.arrays) / PRICED_PARTS {
            executor.priced = (heap, pauses(executor.collector, heap));
        }
        let pauses = executor.priced.1;
        let processor = self.hosts[self.executors[index].host].processor_share();
        let gc_share = self.bear_pauses(index, pauses, processor);
        self.executors[index].gc_share = gc_share;
    }

    /// Sets the pace of an executor's tasks: its share of a processor, less collection, less missing pages.
    fn apply_speed(&mut self, index: usize) {
        let now = self.queue.now();
        let processor = self.hosts[self.executors[index].host].processor_share();
        let executor = &mut self.executors[index];
        let speed = processor * (1.0 - executor.gc_share) / executor.swap_slow();
        if (speed - executor.speed).abs() > SPEED_STEP * executor.speed {
            executor.speed = speed;
            executor.cpu.set_rates(now, 1e6, speed);
            self.set_compiler_speed(index, now, speed);
        }
    }

    /// A task began or ended on an executor: its JVM's other threads come and go with it, and where they all want more
    /// processors than the host has, everybody there goes at another speed.
    pub(super) fn share_processors(&mut self, index: usize) {
        let executor = &self.executors[index];
        let mut wanted = if executor.alive { executor.warm_up.busy_threads() } else { 0.0 };
        if self.background {
            let running = executor.running.iter().filter_map(|&key| self.tasks[key].as_ref());
            let threads = running.map(|task| self.workload.stages[task.stage].background_threads);
            wanted += threads.fold(0.0, f64::max);
        }
        let at = executor.host;
        let before = self.hosts[at].processor_share();
        self.hosts[at].background += wanted - self.executors[index].background;
        self.executors[index].background = wanted;
        let crowded = before < 1.0 || self.hosts[at].processor_share() < 1.0;
        if crowded {
            for other in 0..self.executors.len() {
                if self.executors[other].host == at && self.executors[other].alive {
                    self.refresh(other);
                }
            }
        } else {
            self.refresh(index);
        }
    }

    /// Announces the next completion on an executor's processor.
    fn schedule_cpu(&mut self, index: usize) {
        let executor = &mut self.executors[index];
        let changes = executor.cpu.changes();
        if executor.cpu_scheduled.is_some() && executor.cpu_changes == changes {
            return;
        }
        executor.cpu_changes = changes;
        let next = executor.cpu.next_completion();
        if next == executor.cpu_scheduled && next.is_some() {
            return;
        }
        executor.cpu_scheduled = next;
        self.queue.set_timer(executor.cpu_timer, next);
    }
}
