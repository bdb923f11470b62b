//! Replications: the same application with other draws.
//!
//! A replication differs from another by its seed alone, and under one seed every configuration sees the same draws
//! (common random numbers), so that two configurations are compared on the same data. What is drawn: sizes and keys of a
//! short scenario, all of them; of an observed workload only which partition its keys fall into under another number of
//! partitions than the observed one, since nothing else about it is unknown; and the order in which executors are offered.

use crate::rng::mix;
use crate::scenario;
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
