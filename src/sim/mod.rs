//! The simulated application: a world of executors, jobs and tasks on the clock of the engine, with Spark's exact memory
//! bookkeeping inside each executor.
//!
//! [`simulate`] is a pure function of workload, settings, cluster and options: same input, same record, byte for byte.
//! A simulated failure is an outcome in the record, never an error. Reading order: `replan` (joins under other
//! settings), `plan` (how many tasks, how much each),
//! `program` (in which order a task works), `task` (the walk through it), `attempts` and `stages` (who runs when, and what
//! failures do), `cache` (blocks), `executor` (heap, collection, processor), `recorder` (sums and causes).

mod adaptive;
mod attempts;
mod cache;
mod cached_partitions;
mod consumers;
mod container;
mod event;
mod executor;
mod falls;
mod files;
mod heartbeat;
mod host;
mod kills;
mod layout;
mod pace;
mod pages;
mod plan;
mod processes;
mod program;
mod recorder;
mod replan;
mod sampling;
mod scheduler;
mod size;
mod stages;
mod task;
mod trace;
mod uses;
mod warmup;

pub use consumers::{bypass_files, bypasses};
pub use pace::{pace_of_run, pace_of_stage};
pub use plan::{OperatorPlan, Plan, StagePlan, partitioning, partitions, plan};
pub use processes::{ExecutorSetup, HostMemory, HostSpec, Processes, Regions, host_collector, regions};
pub use replan::{Replanned, join_settings, replan};
pub use sampling::{SamplingTwins, sampling_twins};
pub use size::check_size;
pub use warmup::{STAGE_PACE, compiler_threads, load_classes};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::conf::Settings;
use crate::engine::EventQueue;
use crate::memory::operators::GroupCurve;
use crate::memory::{MemoryManager, UsePlan};
use crate::record::{ExecutorRecord, Outcome, RunRecord, StageRecord, TracedTask};
use crate::units::SimTime;
use crate::workload::Workload;

use event::Event;
use executor::Executor;
use host::Host;
use program::Instruction;
use stages::{JobState, StageState};
use task::Task;
use warmup::WarmUp;

/// How to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// Seed of all random streams.
    pub seed: u64,
    /// Keep every task, event and point of the time line; without it only sums and stages.
    pub details: bool,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { seed: 1, details: true }
    }
}

/// The state of everything.
struct World<'a> {
    workload: &'a Workload,
    settings: &'a Settings,
    options: SimOptions,
    local: bool,
    pace_varies: bool,
    /// Heap of the driver, bytes.
    driver_heap: u64,
    plan: &'a Plan,
    /// By stage.
    programs: &'a [Vec<Instruction>],
    queue: EventQueue<Event>,
    hosts: Vec<Host>,
    /// Hosts with executors.
    hosts_in_use: u64,
    setups: Vec<ExecutorSetup>,
    executors: Vec<Executor>,
    /// Those of them that something happened to since the clock last moved.
    touched: Vec<usize>,
    jobs: Vec<JobState>,
    /// Jobs that are not done; the application ends with the last.
    jobs_left: usize,
    stages: Vec<StageState>,
    /// Some stage has threads that want a processor beside its tasks.
    background: bool,
    /// Stages in the order of their first submission.
    stage_order: Vec<usize>,
    failed_attempts: Vec<StageRecord>,
    /// Stages whose lost outputs are to be computed again once their parents' are there.
    to_resubmit: BTreeSet<usize>,
    task_sets: BTreeMap<(usize, usize), scheduler::TaskSet>,
    /// Running tasks; positions are reused.
    tasks: Vec<Option<Task>>,
    free_tasks: Vec<usize>,
    /// Of tasks that have ended.
    spare_buffers: Vec<attempts::Buffers>,
    next_task_id: u64,
    datasets: Vec<cache::DatasetState>,
    /// What eviction policies may know of the future.
    use_plan: Arc<UsePlan>,
    /// Shapes of group growth found so far, by stage and operator.
    group_curves: BTreeMap<(usize, usize), GroupCurve>,
    active_jobs: BTreeSet<usize>,
    active_since: SimTime,
    /// Offer rounds so far.
    offers: u64,
    offers_at: Option<SimTime>,
    lost: recorder::Lost,
    traced: Option<TracedTask>,
    ended: Option<Outcome>,
    record: RunRecord,
}

/// Runs an application once.
pub fn simulate(
    workload: &Workload,
    settings: &Settings,
    processes: &Processes,
    options: SimOptions,
) -> RunRecord {
    simulate_following(workload, settings, processes, options, None)
}

/// Runs an application once and keeps the ledger of one task ([`RunRecord::trace`]).
pub fn simulate_following(
    workload: &Workload,
    settings: &Settings,
    processes: &Processes,
    options: SimOptions,
    task: Option<TracedTask>,
) -> RunRecord {
    let replanned = replan(workload, settings);
    let workload = match &replanned {
        Ok(Some(replanned)) => &replanned.workload,
        Ok(None) | Err(_) => workload,
    };
    let repartitioned = cached_partitions::repartition(workload, settings);
    let workload = repartitioned.as_ref().unwrap_or(workload);
    let plan = plan(workload, settings, processes.default_parallelism);
    let programs: Vec<_> = workload.stages.iter().map(program::program).collect();
    let mut world = World::new(workload, settings, processes, options, &plan, &programs);
    world.traced = task;
    world.run();
    world.close_record();
    world.close_hosts();
    let mut record = world.record;
    match replanned {
        Ok(Some(replanned)) => record.confidence.assumed.extend(replanned.assumed),
        Ok(None) => {}
        Err(why) => record.confidence.assumed.push(format!("{why}; its joins are left as they ran")),
    }
    record
}

impl<'a> World<'a> {
    fn new(
        workload: &'a Workload,
        settings: &'a Settings,
        processes: &Processes,
        options: SimOptions,
        plan: &'a Plan,
        programs: &'a [Vec<Instruction>],
    ) -> Self {
        let rates = &workload.rates;
        let disk = rates.disk_bytes_per_s / 1e9;
        let network = rates.network_bytes_per_s / 1e9;
        let mut queue = EventQueue::new();
        let hosts = processes
            .hosts
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let timers = host::Timers {
                    disk: queue.add_timer(Event::Disk { host: at }),
                    network: queue.add_timer(Event::Network { host: at }),
                    swap: queue.add_timer(Event::Swap { host: at }),
                    pages: queue.add_timer(Event::Pages { host: at }),
                };
                Host::new(&host.name, host.cores, [disk, network], timers, processes.memory.get(at).cloned())
            })
            .collect();
        let mut world = Self {
            workload,
            settings,
            options,
            local: processes.local,
            pace_varies: processes.pace_varies,
            driver_heap: processes.driver_heap,
            plan,
            programs,
            queue,
            hosts,
            hosts_in_use: 0,
            setups: processes.executors.clone(),
            executors: Vec::new(),
            touched: Vec::new(),
            jobs: workload
                .jobs
                .iter()
                .map(|job| JobState { waits_for: job.after.len(), ..JobState::default() })
                .collect(),
            jobs_left: workload.jobs.len(),
            stages: workload.stages.iter().map(|_| StageState::default()).collect(),
            background: workload.stages.iter().any(|stage| stage.background_threads > 0.0),
            stage_order: Vec::new(),
            failed_attempts: Vec::new(),
            to_resubmit: BTreeSet::new(),
            task_sets: BTreeMap::new(),
            tasks: Vec::new(),
            free_tasks: Vec::new(),
            spare_buffers: Vec::new(),
            next_task_id: 0,
            datasets: vec![cache::DatasetState::default(); workload.datasets.len()],
            group_curves: BTreeMap::new(),
            use_plan: Arc::default(),
            active_jobs: BTreeSet::new(),
            active_since: SimTime::ZERO,
            offers: 0,
            offers_at: None,
            lost: recorder::Lost::default(),
            traced: None,
            ended: None,
            record: RunRecord {
                name: workload.name.clone(),
                seed: options.seed,
                spark_version: settings.spark_version.to_string(),
                ..RunRecord::default()
            },
        };
        for (next, job) in workload.jobs.iter().enumerate() {
            for &before in &job.after {
                world.jobs[before].followers.push(next);
            }
        }
        world.use_plan = Arc::new(world.plan_uses());
        for setup in &processes.executors {
            world.add_executor(setup, setup.id.clone());
        }
        world
    }

    fn add_executor(&mut self, setup: &ExecutorSetup, id: String) {
        let (mut manager, max_on_heap_memory, max_off_heap_memory) = match setup.regions {
            Regions::Unified(regions) => (MemoryManager::unified(regions), regions.on_heap, regions.off_heap),
            Regions::Static(regions) => (MemoryManager::fixed(regions), regions.storage, regions.off_heap),
        };
        manager.set_eviction(self.settings.knobs.eviction_policy, Arc::clone(&self.use_plan));
        manager.set_step(self.first_incomplete_step());
        let record = ExecutorRecord {
            id,
            host: self.hosts[setup.host].name.clone(),
            cores: setup.cores,
            added_ns: self.queue.now().0,
            heap_bytes: setup.heap,
            max_on_heap_memory,
            max_off_heap_memory,
            container_bytes: setup.container_limit,
            ..ExecutorRecord::default()
        };
        let host = &mut self.hosts[setup.host];
        self.hosts_in_use += u64::from(host.executors == 0);
        host.executors += 1;
        let index = self.executors.len();
        let compiler_timer = self.queue.add_timer(Event::Compiler { executor: index });
        self.executors.push(Executor::new(
            manager,
            setup,
            self.queue.add_timer(Event::Cpu { executor: index }),
            WarmUp::new(self.local, self.hosts[setup.host].cores, &self.workload.rates, compiler_timer),
            record,
        ));
        self.refresh(index);
    }

    /// A lost executor is replaced by one like it (FAIL-12).
    fn start_replacement(&mut self, lost: usize) {
        let setup = self.setups[lost].clone();
        let taken = self.executors.iter().filter_map(|executor| executor.record.id.parse::<u64>().ok());
        let id = taken.max().map_or(0, |last| last + 1).to_string();
        self.add_executor(&setup, id);
        self.setups.push(setup);
        self.offer(None);
    }

    fn run(&mut self) {
        for job in 0..self.jobs.len() {
            if self.jobs[job].waits_for == 0 {
                let gap = crate::units::SimDuration(self.workload.jobs[job].gap_ns);
                self.queue.schedule(SimTime::ZERO + gap, Event::SubmitJob(job));
            }
        }
        while self.ended.is_none()
            && self.jobs_left > 0
            && let Some((now, event)) = self.queue.pop()
        {
            self.handle(now, event);
            self.settle();
        }
        if self.ended.is_none() && self.jobs_left > 0 {
            let reason = if self.executors.is_empty() {
                "Initial job has not accepted any resources: no host has room for an executor"
            } else {
                "no task can go on: every running task waits for execution memory, or no executor is left"
            };
            self.abort(Outcome::Other, reason.to_owned());
        }
    }

    fn handle(&mut self, now: SimTime, event: Event) {
        match event {
            Event::SubmitJob(job) => self.submit_job(job),
            Event::Cpu { executor } => {
                self.executors[executor].cpu_scheduled = None;
                while let Some(key) = self.executors[executor].cpu.pop_completed(now) {
                    self.run_task(key as usize);
                    self.wake_waiters(executor);
                    if self.ended.is_some() {
                        return;
                    }
                }
                self.touch(executor);
            }
            Event::Disk { host } => {
                while let Some(key) = self.hosts[host].disk.pop_completed(now) {
                    self.io_done(key as usize);
                }
                self.schedule_disk(host);
            }
            Event::Network { host } => {
                while let Some(key) = self.hosts[host].network.pop_completed(now) {
                    self.io_done(key as usize);
                }
                self.schedule_network(host);
            }
            Event::Swap { host } => {
                while let Some(key) = self.hosts[host].swap.pop_completed(now) {
                    self.io_done(key as usize);
                }
                self.schedule_swap(host);
            }
            Event::Pages { host } => self.look_at_pages(host),
            Event::OutOfMemory { host } => self.kill_somebody(host),
            Event::SleepOver { task, task_id } => {
                let sleeps = |task: &task::Task| {
                    task.id == task_id && matches!(task.doing, Some(task::Work::Sleep(_)))
                };
                if self.tasks[task].as_ref().is_some_and(sleeps) {
                    self.io_done(task);
                }
            }
            Event::LongPause { executor } => self.long_pause(executor),
            Event::Delay { task, task_id } => {
                let waiting = self.tasks[task].as_ref().is_some_and(|t| t.id == task_id);
                if waiting {
                    let executor = self.tasks[task].as_ref().map(|t| t.executor);
                    self.start_task(task);
                    if let Some(executor) = executor {
                        self.wake_waiters(executor);
                    }
                }
            }
            Event::Compiler { executor } => self.compiler_done(executor),
            Event::Offers => {
                self.offers_at = None;
                self.offer(None);
            }
            Event::Resubmit { stage } => self.resubmit_stage(stage),
            Event::ExecutorStarted { replaces } => self.start_replacement(replaces),
        }
    }

    fn io_done(&mut self, key: usize) {
        if self.ended.is_some() {
            return;
        }
        let executor = self.tasks[key].as_ref().map(|task| task.executor);
        self.run_task(key);
        if let Some(executor) = executor {
            self.wake_waiters(executor);
        }
    }

    fn schedule_disk(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let next = host.disk.next_completion();
        self.queue.set_timer(host.timers.disk, next);
    }

    fn schedule_network(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let next = host.network.next_completion();
        self.queue.set_timer(host.timers.network, next);
    }
}
