//! Why one run takes longer than another, in words: how it ended, then where task time went that did not go there in the
//! other one.

use crate::record::{Outcome, RunRecord};
use crate::units::{HumanBytes, HumanDuration, SimDuration};

/// Causes that an explanation names at most.
const NAMED: usize = 3;
/// Share of the largest difference below which another one is not worth a word.
const WORTH_NAMING: f64 = 0.1;

/// What `second` has that `first` has not, the dearest first; empty where nothing of note differs.
pub fn explain(first: &RunRecord, second: &RunRecord) -> Vec<String> {
    match (first.outcome, second.outcome) {
        (Outcome::Ok, Outcome::Ok) => {}
        (_, Outcome::Ok) => return vec![format!("it ends well, where the other fails ({})", ending(first))],
        (Outcome::Ok, _) => return vec![format!("it fails: {}", ending(second))],
        (a, b) if a == b => {}
        _ => return vec![format!("it fails in another way: {}, not {}", ending(second), ending(first))],
    }
    let mut found: Vec<(i128, String)> = Vec::new();
    let lost = |run: &RunRecord, kind: &str| -> u64 {
        run.causes.iter().filter(|cause| cause.kind == kind).map(|cause| cause.lost_ns).sum()
    };
    let mut kinds: Vec<&str> = Vec::new();
    for cause in first.causes.iter().chain(&second.causes) {
        if !kinds.contains(&cause.kind) {
            kinds.push(cause.kind);
        }
    }
    for kind in kinds {
        let (a, b) = (lost(first, kind), lost(second, kind));
        found.push((i128::from(b) - i128::from(a), format!("{kind}{}", detail(kind, first, second))));
    }
    let work = |run: &RunRecord| {
        let known: u64 =
            run.causes.iter().filter(|cause| cause.kind != "skew").map(|cause| cause.lost_ns).sum();
        let held: u64 = run.totals.executor_run_time_ns + lost(run, "task overhead");
        held.saturating_sub(known)
    };
    found.push((
        i128::from(work(second)) - i128::from(work(first)),
        "computing, shuffling, and waiting for processors and disks".to_owned(),
    ));
    found.sort_by(|a, b| b.0.abs().cmp(&a.0.abs()).then(a.1.cmp(&b.1)));
    let largest = found.first().map_or(0, |found| found.0.abs()) as f64;
    // Below a thousandth of all task time nothing is worth a word.
    let least = (largest * WORTH_NAMING).max(first.totals.executor_run_time_ns as f64 / 1e3).max(1.0);
    let mut words: Vec<String> = found
        .iter()
        .filter(|(difference, _)| difference.unsigned_abs() as f64 >= least)
        .take(NAMED)
        .map(|(difference, what)| {
            let time =
                HumanDuration(SimDuration(u64::try_from(difference.unsigned_abs()).unwrap_or(u64::MAX)));
            format!("{time} {} task time: {what}", if *difference > 0 { "more" } else { "less" })
        })
        .collect();
    if words.is_empty() && first.wall_ns != second.wall_ns {
        words.push("the same task time, packed otherwise: tasks end at other moments".to_owned());
    }
    words
}

fn ending(run: &RunRecord) -> String {
    match root_cause(&run.reason) {
        "" => run.outcome.as_str().to_owned(),
        cause => format!("{}: {cause}", run.outcome.as_str()),
    }
}

/// What a failure comes down to: Spark wraps it into the abort of the job, the last of four lost tasks, and their executor.
pub fn root_cause(reason: &str) -> &str {
    let inner = reason.rsplit_once(" Reason: ").map_or(reason, |(_, inner)| inner);
    match inner.split_once("most recent failure: Lost task ").and_then(|(_, task)| task.split_once("): ")) {
        Some((_, inner)) => inner,
        None => inner,
    }
}

/// The amounts behind a kind of cause.
fn detail(kind: &str, first: &RunRecord, second: &RunRecord) -> String {
    let bytes = |number: u64| HumanBytes(number).to_string();
    let (a, b) = (&first.totals, &second.totals);
    match kind {
        "spill" => {
            let (a, b) = (a.memory_bytes_spilled, b.memory_bytes_spilled);
            format!(" ({} spilled, not {})", bytes(b), bytes(a))
        }
        "task overhead" => format!(" ({} tasks, not {})", b.tasks, a.tasks),
        "recomputation" => {
            format!(
                " ({} blocks, not {})",
                b.blocks_recomputed.unwrap_or(0),
                a.blocks_recomputed.unwrap_or(0)
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Cause;

    fn run(wall: u64, causes: &[(&'static str, u64)]) -> RunRecord {
        let mut run = RunRecord { wall_ns: wall, ..RunRecord::default() };
        run.causes = causes
            .iter()
            .map(|(kind, lost_ns)| Cause { kind, lost_ns: *lost_ns, text: String::new() })
            .collect();
        // 100 s of work beside what was lost.
        run.totals.executor_run_time_ns = 100_000_000_000 + causes.iter().map(|(_, lost)| lost).sum::<u64>();
        run
    }

    #[test]
    fn the_dearest_difference_comes_first_and_small_ones_are_left_out() {
        let slow = run(2, &[("spill", 20_000_000_000), ("garbage collection", 9_000_000_000)]);
        let fast = run(1, &[("garbage collection", 8_900_000_000)]);
        let words = explain(&fast, &slow);
        assert!(words[0].contains("20.0 s more task time: spill"), "{words:?}");
        assert!(words.iter().all(|text| !text.contains("garbage")), "{words:?}");
        assert!(explain(&slow, &fast)[0].contains("20.0 s less task time"));
        assert!(explain(&fast, &fast).is_empty());
    }

    #[test]
    fn a_failure_says_it_all() {
        let mut failed = run(1, &[]);
        failed.outcome = Outcome::HeapOom;
        failed.reason = "Java heap space".to_owned();
        assert_eq!(explain(&run(1, &[]), &failed), ["it fails: heap_oom: Java heap space"]);
        assert_eq!(
            explain(&failed, &run(1, &[])),
            ["it ends well, where the other fails (heap_oom: Java heap space)"]
        );
        assert_eq!(explain(&failed, &failed), Vec::<String>::new());
        let task = "Job aborted due to stage failure: Task 3 in stage 2.0 failed 4 times, most recent failure: \
                    Lost task 3.3 in stage 2.0 (TID 52) (executor 6): ";
        let executor = "ExecutorLostFailure (executor 6 exited caused by one of the running tasks) Reason: ";
        let killed = "Container killed by YARN for exceeding physical memory limits. 1.3 GB of 1 GB used.";
        assert_eq!(root_cause(&[task, executor, killed].concat()), killed);
        assert_eq!(root_cause(&format!("{task}java.lang.OutOfMemoryError")), "java.lang.OutOfMemoryError");
        assert_eq!(root_cause("Java heap space"), "Java heap space");
    }
}
