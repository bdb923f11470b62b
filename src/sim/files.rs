//! Spark's local files on a host: shuffle files stay, spill files go with their task, and what does not fit the disk fails
//! its task.
//!
//! Left out: cached blocks on disk do not count against the room.

use super::World;
use super::falls::line;
use super::task::Failure;
use crate::record::{Holder, Holding, Limit};
use crate::units::HumanBytes;

impl World<'_> {
    /// Bytes of a host's disk that must move to read `bytes` of Spark's files: what the page cache does not hold. Where the
    /// memory of the host is not known, the disk's bandwidth already stands for both.
    pub(super) fn bytes_off_disk(&self, at: usize, bytes: u64) -> u64 {
        let host = &self.hosts[at];
        let Some(ledger) = host.memory.as_deref() else { return bytes };
        if ledger.setup.local_dir_in_memory {
            return 0;
        }
        let files = (ledger.files as f64 * host.copies) as u64;
        let cache = ledger.room().saturating_sub(ledger.demand(host.copies));
        if cache >= files {
            return 0;
        }
        (bytes as f64 * (1.0 - cache as f64 / files as f64)) as u64
    }

    /// A task writes `bytes` of files to its host's disk, if they fit.
    pub(super) fn write_files(&mut self, key: usize, bytes: u64) -> Result<u64, Failure> {
        let task = self.tasks[key].as_ref().expect("a task that writes exists");
        let at = self.executors[task.executor].host;
        let host = &mut self.hosts[at];
        let Some(ledger) = host.memory.as_deref_mut() else { return Ok(bytes) };
        ledger.files += bytes;
        let wanted = (ledger.files as f64 * host.copies) as u64;
        let room = ledger.setup.disk_bytes;
        if room.is_none_or(|room| wanted <= room) {
            ledger.record.peak_files_bytes = ledger.record.peak_files_bytes.max(wanted);
        }
        if let Some(room) = room {
            self.approach(Limit::Disk, wanted, room, None);
        }
        if let Some(room) = room.filter(|room| wanted > *room) {
            self.disk_falls(key, wanted, room);
            let ledger = self.hosts[at].memory.as_deref_mut().expect("looked at above");
            ledger.files -= bytes;
            return Err(Failure::DiskFull(format!(
                "java.io.IOException: No space left on device ({} of Spark's files on a disk with {} for them)",
                HumanBytes(wanted),
                HumanBytes(room)
            )));
        }
        let ledger = self.hosts[at].memory.as_deref().expect("looked at above");
        let in_memory = ledger.setup.local_dir_in_memory;
        if in_memory {
            self.update_ledger(at, false);
        }
        Ok(if in_memory { 0 } else { bytes })
    }

    /// Files of a task that ends are deleted.
    pub(super) fn delete_files(&mut self, at: usize, bytes: u64) {
        if bytes > 0
            && let Some(ledger) = self.hosts[at].memory.as_deref_mut()
        {
            ledger.files = ledger.files.saturating_sub(bytes);
            if ledger.setup.local_dir_in_memory {
                self.update_ledger(at, false);
            }
        }
    }

    /// Whose the `used` bytes of files on a host are: spill files of running tasks, shuffle files by the stage that wrote
    /// them, and what is being written.
    pub(super) fn file_holders(&self, host: usize, used: u64) -> Vec<Holder> {
        let copies = self.hosts[host].copies as u64;
        let mut holders: Vec<Holder> = Vec::new();
        for executor in self.executors.iter().filter(|executor| executor.host == host && executor.alive) {
            for task in self.running(executor) {
                let mut spills = line(Holding::SpillFiles, task.files * copies);
                let operators = self.workload.stages[task.stage].operators.iter().zip(&task.spilled);
                let names: Vec<&str> = operators
                    .filter(|(_, spilled)| **spilled > 0)
                    .map(|(operator, _)| operator.name.as_str())
                    .collect();
                spills.name = names.join(", ");
                self.own(&mut spills, task);
                holders.push(spills);
            }
        }
        for done in self.record.tasks.iter().filter(|task| task.failure.is_empty()) {
            let here = self.executors.get(done.executor as usize).is_some_and(|state| state.host == host);
            if !here {
                continue;
            }
            let bytes = done.metrics.shuffle_write_bytes * copies;
            let of_stage = |holder: &&mut Holder| {
                holder.holding == Holding::ShuffleFiles && holder.stage_id == Some(done.stage_id)
            };
            match holders.iter_mut().find(of_stage) {
                Some(known) => known.bytes += bytes,
                None => holders
                    .push(Holder { stage_id: Some(done.stage_id), ..line(Holding::ShuffleFiles, bytes) }),
            }
        }
        let known: u64 = holders.iter().map(|holder| holder.bytes).sum();
        holders.push(line(Holding::Files, used.saturating_sub(known)));
        holders
    }
}
