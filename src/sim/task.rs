//! One task attempt: it walks through its stage's program, does physical work in between, waits for memory, spills, and
//! ends well or not.
//!
//! Memory events sit at points of the task's progress, not of time: a phase is cut where its collecting operator next
//! asks for memory, so that a slowed task asks later. Two things keep the cuts few. While the executor has plenty of memory
//! ([`Executor::has_plenty`](super::executor::Executor::has_plenty)), requests below a page come when it suits: all that are
//! left before the work on the last rows, others together with the next page. And processor work that is short beside the
//! task's own is done with what follows.

use std::collections::VecDeque;

use super::World;
use super::event::Event;
use super::program::{Instruction, Phase};
use crate::host::collector::HeapEnd;
use crate::memory::operators::{OperatorIndex, Step, TaskOperators};
use crate::record::{EventKind, Metrics};
use crate::units::{SimDuration, SimTime, share_of};

/// Physical work that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Nanoseconds of processor.
    Cpu(u64),
    /// Bytes to or from the host's disk.
    Disk(u64),
    /// Bytes over the host's network.
    Network(u64),
    /// Nanoseconds of the host's swap device, for pages that go out to make room.
    Swap(u64),
    /// Nanoseconds of sleep that the kernel puts a thread to.
    Sleep(u64),
}

/// An array below a page halved so often is too small to have its own time.
const SMALLER_STEPS: u32 = 4;

/// What a task does when it has no physical work left.
#[derive(Debug)]
pub(super) enum State {
    /// Takes the next instruction.
    Fetch,
    /// Rows flow, as the task's flow says.
    Rows,
    /// So many rows were worked on and now go into the collecting operator.
    Insert(u64),
    /// Waits inside an insertion; the flow goes on afterwards.
    Inserting,
    /// Waits or spills at the beginning or end of an operator's input.
    Finishing,
    /// A cached partition is being read or computed.
    Caching(super::cache::Caching),
}

/// Progress of a phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub(super) phase: usize,
    rows: u64,
    rows_left: u64,
    cpu: u64,
    cpu_left: u64,
    /// The time of the last growth of a small array is known.
    grown: bool,
}

/// What a step of the task's logic led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is work to do, or another step.
    Continue,
    /// The task waits for execution memory.
    Wait,
    /// It is done.
    Done,
    /// It fails.
    Fail(Failure),
}

/// Why a task fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Spark's own out-of-memory error: the task fails, the executor lives (TMM-13).
    SparkOom(String),
    /// The JVM's, of one kind or the other: the executor exits with 52 (KILL-6).
    HeapOom(HeapEnd, String),
    /// The container's limit was passed.
    ContainerKilled(String),
    /// The disk of the host is full: the task fails, the executor lives.
    DiskFull(String),
}

/// A running task attempt.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: u64,
    pub(super) stage: usize,
    pub(super) index: u32,
    pub(super) attempt: u32,
    pub(super) executor: usize,
    pub(super) locality: &'static str,
    pub(super) launched: SimTime,
    pub(super) run_started: SimTime,
    /// The delay before its code runs is over.
    pub(super) started: bool,
    pub(super) pc: usize,
    pub(super) state: State,
    /// The phase in which rows flow, if they do.
    pub(super) flow: Flow,
    pub(super) work: VecDeque<Work>,
    /// Processor work put off until there is more of it, ns.
    pub(super) owed_ns: u64,
    /// Processor work below this is put off, ns.
    pub(super) least_ns: u64,
    /// What the task is doing now; `None` between steps.
    pub(super) doing: Option<Work>,
    pub(super) operators: Box<TaskOperators>,
    /// By operator of the stage: its place among the task's memory operators.
    pub(super) memory_operators: Vec<Option<OperatorIndex>>,
    /// Memory spilled so far by each operator of the stage, bytes; read back when its rows come out.
    pub(super) spilled: Vec<u64>,
    /// Execution memory at the last look.
    pub(super) memory_used: u64,
    pub(super) user_heap: u64,
    /// The part of it that is broadcast tables for which the storage pool had no room.
    pub(super) broadcast_on_heap: u64,
    pub(super) python_bytes: u64,
    /// Time of its own work beside what it would be in a JVM that has compiled the code.
    pub(super) pace: f64,
    pub(super) allocation_rate: f64,
    pub(super) gc_at_start: f64,
    pub(super) waiting_since: Option<SimTime>,
    /// Broadcast tables probed, which the task counts as its own peak (measured: the metric includes them).
    pub(super) broadcast_bytes: u64,
    /// Spill files, which are deleted with the task, bytes.
    pub(super) files: u64,
    pub(super) metrics: Metrics,
}

impl<'a> World<'a> {
    /// Lets a task go on until it is busy, waits, or ends.
    pub(super) fn run_task(&mut self, key: usize) {
        loop {
            let now = self.queue.now();
            let Some(task) = self.tasks[key].as_mut() else { return };
            task.doing = None;
            let executor = task.executor;
            if let Some(mut work) = task.work.pop_front() {
                if let Work::Cpu(ns) = &mut work {
                    *ns += std::mem::take(&mut task.owed_ns);
                    if *ns < task.least_ns {
                        task.owed_ns = *ns;
                        continue;
                    }
                }
                task.doing = Some(work);
                let host = self.executors[executor].host;
                match work {
                    Work::Cpu(0) | Work::Disk(0) | Work::Network(0) | Work::Swap(0) | Work::Sleep(0) => {
                        task.doing = None;
                        continue;
                    }
                    Work::Cpu(ns) => {
                        task.metrics.executor_cpu_time_ns += ns;
                        self.executors[executor].cpu.join(now, key as u64, ns);
                        self.touch(executor);
                    }
                    Work::Disk(bytes) => {
                        self.hosts[host].disk.join(now, key as u64, bytes);
                        self.schedule_disk(host);
                    }
                    Work::Network(bytes) => {
                        self.hosts[host].network.join(now, key as u64, bytes);
                        self.schedule_network(host);
                    }
                    Work::Sleep(ns) => {
                        let over = Event::SleepOver { task: key, task_id: task.id };
                        self.queue.schedule(now + SimDuration(ns), over);
                    }
                    Work::Swap(ns) => {
                        self.hosts[host].swap.join(now, key as u64, ns);
                        self.schedule_swap(host);
                    }
                }
                return;
            }
            match self.step(key) {
                Progress::Continue => {}
                Progress::Done if self.tasks[key].as_ref().is_some_and(|task| task.owed_ns > 0) => {
                    let task = self.tasks[key].as_mut().expect("a task that steps exists");
                    task.least_ns = 0;
                    task.work.push_back(Work::Cpu(0));
                }
                Progress::Wait => {
                    let task = self.tasks[key].as_mut().expect("a waiting task exists");
                    if task.waiting_since.is_none() {
                        task.waiting_since = Some(now);
                        let id = task.id;
                        self.executors[executor].waiting.push(key);
                        self.event(EventKind::Wait, Some(executor), Some(id), 0, "execution memory");
                    }
                    return;
                }
                Progress::Done => {
                    self.finish_task(key, None);
                    return;
                }
                Progress::Fail(failure) => {
                    self.fail_task(key, failure);
                    return;
                }
            }
        }
    }

    /// Wakes the waiters of an executor while notifications arrive (EXEC-6: in the order of their waiting).
    pub(super) fn wake_waiters(&mut self, executor: usize) {
        loop {
            let state = &mut self.executors[executor];
            let seen = state.manager.wakeups();
            if state.wakeups_seen == seen {
                return;
            }
            state.wakeups_seen = seen;
            if state.waiting.is_empty() {
                return;
            }
            for key in state.waiting.clone() {
                if !self.executors[executor].waiting.contains(&key) {
                    continue;
                }
                let progress = self.resume(key);
                if matches!(progress, Progress::Wait) {
                    continue;
                }
                let now = self.queue.now();
                self.executors[executor].waiting.retain(|&waiter| waiter != key);
                let task = self.tasks[key].as_mut().expect("a waiter exists");
                let since = task.waiting_since.take().unwrap_or(now);
                task.metrics.memory_wait_time_ns += now.since(since).0;
                let (id, waited) = (task.id, now.since(since).0);
                self.lost.wait_ns += waited;
                self.event(EventKind::Resume, Some(executor), Some(id), 0, "");
                match progress {
                    Progress::Fail(failure) => self.fail_task(key, failure),
                    _ => self.run_task(key),
                }
            }
        }
    }

    fn step(&mut self, key: usize) -> Progress {
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        match std::mem::replace(&mut task.state, State::Fetch) {
            State::Fetch => self.next_instruction(key),
            State::Rows => self.next_chunk(key),
            State::Insert(rows) => self.insert(key, rows),
            State::Caching(caching) => self.continue_caching(key, caching),
            waiting @ (State::Inserting | State::Finishing) => {
                task.state = waiting;
                self.resume(key)
            }
        }
    }

    fn next_instruction(&mut self, key: usize) -> Progress {
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let (stage, pc) = (task.stage, task.pc);
        let Some(instruction) = self.programs[stage].get(pc) else {
            return Progress::Done;
        };
        task.pc += 1;
        match instruction {
            Instruction::Run(_) => self.begin_phase(key, pc),
            Instruction::Finish { operator } => {
                let operator = *operator;
                let Some(memory) = task.memory_operators[operator] else { return Progress::Continue };
                task.state = State::Finishing;
                let manager = &mut self.executors[task.executor].manager;
                let step = task.operators.finish_input(memory, manager);
                self.after_memory_step(key, step)
            }
            Instruction::Open { operator } => {
                let operator = *operator;
                let Some(memory) = task.memory_operators[operator] else { return Progress::Continue };
                task.state = State::Finishing;
                let step = task.operators.open(memory, &mut self.executors[task.executor].manager);
                self.after_memory_step(key, step)
            }
            Instruction::First { operator } => {
                if let Some(memory) = task.memory_operators[*operator] {
                    let manager = &mut self.executors[task.executor].manager;
                    task.operators.drain(memory, 1, manager);
                }
                Progress::Continue
            }
            Instruction::Broadcast { broadcast, .. } => {
                let broadcast = *broadcast;
                self.use_broadcast(key, broadcast)
            }
            Instruction::ReadCached { dataset, lineage, .. } => {
                let (dataset, lineage) = (*dataset, *lineage);
                self.read_cached(key, dataset, lineage)
            }
            Instruction::Compute { dataset, share } => self.compute_cached(key, *dataset, *share),
        }
    }

    fn phase(&self, stage: usize, pc: usize) -> &'a Phase {
        let programs = self.programs;
        match &programs[stage][pc] {
            Instruction::Run(phase) => phase,
            other => unreachable!("instruction {pc} of stage {stage} is {other:?}, not a phase"),
        }
    }

    fn begin_phase(&mut self, key: usize, pc: usize) -> Progress {
        let task = self.tasks[key].as_ref().expect("a task that steps exists");
        let (stage, index, executor) = (task.stage, task.index as usize, task.executor);
        let phase = self.phase(stage, pc);
        let plan = &self.plan.stages[stage];
        let own = phase.work.iter().map(|&(op, share)| plan.operators[op].cpu_ns[index] as f64 * share);
        let cached = phase.computes.iter().map(|&(of, share)| self.compute_ns_of(of, index) * share);
        let mut cpu = own.chain(cached).sum::<f64>() * task.pace;
        // An operator that goes on here has held its heap since it began.
        let heap_of = phase.work.iter().filter(|(op, _)| !phase.rest.contains(op));
        let heap: u64 = heap_of.map(|&(op, _)| plan.operators[op].heap_bytes[index]).sum();
        let rows = phase.insert.map_or(0, |(_, input)| plan.operators[input].rows[index]);
        // Rows that were spilled are read back and merged while they come out.
        let rates = &self.workload.rates;
        let spilled: u64 = phase.drain.iter().map(|&op| task.spilled[op]).sum();
        let merge_ns = spilled as f64 * rates.spill_read_ns_per_byte;
        let merge_disk = (spilled as f64 * rates.spill_compression) as u64;
        let merge_disk = self.bytes_off_disk(self.executors[executor].host, merge_disk);
        cpu += merge_ns;
        self.lost.spill_ns += merge_ns as u64;
        let merging = self.tasks[key].as_mut().expect("a task that steps exists");
        merging.metrics.spill_time_ns += merge_ns as u64;
        for &operator in &phase.reads {
            let rows = plan.operators[operator].rows[index];
            let bytes = plan.operators[operator].bytes.get(index).copied().unwrap_or(0);
            self.read(key, operator, bytes, rows);
        }
        let python: u64 = phase.work.iter().map(|&(op, _)| self.python_worker_bytes(stage, op)).sum();
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        task.work.push_back(Work::Disk(merge_disk));
        task.user_heap += heap;
        task.python_bytes += python;
        self.executors[executor].user_heap += heap;
        self.executors[executor].python_bytes += python;
        let cpu = cpu as u64;
        task.flow = Flow { phase: pc, rows, rows_left: rows, cpu, cpu_left: cpu, grown: false };
        let write = phase.insert.filter(|(operator, _)| phase.write == Some(*operator));
        if let Some((operator, _)) = write
            && let Some(memory) = task.memory_operators[operator]
        {
            task.state = State::Inserting;
            let step = task.operators.open(memory, &mut self.executors[executor].manager);
            return self.after_memory_step(key, step);
        }
        task.state = State::Rows;
        if heap + python == 0 { Progress::Continue } else { self.check_limits(key) }
    }

    /// Counts what a source reads and makes the time for it.
    fn read(&mut self, key: usize, operator: usize, bytes: u64, rows: u64) {
        use crate::workload::OperatorKind;
        let task = self.tasks[key].as_mut().expect("a task that reads exists");
        match &self.workload.stages[task.stage].operators[operator].kind {
            OperatorKind::ShuffleRead { .. } => {
                task.metrics.shuffle_read_bytes += bytes;
                task.metrics.shuffle_read_records += rows;
                // The outputs of the map tasks lie evenly on the hosts that have executors.
                let remote = bytes - bytes / self.hosts_in_use.max(1);
                task.work.push_back(Work::Network(remote));
                let host = self.executors[task.executor].host;
                let from_disk = self.bytes_off_disk(host, bytes - remote);
                let task = self.tasks[key].as_mut().expect("a task that reads exists");
                task.work.push_back(Work::Disk(from_disk));
            }
            _ => {
                task.metrics.input_bytes += bytes;
                task.work.push_back(Work::Disk(bytes));
            }
        }
    }

    fn next_chunk(&mut self, key: usize) -> Progress {
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let flow = &mut task.flow;
        if flow.rows_left == 0 {
            if flow.cpu_left == 0 {
                let phase = flow.phase;
                return self.end_phase(key, phase);
            }
            task.work.push_back(Work::Cpu(std::mem::take(&mut flow.cpu_left)));
            task.state = State::Rows;
            return Progress::Continue;
        }
        let (stage, phase) = (task.stage, flow.phase);
        let phase = self.phase(stage, phase);
        let task = self.tasks[key].as_ref().expect("a task that steps exists");
        let Some(memory) = phase.insert.and_then(|(operator, _)| task.memory_operators[operator]) else {
            let task = self.tasks[key].as_mut().expect("a task that steps exists");
            task.flow.rows_left = 0;
            task.state = State::Rows;
            return Progress::Continue;
        };
        // Where others give memory back on the way, the first page comes with the first row.
        let takes_only = phase.drain.is_empty();
        let begins = task.flow.rows_left == task.flow.rows;
        let (at, held) = (task.executor, task.memory_used);
        let least = if begins && !takes_only { 0 } else { self.least_request(at, held) };
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let flow = &mut task.flow;
        // Up to and including the record that makes the operator ask for memory.
        let mut until_request = task.operators.records_until_request(memory, least);
        if least > 0 && until_request >= flow.rows_left {
            if takes_only {
                // The rest of its requests are small ones, which may as well come before the work on the rows.
                let rows = std::mem::take(&mut flow.rows_left);
                return self.insert(key, rows);
            }
            if !std::mem::replace(&mut flow.grown, true) {
                // The last of the smaller requests, which decides what is held in the end, has its own time.
                let smaller = (1..=SMALLER_STEPS).map(|step| least >> step);
                let until = smaller.map(|bytes| task.operators.records_until_request(memory, bytes));
                until_request =
                    until.into_iter().find(|&rows| rows < flow.rows_left).unwrap_or(until_request);
            }
        }
        let rows = flow.rows_left.min(until_request.saturating_add(1));
        let done_after = flow.rows - flow.rows_left + rows;
        let cpu_until = share_of(flow.cpu, done_after, flow.rows);
        let cpu = cpu_until.saturating_sub(flow.cpu - flow.cpu_left);
        flow.cpu_left -= cpu;
        flow.rows_left -= rows;
        task.work.push_back(Work::Cpu(cpu));
        task.state = State::Insert(rows);
        Progress::Continue
    }

    /// Requests of a task that holds `held` bytes for less than so many bytes matter to nobody now.
    fn least_request(&mut self, executor: usize, held: u64) -> u64 {
        let executor = &mut self.executors[executor];
        let plenty = executor.has_plenty(held) && !self.hosts[executor.host].is_short();
        if plenty { executor.page_size } else { 0 }
    }

    fn insert(&mut self, key: usize, rows: u64) -> Progress {
        let task = self.tasks[key].as_ref().expect("a task that steps exists");
        let (stage, flow, at, held) = (task.stage, task.flow, task.executor, task.memory_used);
        let least = self.least_request(at, held);
        let phase = self.phase(stage, flow.phase);
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let manager = &mut self.executors[task.executor].manager;
        for &drained in &phase.drain {
            if let Some(memory) = task.memory_operators[drained] {
                let out = self.plan.stages[stage].operators[drained].rows[task.index as usize];
                let part = share_of(out, rows, flow.rows.max(1));
                task.operators.drain(memory, part, manager);
            }
        }
        let memory = phase
            .insert
            .and_then(|(operator, _)| task.memory_operators[operator])
            .expect("rows are inserted where an operator keeps them");
        task.state = State::Inserting;
        let step = task.operators.insert_in_plenty(memory, rows, least, manager);
        self.after_memory_step(key, step)
    }

    fn resume(&mut self, key: usize) -> Progress {
        let task = self.tasks[key].as_mut().expect("a waiter exists");
        let step = task.operators.resume(&mut self.executors[task.executor].manager);
        self.after_memory_step(key, step)
    }

    /// Accounts for what a memory operation did, and says how the task goes on.
    fn after_memory_step(&mut self, key: usize, step: Step) -> Progress {
        self.note_requests(key);
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let executor = task.executor;
        let (id, stage) = (task.id, task.stage);
        for spill in task.operators.take_spills() {
            let task = self.tasks[key].as_mut().expect("a task that steps exists");
            let stage_operator = task.memory_operators.iter().position(|&m| m == Some(spill.operator));
            let stage_operator = stage_operator.expect("a spill comes from an operator of the task");
            let rates = &self.workload.rates;
            let file = (spill.serialized_bytes as f64 * rates.spill_compression) as u64;
            let cpu = (spill.memory_bytes as f64 * rates.spill_write_ns_per_byte) as u64;
            task.metrics.memory_bytes_spilled += spill.memory_bytes;
            task.metrics.disk_bytes_spilled += file;
            task.spilled[stage_operator] += spill.memory_bytes;
            task.work.push_back(Work::Cpu(cpu));
            let to_disk = match self.write_files(key, file) {
                Ok(bytes) => bytes,
                Err(failure) => return Progress::Fail(failure),
            };
            let task = self.tasks[key].as_mut().expect("a task that steps exists");
            task.files += file;
            task.work.push_back(Work::Disk(to_disk));
            let rates = &self.workload.rates;
            let cost_ns = cpu + (file as f64 / rates.disk_bytes_per_s * 1e9) as u64;
            task.metrics.spills += 1;
            task.metrics.spill_time_ns += cost_ns;
            self.lost.spill_ns += cost_ns;
            self.lost.spills += 1;
            if self.options.details {
                let name = self.workload.stages[stage].operators[stage_operator].name.clone();
                self.record.events.push(crate::record::EventRecord {
                    time_ns: self.queue.now().0,
                    executor: Some(executor as u32),
                    task_id: Some(id),
                    kind: EventKind::Spill,
                    bytes: spill.memory_bytes,
                    detail: name,
                });
            }
        }
        if self.executors[executor].manager.has_events() {
            self.drain_evictions(key);
        }
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let used = task.operators.memory_used();
        if used > task.memory_used {
            let ns = (used - task.memory_used) as f64 * self.workload.rates.page_ns_per_byte;
            task.owed_ns += ns as u64;
        }
        task.memory_used = used;
        match step {
            Step::Wait => Progress::Wait,
            Step::OutOfMemory(error) => {
                self.share_falls(key, error);
                let text = format!(
                    "[{}] Unable to acquire {} bytes of memory, got {}.",
                    error.condition.name(),
                    error.requested,
                    error.received
                );
                Progress::Fail(Failure::SparkOom(text))
            }
            Step::Ready => {
                let finished = matches!(task.state, State::Finishing);
                match task.state {
                    State::Inserting => task.state = State::Rows,
                    State::Finishing => task.state = State::Fetch,
                    _ => {}
                }
                if finished {
                    self.approach_share(key);
                }
                self.check_limits(key)
            }
        }
    }

    fn end_phase(&mut self, key: usize, pc: usize) -> Progress {
        use crate::workload::OperatorKind;
        let task = self.tasks[key].as_ref().expect("a task that steps exists");
        let (stage, index) = (task.stage, task.index as usize);
        let phase = self.phase(stage, pc);
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let executor = task.executor;
        let manager = &mut self.executors[executor].manager;
        // Whoever gave out its last row frees its memory (AGG-5; a sort's iterator does likewise).
        for &drained in &phase.drain {
            if let Some(memory) = task.memory_operators[drained] {
                task.operators.close(memory, manager);
            }
        }
        if !phase.drain.is_empty() {
            self.change_speed(executor);
        }
        let Some(operator) = phase.write else { return Progress::Continue };
        let plan = &self.plan.stages[stage].operators[operator];
        let (bytes, rows) = (plan.bytes.get(index).copied().unwrap_or(0), plan.rows[index]);
        let files_ns = self.files_written(stage, operator, rows) * self.workload.rates.shuffle_file_ns;
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        let mut to_disk = bytes;
        match &self.workload.stages[stage].operators[operator].kind {
            OperatorKind::ShuffleWrite { .. } => {
                task.metrics.shuffle_write_bytes += bytes;
                task.metrics.shuffle_write_records += rows;
                task.work.push_back(Work::Cpu(files_ns));
                to_disk = match self.write_files(key, bytes) {
                    Ok(bytes) => bytes,
                    Err(failure) => return Progress::Fail(failure),
                };
            }
            _ => task.metrics.output_bytes += bytes,
        }
        let task = self.tasks[key].as_mut().expect("a task that steps exists");
        task.work.push_back(Work::Disk(to_disk));
        Progress::Continue
    }
}
