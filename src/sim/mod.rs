//! The simulated application: a world of executors, jobs and tasks on the clock of the engine, with Spark's exact memory
//! bookkeeping inside each executor.
//!
//! [`simulate`] is a pure function of workload, settings, cluster and options: same input, same record, byte for byte.
//! A simulated failure is an outcome in the record, never an error. Reading order: `plan` (how many tasks, how much each),
//! `program` (in which order a task works), `task` (the walk through it), `attempts` and `stages` (who runs when, and what
//! failures do), `cache` (blocks), `executor` (heap, collection, processor), `recorder` (sums and causes).

mod attempts;
mod cache;
mod consumers;
mod event;
mod executor;
mod plan;
mod program;
mod recorder;
mod scheduler;
mod stages;
mod task;

pub use plan::{OperatorPlan, Plan, StagePlan, partitioning, plan};

use std::collections::BTreeMap;

use crate::cluster::ExecutorSpec;
use crate::conf::Settings;
use crate::engine::{EventQueue, SharedResource};
use crate::host::GcCost;
use crate::memory::{Collector, MemoryManager, MemoryMode};
use crate::record::{ExecutorRecord, Outcome, RunRecord, StageRecord, TimelinePoint};
use crate::units::SimTime;
use crate::workload::Workload;

use event::Event;
use executor::Executor;
use program::Instruction;
use stages::{JobState, StageState};
use task::Task;

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

/// A machine with executors on it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSpec {
    /// Name.
    pub name: String,
    /// Processors.
    pub cores: u32,
}

/// Where the application runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec {
    /// The machines.
    pub hosts: Vec<HostSpec>,
    /// The executors at the start, each with the position of its host.
    pub executors: Vec<(usize, ExecutorSpec)>,
    /// Driver and executor are one process.
    pub local: bool,
}

impl ClusterSpec {
    /// Task slots of all executors.
    pub fn slots(&self) -> u32 {
        self.executors.iter().map(|(_, executor)| executor.slots).sum()
    }
}

/// A machine's shared resources.
#[derive(Debug)]
struct Host {
    cores: u32,
    /// Tasks that run on it.
    running: u32,
    disk: SharedResource,
    disk_epoch: u64,
    network: SharedResource,
    network_epoch: u64,
}

/// The state of everything.
struct World<'a> {
    workload: &'a Workload,
    settings: &'a Settings,
    options: SimOptions,
    local: bool,
    plan: Plan,
    programs: Vec<Vec<Instruction>>,
    queue: EventQueue<Event>,
    hosts: Vec<Host>,
    specs: Vec<(usize, ExecutorSpec)>,
    executors: Vec<Executor>,
    jobs: Vec<JobState>,
    stages: Vec<StageState>,
    /// Stages in the order of their first submission.
    stage_order: Vec<usize>,
    failed_attempts: Vec<StageRecord>,
    task_sets: BTreeMap<(usize, usize), scheduler::TaskSet>,
    /// Running tasks; positions are reused.
    tasks: Vec<Option<Task>>,
    free_tasks: Vec<usize>,
    next_task_id: u64,
    datasets: Vec<cache::DatasetState>,
    active_jobs: usize,
    active_since: SimTime,
    /// Offer rounds so far.
    offers: u64,
    offers_at: Option<SimTime>,
    last_points: Vec<Option<TimelinePoint>>,
    lost: recorder::Lost,
    ended: Option<Outcome>,
    record: RunRecord,
}

/// Runs an application once.
pub fn simulate(
    workload: &Workload,
    settings: &Settings,
    cluster: &ClusterSpec,
    options: SimOptions,
) -> RunRecord {
    let mut world = World::new(workload, settings, cluster, options);
    world.run();
    world.close_record();
    world.record
}

impl<'a> World<'a> {
    fn new(
        workload: &'a Workload,
        settings: &'a Settings,
        cluster: &ClusterSpec,
        options: SimOptions,
    ) -> Self {
        let rates = &workload.rates;
        let disk = rates.disk_bytes_per_s / 1e9;
        let network = rates.network_bytes_per_s / 1e9;
        let hosts = cluster
            .hosts
            .iter()
            .map(|host| Host {
                cores: host.cores.max(1),
                running: 0,
                disk: SharedResource::new(disk, disk),
                disk_epoch: 0,
                network: SharedResource::new(network, network),
                network_epoch: 0,
            })
            .collect();
        let mut world = Self {
            workload,
            settings,
            options,
            local: cluster.local,
            plan: plan(workload, settings, cluster.slots()),
            programs: workload.stages.iter().map(program::program).collect(),
            queue: EventQueue::new(),
            hosts,
            specs: cluster.executors.clone(),
            executors: Vec::new(),
            jobs: workload
                .jobs
                .iter()
                .map(|job| JobState { waits_for: job.after.len(), ..JobState::default() })
                .collect(),
            stages: workload.stages.iter().map(|_| StageState::default()).collect(),
            stage_order: Vec::new(),
            failed_attempts: Vec::new(),
            task_sets: BTreeMap::new(),
            tasks: Vec::new(),
            free_tasks: Vec::new(),
            next_task_id: 0,
            datasets: vec![cache::DatasetState::default(); workload.datasets.len()],
            active_jobs: 0,
            active_since: SimTime::ZERO,
            offers: 0,
            offers_at: None,
            last_points: Vec::new(),
            lost: recorder::Lost::default(),
            ended: None,
            record: RunRecord {
                name: workload.name.clone(),
                seed: options.seed,
                spark_version: settings.spark_version.to_string(),
                ..RunRecord::default()
            },
        };
        for (host, spec) in &cluster.executors {
            world.add_executor(*host, spec, spec.id.clone());
        }
        world
    }

    fn add_executor(&mut self, host: usize, spec: &ExecutorSpec, id: String) {
        let gc_cost = match spec.collector {
            Collector::G1 => GcCost::G1,
            Collector::Parallel => GcCost::PARALLEL,
            Collector::Serial => GcCost::SERIAL,
        };
        let record = ExecutorRecord {
            id,
            host: spec.host.clone(),
            cores: spec.slots * self.settings.task.cpus,
            added_ns: self.queue.now().0,
            heap_bytes: spec.heap_bytes,
            max_on_heap_memory: spec.regions.on_heap,
            max_off_heap_memory: spec.regions.off_heap,
            container_bytes: spec.container_bytes,
            ..ExecutorRecord::default()
        };
        let manager = MemoryManager::unified(spec.regions);
        self.executors.push(Executor::new(
            manager,
            spec.page_size,
            spec.tungsten_mode,
            gc_cost,
            host,
            record,
        ));
        self.last_points.push(None);
        let index = self.executors.len() - 1;
        self.refresh(index);
    }

    /// Prepares the record of a replacement for a lost executor; it starts when its event comes.
    fn replacement_of(&mut self, executor: usize) -> usize {
        executor
    }

    fn start_replacement(&mut self, lost: usize) {
        let (host, spec) = self.specs[lost % self.specs.len()].clone();
        let id = self.executors.len().to_string();
        self.add_executor(host, &spec, id);
        self.specs.push((host, spec));
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
            && let Some((now, event)) = self.queue.pop()
        {
            self.handle(now, event);
        }
        if self.ended.is_none() && self.jobs.iter().any(|job| !job.done) {
            self.abort(
                Outcome::Other,
                "no task can go on: every running task waits for execution memory, or no executor is left".to_owned(),
            );
        }
    }

    fn handle(&mut self, now: SimTime, event: Event) {
        match event {
            Event::SubmitJob(job) => self.submit_job(job),
            Event::Cpu { executor, epoch } => {
                if self.executors[executor].cpu_epoch != epoch {
                    return;
                }
                self.executors[executor].cpu_scheduled = None;
                while let Some(key) = self.executors[executor].cpu.pop_completed(now) {
                    self.run_task(key as usize);
                    self.wake_waiters(executor);
                    if self.ended.is_some() {
                        return;
                    }
                }
                self.schedule_cpu(executor);
            }
            Event::Disk { host, epoch } => {
                if self.hosts[host].disk_epoch == epoch {
                    while let Some(key) = self.hosts[host].disk.pop_completed(now) {
                        self.io_done(key as usize);
                    }
                    self.schedule_disk(host);
                }
            }
            Event::Network { host, epoch } => {
                if self.hosts[host].network_epoch == epoch {
                    while let Some(key) = self.hosts[host].network.pop_completed(now) {
                        self.io_done(key as usize);
                    }
                    self.schedule_network(host);
                }
            }
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
            Event::Offers => {
                self.offers_at = None;
                self.offer(None);
            }
            Event::Resubmit { stage } => self.resubmit_stage(stage),
            Event::ExecutorStarted { executor } => self.start_replacement(executor),
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
        host.disk_epoch += 1;
        if let Some(time) = host.disk.next_completion() {
            self.queue.schedule(time, Event::Disk { host: index, epoch: host.disk_epoch });
        }
    }

    fn schedule_network(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.network_epoch += 1;
        if let Some(time) = host.network.next_completion() {
            self.queue.schedule(time, Event::Network { host: index, epoch: host.network_epoch });
        }
    }
}
