//! From the facts of a log to a workload: what the application would do under any configuration.
//!
//! A log is one run under one configuration; import undoes that configuration: it finds each stage's operators in the
//! SQL plans, takes rows, bytes and times from the tasks, subtracts what spilling and collection cost there, and keeps
//! the observed value of every task for a replay under unchanged settings. What a log cannot show is assumed and said
//! ([`Honesty`]).
//!
//! Read `stages` (the runs of stages and their tasks), `fragments` (plans cut at exchanges), `operators` (fragments to
//! operators), `exchanges` (what went between stages), `datasets` and `lineage` (what was cached, and what computes it), `times` and `rates` (what work costs),
//! `jobs` (what followed what), `queries` and `joins` (what another configuration would plan otherwise), `unrun` (what a
//! failed query did not come to), `unmodelled` (what is not repeated), `builder` (all of it put together), `calibrate`
//! (fitted to the log by running it), `calibration` (constants fitted elsewhere), `warmup` (what new JVMs paid).

mod builder;
mod calibrate;
mod calibration;
mod columns;
mod datasets;
mod exchanges;
mod footprint;
mod fragments;
mod honesty;
mod jobs;
mod joins;
mod lineage;
mod operators;
mod queries;
mod rates;
mod stages;
mod times;
mod twins;
mod unmodelled;
mod unrun;
mod warmup;

use std::collections::BTreeMap;

use super::app_log::AppLog;
use super::error::EventLogError;
use super::reader::ReadNotes;
use crate::conf::Settings;
use crate::memory::StorageLevel;
use crate::sim::HostSpec;
use crate::workload::Workload;

pub use calibration::Calibration;
pub use honesty::{Honesty, Lacking};

/// An application taken from a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// What it does.
    pub workload: Workload,
    /// Spark properties it ran under.
    pub properties: BTreeMap<String, String>,
    /// Version of Spark, as the log states it.
    pub spark_version: String,
    /// The machines it ran on.
    pub hosts: Vec<HostSpec>,
    /// What the log did not say, and what that costs.
    pub honesty: Honesty,
}

/// The configuration that a log ran under, whatever became of its tasks.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Spark properties, and what the log shows where they leave something open.
    pub properties: BTreeMap<String, String>,
    /// Storage level of each cached dataset, in the order of their ids.
    pub storage_levels: Vec<StorageLevel>,
    /// Their meaning.
    settings: Settings,
    /// The limit of the containers was inferred from how executors ended.
    limit_inferred: bool,
}

/// Reads the configuration off a log.
///
/// # Errors
/// Fails when the properties have no meaning.
pub fn conditions(log: &AppLog) -> Result<Conditions, EventLogError> {
    let mut properties = rates::properties(log);
    rates::name_collector(log, &mut properties)?;
    let settings = rates::settings(log, &properties)?;
    let limit_inferred = rates::limit_containers(log, &settings, &mut properties);
    let mut levels = BTreeMap::new();
    for rdd in log.stages.iter().flat_map(|stage| &stage.rdds).filter(|rdd| rdd.storage.is_cached()) {
        levels.entry(rdd.rdd_id).or_insert_with(|| datasets::level(rdd.storage));
    }
    Ok(Conditions { properties, storage_levels: levels.into_values().collect(), settings, limit_inferred })
}

/// Turns a log into a workload.
///
/// # Errors
/// Fails when the log holds no task that ended: nothing can be learned from it.
pub fn import(log: &AppLog, notes: &ReadNotes) -> Result<Import, EventLogError> {
    import_with(log, notes, &Calibration::default())
}

/// Turns a log into a workload with other constants than the built-in ones.
///
/// # Errors
/// Fails as [`import`] does.
pub fn import_with(
    log: &AppLog,
    notes: &ReadNotes,
    calibration: &Calibration,
) -> Result<Import, EventLogError> {
    if !log.tasks.iter().any(|task| task.metrics.is_some()) {
        return Err(EventLogError::NoTasks {
            app: log.app_id.clone(),
            jobs: log.jobs.len(),
            running: log.running_tasks.len(),
        });
    }
    let mut honesty = Honesty::of(log, notes);
    let hosts = rates::hosts(log);
    let Conditions { properties, settings, limit_inferred, .. } = conditions(log)?;
    if limit_inferred {
        honesty.assume(
            "executors were killed from outside (exit code 137) and the log names no limit; they are held to heap plus \
             overhead, as a cluster manager would",
        );
    }
    unmodelled::say(log, &mut honesty);
    let workload = builder::workload(log, &settings, calibration, &mut honesty);
    Ok(Import { workload, properties, spark_version: log.spark_version.clone(), hosts, honesty })
}
