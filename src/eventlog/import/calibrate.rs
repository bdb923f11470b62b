//! Fits what is calibrated to the log itself: the workload is run under the configuration of its own log, and the time of
//! each stage's own work and the bytes it allocates are scaled until run time and collection time come out as observed.
//!
//! Only amounts are scaled, one factor a stage; how they act under other configurations (collection as the heap fills,
//! spills, waiting) stays the mechanism's.

use super::stages::StageRun;
use crate::cluster;
use crate::conf::Settings;
use crate::eventlog::app_log::TaskMetrics;
use crate::record::RunRecord;
use crate::sim::{Processes, SimOptions, simulate};
use crate::units::{HumanBytes, HumanDuration, SimDuration};
use crate::workload::Workload;

/// Runs of the workload; each takes away most of the error that is left.
const ROUNDS: usize = 4;
/// Bounds of one round's factor, so that a stage of a few milliseconds cannot run away.
const FACTOR_RANGE: (f64, f64) = (0.1, 10.0);

/// Scales times and allocation of each stage to what its tasks report, and says what is left between the two.
pub(super) fn calibrate(workload: &mut Workload, settings: &Settings, runs: &[StageRun<'_>]) -> Vec<String> {
    let input = cluster::PlanInput { settings, hosts: &[], yarn: None, python: workload.python };
    let plan = cluster::plan(&input);
    let Ok(processes) = Processes::new(&plan, settings, &[]) else { return Vec::new() };
    for _ in 0..ROUNDS {
        let record = simulate(workload, settings, &processes, SimOptions { seed: 1, details: false });
        let disk: u64 =
            runs.iter().flat_map(StageRun::metrics).flatten().map(|m| m.totals.disk_bytes_spilled).sum();
        if disk > 0 && record.totals.disk_bytes_spilled > 0 {
            workload.rates.spill_compression *= disk as f64 / record.totals.disk_bytes_spilled as f64;
        }
        for (at, run) in runs.iter().enumerate() {
            let id = run.record.stage_id;
            let Some(stage) = record.stages.iter().rev().find(|stage| stage.stage_id == id) else { continue };
            let tasks = run.metrics().flatten().count() as u64;
            if stage.metrics.tasks != tasks || stage.metrics.failed_tasks > 0 || !run.failed.is_empty() {
                continue;
            }
            let observed = |value: fn(&crate::eventlog::app_log::TaskMetrics) -> u64| {
                run.metrics().flatten().map(value).sum::<u64>() as f64 * 1e6
            };
            let run_ns = observed(|m| m.totals.run_ms);
            let gc_ns = observed(|m| m.totals.gc_ms);
            let simulated_gc = stage.metrics.jvm_gc_time_ns.unwrap_or(0) as f64;
            let simulated_run = stage.metrics.executor_run_time_ns as f64 - simulated_gc;
            let stage = &mut workload.stages[at];
            if simulated_run > 0.0 {
                let factor = ((run_ns - gc_ns) / simulated_run).clamp(FACTOR_RANGE.0, FACTOR_RANGE.1);
                for operator in &mut stage.operators {
                    operator.cpu_ns.scale(factor);
                }
            }
            if simulated_gc > 0.0 {
                let factor = (gc_ns / simulated_gc).clamp(FACTOR_RANGE.0, FACTOR_RANGE.1);
                stage.allocated_bytes.scale(factor);
            }
        }
    }
    let record = simulate(workload, settings, &processes, SimOptions { seed: 1, details: false });
    against_the_log(&record, runs)
}

/// Total after total, as simulated under the log's own configuration and as the log has it.
fn against_the_log(record: &RunRecord, runs: &[StageRun<'_>]) -> Vec<String> {
    let observed =
        |value: fn(&TaskMetrics) -> u64| runs.iter().flat_map(StageRun::metrics).flatten().map(value);
    let bytes = |name: &str, simulated: u64, logged: u64| {
        format!("{name} {} against {} in the log", HumanBytes(simulated), HumanBytes(logged))
    };
    let time = |name: &str, simulated_ns: u64, logged_ms: u64| {
        let (simulated, logged) = (SimDuration(simulated_ns), SimDuration::from_ms(logged_ms));
        format!("{name} {} against {}", HumanDuration(simulated), HumanDuration(logged))
    };
    let totals = &record.totals;
    vec![
        bytes(
            "memory spilled",
            totals.memory_bytes_spilled,
            observed(|m| m.totals.memory_bytes_spilled).sum(),
        ),
        bytes(
            "largest peak execution memory",
            totals.peak_execution_memory_max,
            observed(|m| m.totals.peak_execution_memory).max().unwrap_or(0),
        ),
        time("task time", totals.executor_run_time_ns, observed(|m| m.totals.run_ms).sum()),
        time("garbage collection", totals.jvm_gc_time_ns.unwrap_or(0), observed(|m| m.totals.gc_ms).sum()),
    ]
}
