//! Cached partitions and broadcast tables as a task meets them: found in memory, on disk or on another executor, or
//! computed and put (BLOCK-1..12, BCAST-3..5). The bookkeeping of blocks is the memory layer's. Left out: a table on the heap
//! that outlives the task that read it, because others still probe it.

use super::World;
use super::executor::Executor;
use super::task::{Failure, Progress, State, Work};
use crate::memory::{
    BlockDropped, BlockId, EntryForm, MemoryMode, StorageLevel, TaskId, Unroll, UnrollOutcome, UnrollSettings,
};
use crate::record::EventKind;
use crate::workload::{BroadcastIndex, CachedPartition, DatasetIndex};

/// A partition on its way into memory.
#[derive(Debug)]
pub(super) struct Caching {
    dataset: DatasetIndex,
    block: BlockId,
    level: StorageLevel,
    unroll: Unroll,
    /// Elements worked on so far.
    elements: u64,
    /// Work for one element, ns: computing it, or reading it back.
    ns_per_element: f64,
    /// The block comes from this executor's disk, not from its lineage.
    from_disk: bool,
}

/// What is known of a dataset while the simulation runs.
#[derive(Clone, Debug, Default)]
pub(super) struct DatasetState {
    /// Times each partition was computed.
    pub(super) computed: Vec<u32>,
    pub(super) memory_hits: u64,
    pub(super) disk_hits: u64,
    pub(super) remote_hits: u64,
    pub(super) misses: u64,
    pub(super) dropped: u64,
}

impl World<'_> {
    /// The level in force for a dataset.
    pub(super) fn storage_level(&self, dataset: DatasetIndex) -> StorageLevel {
        let data = &self.workload.datasets[dataset];
        let knob = self.settings.knobs.storage_level_of(&data.name).and_then(StorageLevel::from_name);
        knob.unwrap_or(data.level)
    }

    fn memory_size(level: StorageLevel, partition: CachedPartition) -> u64 {
        if level.deserialized { partition.memory_bytes } else { partition.serialized_bytes }
    }

    /// The first step of reading a cached partition (BLOCK-1); where it is found, the next `lineage` instructions are passed
    /// over.
    pub(super) fn read_cached(&mut self, key: usize, dataset: DatasetIndex, lineage: usize) -> Progress {
        let task = self.tasks[key].as_ref().expect("a task that reads exists");
        let (id, executor, index) = (TaskId(task.id as i64), task.executor, task.index);
        let partition = self.partition(dataset, index as usize);
        let block = BlockId::Rdd { rdd: self.workload.datasets[dataset].id, split: index };
        let level = self.storage_level(dataset);
        let rates = &self.workload.rates;
        let decode_ns = partition.serialized_bytes as f64 * rates.serialize_ns_per_byte;
        let lookup = self.executors[executor].manager.store().lookup(block);
        let in_memory = lookup.as_ref().is_some_and(|found| found.entry.is_some());
        let on_disk = lookup.is_some_and(|found| found.on_disk);
        let elsewhere = !in_memory && !on_disk && self.held_elsewhere(executor, block);
        if !in_memory && !on_disk && !elsewhere {
            // Its lineage comes first, if the program has it.
            return if lineage > 0 {
                Progress::Continue
            } else {
                self.compute(key, dataset, block, level, 1.0)
            };
        }
        self.tasks[key].as_mut().expect("a task that reads exists").pc += lineage;
        if in_memory {
            let store = self.executors[executor].manager.store_mut();
            store.lock_for_reading(id, block);
            store.touch(block);
            let size = Self::memory_size(level, partition);
            let ns = size as f64 * rates.cached_read_ns_per_byte
                + if level.deserialized { 0.0 } else { decode_ns };
            self.datasets[dataset].memory_hits += 1;
            let task = self.tasks[key].as_mut().expect("a task that reads exists");
            task.metrics.input_bytes += size;
            task.work.push_back(Work::Cpu(ns as u64));
            return Progress::Continue;
        }
        if on_disk {
            self.datasets[dataset].disk_hits += 1;
            let task = self.tasks[key].as_mut().expect("a task that reads exists");
            task.metrics.input_bytes += partition.disk_bytes;
            task.work.push_back(Work::Disk(partition.disk_bytes));
            self.lost.cache_read_ns += decode_ns as u64;
            return self.promote(key, dataset, block, level, partition, decode_ns);
        }
        self.datasets[dataset].remote_hits += 1;
        let task = self.tasks[key].as_mut().expect("a task that reads exists");
        task.metrics.input_bytes += partition.serialized_bytes;
        task.work.push_back(Work::Network(partition.serialized_bytes));
        task.work.push_back(Work::Cpu(decode_ns as u64));
        Progress::Continue
    }

    /// Computes a cached partition whose lineage has run; `share` of the work is left.
    pub(super) fn compute_cached(&mut self, key: usize, dataset: DatasetIndex, share: f64) -> Progress {
        let index = self.tasks[key].as_ref().expect("a task that computes exists").index;
        let block = BlockId::Rdd { rdd: self.workload.datasets[dataset].id, split: index };
        self.compute(key, dataset, block, self.storage_level(dataset), share)
    }

    fn partition(&self, dataset: DatasetIndex, index: usize) -> CachedPartition {
        self.scaled(self.workload.datasets[dataset].partitions.get(index).copied().unwrap_or_default())
    }

    /// Work to compute a cached partition, ns.
    pub(super) fn compute_ns_of(&self, dataset: DatasetIndex, index: usize) -> f64 {
        let bytes = self.partition(dataset, index).memory_bytes;
        bytes as f64 * self.workload.datasets[dataset].compute_ns_per_byte
    }

    pub(super) fn scaled(&self, partition: CachedPartition) -> CachedPartition {
        CachedPartition {
            memory_bytes: self.scaled_bytes(partition.memory_bytes),
            serialized_bytes: self.scaled_bytes(partition.serialized_bytes),
            disk_bytes: self.scaled_bytes(partition.disk_bytes),
        }
    }

    /// Bytes of a table or block under the scale of the data.
    pub(super) fn scaled_bytes(&self, bytes: u64) -> u64 {
        (bytes as f64 * self.settings.knobs.data_scale).round() as u64
    }

    /// Work to compute the cached partitions that a task reads, ns, if none is found.
    pub(super) fn compute_ns(&self, stage: usize, index: u32) -> u64 {
        let datasets =
            self.workload.stages[stage].operators.iter().filter_map(|operator| match operator.kind {
                crate::workload::OperatorKind::CachedScan { dataset, .. } => Some(dataset),
                _ => None,
            });
        datasets.map(|dataset| self.compute_ns_of(dataset, index as usize) as u64).sum()
    }

    fn held_elsewhere(&self, executor: usize, block: BlockId) -> bool {
        let others =
            self.executors.iter().enumerate().filter(|(index, other)| *index != executor && other.alive);
        others
            .map(|(_, other)| other.manager.store().lookup(block))
            .any(|found| found.is_some_and(|found| found.entry.is_some() || found.on_disk))
    }

    /// Computes a partition from its lineage, of which `share` of the work is left, and puts it (BLOCK-7).
    fn compute(
        &mut self,
        key: usize,
        dataset: DatasetIndex,
        block: BlockId,
        level: StorageLevel,
        share: f64,
    ) -> Progress {
        let task = self.tasks[key].as_ref().expect("a task that computes exists");
        let (id, executor, index) = (task.id, task.executor, task.index as usize);
        let partition = self.partition(dataset, index);
        let compute_ns = self.compute_ns_of(dataset, index) * task.pace;
        let state = &mut self.datasets[dataset];
        state.misses += 1;
        if state.computed.len() <= index {
            state.computed.resize(index + 1, 0);
        }
        state.computed[index] += 1;
        let times = state.computed[index];
        if times > 1 {
            self.lost.recompute_ns += compute_ns as u64;
            self.event(
                EventKind::Recompute,
                Some(executor),
                Some(id),
                partition.memory_bytes,
                &block.to_string(),
            );
        }
        if level.use_memory {
            let elements = self.workload.datasets[dataset].elements.max(1);
            let ns_per_element = share * compute_ns / elements as f64;
            return self.begin_unroll(key, dataset, block, level, ns_per_element, false);
        }
        let task = self.tasks[key].as_mut().expect("a task that computes exists");
        task.work.push_back(Work::Cpu((share * compute_ns) as u64));
        if level.use_disk {
            let store = self.executors[executor].manager.store_mut();
            if store.lock_new_for_writing(TaskId(id as i64), block, level) {
                store.set_on_disk(block);
                store.unlock(TaskId(id as i64), block);
            }
            self.write_block(key, partition);
            self.replicate(key, block, level, partition);
        }
        Progress::Continue
    }

    /// Sends a block that was just put to as many other executors as its level asks for, while the task waits
    /// (`BlockManager.replicate`). Spark draws them at random; here they take turns by partition.
    fn replicate(&mut self, key: usize, block: BlockId, level: StorageLevel, partition: CachedPartition) {
        let task = self.tasks[key].as_ref().expect("a task that puts a block exists");
        let (task_id, executor, index) = (task.id, task.executor, task.index as usize);
        let id = TaskId(task_id as i64);
        let known = |state: &Executor| state.manager.store().lookup(block).is_some();
        if level.replication < 2 || !known(&self.executors[executor]) {
            return;
        }
        let peers: Vec<usize> = (0..self.executors.len())
            .filter(|&peer| peer != executor && self.executors[peer].alive && !known(&self.executors[peer]))
            .collect();
        let copies = usize::from(level.replication) - 1;
        for peer in (0..copies.min(peers.len())).map(|copy| peers[(index + copy) % peers.len()]) {
            let size = Self::memory_size(level, partition);
            let settings = self.unroll_settings();
            let manager = &mut self.executors[peer].manager;
            let Some(in_memory) = manager.put_values(settings, id, block, level, size) else { continue };
            let kind = if in_memory { EventKind::Put } else { EventKind::PutRefused };
            self.event(kind, Some(peer), Some(task_id), size, &block.to_string());
            let task = self.tasks[key].as_mut().expect("a task that puts a block exists");
            task.work.push_back(Work::Network(partition.serialized_bytes));
            self.drain_evictions_of(key, peer);
            self.refresh(peer);
        }
    }

    fn unroll_settings(&self) -> UnrollSettings {
        let storage = &self.settings.storage;
        UnrollSettings {
            initial_threshold: storage.unroll_threshold,
            check_period: storage.unroll_check_period,
            growth_factor: storage.unroll_growth_factor,
        }
    }

    fn write_block(&mut self, key: usize, partition: CachedPartition) {
        let ns = partition.serialized_bytes as f64 * self.workload.rates.serialize_ns_per_byte;
        let task = self.tasks[key].as_mut().expect("a task that writes a block exists");
        task.work.push_back(Work::Cpu(ns as u64));
        task.work.push_back(Work::Disk(partition.disk_bytes));
    }

    /// A block found on this executor's disk may come back into memory (BLOCK-3, BLOCK-4).
    fn promote(
        &mut self,
        key: usize,
        dataset: DatasetIndex,
        block: BlockId,
        level: StorageLevel,
        partition: CachedPartition,
        decode_ns: f64,
    ) -> Progress {
        let task = self.tasks[key].as_mut().expect("a task that reads exists");
        let (id, executor) = (task.id, task.executor);
        if level.use_memory && level.deserialized {
            let elements = self.workload.datasets[dataset].elements.max(1);
            return self.begin_unroll(key, dataset, block, level, decode_ns / elements as f64, true);
        }
        task.work.push_back(Work::Cpu(decode_ns as u64));
        if level.use_memory {
            let manager = &mut self.executors[executor].manager;
            let stored = manager.store_bytes(block, partition.serialized_bytes, level.memory_mode());
            if stored == Ok(true) {
                manager.store_mut().lock_for_reading(TaskId(id as i64), block);
                self.event(
                    EventKind::Reload,
                    Some(executor),
                    Some(id),
                    partition.serialized_bytes,
                    &block.to_string(),
                );
            }
            self.drain_evictions(key);
        }
        Progress::Continue
    }

    fn begin_unroll(
        &mut self,
        key: usize,
        dataset: DatasetIndex,
        block: BlockId,
        level: StorageLevel,
        ns_per_element: f64,
        from_disk: bool,
    ) -> Progress {
        let settings = self.unroll_settings();
        let task = self.tasks[key].as_ref().expect("a task that unrolls exists");
        let (id, executor) = (TaskId(task.id as i64), task.executor);
        let manager = &mut self.executors[executor].manager;
        let locked = if from_disk {
            manager.store_mut().lock_for_writing(id, block)
        } else {
            manager.store_mut().lock_new_for_writing(id, block, level)
        };
        if !locked {
            // Another task of this executor has it in hand; this one computes for itself.
            let elements = self.workload.datasets[dataset].elements.max(1) as f64;
            let task = self.tasks[key].as_mut().expect("a task that unrolls exists");
            task.work.push_back(Work::Cpu((elements * ns_per_element) as u64));
            return Progress::Continue;
        }
        let Ok(unroll) = Unroll::start(manager, settings, id, block, level.memory_mode()) else {
            manager.store_mut().unlock(id, block);
            manager.forget_block(block);
            return Progress::Fail(Failure::SparkOom(
                "off-heap storage is not supported by the legacy memory manager".to_owned(),
            ));
        };
        self.drain_evictions(key);
        self.continue_caching(
            key,
            Caching { dataset, block, level, unroll, elements: 0, ns_per_element, from_disk },
        )
    }

    /// Works on elements up to the next check that reserves more memory, or to the end (UNROLL-2).
    pub(super) fn continue_caching(&mut self, key: usize, mut caching: Caching) -> Progress {
        let task = self.tasks[key].as_ref().expect("a task that unrolls exists");
        let (executor, index) = (task.executor, task.index as usize);
        let partition = self.partition(caching.dataset, index);
        let total = self.workload.datasets[caching.dataset].elements.max(1);
        let size = Self::memory_size(caching.level, partition);
        let element_bytes = size as f64 / total as f64;
        let manager = &mut self.executors[executor].manager;
        if caching.elements > 0 && caching.elements < total {
            let estimated = (caching.elements as f64 * element_bytes) as u64;
            caching.unroll.check(manager, estimated);
        }
        if caching.unroll.is_accepting() && caching.elements < total {
            // The first element after which the estimate reaches the threshold, at a check point.
            let reaching =
                (caching.unroll.threshold() as f64 / element_bytes.max(f64::MIN_POSITIVE)).ceil() as u64;
            let next = caching.unroll.next_check(reaching.max(caching.elements + 1)).min(total);
            let ns = (next - caching.elements) as f64 * caching.ns_per_element;
            caching.elements = next;
            let task = self.tasks[key].as_mut().expect("a task that unrolls exists");
            task.work.push_back(Work::Cpu(ns as u64));
            task.state = State::Caching(caching);
            self.drain_evictions(key);
            return self.check_limits(key);
        }
        self.end_unroll(key, caching, partition, total)
    }

    fn end_unroll(
        &mut self,
        key: usize,
        caching: Caching,
        partition: CachedPartition,
        total: u64,
    ) -> Progress {
        let Caching { dataset, block, level, unroll, elements, ns_per_element, from_disk } = caching;
        let task = self.tasks[key].as_ref().expect("a task that unrolls exists");
        let (task_id, executor) = (task.id, task.executor);
        let id = TaskId(task_id as i64);
        let size = Self::memory_size(level, partition);
        let manager = &mut self.executors[executor].manager;
        let outcome = unroll.finish(manager, size, EntryForm::of(level));
        let mut again = false;
        match outcome {
            UnrollOutcome::Stored { size } => {
                manager.store_mut().downgrade(id, block);
                let kind = if from_disk { EventKind::Reload } else { EventKind::Put };
                self.event(kind, Some(executor), Some(task_id), size, &block.to_string());
            }
            UnrollOutcome::Failed { held } => {
                // The rest of the elements is worked on all the same; what was unrolled is handed out on the way.
                let mode = level.memory_mode();
                manager.release_unroll_for_task(id, held, mode);
                if from_disk {
                    manager.store_mut().unlock(id, block);
                } else if level.use_disk {
                    manager.store_mut().set_on_disk(block);
                    manager.store_mut().unlock(id, block);
                    self.write_block(key, partition);
                    again = true;
                } else {
                    manager.store_mut().unlock(id, block);
                    manager.forget_block(block);
                }
                let task = self.tasks[key].as_mut().expect("a task that unrolls exists");
                let rest = (total - elements.min(total)) as f64 * ns_per_element;
                task.work.push_back(Work::Cpu(rest as u64));
                self.event(EventKind::PutRefused, Some(executor), Some(task_id), size, &block.to_string());
            }
        }
        self.drain_evictions(key);
        if !from_disk {
            self.replicate(key, block, level, partition);
        }
        if again {
            // Written to disk because memory refused it, the block is read back and put once more (5.3).
            let decode = partition.serialized_bytes as f64 * self.workload.rates.serialize_ns_per_byte;
            return self.promote(key, dataset, block, level, partition, decode);
        }
        self.check_limits(key)
    }

    /// Makes a broadcast table available on the task's executor (BCAST-3, BCAST-4): its pieces and its value are blocks.
    pub(super) fn use_broadcast(&mut self, key: usize, index: BroadcastIndex) -> Progress {
        let broadcast = &self.workload.broadcasts[index];
        let (relation_bytes, pieces_bytes) =
            (self.scaled_bytes(broadcast.relation_bytes), self.scaled_bytes(broadcast.pieces_bytes));
        let task = self.tasks[key].as_mut().expect("a task that probes exists");
        let (task_id, executor) = (task.id, task.executor);
        let id = TaskId(task_id as i64);
        task.broadcast_bytes += relation_bytes;
        let settings = self.unroll_settings();
        let manager = &mut self.executors[executor].manager;
        let value = BlockId::Broadcast(index as u64);
        let known = manager.store().lookup(value);
        // A table that went to disk is on the heap while somebody who probes it holds its lock, and is read back for the next.
        let read_back = known.is_some_and(|known| known.entry.is_none() && known.readers == 0);
        if known.is_none() || read_back {
            let stored = if read_back {
                manager.reload_values(settings, id, value, relation_bytes)
            } else {
                let piece = BlockId::BroadcastPiece { broadcast: index as u64, piece: 0 };
                let level = StorageLevel::MEMORY_AND_DISK_SER;
                // A driver's own executor has the pieces already; they are the same blocks.
                let _ = manager.put_bytes(id, piece, pieces_bytes, MemoryMode::OnHeap, level);
                let level = StorageLevel::MEMORY_AND_DISK;
                manager.put_values(settings, id, value, level, relation_bytes) == Some(true)
            };
            // The value was deserialized before it was put; where the pool has no room for it, it is on the heap all the
            // same while tasks probe it.
            if !stored {
                let task = self.tasks[key].as_mut().expect("a task that probes exists");
                task.user_heap += relation_bytes;
                task.broadcast_on_heap += relation_bytes;
                self.executors[executor].user_heap += relation_bytes;
            }
            let ns = pieces_bytes as f64 * self.workload.rates.serialize_ns_per_byte;
            let from_disk = self.bytes_off_disk(self.executors[executor].host, pieces_bytes);
            let task = self.tasks[key].as_mut().expect("a task that probes exists");
            if read_back {
                task.work.push_back(Work::Disk(from_disk));
            } else if !self.local {
                task.work.push_back(Work::Network(pieces_bytes));
            }
            task.work.push_back(Work::Cpu(ns as u64));
        }
        let store = self.executors[executor].manager.store_mut();
        store.lock_for_reading(id, value);
        store.touch(value);
        self.drain_evictions(key);
        self.check_limits(key)
    }

    /// Charges the task on whose behalf blocks were dropped with writing them, and records the drops (BLOCK-9).
    pub(super) fn drain_evictions(&mut self, key: usize) {
        let executor = self.tasks[key].as_ref().expect("a task that evicts exists").executor;
        self.drain_evictions_of(key, executor);
    }

    /// The same of the blocks of any executor.
    fn drain_evictions_of(&mut self, key: usize, executor: usize) {
        let task_id = self.tasks[key].as_ref().expect("a task that evicts exists").id;
        let dropped: Vec<BlockDropped> = self.executors[executor].manager.drain_events().collect();
        for drop in dropped {
            let BlockId::Rdd { rdd, split } = drop.block else { continue };
            let Some(dataset) = self.workload.datasets.iter().position(|data| data.id == rdd) else {
                continue;
            };
            self.datasets[dataset].dropped += 1;
            let kind = if drop.stays_on_disk { EventKind::DropToDisk } else { EventKind::Evict };
            self.event(kind, Some(executor), Some(task_id), drop.size, &drop.block.to_string());
            if drop.to_disk {
                let partition = self.workload.datasets[dataset].partitions.get(split as usize).copied();
                let partition = self.scaled(partition.unwrap_or_default());
                self.lost.drop_ns +=
                    (partition.serialized_bytes as f64 * self.workload.rates.serialize_ns_per_byte) as u64;
                self.write_block(key, partition);
            }
        }
    }
}
