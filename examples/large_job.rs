//! Runs the benches' job of 100,000 tasks once, so that its time and memory can be seen from outside
//! (`/usr/bin/time -v target/release/examples/large_job 900m details`). Arguments: executor memory, and `details` to keep
//! every task, event and point of the time line.
#![allow(clippy::print_stdout, reason = "the example shows what it found")]

#[path = "../benches/large_job/mod.rs"]
mod large_job;

use spillcast::sim::{SimOptions, simulate};
use spillcast::units::{HumanBytes, HumanDuration, SimDuration};

const SIZE: large_job::Size = large_job::Size { stage_tasks: 50_000, executors: 50, joins: false };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let executor_memory = arguments.first().map_or("1300m", String::as_str);
    let details = arguments.iter().any(|argument| argument == "details");
    let workload = large_job::workload(SIZE);
    let settings = large_job::settings(SIZE, executor_memory);
    let processes = large_job::processes(&settings, workload.python);
    let record = simulate(&workload, &settings, &processes, SimOptions { seed: 1, details });
    println!(
        "{} of {} tasks in {} of simulated time, {} spilled to disk; {} engine events, {} memory events, {} points of the \
         time line",
        record.totals.tasks,
        2 * SIZE.stage_tasks,
        HumanDuration(SimDuration(record.wall_ns)),
        HumanBytes(record.totals.disk_bytes_spilled),
        record.engine_events,
        record.events.len(),
        record.timeline.iter().count(),
    );
}
