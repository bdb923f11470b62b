//! Runs of one application under changed settings, counted.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::conf::{Collector, Origin, Settings, SparkConf};
use crate::experiment::place;
use crate::record::{Outcome, RunRecord};
use crate::scenario::Scenario;
use crate::sim::{SimOptions, simulate};

/// A setting and the value that it is changed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Property.
    pub key: String,
    /// Value.
    pub value: String,
}

impl Change {
    /// `key` changed to `value`.
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.into() }
    }
}

/// One run and what it asks of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What happened; `refused` where Spark or the cluster manager would not start the application.
    pub record: RunRecord,
    /// Memory that the driver and all executors reserve, bytes.
    pub reserved_bytes: u64,
    /// Tasks that can run at once.
    pub slots: u32,
    /// Collector of those that run tasks; none where nothing runs.
    pub collector: Option<Collector>,
}

impl Trial {
    /// The application ends well and loses nothing on the way.
    pub fn is_clean(&self) -> bool {
        let record = &self.record;
        record.outcome == Outcome::Ok
            && record.totals.failed_tasks == 0
            && record.executors.iter().all(|executor| executor.removed_ns.is_none())
    }
}

/// An application whose settings are changed.
#[derive(Debug)]
pub struct Bench<'a> {
    scenario: &'a Scenario,
    conf: SparkConf,
    seed: u64,
    runs: AtomicU32,
}

impl<'a> Bench<'a> {
    /// `scenario` under `conf`, which holds everything that INPUT and the flags say.
    pub fn new(scenario: &'a Scenario, conf: SparkConf, seed: u64) -> Self {
        Self { scenario, conf, seed, runs: AtomicU32::new(0) }
    }

    /// The same configuration for another application; its runs are counted apart.
    pub fn of<'b>(&self, scenario: &'b Scenario) -> Bench<'b> {
        Bench::new(scenario, self.conf.clone(), self.seed)
    }

    /// What runs.
    pub fn scenario(&self) -> &Scenario {
        self.scenario
    }

    /// Runs so far.
    pub fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    /// The configuration under `changes`.
    pub fn conf(&self, changes: &[Change]) -> SparkConf {
        let mut conf = self.conf.clone();
        for change in changes {
            conf.set(&change.key, &change.value, Origin::CommandLine(format!("--conf {}", change.key)));
        }
        conf
    }

    /// Its meaning, unless it has none.
    pub fn settings(&self, changes: &[Change]) -> Option<Settings> {
        Settings::resolve(&self.conf(changes)).ok()
    }

    /// Runs once under `changes`. `details` keeps tasks, events and the ledger of a failure.
    pub fn run(&self, changes: &[Change], details: bool) -> Trial {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let refused = |reason: String| Trial {
            record: RunRecord { outcome: Outcome::Refused, reason, ..RunRecord::default() },
            reserved_bytes: 0,
            slots: 0,
            collector: None,
        };
        let settings = match Settings::resolve(&self.conf(changes)) {
            Ok(settings) => settings,
            Err(errors) => return refused(errors.first().map_or_else(String::new, ToString::to_string)),
        };
        let placed = match place(&settings, &self.scenario.cluster, &self.scenario.workload) {
            Ok(placed) => placed,
            Err(words) => return refused(words),
        };
        let plan = &placed.plan;
        let driver = if plan.driver.is_executor {
            0
        } else {
            plan.driver.container_limit.unwrap_or(plan.driver.heap + plan.driver.off_heap)
        };
        let executors = plan
            .executors
            .iter()
            .map(|executor| executor.container_limit.unwrap_or(executor.heap + executor.off_heap));
        let reserved_bytes = driver + executors.sum::<u64>();
        let slots = plan.executors.iter().map(|executor| executor.slots).sum();
        let options = SimOptions { seed: self.seed, details };
        let record = simulate(&self.scenario.workload, &settings, &placed.processes, options);
        let collector = placed.processes.executors.first().map(|executor| executor.collector);
        Trial { record, reserved_bytes, slots, collector }
    }
}
