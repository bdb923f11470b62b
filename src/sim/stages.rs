//! Jobs and stages: submission when parents are done, offers of free slots, completion, abortion, and what a lost
//! executor takes with it (SCHED-2..7, FAIL-1, FAIL-5, FAIL-7).

use std::ops::Bound;

use super::World;
use super::event::Event;
use super::falls::{BroadcastBuild, broadcast_reason};
use super::scheduler::{LocalityWaits, Preferences, TaskSet};
use crate::memory::BlockId;
use crate::record::{EventKind, Limit, Outcome, StageRecord};
use crate::rng::{Purpose, stream};
use crate::units::{SimDuration, SimTime};
use crate::workload::{JobIndex, OperatorKind, Stage};
use rand::seq::SliceRandom;

/// Time between a fetch failure and the resubmission of the stages (FAIL-7).
const RESUBMIT_DELAY: SimDuration = SimDuration::from_ms(200);

/// State of a stage.
#[derive(Debug, Default)]
pub(super) struct StageState {
    pub(super) job: JobIndex,
    pub(super) submitted: bool,
    pub(super) complete: bool,
    /// Partitions without a result.
    pub(super) left: usize,
    /// The executor that holds each partition's output.
    pub(super) output_of: Vec<Option<u32>>,
    pub(super) attempts_of: Vec<u32>,
    pub(super) failures_of: Vec<u32>,
    /// Serialized results so far, bytes and count (COLL-2).
    pub(super) result_total: u64,
    pub(super) results: u64,
    /// Sum and maximum of task durations, ns.
    pub(super) busy_ns: u64,
    pub(super) longest_ns: u64,
    pub(super) record: StageRecord,
}

/// State of a job.
#[derive(Debug, Default)]
pub(super) struct JobState {
    pub(super) waits_for: usize,
    pub(super) submitted: bool,
    pub(super) done: bool,
    /// The jobs that wait for this one.
    pub(super) followers: Vec<JobIndex>,
}

/// Names of a stage's operators, one of each.
fn operator_names(stage: &Stage) -> String {
    let mut names: Vec<&str> = Vec::new();
    for operator in &stage.operators {
        if !names.contains(&operator.name.as_str()) {
            names.push(&operator.name);
        }
    }
    names.join(", ")
}

impl World<'_> {
    /// Submits a job: its stages without unfinished parents start.
    pub(super) fn submit_job(&mut self, job: JobIndex) {
        self.jobs[job].submitted = true;
        if self.active_jobs.is_empty() {
            self.active_since = self.queue.now();
        }
        self.active_jobs.insert(job);
        for &stage in &self.workload.jobs[job].stages {
            if !self.stages[stage].submitted {
                self.stages[stage].job = job;
            }
        }
        if self.stages_complete(job) {
            self.complete_job(job);
            return;
        }
        self.submit_ready_stages(job);
        self.offer(None);
    }

    fn stages_complete(&self, job: JobIndex) -> bool {
        self.workload.jobs[job].stages.iter().all(|&stage| self.stages[stage].complete)
    }

    fn parents_complete(&self, stage: usize) -> bool {
        self.workload.stages[stage].parents.iter().all(|&parent| self.stages[parent].complete)
    }

    /// Submits the stages of a job whose parents are done; tells whether there were any.
    fn submit_ready_stages(&mut self, job: JobIndex) -> bool {
        let workload = self.workload;
        let mut any = false;
        for &stage in &workload.jobs[job].stages {
            if !self.stages[stage].submitted && self.parents_complete(stage) {
                self.submit_stage(stage);
                any = true;
            }
        }
        any
    }

    /// Ends the active jobs whose stages are all complete; the others submit what became ready. Jobs that run side by side
    /// may share a stage, or wait for each other's. Tells whether any stage was submitted.
    fn advance_jobs(&mut self) -> bool {
        let mut any = false;
        let active: Vec<JobIndex> = self.active_jobs.iter().copied().collect();
        for job in active {
            if self.jobs[job].done {
                continue;
            }
            if self.stages_complete(job) {
                self.complete_job(job);
            } else {
                any |= self.submit_ready_stages(job);
            }
        }
        any
    }

    fn submit_stage(&mut self, stage: usize) {
        let now = self.queue.now();
        let tasks = self.plan.stages[stage].tasks;
        let state = &mut self.stages[stage];
        state.submitted = true;
        if state.output_of.is_empty() {
            state.output_of = vec![None; tasks];
            state.attempts_of = vec![0; tasks];
            state.failures_of = vec![0; tasks];
            self.stage_order.push(stage);
        }
        let state = &mut self.stages[stage];
        let missing: Vec<u32> =
            (0..tasks as u32).filter(|&i| state.output_of[i as usize].is_none()).collect();
        state.left = missing.len();
        let data = &self.workload.stages[stage];
        let attempt = state.record.attempt;
        state.record = StageRecord {
            stage_id: data.id,
            attempt,
            job_id: self.workload.jobs[state.job].id,
            name: data.name.clone(),
            operators: operator_names(data),
            submitted_ns: now.0,
            ..StageRecord::default()
        };
        if missing.is_empty() {
            self.complete_stage(stage);
            return;
        }
        let preferences: Vec<Preferences> =
            missing.iter().map(|&index| self.preferences(stage, index)).collect();
        let of = |index: u32| preferences[missing.binary_search(&index).unwrap_or(0)].clone();
        let set = TaskSet::new(tasks, missing.iter().copied(), of, now);
        let key = (self.stages[stage].job, stage);
        self.task_sets.insert(key, set);
    }

    /// Executors that hold the cached partition a task reads (SCHED-3).
    fn preferences(&self, stage: usize, index: u32) -> Preferences {
        let datasets =
            self.workload.stages[stage].operators.iter().filter_map(|operator| match operator.kind {
                OperatorKind::CachedScan { dataset, .. } => Some(dataset),
                _ => None,
            });
        let mut found = Preferences::new();
        for dataset in datasets {
            let block = BlockId::Rdd { rdd: self.workload.datasets[dataset].id, split: index };
            for (position, executor) in self.executors.iter().enumerate().filter(|(_, e)| e.alive) {
                let held = executor.manager.store().lookup(block);
                if held.is_some_and(|held| held.entry.is_some() || held.on_disk) {
                    found.push((position as u32, executor.host as u32));
                }
            }
        }
        found
    }

    pub(super) fn retry(&mut self, stage: usize, index: u32) {
        let preferences = self.preferences(stage, index);
        let key = (self.stages[stage].job, stage);
        if let Some(set) = self.task_sets.get_mut(&key) {
            set.add(index, &preferences, true);
        }
        self.offer(None);
    }

    /// Offers free slots, of one executor or of all, to the waiting tasks: sets in FIFO order, executors in random order,
    /// one task an executor in each pass.
    pub(super) fn offer(&mut self, only: Option<usize>) {
        let now = self.queue.now();
        let waits = LocalityWaits {
            process: self.settings.scheduling.locality_wait_process,
            node: self.settings.scheduling.locality_wait_node,
        };
        let all = if only.is_none() { self.shuffled_executors() } else { Vec::new() };
        let order = only.as_ref().map_or(all.as_slice(), std::slice::from_ref);
        let cpus = self.settings.task.cpus;
        let mut wake_at: Option<SimTime> = None;
        let mut next = self.task_sets.keys().next().copied();
        while let Some(key) = next {
            next = self.task_sets.range((Bound::Excluded(key), Bound::Unbounded)).next().map(|(key, _)| *key);
            // What was lost is computed again before the others of the stage fetch it (FAIL-7).
            if !self.parents_complete(key.1) {
                continue;
            }
            loop {
                let mut launched = false;
                for &executor in order {
                    let state = &self.executors[executor];
                    if !state.alive || state.free_slots < cpus {
                        continue;
                    }
                    let host = state.host as u32;
                    let Some(set) = self.task_sets.get_mut(&key) else { break };
                    if let Some((index, locality)) = set.offer(executor as u32, host, now, waits) {
                        self.launch_task(key.1, index, executor, locality);
                        launched = true;
                    }
                }
                if !launched {
                    break;
                }
            }
            let Some(set) = self.task_sets.get(&key) else { continue };
            let free = order.iter().any(|&e| self.executors[e].alive && self.executors[e].free_slots >= cpus);
            if free && let Some(time) = set.next_level_at(waits) {
                wake_at = Some(wake_at.map_or(time, |earlier| earlier.min(time)));
            }
        }
        if let Some(time) = wake_at
            && self.offers_at.is_none_or(|scheduled| time < scheduled || scheduled <= now)
        {
            self.offers_at = Some(time);
            self.queue.schedule(time, Event::Offers);
        }
    }

    fn shuffled_executors(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.executors.len()).collect();
        if order.len() > 1 {
            order.shuffle(&mut stream(self.options.seed, Purpose::Offers, self.offers));
            self.offers += 1;
        }
        order
    }

    pub(super) fn complete_stage(&mut self, stage: usize) {
        let now = self.queue.now();
        let state = &mut self.stages[stage];
        state.complete = true;
        state.record.completed_ns = now.0;
        let job = state.job;
        if let Some(reason) = self.broadcast_does_not_fit(stage) {
            self.abort(Outcome::SparkOom, reason);
            return;
        }
        self.task_sets.remove(&(job, stage));
        self.advance_uses();
        let resubmitted = self.stages[stage].record.attempt > 0;
        self.resubmit_ready();
        let submitted = self.advance_jobs();
        if submitted || resubmitted || !self.jobs[job].done {
            self.offer(None);
        }
    }

    /// The driver's heap, and what of it is in use for other things than collected rows; bytes.
    pub(super) fn driver_in_use(&self) -> (u64, u64) {
        let base = self.workload.rates.heap_base_bytes;
        match self.executors.first() {
            Some(executor) if self.local => (executor.heap_max, executor.live_heap(base)),
            _ => (self.driver_heap, base),
        }
    }

    /// What the driver builds from the rows that a stage collected: the relation, and while its rows still grow the array
    /// half as large that they come from (BCAST-2, HJ-4).
    fn broadcast_build(&self, stage: usize) -> Option<BroadcastBuild> {
        let OperatorKind::Broadcast { broadcast } = self.workload.stages[stage].operators.last()?.kind else {
            return None;
        };
        let table = &self.workload.broadcasts[broadcast];
        let relation = self.scaled_bytes(table.relation_bytes);
        let array = if relation == 0 { 0 } else { 1 << relation.ilog2() };
        let (heap, live) = self.driver_in_use();
        let collected = self.scaled_bytes(table.pieces_bytes);
        Some(BroadcastBuild { broadcast, live, relation, outgrown: array / 2, collected, heap })
    }

    /// Why the driver cannot broadcast the table that a stage collected, if it cannot.
    fn broadcast_does_not_fit(&mut self, stage: usize) -> Option<String> {
        let build = self.broadcast_build(stage)?;
        self.approach(Limit::DriverHeap, build.needed(), build.usable(), None);
        if build.fits() {
            return None;
        }
        self.broadcast_falls(stage, &build);
        Some(broadcast_reason(self.workload.broadcasts[build.broadcast].rows, &build))
    }

    fn complete_job(&mut self, job: JobIndex) {
        let now = self.queue.now();
        let workload = self.workload;
        self.jobs[job].done = true;
        self.jobs_left -= 1;
        self.active_jobs.remove(&job);
        if self.active_jobs.is_empty() {
            self.record.wall_ns += now.since(self.active_since).0;
        }
        self.record.app_ns = now.0;
        let built: u64 = workload.jobs[job]
            .stages
            .iter()
            .flat_map(|&stage| &workload.stages[stage].operators)
            .map(|operator| match operator.kind {
                OperatorKind::Broadcast { broadcast } => workload.broadcasts[broadcast].build_ns,
                _ => 0,
            })
            .sum();
        for next in std::mem::take(&mut self.jobs[job].followers) {
            self.jobs[next].waits_for -= 1;
            if self.jobs[next].waits_for == 0 {
                let gap = SimDuration(workload.jobs[next].gap_ns) + SimDuration(built);
                self.queue.schedule(now + gap, Event::SubmitJob(next));
            }
        }
        self.unpersist_after(job);
    }

    fn unpersist_after(&mut self, job: JobIndex) {
        for data in self.workload.datasets.iter().filter(|data| data.unpersist_after == Some(job)) {
            for executor in &mut self.executors {
                let blocks: Vec<BlockId> =
                    executor.manager.store().blocks_of_rdd(data.id).map(|(block, _)| block).collect();
                for block in blocks {
                    executor.manager.remove_block(crate::memory::TaskId::NONE, block);
                }
            }
        }
        for executor in 0..self.executors.len() {
            self.refresh(executor);
        }
    }

    /// Ends the application.
    pub(super) fn abort(&mut self, outcome: Outcome, reason: String) {
        if self.ended.is_some() {
            return;
        }
        let now = self.queue.now();
        self.event(EventKind::Abort, None, None, 0, &reason);
        self.ended = Some(outcome);
        self.record.outcome = outcome;
        self.record.reason = reason;
        if !self.active_jobs.is_empty() {
            self.record.wall_ns += now.since(self.active_since).0;
        }
        self.record.app_ns = now.0;
        for &stage in &self.stage_order {
            let state = &mut self.stages[stage];
            let record = &mut state.record;
            if !state.complete && record.completed_ns == 0 {
                record.completed_ns = now.0;
                record.failure.clone_from(&self.record.reason);
            }
        }
    }

    /// Map outputs on a lost executor are gone: the stages whose outputs somebody will still read run those tasks again
    /// before the stages that read them go on (FAIL-5, FAIL-7). With an external shuffle service they stay (FAIL-6).
    pub(super) fn lose_shuffle_outputs(&mut self, executor: usize) {
        if self.settings.shuffle.service_enabled {
            return;
        }
        let workload = self.workload;
        // Children first: a child that must run again needs its parents' outputs again.
        for stage in (0..self.stages.len()).rev() {
            let writes = workload.stages[stage]
                .operators
                .last()
                .is_some_and(|last| matches!(last.kind, OperatorKind::ShuffleWrite { .. }));
            let state = &self.stages[stage];
            if !writes || !state.submitted || (state.complete && !self.is_read_later(stage)) {
                continue;
            }
            let state = &mut self.stages[stage];
            let lost: Vec<u32> = (0..state.output_of.len() as u32)
                .filter(|&index| state.output_of[index as usize] == Some(executor as u32))
                .collect();
            if lost.is_empty() {
                continue;
            }
            for &index in &lost {
                state.output_of[index as usize] = None;
                state.attempts_of[index as usize] += 1;
            }
            if state.complete {
                state.complete = false;
                self.queue.schedule(self.queue.now() + RESUBMIT_DELAY, Event::Resubmit { stage });
            } else {
                state.left += lost.len();
                for index in lost {
                    self.retry(stage, index);
                }
            }
        }
    }

    /// A stage that is not complete, of this job or a later one, reads the output of `stage`.
    fn is_read_later(&self, stage: usize) -> bool {
        let children = self.workload.stages.iter().zip(&self.stages);
        children.into_iter().any(|(child, state)| !state.complete && child.parents.contains(&stage))
    }

    /// The missing tasks of a stage that was complete are to run as soon as its own parents are complete.
    pub(super) fn resubmit_stage(&mut self, stage: usize) {
        self.to_resubmit.insert(stage);
        self.resubmit_ready();
        self.advance_jobs();
        self.offer(None);
    }

    fn resubmit_ready(&mut self) {
        while let Some(stage) = self.to_resubmit.iter().copied().find(|&stage| self.parents_complete(stage)) {
            self.to_resubmit.remove(&stage);
            if !self.is_read_later(stage) {
                // Its readers had all they needed.
                self.stages[stage].complete = true;
                continue;
            }
            let state = &mut self.stages[stage];
            self.failed_attempts.push(state.record.clone());
            // A new attempt counts its failures anew.
            state.record.attempt += 1;
            state.attempts_of.fill(0);
            state.failures_of.fill(0);
            (state.busy_ns, state.longest_ns) = (0, 0);
            self.submit_stage(stage);
        }
    }
}
