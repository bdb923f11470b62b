//! What a log cannot tell, as inputs that may be somewhat other than import took them, each with its error. A range comes
//! from running the application with one of them changed at a time.
//!
//! Left out: that the model itself is wrong. What shows of that is the error of the log's own replay, which
//! [`super::ranges`] adds.

use super::reseed;
use crate::workload::{OperatorKind, PerTask, Workload};

/// An input that is not exactly known.
#[derive(Clone, Copy)]
pub struct Uncertain {
    /// What it is, in words for the report.
    pub what: &'static str,
    /// Factors on the import's value: lowest and highest.
    pub factors: [f64; 2],
    /// Sets the input to so many times its value.
    apply: fn(&mut Workload, f64),
}

/// The inputs. Sources of the errors:
///
/// * rows: import sizes rows that no metric counts by their columns, 24 bytes for a text; most texts have 10 to 40.
/// * plain heap: what Spark does not count is measured for executors at rest only, 60 MiB with 20 MiB more or less;
///   rows held as objects take two to five times their serialized size (`datasets`).
/// * spill files: sizes predicted from the shuffle files of runs that did not spill were within 0.75 and 1.3 of the real ones.
/// * processor time: of real runs predicted from others that had as many cores and partitions, nine of ten took 0.7 to 1.35
///   times the predicted time, the noise of both runs included; that of three runs of one configuration is up to 27 %.
/// * garbage: `host::gc` fits G1 within 28 % for nine of ten measurements, Parallel within 57 %.
/// * spilling: 2.4 to 4.2 ns a byte (`workload::Rates`).
/// * starts of tasks and warm-up of processes: half to twice the median, warm and cold tasks of one log.
/// * which task is ahead: tasks of one stage differ by 10 % for reasons that no log tells, and who asks for memory first gets
///   it.
pub const INPUTS: [Uncertain; 8] = [
    Uncertain { what: "sizes of rows and keys", factors: [0.9, 1.1], apply: rows },
    Uncertain { what: "heap that Spark does not count", factors: [0.7, 1.4], apply: plain_heap },
    Uncertain { what: SPILL_FILES, factors: [0.75, 1.3], apply: spill_files },
    Uncertain { what: "processor time of rows", factors: [0.8, 1.3], apply: processor },
    Uncertain { what: "garbage", factors: [0.7, 1.4], apply: garbage },
    Uncertain { what: "cost of spilling", factors: [0.6, 1.4], apply: spilling },
    Uncertain { what: "starting tasks and processes", factors: [0.5, 2.0], apply: starts },
    Uncertain { what: "which task is ahead", factors: [0.9, 1.1], apply: ahead },
];

const SPILL_FILES: &str = "compression of spill files";
/// Where the log shows spill files, those of another configuration hold the same rows in runs of another length, or the rows
/// of another plan: within 1 % in runs of one aggregation and of one sort, 20 % apart where joins were planned otherwise.
const SEEN_SPILL_FILES: [f64; 2] = [0.85, 1.2];

/// Where keys fall under another number of partitions.
pub const PLACES_OF_KEYS: &str = "where keys fall";

impl Uncertain {
    /// The factors for a log that `shows_spills`, or does not.
    pub fn factors_in(&self, shows_spills: bool) -> [f64; 2] {
        if shows_spills && self.what == SPILL_FILES { SEEN_SPILL_FILES } else { self.factors }
    }

    /// The application with this input changed.
    pub fn applied(&self, workload: &Workload, factor: f64) -> Workload {
        let mut changed = workload.clone();
        (self.apply)(&mut changed, factor);
        changed
    }
}

/// The application with its keys in other partitions than under `seed`.
pub fn keys_elsewhere(workload: &Workload, seed: u64) -> Workload {
    reseed(workload, seed, None, seed.wrapping_add(1))
}

/// The application with every input at one end.
pub fn all_at(workload: &Workload, end: usize) -> Workload {
    INPUTS.iter().fold(workload.clone(), |changed, input| input.applied(&changed, input.factors[end]))
}

fn times(value: &mut u64, factor: f64) {
    *value = (*value as f64 * factor).round() as u64;
}

/// Rows are words of 8 bytes.
fn words(value: &mut u64, factor: f64) {
    if *value > 0 {
        *value = ((*value as f64 * factor / 8.0).round() as u64).max(1) * 8;
    }
}

fn rows(workload: &mut Workload, factor: f64) {
    for shuffle in &mut workload.shuffles {
        words(&mut shuffle.record_bytes, factor);
    }
    for operator in workload.stages.iter_mut().flat_map(|stage| &mut stage.operators) {
        words(&mut operator.row_bytes, factor);
        match &mut operator.kind {
            OperatorKind::HashAggregate { key_value_bytes, .. } => words(key_value_bytes, factor),
            OperatorKind::ObjectHashAggregate { group_bytes, sorter_row_bytes, .. } => {
                words(group_bytes, factor);
                words(sorter_row_bytes, factor);
            }
            OperatorKind::ExternalAggregation { entry_bytes } => words(entry_bytes, factor),
            _ => {}
        }
    }
}

fn plain_heap(workload: &mut Workload, factor: f64) {
    times(&mut workload.rates.heap_base_bytes, factor);
    for operator in workload.stages.iter_mut().flat_map(|stage| &mut stage.operators) {
        operator.heap_bytes.scale(factor);
        if let OperatorKind::Python { worker_bytes } = &mut operator.kind {
            times(worker_bytes, factor);
        }
    }
}

fn spill_files(workload: &mut Workload, factor: f64) {
    workload.rates.spill_compression *= factor;
}

fn processor(workload: &mut Workload, factor: f64) {
    for operator in workload.stages.iter_mut().flat_map(|stage| &mut stage.operators) {
        operator.cpu_ns.scale(factor);
    }
    for dataset in &mut workload.datasets {
        dataset.compute_ns_per_byte *= factor;
    }
}

/// Every other task does more (or less) work.
fn ahead(workload: &mut Workload, factor: f64) {
    for operator in workload.stages.iter_mut().flat_map(|stage| &mut stage.operators) {
        if let PerTask::Each(values) = &mut operator.cpu_ns {
            values.iter_mut().step_by(2).for_each(|value| times(value, factor));
        }
    }
}

fn garbage(workload: &mut Workload, factor: f64) {
    for stage in &mut workload.stages {
        stage.allocated_bytes.scale(factor);
    }
}

fn spilling(workload: &mut Workload, factor: f64) {
    workload.rates.spill_write_ns_per_byte *= factor;
    workload.rates.spill_read_ns_per_byte *= factor;
}

fn starts(workload: &mut Workload, factor: f64) {
    times(&mut workload.rates.task_launch_ns, factor);
    times(&mut workload.rates.task_fixed_ns, factor);
    times(&mut workload.rates.executor_warm_up_ns, factor);
    times(&mut workload.rates.executor_compile_ns, factor);
    for stage in &mut workload.stages {
        times(&mut stage.warm_up_ns, factor);
        times(&mut stage.compile_ns, factor);
        stage.launch_ns.scale(factor);
    }
}
