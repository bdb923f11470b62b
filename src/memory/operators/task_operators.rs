//! All operators of one task over its `TaskMemoryManager`: carries requests from the machines to the manager and back,
//! routes spill calls, and keeps what spilled.

use super::hash_aggregation::{AggregationShape, HashAggregation};
use super::hashed_relation::HashedRelation;
use super::long_to_unsafe_row_map::{LongMapShape, LongToUnsafeRowMap};
use super::object_hash_aggregation::{ObjectAggregationShape, ObjectHashAggregation};
use super::row_buffer::RowBuffer;
use super::shuffle_external_sorter::{self, ShuffleExternalSorter, ShuffleSorterShape};
use super::size_model::{Container, SizeModel};
use super::spillable::{Kind, Spillable, SpillableShape};
use super::trace::{Trace, TraceEntry, TraceEvent};
use super::unsafe_external_sorter::{SorterShape, UnsafeExternalSorter};
use super::{
    Allocation, ConsumerId, Context, MemoryManager, MemoryMode, MemoryOperator, OperatorConf, OperatorIndex,
    OperatorSpec, Progress, Spill, SpillEvent, Step, TaskMemoryManager,
};
use crate::memory::{Poll, TaskId};

/// The operators of one task attempt.
///
/// One instruction (`open`, `insert`, `finish_input`) is carried out at a time. If it has to wait for execution memory it
/// returns [`Step::Wait`], and [`TaskOperators::resume`] goes on with it; nothing else may be told to the task until then.
#[derive(Debug)]
pub struct TaskOperators {
    tmm: TaskMemoryManager,
    conf: OperatorConf,
    operators: Vec<Box<dyn MemoryOperator>>,
    /// Operator of each consumer.
    owners: Vec<OperatorIndex>,
    /// Operator whose instruction is under way.
    running: Option<OperatorIndex>,
    spills: Vec<SpillEvent>,
    /// What the instruction under way may leave out, see [`TaskOperators::insert_in_plenty`].
    least: u64,
    trace: Option<Box<Trace>>,
}

impl TaskOperators {
    /// A task without operators.
    pub fn new(tmm: TaskMemoryManager, conf: OperatorConf) -> Self {
        let (operators, owners) = (Vec::with_capacity(4), Vec::with_capacity(8));
        Self { tmm, conf, operators, owners, running: None, spills: Vec::new(), least: 0, trace: None }
    }

    /// Begins another task without operators, when this one has ended; its buffers stay.
    pub(crate) fn renew(&mut self, task: TaskId, conf: OperatorConf) {
        self.tmm.renew(task, conf.tungsten_mode, conf.page_size);
        self.conf = conf;
        self.operators.clear();
        self.owners.clear();
        self.running = None;
        self.spills.clear();
        self.least = 0;
        self.trace = None;
    }

    /// Adds an operator, which asks for nothing before it is opened. Of consumers that hold the same amount, those of the
    /// operator added last are asked to spill first (TMM-2).
    pub fn add(&mut self, spec: OperatorSpec) -> OperatorIndex {
        let index = OperatorIndex(self.operators.len() as u32);
        let operator = self.build(index, spec);
        self.operators.push(operator);
        index
    }

    /// Keeps a line for each request and spill from now on.
    pub fn keep_trace(&mut self) {
        self.trace = Some(Box::default());
    }

    /// The lines since the last call, in order; none unless they are kept.
    pub fn take_trace(&mut self) -> Vec<TraceEntry> {
        self.trace.as_mut().map_or_else(Vec::new, |trace| std::mem::take(&mut trace.entries))
    }

    /// Makes the allocations of an operator's creation.
    pub fn open(&mut self, operator: OperatorIndex, manager: &mut MemoryManager) -> Step {
        self.instruct(operator, manager, |o| o.open())
    }

    /// Records that an operator can take before it next spills or asks for as much as `least` bytes; `u64::MAX`: never
    /// again. With 0 every request counts. Where requests below the size of a page matter to nobody, arrays that double on
    /// the way to their size, and a first page, are asked for within the insertion. An operator may stop at them all the
    /// same.
    pub fn records_until_request(&self, operator: OperatorIndex, least: u64) -> u64 {
        self.operators[operator.0 as usize].records_until_request(least)
    }

    /// Inserts records. What could not be inserted before a [`Step::Wait`] is inserted by [`TaskOperators::resume`].
    pub fn insert(&mut self, operator: OperatorIndex, records: u64, manager: &mut MemoryManager) -> Step {
        self.instruct(operator, manager, |o| o.insert(records))
    }

    /// As [`TaskOperators::insert`], where requests for less than `least` bytes matter to nobody: an array that doubles
    /// several times on the way below that is asked for once, in its last size.
    pub fn insert_in_plenty(
        &mut self,
        operator: OperatorIndex,
        records: u64,
        least: u64,
        manager: &mut MemoryManager,
    ) -> Step {
        self.least = if self.trace.is_some() { 0 } else { least };
        let step = self.insert(operator, records, manager);
        self.least = 0;
        step
    }

    /// Ends an operator's input: an aggregation that had spilled spills the rest, sorts can be spilled by others from now
    /// on, and peaks are taken.
    pub fn finish_input(&mut self, operator: OperatorIndex, manager: &mut MemoryManager) -> Step {
        self.instruct(operator, manager, |o| o.finish_input())
    }

    /// Goes on with what waits. The order in which several tasks are resumed is the caller's.
    pub fn resume(&mut self, manager: &mut MemoryManager) -> Step {
        match self.running {
            Some(operator) => self.advance(operator, manager),
            None => Step::Ready,
        }
    }

    /// Hands out records of an operator whose input has ended. Memory goes where Spark frees it on the way: at the latest
    /// with the last record, except for what lives as long as the task (hashed relations).
    pub fn drain(&mut self, operator: OperatorIndex, records: u64, manager: &mut MemoryManager) {
        self.with(operator, None, manager, |o, context| o.drain(records, context));
    }

    /// Frees all that an operator holds.
    pub fn close(&mut self, operator: OperatorIndex, manager: &mut MemoryManager) {
        self.with(operator, None, manager, |o, context| o.close(context));
    }

    /// The spills since the last call, in order.
    pub fn take_spills(&mut self) -> Vec<SpillEvent> {
        std::mem::take(&mut self.spills)
    }

    /// Bytes that an operator reports as its peak. For a page-based operator this is pages and arrays as seen when it
    /// spills and when its input ends, for a collection of RDD operations the largest estimated size.
    pub fn peak(&self, operator: OperatorIndex) -> u64 {
        self.operators[operator.0 as usize].peak()
    }

    /// The task metric `peakExecutionMemory`: the sum of the operators' own peaks, but for relations of hashed joins.
    pub fn peak_execution_memory(&self) -> u64 {
        self.operators.iter().map(|o| o.counted_peak()).sum()
    }

    /// Bytes the task holds in both modes.
    pub fn memory_used(&self) -> u64 {
        self.tmm.memory_used()
    }

    /// What each consumer counts as its own, with its operator and mode, in order of registration.
    pub fn held(&self) -> impl Iterator<Item = (OperatorIndex, MemoryMode, u64)> + '_ {
        self.owners.iter().enumerate().map(|(number, &owner)| {
            let consumer = ConsumerId(number as u32);
            (owner, self.tmm.mode(consumer), self.tmm.used(consumer))
        })
    }

    /// The task's memory manager.
    pub fn task_memory_manager(&self) -> &TaskMemoryManager {
        &self.tmm
    }

    /// Ends the task's use of memory whatever state it is in; returns the bytes still held (TMM-12).
    pub fn clean_up_all(&mut self, manager: &mut MemoryManager) -> u64 {
        self.running = None;
        self.tmm.clean_up_all(manager)
    }

    fn instruct(
        &mut self,
        operator: OperatorIndex,
        manager: &mut MemoryManager,
        instruction: impl FnOnce(&mut dyn MemoryOperator),
    ) -> Step {
        assert!(self.running.is_none(), "a task that waits does nothing else");
        instruction(&mut *self.operators[operator.0 as usize]);
        self.advance(operator, manager)
    }

    /// Runs an operator from request to request until it is done, fails or waits.
    fn advance(&mut self, operator: OperatorIndex, manager: &mut MemoryManager) -> Step {
        let mut poll = self.running.map(|_| self.tmm.poll(manager));
        loop {
            let mut answer = None;
            if let Some(poll) = poll {
                self.running = Some(operator);
                let carried = self.carry_on(poll, manager);
                self.note(operator, carried, manager);
                match carried {
                    Some(allocation) => answer = Some(allocation),
                    None => return Step::Wait,
                }
                self.running = None;
            }
            match self.with(operator, None, manager, |o, context| o.advance(answer, context)) {
                Progress::Request(consumer, request) => {
                    if let Some(trace) = &mut self.trace {
                        trace.wanted = self.tmm.wanted(consumer, request);
                    }
                    poll = Some(self.tmm.request(consumer, request, manager));
                }
                Progress::Done => return Step::Ready,
                Progress::Failed(error) => return Step::OutOfMemory(error),
                Progress::Refused => unreachable!("what a map refuses its operator answers for"),
            }
        }
    }

    /// Carries a request on from where it stands, with the spills it causes; `None` if it waits.
    fn carry_on(&mut self, mut poll: Poll, manager: &mut MemoryManager) -> Option<Allocation> {
        loop {
            match poll {
                Poll::Wait => return None,
                Poll::Ready(answer) => return Some(answer),
                Poll::Spill { consumer, ask, by } => {
                    let owner = self.owners[consumer.0 as usize];
                    let forced_by = Some(self.owners[by.0 as usize]).filter(|&o| o != owner);
                    let released = self.with(owner, forced_by, manager, |o, context| {
                        o.spill(consumer, ask, consumer == by, context)
                    });
                    self.tmm.spill_done(released);
                    poll = self.tmm.poll(manager);
                }
            }
        }
    }

    /// Runs a part of an operator and notes what it spilled.
    fn with<T>(
        &mut self,
        operator: OperatorIndex,
        forced_by: Option<OperatorIndex>,
        manager: &mut MemoryManager,
        part: impl FnOnce(&mut dyn MemoryOperator, &mut Context<'_>) -> T,
    ) -> T {
        let mut spills: Vec<Spill> = Vec::new();
        let least = self.least;
        let mut context = Context { tmm: &mut self.tmm, manager, spills: &mut spills, least };
        let result = part(&mut *self.operators[operator.0 as usize], &mut context);
        if spills.is_empty() {
            return result;
        }
        if self.trace.is_some() {
            let released = spills.iter().map(|spill| spill.memory_bytes).sum();
            self.push_trace(operator, TraceEvent::Spilled(forced_by), 0, released, manager);
        }
        for spill in spills {
            self.spills.push(SpillEvent {
                operator,
                memory_bytes: spill.memory_bytes,
                records: spill.records,
                serialized_bytes: spill.serialized_bytes,
                forced_by,
            });
        }
        result
    }

    /// Notes what became of the request under way, where that is kept.
    #[inline]
    fn note(&mut self, operator: OperatorIndex, carried: Option<Allocation>, manager: &MemoryManager) {
        let Some(trace) = &self.trace else { return };
        let wanted = trace.wanted;
        let (event, got) = match carried {
            None => (TraceEvent::Waits, 0),
            Some(Allocation::Bytes(got) | Allocation::Page { size: got, .. }) if got >= wanted => {
                (TraceEvent::Granted, got)
            }
            Some(Allocation::Bytes(got) | Allocation::Page { size: got, .. }) => (TraceEvent::Short, got),
            Some(Allocation::OutOfMemory { received, .. }) => (TraceEvent::Refused, received),
            Some(Allocation::Fault(_)) => (TraceEvent::Refused, 0),
        };
        self.push_trace(operator, event, wanted, got, manager);
    }

    fn push_trace(
        &mut self,
        operator: OperatorIndex,
        event: TraceEvent,
        wanted: u64,
        got: u64,
        manager: &MemoryManager,
    ) {
        let mode = self.conf.tungsten_mode;
        let pool = manager.execution(mode);
        let entry = TraceEntry {
            operator,
            event,
            wanted,
            got,
            held: self.tmm.memory_used(),
            pool_bytes: manager.max_execution(mode),
            pool_free: pool.free(),
            active_tasks: pool.tasks().len() as u32,
        };
        if let Some(trace) = &mut self.trace {
            trace.entries.push(entry);
        }
    }

    fn register(&mut self, owner: OperatorIndex, mode: MemoryMode, page_size: u64) -> ConsumerId {
        self.owners.push(owner);
        self.tmm.register(mode, page_size)
    }

    fn build(&mut self, index: OperatorIndex, spec: OperatorSpec) -> Box<dyn MemoryOperator> {
        let conf = self.conf;
        let tungsten = |this: &mut Self| this.register(index, conf.tungsten_mode, conf.page_size);
        match spec {
            OperatorSpec::HashAggregation { groups, key_value_bytes, fast_map_row_bytes, dense_keys } => {
                let shape = AggregationShape {
                    groups,
                    key_value_bytes,
                    fast_map_row_bytes,
                    dense_keys,
                    page_size: conf.page_size,
                };
                Box::new(HashAggregation::new(tungsten(self), tungsten(self), shape))
            }
            OperatorSpec::ObjectHashAggregation {
                groups,
                group_bytes,
                row_bytes,
                radix,
                fallback_threshold,
                limits,
            } => {
                let shape = ObjectAggregationShape {
                    groups,
                    group_bytes,
                    row_bytes,
                    radix,
                    fallback_threshold,
                    limits,
                };
                Box::new(ObjectHashAggregation::new(tungsten(self), tungsten(self), shape))
            }
            OperatorSpec::Sort { row_bytes, radix, initial_records, limits } => {
                let shape = SorterShape {
                    record_bytes: row_bytes,
                    key_value: false,
                    radix,
                    initial_records,
                    limits,
                    spillable_output: true,
                };
                Box::new(UnsafeExternalSorter::new(tungsten(self), shape))
            }
            OperatorSpec::ShuffleSort { record_bytes, radix, initial_records, limits } => {
                let page_size = conf.page_size.min(shuffle_external_sorter::PAGE_BYTES_MAX);
                let consumer = self.register(index, conf.tungsten_mode, page_size);
                let shape = ShuffleSorterShape { record_bytes, radix, initial_records, limits };
                Box::new(ShuffleExternalSorter::new(consumer, shape))
            }
            OperatorSpec::BypassMerge => Box::new(BypassMerge),
            OperatorSpec::ExternalSorter {
                entry_bytes,
                serialized_bytes,
                map_side_combine,
                writes_shuffle,
                initial_memory_threshold,
                limits,
            } => {
                let container =
                    if map_side_combine.is_some() { Container::AppendOnlyMap } else { Container::PairBuffer };
                let shape = SpillableShape {
                    kind: Kind::ExternalSorter { writes_shuffle },
                    size: SizeModel { container, entry_bytes },
                    entries: map_side_combine,
                    serialized_bytes,
                    initial_memory_threshold,
                    limits,
                };
                Box::new(Spillable::new(
                    self.register(index, MemoryMode::OnHeap, conf.page_size),
                    shape,
                    conf,
                ))
            }
            OperatorSpec::ExternalAppendOnlyMap {
                entry_bytes,
                serialized_bytes,
                keys,
                initial_memory_threshold,
                limits,
            } => {
                let shape = SpillableShape {
                    kind: Kind::ExternalAppendOnlyMap,
                    size: SizeModel { container: Container::AppendOnlyMap, entry_bytes },
                    entries: Some(keys),
                    serialized_bytes,
                    initial_memory_threshold,
                    limits,
                };
                Box::new(Spillable::new(
                    self.register(index, MemoryMode::OnHeap, conf.page_size),
                    shape,
                    conf,
                ))
            }
            OperatorSpec::HashedRelation { size_estimate, rows, keys, key_value_bytes } => {
                Box::new(HashedRelation::new(tungsten(self), size_estimate, rows, keys, key_value_bytes))
            }
            OperatorSpec::LongHashedRelation { size_estimate, rows, keys, row_bytes, key_range } => {
                let shape = LongMapShape { size_estimate, rows, keys, row_bytes, key_range };
                Box::new(LongToUnsafeRowMap::new(tungsten(self), shape))
            }
            OperatorSpec::RowBuffer { in_memory_threshold, row_bytes, partitions, limits } => {
                let consumer = tungsten(self);
                Box::new(RowBuffer::new(consumer, in_memory_threshold, row_bytes, partitions, limits))
            }
        }
    }
}

/// A shuffle writer without execution memory (SHUF-2).
#[derive(Debug)]
struct BypassMerge;

impl MemoryOperator for BypassMerge {
    fn open(&mut self) {}

    fn insert(&mut self, _records: u64) {}

    fn finish_input(&mut self) {}

    fn advance(&mut self, _answer: Option<Allocation>, _context: &mut Context<'_>) -> Progress {
        Progress::Done
    }

    fn spill(
        &mut self,
        _consumer: ConsumerId,
        _ask: u64,
        _by_itself: bool,
        _context: &mut Context<'_>,
    ) -> u64 {
        0
    }

    fn records_until_request(&self, _least: u64) -> u64 {
        u64::MAX
    }

    fn drain(&mut self, _records: u64, _context: &mut Context<'_>) {}

    fn close(&mut self, _context: &mut Context<'_>) {}

    fn peak(&self) -> u64 {
        0
    }
}
