//! The ledger of the moment at which a limit falls: every byte that counts against it, by who holds it; and how close each
//! limit came in the whole run. See [`crate::record::Fall`].

use super::World;
use super::executor::Executor;
use super::task::Task;
use crate::host::fillable;
use crate::memory::operators::SparkOutOfMemory;
use crate::memory::{BlockId, MemoryMode, TaskId};
use crate::record::{Approach, Fall, Holder, Holding, Limit, SharedPool, Silence, gives_way};
use crate::units::HumanBytes;
use crate::workload::{BroadcastIndex, OperatorKind};

/// Falls that a record keeps: an application dies of the first few, however many tasks try again.
const FALLS_MAX: usize = 32;

/// A table that the driver builds to broadcast it, and the heap beside it; bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BroadcastBuild {
    pub(super) broadcast: BroadcastIndex,
    /// In use before.
    pub(super) live: u64,
    /// The relation.
    pub(super) relation: u64,
    /// The array that its rows outgrow.
    pub(super) outgrown: u64,
    /// The collected rows.
    pub(super) collected: u64,
    /// The driver's heap.
    pub(super) heap: u64,
}

impl BroadcastBuild {
    pub(super) fn needed(&self) -> u64 {
        self.live + self.relation + self.outgrown + self.collected
    }

    /// What of the heap can be in use beside a collector at work.
    pub(super) fn usable(&self) -> u64 {
        fillable(self.heap)
    }

    /// The heap has room for all of it.
    pub(super) fn fits(&self) -> bool {
        self.needed() <= self.usable()
    }
}

pub(super) fn line(holding: Holding, bytes: u64) -> Holder {
    Holder {
        holding,
        name: String::new(),
        task_id: None,
        stage_id: None,
        bytes,
        off_heap: false,
        stays: !matches!(holding, Holding::Cached | Holding::Broadcast),
    }
}

/// Whether memory of an operator stays until its task ends: no spill frees a hash relation (HJ-2, HJ-5).
fn stays(kind: &OperatorKind) -> bool {
    matches!(kind, OperatorKind::ShuffledHashJoin { .. })
}

impl World<'_> {
    /// Notes how close a limit came.
    pub(super) fn approach(&mut self, limit: Limit, used: u64, limit_bytes: u64, executor: Option<usize>) {
        let executor = executor.map(|index| index as u32);
        let found = Approach { limit, limit_bytes, used, executor };
        match self.record.limits.iter_mut().find(|known| known.limit == limit) {
            Some(known) if found.is_nearer_than(known) => *known = found,
            Some(_) => {}
            None => self.record.limits.push(found),
        }
    }

    /// The limits that the executors' peaks came near to, at the end of the run.
    pub(super) fn close_limits(&mut self) {
        for index in 0..self.executors.len() {
            let record = &self.executors[index].record;
            let (heap, container) = (record.heap_bytes, record.container_bytes);
            let (live, resident) = (record.metrics.peak_heap_used, record.metrics.peak_rss);
            self.approach(Limit::Heap, live.unwrap_or(0), heap, Some(index));
            if let Some(limit) = container {
                let all = limit + self.container_swap(index);
                self.approach(Limit::Container, resident.unwrap_or(0), all, Some(index));
            }
        }
        for at in 0..self.hosts.len() {
            let Some(ledger) = self.hosts[at].memory.as_deref() else { continue };
            let room = ledger.setup.memory_bytes + ledger.setup.swap_bytes;
            let used = ledger.peak + ledger.setup.kernel_bytes;
            self.approach(Limit::Host, used, room, None);
        }
        self.record.limits.sort_by_key(|approach| approach.limit);
    }

    fn fall(&mut self, mut fall: Fall) {
        if self.ended.is_none() {
            self.record.last_limit = Some(fall.limit);
        }
        if !self.options.details || self.record.falls.len() >= FALLS_MAX {
            return;
        }
        fall.holders.retain(|holder| holder.bytes > 0);
        fall.holders.sort_by(|a, b| {
            b.bytes.cmp(&a.bytes).then(a.holding.cmp(&b.holding)).then(a.task_id.cmp(&b.task_id))
        });
        fall.time_ns = self.queue.now().0;
        self.record.falls.push(fall);
    }

    /// Running tasks of all executors.
    fn running_tasks(&self) -> u32 {
        self.executors.iter().map(|executor| executor.running.len() as u32).sum()
    }

    /// Who is in the way on the driver's heap, of which `live` bytes were in use before.
    fn holders_on_the_driver(&self, live: u64) -> Vec<Holder> {
        match self.executors.first() {
            Some(executor) if self.local => self.heap_holders(executor),
            _ => vec![line(Holding::AtRest, live)],
        }
    }

    /// The serialized results of a stage.
    fn results_of(&self, stage: usize, bytes: u64) -> Holder {
        let data = &self.workload.stages[stage];
        Holder { name: data.name.clone(), stage_id: Some(data.id), ..line(Holding::Results, bytes) }
    }

    /// A limit of an executor falls while a task works.
    pub(super) fn executor_falls(&mut self, limit: Limit, key: usize, used: u64, limit_bytes: u64) {
        let task = self.tasks[key].as_ref().expect("a task that passes a limit exists");
        let executor = &self.executors[task.executor];
        let mut holders = self.heap_holders(executor);
        if limit == Limit::Container {
            let live: u64 = holders.iter().filter(|holder| !holder.off_heap).map(|holder| holder.bytes).sum();
            let mut outside = vec![line(Holding::NonHeap, self.workload.rates.non_heap_bytes)];
            for other in self.running(executor) {
                let mut python = line(Holding::Python, other.python_bytes);
                python.name = self.named(other, |kind| matches!(kind, OperatorKind::Python { .. }));
                self.own(&mut python, other);
                outside.push(python);
            }
            outside.extend(self.pool_holders(executor, MemoryMode::OffHeap));
            let known: u64 = outside.iter().map(|holder| holder.bytes).sum();
            outside.push(line(Holding::Garbage, used.saturating_sub(live + known)));
            holders.extend(outside);
        }
        let (executor, task_id, stage) = (task.executor, task.id, task.stage);
        let fall = Fall {
            executor: Some(executor as u32),
            task_id: Some(task_id),
            stage_id: Some(self.workload.stages[stage].id),
            index: Some(task.index),
            running_tasks: self.executors[executor].running.len() as u32,
            ..Fall::new(limit, used, limit_bytes, holders)
        };
        self.fall(fall);
    }

    /// Spark throws its own out-of-memory error: the task got less than it cannot do without.
    pub(super) fn share_falls(&mut self, key: usize, error: SparkOutOfMemory) {
        let task = self.tasks[key].as_ref().expect("a task that fails exists");
        let state = &self.executors[task.executor];
        let mode = state.tungsten_mode;
        let pool = state.manager.execution(mode);
        let held = pool.held_by(TaskId(task.id as i64)).unwrap_or(0);
        let mut holders = self.execution_holders(task, mode);
        holders.push(line(Holding::Asked, error.requested));
        let fall = Fall {
            executor: Some(task.executor as u32),
            task_id: Some(task.id),
            stage_id: Some(self.workload.stages[task.stage].id),
            index: Some(task.index),
            running_tasks: state.running.len() as u32,
            pool: Some(SharedPool {
                bytes: state.manager.max_execution(mode),
                free: pool.free(),
                active_tasks: pool.tasks().len() as u32,
            }),
            ..Fall::new(Limit::TaskShare, held + error.requested, held + error.received, holders)
        };
        self.fall(fall);
    }

    /// What a task holds that cannot spill, against its share, once an operator has all its input.
    pub(super) fn approach_share(&mut self, key: usize) {
        let task = self.tasks[key].as_ref().expect("a task that works exists");
        let operators = &self.workload.stages[task.stage].operators;
        if !operators.iter().any(|operator| stays(&operator.kind)) {
            return;
        }
        let executor = task.executor;
        let state = &self.executors[executor];
        let mode = state.tungsten_mode;
        let held: u64 =
            self.execution_holders(task, mode).iter().filter(|holder| holder.stays).map(|h| h.bytes).sum();
        let active = state.manager.execution(mode).tasks().len().max(1) as u64;
        let share = state.manager.max_execution(mode) / active;
        self.approach(Limit::TaskShare, held, share, Some(executor));
    }

    /// The results of a stage's tasks pass `spark.driver.maxResultSize`.
    pub(super) fn results_fall(&mut self, stage: usize, used: u64, limit_bytes: u64) {
        let results = self.results_of(stage, used);
        self.fall(Fall {
            stage_id: results.stage_id,
            running_tasks: self.running_tasks(),
            ..Fall::new(Limit::ResultSize, used, limit_bytes, vec![results])
        });
    }

    /// The results of a stage's tasks lie on the driver's heap, as they came, until all are there. Why they do not fit it, if
    /// they do not. Left out: rows made of them there, which need more.
    pub(super) fn results_do_not_fit(&mut self, stage: usize, results: u64) -> Option<String> {
        let (heap, live) = self.driver_in_use();
        let limit_bytes = fillable(heap);
        let used = live + results;
        self.approach(Limit::DriverHeap, used, limit_bytes, None);
        if used <= limit_bytes {
            return None;
        }
        let mut holders = vec![self.results_of(stage, results)];
        holders.extend(self.holders_on_the_driver(live));
        self.fall(Fall {
            stage_id: holders[0].stage_id,
            running_tasks: self.running_tasks(),
            ..Fall::new(Limit::DriverHeap, used, limit_bytes, holders)
        });
        Some(format!(
            "java.lang.OutOfMemoryError: Java heap space on the driver ({} of serialized results beside {} in use, in a heap \
             of {})",
            HumanBytes(results),
            HumanBytes(live),
            HumanBytes(heap)
        ))
    }

    /// The driver has no heap left to build a table that it is to broadcast.
    pub(super) fn broadcast_falls(&mut self, stage: usize, build: &BroadcastBuild) {
        let table = &self.workload.broadcasts[build.broadcast];
        let stage_id = Some(self.workload.stages[stage].id);
        let of = |holding, bytes| Holder { name: table.name.clone(), stage_id, ..line(holding, bytes) };
        let mut holders = vec![
            of(Holding::Relation, build.relation + build.outgrown),
            of(Holding::Collected, build.collected),
        ];
        holders.extend(self.holders_on_the_driver(build.live));
        self.fall(Fall {
            stage_id,
            running_tasks: self.running_tasks(),
            ..Fall::new(Limit::DriverHeap, build.needed(), build.usable(), holders)
        });
    }

    /// The memory and swap of a host are full and the kernel is about to kill, or its memory (`limit`) has been too small for
    /// too long.
    pub(super) fn host_falls(&mut self, at: usize, limit: Limit) {
        let Some(ledger) = self.hosts[at].memory.as_deref() else { return };
        let swap = if limit == Limit::Host { ledger.setup.swap_bytes } else { 0 };
        let limit_bytes = ledger.setup.memory_bytes + swap;
        let lines = self.ledger_lines(at);
        // The page cache gives way by itself.
        let held = lines.into_iter().filter(|entry| !gives_way(&entry.process));
        let holders: Vec<Holder> = held
            .map(|entry| Holder {
                name: entry.process,
                ..line(Holding::Process, entry.resident_bytes + entry.swapped_bytes)
            })
            .collect();
        self.fall(Fall {
            running_tasks: self.hosts[at].running,
            ..Fall::new(limit, holders.iter().map(|holder| holder.bytes).sum(), limit_bytes, holders)
        });
    }

    /// The driver has not heard of an executor in time; the ledger is what its collection has to walk.
    pub(super) fn heartbeat_falls(&mut self, executor: usize, silence: Silence) {
        let state = &self.executors[executor];
        let holders = self.heap_holders(state);
        let first = self.running(state).next();
        self.fall(Fall {
            executor: Some(executor as u32),
            stage_id: first.map(|task| self.workload.stages[task.stage].id),
            running_tasks: state.running.len() as u32,
            silence: Some(silence),
            ..Fall::new(
                Limit::Heartbeat,
                holders.iter().map(|holder| holder.bytes).sum(),
                state.heap_usable,
                holders,
            )
        });
    }

    /// Spark's files pass the room that a host's disk has for them.
    pub(super) fn disk_falls(&mut self, key: usize, used: u64, limit_bytes: u64) {
        let task = self.tasks[key].as_ref().expect("a task that writes exists");
        let holders = self.file_holders(self.executors[task.executor].host, used);
        self.fall(Fall {
            executor: Some(task.executor as u32),
            task_id: Some(task.id),
            stage_id: Some(self.workload.stages[task.stage].id),
            index: Some(task.index),
            running_tasks: self.executors[task.executor].running.len() as u32,
            ..Fall::new(Limit::Disk, used, limit_bytes, holders)
        });
    }

    pub(super) fn running<'b>(&'b self, executor: &'b Executor) -> impl Iterator<Item = &'b Task> {
        executor.running.iter().filter_map(|&key| self.tasks[key].as_ref())
    }

    pub(super) fn own(&self, holder: &mut Holder, task: &Task) {
        holder.task_id = Some(task.id);
        holder.stage_id = Some(self.workload.stages[task.stage].id);
    }

    /// Names of the operators of a task's stage that `is` picks.
    fn named(&self, task: &Task, is: impl Fn(&OperatorKind) -> bool) -> String {
        let operators = self.workload.stages[task.stage].operators.iter();
        let names: Vec<&str> =
            operators.filter(|operator| is(&operator.kind)).map(|operator| operator.name.as_str()).collect();
        names.join(", ")
    }

    /// Who fills the heap of an executor with live objects.
    fn heap_holders(&self, executor: &Executor) -> Vec<Holder> {
        let mut holders = vec![line(Holding::AtRest, self.workload.rates.heap_base_bytes)];
        holders.extend(self.pool_holders(executor, MemoryMode::OnHeap));
        for task in self.running(executor) {
            let mut table = line(Holding::BroadcastOnHeap, task.broadcast_on_heap);
            table.name = self.broadcasts_of(task);
            self.own(&mut table, task);
            let mut user = line(Holding::UserHeap, task.user_heap.saturating_sub(task.broadcast_on_heap));
            user.name = self.heap_users(task);
            self.own(&mut user, task);
            holders.extend([table, user]);
        }
        holders
    }

    /// The operators whose plain heap a task holds: those with most of it.
    fn heap_users(&self, task: &Task) -> String {
        let plan = &self.plan.stages[task.stage];
        let bytes = |at: usize| plan.operators[at].heap_bytes.get(task.index as usize).copied().unwrap_or(0);
        let operators = &self.workload.stages[task.stage].operators;
        let largest = (0..operators.len()).max_by_key(|&at| (bytes(at), std::cmp::Reverse(at)));
        largest.filter(|&at| bytes(at) > 0).map_or_else(String::new, |at| operators[at].name.clone())
    }

    fn broadcasts_of(&self, task: &Task) -> String {
        let operators = self.workload.stages[task.stage].operators.iter();
        let tables = operators.filter_map(|operator| match operator.kind {
            OperatorKind::BroadcastHashJoin { broadcast } => {
                Some(self.workload.broadcasts[broadcast].name.as_str())
            }
            _ => None,
        });
        tables.collect::<Vec<_>>().join(", ")
    }

    /// Who holds the pools of a mode.
    fn pool_holders(&self, executor: &Executor, mode: MemoryMode) -> Vec<Holder> {
        let mut holders: Vec<Holder> =
            self.running(executor).flat_map(|task| self.execution_holders(task, mode)).collect();
        let off_heap = mode == MemoryMode::OffHeap;
        let mut blocks: Vec<Holder> = Vec::new();
        for (block, entry) in executor.manager.store().entries().filter(|(_, entry)| entry.mode == mode) {
            let (holding, name) = self.block_name(block);
            match blocks.iter_mut().find(|known| known.holding == holding && known.name == name) {
                Some(known) => known.bytes += entry.size,
                None => blocks.push(Holder { name, off_heap, ..line(holding, entry.size) }),
            }
        }
        let stored: u64 = blocks.iter().map(|holder| holder.bytes).sum();
        let unroll = executor.manager.storage(mode).used().saturating_sub(stored);
        holders.extend(blocks);
        holders.push(Holder { off_heap, ..line(Holding::Unroll, unroll) });
        holders
    }

    fn block_name(&self, block: BlockId) -> (Holding, String) {
        match block {
            BlockId::Rdd { rdd, .. } => {
                let dataset = self.workload.datasets.iter().find(|data| data.id == rdd);
                (Holding::Cached, dataset.map_or_else(|| format!("rdd_{rdd}"), |data| data.name.clone()))
            }
            BlockId::Broadcast(index) | BlockId::BroadcastPiece { broadcast: index, .. } => {
                let table = self.workload.broadcasts.get(index as usize);
                (Holding::Broadcast, table.map_or_else(String::new, |table| table.name.clone()))
            }
            BlockId::TaskResult(_) | BlockId::Test(_) => (Holding::Results, String::new()),
        }
    }

    /// Execution memory of a task in a mode, by operator.
    fn execution_holders(&self, task: &Task, mode: MemoryMode) -> Vec<Holder> {
        let operators = &self.workload.stages[task.stage].operators;
        let state = &self.executors[task.executor];
        let off_heap = mode == MemoryMode::OffHeap;
        let mut holders: Vec<Holder> = Vec::new();
        for (position, operator) in operators.iter().enumerate() {
            let Some(index) = task.memory_operators[position] else { continue };
            let own = task.operators.held().filter(|&(owner, of, _)| owner == index && of == mode);
            let mut holder = line(Holding::Execution, own.map(|(_, _, bytes)| bytes).sum());
            holder.name.clone_from(&operator.name);
            (holder.off_heap, holder.stays) = (off_heap, stays(&operator.kind));
            self.own(&mut holder, task);
            holders.push(holder);
        }
        // Pages that no consumer counts as its own.
        let known: u64 = holders.iter().map(|holder| holder.bytes).sum();
        let held = state.manager.execution(mode).held_by(TaskId(task.id as i64)).unwrap_or(0);
        let mut rest = Holder { off_heap, ..line(Holding::Execution, held.saturating_sub(known)) };
        self.own(&mut rest, task);
        holders.push(rest);
        holders
    }
}

/// Bytes as YARN writes them (`StringUtils.TraditionalBinaryPrefix`, one decimal unless there is none).
pub(super) fn yarn_bytes(bytes: u64) -> String {
    let (unit, name) = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")]
        .into_iter()
        .find(|&(unit, _)| bytes >= unit)
        .unwrap_or((1_u64, "B"));
    if bytes.is_multiple_of(unit) {
        format!("{} {name}", bytes / unit)
    } else {
        format!("{:.1} {name}", bytes as f64 / unit as f64)
    }
}

/// What the driver says when a table does not fit.
pub(super) fn broadcast_reason(rows: u64, build: &BroadcastBuild) -> String {
    let rows = if rows == 0 { String::new() } else { format!("{rows} rows: ") };
    format!(
        "org.apache.spark.SparkException: Not enough memory to build and broadcast the table to all worker nodes \
         ({rows}{} of relation and {} collected, beside {} in use, in a driver heap of {})",
        HumanBytes(build.relation),
        HumanBytes(build.collected),
        HumanBytes(build.live),
        HumanBytes(build.heap)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_yarn_writes_them() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (896 << 20, "896 MB"),
            (33 << 30, "33 GB"),
            (35_647_795_364, "33.2 GB"),
            (1 << 40, "1 TB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(yarn_bytes(bytes), text);
        }
    }
}
