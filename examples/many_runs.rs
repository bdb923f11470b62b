//! Runs the benches' job of 1,000 tasks under many configurations, as a sweep does, so that its time and memory can be seen
//! from outside (`/usr/bin/time -v target/release/examples/many_runs 1000`). Arguments: how many; they differ in executor
//! memory, from 700 MiB, where all reduce tasks spill, to 2 GiB, where none does.
#![allow(clippy::print_stdout, reason = "the example shows what it found")]

#[path = "../benches/large_job/mod.rs"]
mod large_job;

use spillcast::sim::{SimOptions, simulate};
use spillcast::units::{HumanBytes, HumanDuration, SimDuration};

const SIZE: large_job::Size = large_job::Size { stage_tasks: 500, executors: 10, joins: true };

fn main() {
    let runs: u64 = std::env::args().nth(1).map_or(100, |runs| runs.parse().expect("a number of runs"));
    let workload = large_job::workload(SIZE);
    let (mut wall_ns, mut spilled, mut failed) = (0, 0, 0);
    for run in 0..runs {
        let heap = 700 + run * (2048 - 700) / runs;
        let settings = large_job::settings(SIZE, &format!("{heap}m"));
        let processes = large_job::processes(&settings, workload.python);
        let record = simulate(&workload, &settings, &processes, SimOptions { seed: 1, details: false });
        wall_ns += record.wall_ns;
        spilled += record.totals.disk_bytes_spilled;
        failed += u64::from(!record.reason.is_empty());
    }
    println!(
        "{runs} runs of {} tasks, {failed} failed: {} of simulated time, {} spilled to disk",
        2 * SIZE.stage_tasks,
        HumanDuration(SimDuration(wall_ns)),
        HumanBytes(spilled),
    );
}
