//! How the pace of one application differs from run to run on one machine, where nothing else differs: the machine's mood
//! of the day, a stage's luck, and the short interruptions that hit one task and not another.
//!
//! Used by replications of an observed workload, which has no other luck; a single run has none of it. A run's factor is on
//! all that takes time, disks, networks and the driver included: the measurement is of whole task times and does not tell
//! them apart. A stage's and a task's are on processor work alone. Left out: spells that outlast a stage.
//!
//! Measured: repeated runs of one configuration among public logs (two machines of two cores, four applications, 25 to 438
//! tasks of 1 ms to 5 s; 20 runs in 8 groups, 12 degrees of freedom between runs). Factors are log-normal; of the
//! variance of the logarithm of task time, what all tasks of a run share is the run's, what all of a stage share beyond that
//! is the stage's, the rest the task's.

use rand_distr::{Distribution as _, StandardNormal};

use crate::rng::{Purpose, mix, stream};

/// Standard deviation of the logarithm of a run's pace: 0.130 by task time, 0.115 by processor time. With 12 degrees of
/// freedom the true value lies between 0.09 and 0.20.
const RUN: f64 = 0.12;
/// The same of a stage within its run: 0.117 by task time, 0.046 by processor time.
const STAGE: f64 = 0.07;
/// A task's variance falls with its length, as interruptions that come now and then make it: this over the length, s.
/// Deviations of 0.49, 0.48, 0.30, 0.22 and 0.09 were measured at 10 ms, 50 ms, 170 ms, 0.5 s and 2 s; the formula gives
/// 0.47, 0.39, 0.28, 0.19 and 0.10.
const INTERRUPTIONS_S: f64 = 0.02;
/// What is added to a task's length there, s: the shortest tasks do not vary without bound.
const SHORTEST_S: f64 = 0.08;

/// By what all that takes time is multiplied in the run of `seed`; 1 on average.
pub fn pace_of_run(seed: u64) -> f64 {
    factor(seed, 0, RUN)
}

/// By what all that takes time in a stage is multiplied on top of that; 1 on average.
pub fn pace_of_stage(seed: u64, stage_id: u32) -> f64 {
    factor(seed, mix(u64::from(stage_id) + 1), STAGE)
}

/// By what the processor time of a task of about `ns` is multiplied on top of both; 1 on average. The same task has the same
/// luck under every configuration.
pub(super) fn pace_of_task(seed: u64, stage_id: u32, index: u32, attempt: u32, ns: u64) -> f64 {
    let task = mix(mix(u64::from(stage_id) + 1) ^ (u64::from(index) << 32 | u64::from(attempt)));
    factor(seed, task, (INTERRUPTIONS_S / (ns as f64 / 1e9 + SHORTEST_S)).sqrt())
}

fn factor(seed: u64, entity: u64, deviation: f64) -> f64 {
    let normal: f64 = StandardNormal.sample(&mut stream(seed, Purpose::TaskTime, entity));
    (deviation * normal - deviation * deviation / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values: Vec<f64> = values.collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (mean, (squares / values.len() as f64).sqrt())
    }

    #[test]
    fn factors_are_one_on_average_and_spread_as_measured() {
        for (mean, deviation, wanted) in [
            (mean_and_deviation((0..4_000).map(pace_of_run)), RUN),
            (mean_and_deviation((0..4_000).map(|seed| pace_of_stage(seed, 3))), STAGE),
        ]
        .map(|(found, wanted)| (found.0, found.1, wanted))
        {
            assert!((mean - 1.0).abs() < 0.01 && (deviation - wanted).abs() < 0.01, "{mean} {deviation}");
        }
        for (ns, measured) in [
            (10_000_000, 0.49),
            (50_000_000, 0.48),
            (170_000_000, 0.30),
            (500_000_000, 0.22),
            (2_000_000_000, 0.09),
        ] {
            let tasks = || (0..4_000).map(|task| pace_of_task(1, 3, task, 0, ns));
            let mean = mean_and_deviation(tasks()).0;
            let deviation = mean_and_deviation(tasks().map(f64::ln)).1;
            assert!((mean - 1.0).abs() < 0.03, "{mean}");
            assert!((deviation / measured - 1.0).abs() < 0.25, "{deviation} at {ns} ns, measured {measured}");
        }
    }

    #[test]
    fn a_task_has_its_own_luck_and_keeps_it() {
        let luck =
            |seed, stage, index, attempt| pace_of_task(seed, stage, index, attempt, 1_000_000).to_bits();
        let one = luck(1, 2, 3, 0);
        assert_eq!(one, luck(1, 2, 3, 0));
        for other in [luck(2, 2, 3, 0), luck(1, 3, 3, 0), luck(1, 2, 4, 0), luck(1, 2, 3, 1)] {
            assert_ne!(one, other);
        }
    }
}
