//! Replications: the same application with other draws.
//!
//! A replication differs from another by its seed alone, and under one seed every configuration sees the same draws
//! (common random numbers), so that two configurations are compared on the same data. What is drawn: sizes and keys of a
//! short scenario, all of them; of an observed workload only which partition its keys fall into under another number of
//! partitions than the observed one, and, in studies of several replications, the pace of runs, stages and tasks, which
//! differs between real runs of one configuration ([`crate::sim`] says by how much); and the order in which executors are
//! offered.

use crate::rng::mix;
use crate::scenario;
use crate::sim::{pace_of_run, pace_of_stage};
use crate::workload::Workload;

/// `workload` with the draws of `seed` instead of those of `own`, the seed that it was made with. `text` is the scenario
/// that it was read from; `None` for a log.
pub fn reseed(workload: &Workload, own: u64, text: Option<&str>, seed: u64) -> Workload {
    if seed == own {
        return workload.clone();
    }
    if let Some(mut drawn) = text.and_then(|text| scenario::drawn_with(text, &workload.name, seed)) {
        drawn.name.clone_from(&workload.name);
        return drawn;
    }
    let mut workload = workload.clone();
    for shuffle in &mut workload.shuffles {
        // Datasets joined on one key share a salt, and still do.
        shuffle.keys.salt = mix(shuffle.keys.salt ^ mix(seed)) >> 1;
    }
    workload
}

/// Gives the run and each stage the pace of `seed`: all that takes time takes so much more or less. What single tasks meet on
/// top of it is the simulation's.
pub(super) fn at_pace_of(workload: &mut Workload, seed: u64) {
    let run = pace_of_run(seed);
    let times = |value: &mut u64, factor: f64| *value = (*value as f64 * factor).round() as u64;
    let rates = &mut workload.rates;
    for each in [
        &mut rates.scheduler_delay_ns,
        &mut rates.task_launch_ns,
        &mut rates.task_fixed_ns,
        &mut rates.shuffle_file_ns,
        &mut rates.executor_warm_up_ns,
        &mut rates.executor_compile_ns,
        &mut rates.executor_launch_ns,
        &mut rates.stage_launch_ns,
        &mut rates.executor_start_ns,
    ] {
        times(each, run);
    }
    for each in [
        &mut rates.spill_write_ns_per_byte,
        &mut rates.spill_read_ns_per_byte,
        &mut rates.cached_read_ns_per_byte,
        &mut rates.serialize_ns_per_byte,
        &mut rates.page_ns_per_byte,
    ] {
        *each *= run;
    }
    rates.disk_bytes_per_s /= run;
    rates.network_bytes_per_s /= run;
    for dataset in &mut workload.datasets {
        dataset.compute_ns_per_byte *= run;
    }
    for broadcast in &mut workload.broadcasts {
        times(&mut broadcast.build_ns, run);
    }
    for stage in &mut workload.stages {
        let factor = run * pace_of_stage(seed, stage.id);
        stage.launch_ns.scale(factor);
        times(&mut stage.warm_up_ns, factor);
        times(&mut stage.compile_ns, factor);
        for operator in &mut stage.operators {
            operator.cpu_ns.scale(factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Distribution, Keys, Shuffle, ShufflePartitions};

    const TEXT: &str = "name = \"x\"\n[[table]]\nname = \"t\"\nrows = 1000\nrow_bytes = 16\npartitions = 4\n\
        [[query]]\nname = \"q\"\nfrom = \"t\"\n\
        steps = [{ op = \"aggregate\", groups = 100, keys = { hot = [0.3] } }, { op = \"collect\" }]\n";

    fn salts(workload: &Workload) -> Vec<u64> {
        workload.shuffles.iter().map(|shuffle| shuffle.keys.salt).collect()
    }

    #[test]
    fn a_scenario_is_drawn_again_and_its_own_seed_changes_nothing() {
        let (scenario, _) = scenario::parse(TEXT, "x.toml");
        let workload = scenario.expect("is whole").workload;
        assert_eq!(reseed(&workload, 1, Some(TEXT), 1), workload);
        let other = reseed(&workload, 1, Some(TEXT), 2);
        assert_ne!(salts(&other), salts(&workload));
        assert_eq!(other, reseed(&workload, 1, Some(TEXT), 2));
    }

    #[test]
    fn a_run_and_each_stage_have_a_pace_of_their_own() {
        let (scenario, _) = scenario::parse(TEXT, "x.toml");
        let drawn = scenario.expect("is whole").workload;
        let mut paced = drawn.clone();
        at_pace_of(&mut paced, 5);
        let run = pace_of_run(5);
        assert_eq!(paced.rates.spill_write_ns_per_byte, drawn.rates.spill_write_ns_per_byte * run);
        assert_eq!(paced.rates.disk_bytes_per_s, drawn.rates.disk_bytes_per_s / run);
        for (stage, before) in paced.stages.iter().zip(&drawn.stages) {
            let work = |stage: &crate::workload::Stage| -> f64 {
                stage.operators.iter().map(|operator| operator.cpu_ns.total() as f64).sum()
            };
            let factor = run * pace_of_stage(5, stage.id);
            assert!((work(stage) / work(before) / factor - 1.0).abs() < 1e-3, "stage {}", stage.id);
            assert_eq!(stage.operators[0].rows, before.operators[0].rows, "data stays");
        }
    }

    #[test]
    fn keys_of_a_log_fall_elsewhere_and_joined_ones_together() {
        let shuffle = Shuffle {
            partitions: ShufflePartitions::Conf,
            distribution: Distribution::Hash,
            keys: Keys { salt: 7, observed: vec![0.5, 0.5], ..Keys::default() },
            ..reference()
        };
        let workload = Workload { shuffles: vec![shuffle.clone(), shuffle], ..Workload::default() };
        let other = reseed(&workload, 1, None, 2);
        assert_ne!(salts(&other)[0], 7);
        assert_eq!(salts(&other)[0], salts(&other)[1]);
        assert_eq!(other.shuffles[0].keys.observed, [0.5, 0.5], "what was observed stays");
    }

    fn reference() -> Shuffle {
        let (scenario, _) = scenario::parse(TEXT, "x.toml");
        scenario.expect("is whole").workload.shuffles[0].clone()
    }
}
