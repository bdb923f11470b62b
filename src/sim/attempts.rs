//! Task attempts come and go: launch on a slot, end well, fail, and what a failure does to the executor and the job
//! (FAIL-1..11, KILL-1..6, COLL-1..2).

use std::collections::VecDeque;

use super::World;
use super::event::Event;
use super::executor::Executor;
use super::falls::yarn_bytes;
use super::scheduler::Locality;
use super::task::{Failure, Flow, Progress, State, Task, Work};
use crate::conf::Master;
use crate::engine::MemberId;
use crate::host::collector::HeapEnd;
use crate::memory::operators::{OperatorConf, OperatorIndex, TaskOperators};
use crate::memory::{TaskId, TaskMemoryManager};
use crate::record::{EventKind, Limit, Metrics, Outcome, TaskRecord, TraceKind};
use crate::units::{HumanBytes, SimDuration};
use crate::workload::OperatorKind;

/// Work over which a task that does next to nothing spreads what it allocates, ns.
const LEAST_WORK_NS: u64 = 1_000_000;

/// Processor work below one part in so many of a task's is done together with what follows it: a row that makes an operator
/// ask for its first page is no event of its own. What a task does in between happens so much too early at most.
const LEAST_PARTS: u64 = 256;

/// What a task allocates, to be used again by the next: tasks come by the thousand.
#[derive(Debug)]
pub(super) struct Buffers {
    operators: Box<TaskOperators>,
    memory_operators: Vec<Option<OperatorIndex>>,
    spilled: Vec<u64>,
    work: VecDeque<Work>,
}

impl Buffers {
    fn new(task: TaskId, conf: OperatorConf) -> Self {
        let memory = TaskMemoryManager::new(task, conf.tungsten_mode, conf.page_size);
        Self {
            operators: Box::new(TaskOperators::new(memory, conf)),
            memory_operators: Vec::new(),
            spilled: Vec::new(),
            work: VecDeque::new(),
        }
    }

    fn renew(mut self, task: TaskId, conf: OperatorConf) -> Self {
        self.operators.renew(task, conf);
        self.memory_operators.clear();
        self.spilled.clear();
        self.work.clear();
        self
    }
}

impl World<'_> {
    /// Starts a task on a slot of an executor.
    pub(super) fn launch_task(&mut self, stage: usize, index: u32, executor: usize, locality: Locality) {
        let now = self.queue.now();
        let id = self.next_task_id;
        self.next_task_id += 1;
        let plan = &self.plan.stages[stage];
        let at = index as usize;
        // A task allocates as it works; one that only fills a cache works on the dataset's lineage.
        let operators: u64 = plan.operators.iter().map(|operator| operator.cpu_ns[at]).sum();
        let own = operators + self.compute_ns(stage, index);
        let warm_up = self.pay_warm_up(stage, executor, own);
        let mut cpu = own + warm_up.work_ns;
        let attempt = self.stages[stage].attempts_of[at];
        if self.pace_varies {
            let id = self.workload.stages[stage].id;
            cpu = (cpu as f64 * super::pace::pace_of_task(self.options.seed, id, index, attempt, cpu)) as u64;
        }
        let launch =
            SimDuration(plan.launch_ns[at] + self.workload.rates.scheduler_delay_ns + warm_up.launch_ns);
        let allocated = plan.allocated_bytes[at];
        let state = &mut self.executors[executor];
        let conf = OperatorConf {
            tungsten_mode: state.tungsten_mode,
            page_size: state.page_size,
            limits_before_request: self.settings.spark_version >= crate::conf::SparkVersion::new(4, 0),
        };
        let Buffers { mut operators, mut memory_operators, mut spilled, work } =
            self.spare_buffers.pop().map_or_else(
                || Buffers::new(TaskId(id as i64), conf),
                |buffers| buffers.renew(TaskId(id as i64), conf),
            );
        let workload = self.workload;
        let described = &workload.stages[stage].operators;
        for (position, operator) in described.iter().enumerate() {
            let spec = self.operator_spec(stage, position, operator, at);
            memory_operators.push(spec.map(|spec| operators.add(spec)));
        }
        spilled.resize(memory_operators.len(), 0);
        let task = Task {
            id,
            stage,
            index,
            attempt,
            executor,
            locality: locality.as_str(),
            launched: now,
            run_started: now + launch,
            started: false,
            pc: 0,
            state: State::Fetch,
            flow: Flow::default(),
            work,
            owed_ns: 0,
            least_ns: cpu / LEAST_PARTS,
            pace: cpu as f64 / own.max(1) as f64,
            doing: None,
            spilled,
            operators,
            memory_operators,
            memory_used: 0,
            user_heap: 0,
            broadcast_on_heap: 0,
            python_bytes: 0,
            allocation_rate: allocated as f64 / (cpu.max(LEAST_WORK_NS) as f64),
            gc_at_start: 0.0,
            waiting_since: None,
            broadcast_bytes: 0,
            files: 0,
            metrics: Metrics::default(),
        };
        let key = self.free_tasks.pop().unwrap_or_else(|| {
            self.tasks.push(None);
            self.tasks.len() - 1
        });
        self.tasks[key] = Some(task);
        if self.is_traced(id, stage, index) {
            if let Some(task) = self.tasks[key].as_mut() {
                task.operators.keep_trace();
            }
            self.note_life(key, TraceKind::Start, "");
        }
        let state = &mut self.executors[executor];
        state.free_slots -= self.settings.task.cpus;
        state.running.insert(key);
        self.hosts[state.host].running += 1;
        self.queue.schedule(now + launch, Event::Delay { task: key, task_id: id });
    }

    /// The task's code starts to run.
    pub(super) fn start_task(&mut self, key: usize) {
        let now = self.queue.now();
        let task = self.tasks[key].as_mut().expect("a starting task exists");
        task.started = true;
        let state = &mut self.executors[task.executor];
        task.gc_at_start = state.gc_until(now);
        state.change_allocation(now, task.allocation_rate);
        let executor = task.executor;
        self.share_processors(executor);
        self.compile(executor);
        self.run_task(key);
    }

    /// Ends a task: its memory, locks and slot are free, its metrics counted.
    pub(super) fn finish_task(&mut self, key: usize, failure: Option<&str>) {
        let now = self.queue.now();
        self.note_end(key, failure);
        let mut task = self.tasks[key].take().expect("an ending task exists");
        let executor = task.executor;
        let state = &mut self.executors[executor];
        let gc = if task.started { state.gc_until(now) - task.gc_at_start } else { 0.0 };
        if task.started {
            state.change_allocation(now, -task.allocation_rate);
        }
        let peak = task.operators.peak_execution_memory() + task.broadcast_bytes;
        // Memory goes back in Spark's order (TMM-11, TMM-12).
        state.manager.end_task(TaskId(task.id as i64));
        task.operators.clean_up_all(&mut state.manager);
        state.user_heap -= task.user_heap;
        state.python_bytes -= task.python_bytes;
        state.free_slots += self.settings.task.cpus;
        state.running.remove(&key);
        state.waiting.retain(|&waiter| waiter != key);
        let host = state.host;
        self.hosts[host].running -= 1;
        self.delete_files(host, task.files);
        let metrics = &mut task.metrics;
        metrics.tasks = 1;
        metrics.failed_tasks = u64::from(failure.is_some());
        metrics.peak_execution_memory_max = peak;
        metrics.peak_execution_memory_sum = peak;
        metrics.executor_run_time_ns = now.since(task.run_started).0;
        metrics.jvm_gc_time_ns = Some(gc as u64);
        self.lost.gc_ns += gc as u64;
        if failure.is_none() {
            metrics.result_bytes = self.plan.stages[task.stage].result_bytes[task.index as usize];
        }
        self.free_tasks.push(key);
        self.count_task(&task, failure);
        self.share_processors(executor);
        // Counted before others go on: what they do with the memory may kill the executor that holds this task's output.
        if failure.is_none() {
            self.task_succeeded(&task);
        }
        let Task { operators, memory_operators, spilled, work, .. } = task;
        self.spare_buffers.push(Buffers { operators, memory_operators, spilled, work });
        self.wake_waiters(executor);
        if self.ended.is_none() {
            self.offer(Some(executor));
        }
    }

    fn count_task(&mut self, task: &Task, failure: Option<&str>) {
        self.record.totals.add(&task.metrics);
        self.stages[task.stage].record.metrics.add(&task.metrics);
        self.executors[task.executor].record.metrics.add(&task.metrics);
        let duration = self.queue.now().since(task.launched).0;
        let stage = &mut self.stages[task.stage];
        stage.busy_ns += duration;
        stage.longest_ns = stage.longest_ns.max(duration);
        if !self.options.details {
            return;
        }
        self.record.tasks.push(TaskRecord {
            task_id: task.id,
            stage_id: self.workload.stages[task.stage].id,
            stage_attempt: self.stages[task.stage].record.attempt,
            index: task.index,
            attempt: task.attempt,
            executor: task.executor as u32,
            locality: task.locality,
            launch_ns: task.launched.0,
            finish_ns: self.queue.now().0,
            failure: failure.unwrap_or_default().to_owned(),
            metrics: task.metrics.clone(),
        });
    }

    /// Stops a task where it is, without counting its end.
    pub(super) fn detach(&mut self, key: usize) {
        let now = self.queue.now();
        let task = self.tasks[key].as_mut().expect("a task that is stopped exists");
        let host = self.executors[task.executor].host;
        match task.doing.take() {
            Some(Work::Cpu(_)) => {
                self.executors[task.executor].cpu.leave(now, key as MemberId);
            }
            Some(Work::Disk(_)) => {
                self.hosts[host].disk.leave(now, key as MemberId);
                self.schedule_disk(host);
            }
            Some(Work::Network(_)) => {
                self.hosts[host].network.leave(now, key as MemberId);
                self.schedule_network(host);
            }
            Some(Work::Swap(_)) => {
                self.hosts[host].swap.leave(now, key as MemberId);
                self.schedule_swap(host);
            }
            // Its end finds the task gone.
            Some(Work::Sleep(_)) | None => {}
        }
    }

    /// A task fails.
    pub(super) fn fail_task(&mut self, key: usize, failure: Failure) {
        let task = self.tasks[key].as_ref().expect("a failing task exists");
        let (executor, id) = (task.executor, task.id);
        match failure {
            Failure::SparkOom(text) => {
                let reason = format!("org.apache.spark.memory.SparkOutOfMemoryError: {text}");
                self.event(EventKind::TaskFailed, Some(executor), Some(id), 0, &reason);
                self.retry_or_abort(key, &reason, Outcome::SparkOom);
            }
            Failure::HeapOom(end, text) => {
                let reason = format!("java.lang.OutOfMemoryError: {} ({text})", end.message());
                let outcome = match end {
                    HeapEnd::JavaHeapSpace => Outcome::HeapOom,
                    HeapEnd::GcOverheadLimit => Outcome::GcOverhead,
                };
                self.event(EventKind::TaskFailed, Some(executor), Some(id), 0, &reason);
                if self.local {
                    self.finish_task(key, Some(&reason));
                    self.abort(outcome, reason);
                } else {
                    self.lose_executor(executor, &format!("exit code 52: {reason}"), outcome);
                }
            }
            Failure::DiskFull(reason) => {
                self.event(EventKind::TaskFailed, Some(executor), Some(id), 0, &reason);
                self.retry_or_abort(key, &reason, Outcome::DiskFull);
            }
            Failure::ContainerKilled(text) => {
                self.lose_executor(executor, &text, Outcome::ContainerKilled);
            }
        }
    }

    /// A counted failure: the task is tried again, or the job is aborted (FAIL-1).
    pub(super) fn retry_or_abort(&mut self, key: usize, reason: &str, outcome: Outcome) {
        let task = self.tasks[key].as_ref().expect("a failing task exists");
        let (stage, index, executor, id, attempt) =
            (task.stage, task.index, task.executor, task.id, task.attempt);
        self.finish_task(key, Some(reason));
        let failures = &mut self.stages[stage].failures_of[index as usize];
        *failures += 1;
        let failures = *failures;
        self.stages[stage].attempts_of[index as usize] += 1;
        if failures >= self.settings.task.max_failures {
            let record = &self.stages[stage].record;
            let stage_name = format!("{}.{}", record.stage_id, record.attempt);
            self.abort(
                outcome,
                format!(
                    "Job aborted due to stage failure: Task {index} in stage {stage_name} failed {failures} times, \
                     most recent failure: Lost task {index}.{attempt} in stage {stage_name} (TID {id}) (executor {}): \
                     {reason}",
                    self.executors[executor].record.id,
                ),
            );
        } else {
            self.retry(stage, index);
        }
    }

    /// What the tasks of a lost executor fail of.
    pub(super) fn lost_words(&self, executor: usize, reason: &str) -> String {
        format!(
            "ExecutorLostFailure (executor {} exited caused by one of the running tasks) Reason: {reason}",
            self.executors[executor].record.id
        )
    }

    /// An executor dies with everything in it (FAIL-3..5).
    pub(super) fn lose_executor(&mut self, executor: usize, reason: &str, outcome: Outcome) {
        let now = self.queue.now();
        self.event(EventKind::ExecutorLost, Some(executor), None, 0, reason);
        let state: &mut Executor = &mut self.executors[executor];
        state.alive = false;
        state.record.removed_ns = Some(now.0);
        reason.clone_into(&mut state.record.removed_reason);
        state.waiting.clear();
        let running: Vec<usize> = state.running.iter().copied().collect();
        for &key in &running {
            self.detach(key);
        }
        let lost = self.lost_words(executor, reason);
        for set in self.task_sets.values_mut() {
            set.forget_executor(executor as u32);
        }
        // First the outputs, so that no task that would read them starts.
        if self.ended.is_none() {
            self.lose_shuffle_outputs(executor);
        }
        for key in running {
            if self.tasks[key].is_some() && self.ended.is_none() {
                self.retry_or_abort(key, &lost, outcome);
            }
        }
        self.executors[executor].manager.clear_blocks();
        self.note_footprint(executor, 0);
        let host = self.executors[executor].host;
        self.hosts[host].executors -= 1;
        self.hosts_in_use -= u64::from(self.hosts[host].executors == 0);
        // The threads of its compilers are gone too.
        self.share_processors(executor);
        if self.ended.is_none() {
            let start = SimDuration(self.workload.rates.executor_start_ns);
            self.queue.schedule(now + start, Event::ExecutorStarted { replaces: executor });
        }
    }

    /// Heap and container are checked wherever a task may have taken memory.
    pub(super) fn check_limits(&mut self, key: usize) -> Progress {
        let task = self.tasks[key].as_ref().expect("a checked task exists");
        let executor = task.executor;
        let (live, resident) = self.refresh(executor);
        let host = self.executors[executor].host;
        let swap_ns = self.take_swap_debt(host);
        self.lost.swap_out_ns += swap_ns;
        if swap_ns > 0
            && let Some(task) = self.tasks[key].as_mut()
        {
            task.work.push_back(Work::Swap(swap_ns));
        }
        let kill_ns = self.wait_for_kill(host);
        let sleep_ns = self.executors[executor].container.take_sleep();
        // Both end together: who waits longer is what the task waited for.
        if kill_ns > sleep_ns {
            self.lost.kill_wait_ns += kill_ns;
        } else {
            self.lost.held_back_ns += sleep_ns;
        }
        let sleep_ns = sleep_ns.max(kill_ns);
        if sleep_ns > 0
            && let Some(task) = self.tasks[key].as_mut()
        {
            // It takes the page before it goes on.
            task.work.push_front(Work::Sleep(sleep_ns));
        }
        let state = &self.executors[executor];
        if live > state.heap_usable {
            let (heap, usable) = (state.heap_max, state.heap_usable);
            let end = state.heap_end(self.workload.rates.heap_base_bytes);
            let text = format!(
                "{} live in a heap of {}: {} more than fits",
                HumanBytes(live),
                HumanBytes(heap),
                HumanBytes(live - usable)
            );
            self.executor_falls(Limit::Heap, key, live, usable);
            return Progress::Fail(Failure::HeapOom(end, text));
        }
        if let Some(limit) = state.record.container_bytes
            && resident > limit + self.container_swap(executor)
        {
            let all = limit + self.container_swap(executor);
            self.executor_falls(Limit::Container, key, resident, all);
            return Progress::Fail(Failure::ContainerKilled(self.killed(executor, resident, limit)));
        }
        Progress::Continue
    }

    /// What the driver says of an executor whose process tree passed its limit (KILL-1, KILL-3).
    fn killed(&self, executor: usize, resident: u64, limit: u64) -> String {
        match self.settings.master {
            Master::Yarn => format!(
                "Container killed by YARN for exceeding physical memory limits. {} of {} physical memory used. Consider \
                 boosting spark.executor.memoryOverhead.",
                yarn_bytes(resident),
                yarn_bytes(limit)
            ),
            Master::Kubernetes => format!(
                "The executor exited with exit code 137(SIGKILL, possible container OOM): {} of {} used.",
                HumanBytes(resident),
                self.container_text(executor, limit)
            ),
            _ => format!(
                "Command exited with code 137: {} of {} that its container may use.",
                HumanBytes(resident),
                self.container_text(executor, limit)
            ),
        }
    }

    /// Resident memory of the Python worker that an operator needs, if any.
    pub(super) fn python_worker_bytes(&self, stage: usize, operator: usize) -> u64 {
        match self.workload.stages[stage].operators[operator].kind {
            OperatorKind::Python { worker_bytes } => worker_bytes,
            _ => 0,
        }
    }

    fn task_succeeded(&mut self, task: &Task) {
        let stage = task.stage;
        if self.ended.is_some() {
            return;
        }
        let state = &mut self.stages[stage];
        if state.output_of[task.index as usize].is_none() {
            state.output_of[task.index as usize] = Some(task.executor as u32);
            state.left -= 1;
        }
        let is_map = matches!(
            self.workload.stages[stage].operators.last().map(|operator| &operator.kind),
            Some(OperatorKind::ShuffleWrite { .. })
        );
        if !is_map {
            self.stages[stage].result_total += task.metrics.result_bytes;
            self.stages[stage].results += 1;
            let (total, results) = (self.stages[stage].result_total, self.stages[stage].results);
            let limit = self.settings.driver.max_result_size;
            if let Some(limit) = limit {
                self.approach(Limit::ResultSize, total, limit, None);
            }
            if let Some(limit) = limit
                && total > limit
            {
                self.results_fall(stage, total, limit);
                self.abort(
                    Outcome::MaxResultSize,
                    format!(
                        "Job aborted due to stage failure: Total size of serialized results of {results} tasks ({}) is \
                         bigger than spark.driver.maxResultSize ({})",
                        HumanBytes(total),
                        HumanBytes(limit)
                    ),
                );
                return;
            }
            if let Some(reason) = self.results_do_not_fit(stage, total) {
                self.abort(Outcome::DriverOom, reason);
                return;
            }
        }
        if self.stages[stage].left == 0 {
            self.complete_stage(stage);
        }
    }
}
