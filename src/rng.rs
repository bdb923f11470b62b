//! Random streams. Nothing in the simulation shares a generator: every entity draws from its own stream, derived from
//! (seed, purpose, entity), so that changing one knob does not reshuffle the draws of all others
//! (common random numbers; Law, *Simulation Modeling and Analysis*, ch. 11.2).

use rand_pcg::Pcg64;

/// What a stream is for. Adding a purpose never changes the draws of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Key popularity and hot-key placement of a shuffle.
    Keys,
    /// Sizes of partitions, files and blocks.
    Sizes,
    /// Noise of task times.
    TaskTime,
    /// Order in which executors are offered (SCHED-2).
    Offers,
    /// Placement of replicas (BLOCK-8).
    Replication,
}

/// The stream of `entity` for `purpose` under `seed`.
pub fn stream(seed: u64, purpose: Purpose, entity: u64) -> Pcg64 {
    let state = mix(seed ^ mix(purpose as u64 + 1));
    let stream = mix(state ^ mix(entity.wrapping_add(0x9E37_79B9_7F4A_7C15)));
    Pcg64::new((u128::from(state) << 64) | u128::from(stream), u128::from(stream))
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): every input bit reaches every output bit.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, purpose, entity| stream(seed, purpose, entity).random::<u64>();
        assert_eq!(draw(1, Purpose::Keys, 7), draw(1, Purpose::Keys, 7));
        assert_ne!(draw(1, Purpose::Keys, 7), draw(1, Purpose::Keys, 8));
        assert_ne!(draw(1, Purpose::Keys, 7), draw(1, Purpose::Sizes, 7));
        assert_ne!(draw(1, Purpose::Keys, 7), draw(2, Purpose::Keys, 7));
    }
}
