//! Skew. It belongs to keys, not to partitions: the same keys are hashed again when the number of partitions changes,
//! so that one heavy key stays one heavy partition however many there are.

use crate::rng::mix;

/// Popularity of the keys of a shuffle: some hot keys by name, the rest smooth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    /// Share of all rows of each hot key, descending; sums to at most 1.
    pub hot: Vec<f64>,
    /// Number of distinct keys, hot ones included; 0: unknown, taken as many.
    pub distinct: u64,
    /// Decides which partition each key falls into; two datasets joined on the same key share it.
    pub salt: u64,
    /// Shares of the partitions as observed under their number; used as they are under that very number.
    pub observed: Vec<f64>,
}

impl Keys {
    /// Share of all rows that falls into each of `partitions` when keys are hashed.
    pub fn shares(&self, partitions: usize) -> Vec<f64> {
        if self.observed.len() == partitions && partitions > 0 {
            return self.observed.clone();
        }
        let mut shares = self.smooth(partitions);
        let rest = (1.0 - self.hot.iter().sum::<f64>()).max(0.0);
        for share in &mut shares {
            *share *= rest;
        }
        for (key, share) in self.hot.iter().enumerate() {
            shares[self.home(key as u64, partitions)] += share;
        }
        shares
    }

    /// Share of the distinct keys that falls into each of `partitions`.
    pub fn distinct_shares(&self, partitions: usize) -> Vec<f64> {
        if self.hot.is_empty() && self.observed.len() == partitions && partitions > 0 {
            return self.observed.clone();
        }
        self.smooth(partitions)
    }

    /// The partition that key number `key` hashes to.
    pub fn home(&self, key: u64, partitions: usize) -> usize {
        (mix(mix(self.salt) ^ key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) % partitions.max(1) as u64) as usize
    }

    /// Shares of the keys that are not hot. Few keys fall unevenly (each is hashed); many are even.
    fn smooth(&self, partitions: usize) -> Vec<f64> {
        let rest = self.distinct.saturating_sub(self.hot.len() as u64);
        // Beyond this many keys a partition the unevenness of hashing is under 3 % and costs more than it tells.
        let even = rest == 0 || rest > 1_000 * partitions as u64;
        if even {
            return vec![1.0 / partitions.max(1) as f64; partitions];
        }
        let mut counts = vec![0u64; partitions];
        for key in 0..rest {
            counts[self.home(self.hot.len() as u64 + key, partitions)] += 1;
        }
        counts.into_iter().map(|count| count as f64 / rest as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_key_stays_whole_under_any_partitioning() {
        let keys = Keys { hot: vec![0.3], distinct: 1_000_000, salt: 5, observed: Vec::new() };
        for partitions in [1, 8, 200, 2_000] {
            let shares = keys.shares(partitions);
            let largest = shares.iter().copied().fold(0.0, f64::max);
            assert!(largest >= 0.3 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{partitions}");
        }
    }

    #[test]
    fn few_keys_leave_partitions_empty() {
        let keys = Keys { distinct: 10, ..Keys::default() };
        assert!(keys.shares(64).iter().filter(|share| **share > 0.0).count() <= 10);
    }
}
