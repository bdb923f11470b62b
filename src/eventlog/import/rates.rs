//! What the log says of the machines and the configuration, and what work costs there.

use std::collections::BTreeMap;

use super::calibration::Calibration;
use super::stages::StageRun;
use crate::cluster;
use crate::conf::{Origin, Settings, SparkConf, SparkVersion};
use crate::eventlog::EventLogError;
use crate::eventlog::app_log::{AppLog, ExecutorRecord};
use crate::sim::{ExecutorSetup, HostSpec, Processes};
use crate::units::MIB;
use crate::workload::Rates;

/// Bandwidth of a disk behind a page cache that holds what was just written: shuffle and spill files of a log's size were
/// written and read back at memory speed in all runs that were looked at (2 GB/s is the memory copy rate of one core).
const PAGE_CACHE_BYTES_PER_S: f64 = 2e9;

/// The Spark properties, and what the log shows of the cluster where the properties leave it open.
pub(super) fn properties(log: &AppLog) -> BTreeMap<String, String> {
    let mut properties = log.properties.clone();
    // A session takes names of anybody (vendors write `eventLog.rolloverIntervalSeconds` and the like); none concerns Spark.
    properties.retain(|name, _| name.starts_with("spark.") || name.starts_with("spillcast."));
    let master = properties.get("spark.master").cloned().unwrap_or_default();
    let with_containers = !master.starts_with("local") && !master.is_empty();
    let executors =
        log.executors.iter().filter(|executor| executor.cores.is_some() && executor.id != "driver");
    if with_containers && !properties.contains_key("spark.executor.instances") {
        let started = executors.clone().filter(|executor| executor.removed_ms.is_none()).count();
        let started = if started > 0 { started } else { executors.clone().count() };
        if started > 0 {
            properties.insert("spark.executor.instances".to_owned(), started.to_string());
        }
    }
    if with_containers
        && !properties.contains_key("spark.executor.cores")
        && let Some(cores) = executors.clone().filter_map(|executor| executor.cores).max()
    {
        properties.insert("spark.executor.cores".to_owned(), cores.to_string());
    }
    properties
}

/// The machines that executors ran on, each with as many processors as its executors' cores.
pub(super) fn hosts(log: &AppLog) -> Vec<HostSpec> {
    let mut hosts: Vec<HostSpec> = Vec::new();
    for executor in &log.executors {
        let Some(cores) = executor.cores else { continue };
        match hosts.iter_mut().find(|host| host.name == executor.host) {
            // A replacement comes after the executor that it replaces.
            Some(host) if overlaps(log, executor) => host.cores += cores,
            Some(host) => host.cores = host.cores.max(cores),
            None => hosts.push(HostSpec { name: executor.host.clone(), cores }),
        }
    }
    hosts
}

/// Another executor of the same host was there when this one came.
fn overlaps(log: &AppLog, executor: &ExecutorRecord) -> bool {
    let mut others =
        log.executors.iter().filter(|other| other.id != executor.id && other.host == executor.host);
    others.any(|other| {
        other.cores.is_some()
            && other.added_ms <= executor.added_ms
            && other.removed_ms.is_none_or(|removed| executor.added_ms.is_none_or(|added| removed > added))
    })
}

/// Names the collector of the run, which no event states: under each of them the JVM reports another heap, and with it
/// the regions that the block managers registered come out differently (HEAP-2, LOG-6).
pub(super) fn name_collector(
    log: &AppLog,
    properties: &mut BTreeMap<String, String>,
) -> Result<(), EventLogError> {
    const KNOB: &str = "spillcast.collector";
    let registered =
        log.executors.iter().filter(|executor| executor.cores.is_some()).find_map(|e| e.max_on_heap);
    if properties.contains_key(KNOB) {
        return Ok(());
    }
    for name in ["g1", "parallel", "serial"] {
        properties.insert(KNOB.to_owned(), name.to_owned());
        let settings = settings(log, properties)?;
        let plan =
            cluster::plan(&cluster::PlanInput { settings: &settings, hosts: &[], yarn: None, python: false });
        let processes = Processes::new(&plan, &settings, &[]);
        let computed = processes.ok().and_then(|p| p.executors.first().map(ExecutorSetup::max_on_heap));
        if registered.is_none() || computed == registered {
            return Ok(());
        }
    }
    // None fits: the heap is not what the properties say, or the JVM is tuned. G1 is what most machines run.
    properties.insert(KNOB.to_owned(), "g1".to_owned());
    Ok(())
}

/// Where executors died of SIGKILL though no cluster manager's properties tell a limit, somebody held them to one: that of
/// a container for this heap (PROC-1). True when such a limit was added.
pub(super) fn limit_containers(
    log: &AppLog,
    settings: &Settings,
    properties: &mut BTreeMap<String, String>,
) -> bool {
    const KNOB: &str = "spillcast.containerLimit";
    let killed =
        log.executors.iter().any(|e| e.removed_reason.as_deref().is_some_and(|r| r.contains("code 137")));
    if !killed || settings.master.has_containers() || properties.contains_key(KNOB) {
        return false;
    }
    let limit = cluster::container::executor_container(settings, true).total_bytes();
    properties.insert(KNOB.to_owned(), limit.to_string());
    true
}

/// The settings that the application ran under.
pub(super) fn settings(
    log: &AppLog,
    properties: &BTreeMap<String, String>,
) -> Result<Settings, EventLogError> {
    let version = SparkVersion::parse(&log.spark_version).unwrap_or(SparkVersion::DEFAULT);
    let mut conf = SparkConf::new(version);
    for (key, value) in properties {
        conf.set(key, value, Origin::EventLog);
    }
    Settings::resolve(&conf).map_err(|errors| EventLogError::Configuration {
        faults: errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })
}

/// The processes of the observed run.
fn cluster(settings: &Settings) -> cluster::ClusterPlan {
    cluster::plan(&cluster::PlanInput { settings, hosts: &[], yarn: None, python: false })
}

/// Default parallelism of the observed run.
pub(super) fn default_parallelism(settings: &Settings) -> u32 {
    cluster(settings).default_parallelism(settings)
}

/// Tasks that the executors of the observed run have room for at once, whatever its default parallelism; at least 1.
pub(super) fn task_slots(settings: &Settings) -> u32 {
    let cpus = settings.task.cpus.max(1);
    cluster(settings).executors.iter().map(|executor| executor.cores / cpus).sum::<u32>().max(1)
}

/// Bytes of a page of the observed run's executors (PAGE-1).
pub(super) fn page_bytes(settings: &Settings) -> u64 {
    let processes = Processes::new(&cluster(settings), settings, &[]);
    processes.ok().and_then(|p| p.executors.first().map(|e| e.page_size)).unwrap_or(MIB)
}

/// Costs as far as this log tells them; the rest are fitted or defaults.
pub(super) fn rates(runs: &[StageRun<'_>], calibration: &Calibration) -> Rates {
    let mut rates = Rates {
        disk_bytes_per_s: PAGE_CACHE_BYTES_PER_S,
        shuffle_file_ns: calibration.shuffle_file_ns,
        executor_warm_up_ns: calibration.executor_warm_up_ns,
        executor_compile_ns: calibration.executor_compile_ns,
        executor_launch_ns: calibration.executor_launch_ns,
        stage_launch_ns: calibration.stage_launch_ns,
        task_fixed_ns: calibration.task_fixed_ns,
        ..Rates::default()
    };
    let (mut memory, mut disk) = (0u64, 0u64);
    for metrics in runs.iter().flat_map(StageRun::metrics).flatten() {
        memory += metrics.totals.memory_bytes_spilled;
        disk += metrics.totals.disk_bytes_spilled;
    }
    let mut launches: Vec<u64> = runs
        .iter()
        .flat_map(|run| run.tasks.iter().flatten())
        .filter_map(|task| {
            let run_ms = task.metrics.as_ref()?.totals.run_ms;
            Some(task.finish_ms.saturating_sub(task.launch_ms).saturating_sub(run_ms) * 1_000_000)
        })
        .collect();
    launches.sort_unstable();
    // The lower quarter: what a task of a warm JVM needs.
    if let Some(&warm) = launches.get(launches.len() / 4) {
        rates.task_launch_ns = warm;
    }
    if memory > 0 && disk > 0 {
        rates.spill_compression = disk as f64 / memory as f64;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_whatever_the_default_parallelism() {
        let slots = |properties: &[(&str, &str)]| {
            let mut conf = SparkConf::new(SparkVersion::DEFAULT);
            for (key, value) in properties {
                conf.set(key, value, Origin::EventLog);
            }
            task_slots(&Settings::resolve(&conf).unwrap())
        };
        let parallelism = ("spark.default.parallelism", "2");
        assert_eq!(slots(&[("spark.master", "local[6]"), parallelism]), 6);
        let cluster = ("spark.master", "local-cluster[3,4,1024]");
        assert_eq!(slots(&[cluster, parallelism, ("spark.task.cpus", "2")]), 6);
    }
}
