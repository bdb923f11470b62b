//! The memory of a host among its processes: who is in memory, who is in swap, and how much that slows each down.
//!
//! Every process is a few sets of pages with the touches that it would make at full speed. Faults slow it down, so it
//! touches less, so it keeps less: the balance of the two is found by turns. A fault waits for the device while other
//! processes' faults are there. Left out: the way to the balance, NUMA, huge pages, readahead of mapped files.

use super::residency::{PageSet, Pattern, Residency, residency};
use super::swap::SwapDevice;

/// A process with its pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Its pages by use, with the touches it makes while nothing is missing.
    pub sets: Vec<PageSet>,
    /// Threads that touch them at the same time.
    pub threads: f64,
}

/// How a process fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Pages in memory.
    pub resident_pages: f64,
    /// Pages in swap.
    pub swapped_pages: f64,
    /// Pages that it reads back a second.
    pub page_ins_per_s: f64,
    /// Time that it takes for work that takes 1 while nothing is missing.
    pub slowdown: f64,
    /// Share of the touches of each set that miss, in the order of the sets.
    pub miss_shares: Vec<f64>,
}

/// Everybody's share, and what a fault costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balance {
    /// By process.
    pub shares: Vec<Share>,
    /// A random fault waits so long, us.
    pub page_in_us: f64,
}

/// Share of pages that must be written before their place is free. Measured between 0.5 (walks that write every second page)
/// and 1 (random touches, a heap): the upper end, since heaps are most of what is swapped here.
const DIRTY_SHARE: f64 = 1.0;

/// Turns after which nothing moves any more (tested).
const TURNS: usize = 24;

/// The balance of `processes` in `memory_pages`, their swapped pages on `device`.
pub fn balance(processes: &[Process], memory_pages: f64, device: SwapDevice) -> Balance {
    let mut slow = vec![1.0_f64; processes.len()];
    let mut found = residencies(processes, &slow, memory_pages);
    let alone_us = device.page_in_us(Pattern::Random, DIRTY_SHARE);
    let mut random_us = alone_us;
    for _ in 0..TURNS {
        // Threads that stand before the device at a time.
        let waiting: f64 = processes.iter().zip(&slow).map(|(p, slow)| p.threads * (1.0 - 1.0 / slow)).sum();
        let mut next = slow.clone();
        for (at, process) in processes.iter().enumerate() {
            let own = 1.0 - 1.0 / slow[at];
            let others = (waiting - own).max(0.0);
            let stall: f64 = process
                .sets
                .iter()
                .zip(&found[at])
                .map(|(set, found)| {
                    let wait =
                        device.page_in_us(set.pattern, DIRTY_SHARE) + device.serial_us(set.pattern) * others;
                    set.pages * set.touches_per_s * found.miss_share * wait / 1e6
                })
                .sum();
            // Half a turn at a time, or the two would chase each other.
            next[at] = f64::sqrt(slow[at] * (1.0 + stall / process.threads.max(1e-3)));
        }
        slow = next;
        random_us = alone_us + device.serial_us(Pattern::Random) * (waiting - 1.0).max(0.0);
        found = residencies(processes, &slow, memory_pages);
    }
    let shares =
        processes.iter().zip(&slow).zip(&found).map(|((process, slow), found)| share(process, *slow, found));
    Balance { shares: shares.collect(), page_in_us: random_us }
}

fn residencies(processes: &[Process], slow: &[f64], memory_pages: f64) -> Vec<Vec<Residency>> {
    let slowed = |(process, slow): (&Process, &f64)| {
        let slow = *slow;
        process
            .sets
            .iter()
            .map(move |set| PageSet { touches_per_s: set.touches_per_s / slow, ..*set })
            .collect::<Vec<_>>()
    };
    let sets: Vec<PageSet> = processes.iter().zip(slow).flat_map(slowed).collect();
    let mut found = residency(&sets, memory_pages).into_iter();
    processes.iter().map(|process| found.by_ref().take(process.sets.len()).collect()).collect()
}

fn share(process: &Process, slowdown: f64, found: &[Residency]) -> Share {
    let resident: f64 = found.iter().map(|found| found.resident).sum();
    let pages: f64 = process.sets.iter().map(|set| set.pages).sum();
    let missed = |(set, found): (&PageSet, &Residency)| set.pages * set.touches_per_s * found.miss_share;
    Share {
        resident_pages: resident,
        swapped_pages: (pages - resident).max(0.0),
        page_ins_per_s: process.sets.iter().zip(found).map(missed).sum::<f64>() / slowdown,
        slowdown,
        miss_shares: found.iter().map(|found| found.miss_share).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pages: f64, touches: f64, threads: f64) -> Process {
        let set = PageSet { pages, touches_per_s: touches / pages, pattern: Pattern::Random };
        Process { sets: vec![set], threads }
    }

    #[test]
    fn who_fits_is_not_slowed() {
        let found = balance(&[process(1_000.0, 1e5, 1.0)], 1_000.0, SwapDevice::LOCAL_SSD);
        assert_eq!((found.shares[0].slowdown, found.shares[0].swapped_pages), (1.0, 0.0));
    }

    #[test]
    fn alone_the_slowdown_is_that_of_a_working_set() {
        // Measured: 10 us of work between touches at overcommit 1.4: 3.5 times.
        let found = balance(&[process(183_500.0, 1e5, 1.0)], 131_072.0, SwapDevice::LOCAL_SSD);
        assert!((3.2..3.8).contains(&found.shares[0].slowdown), "{found:?}");
    }

    #[test]
    fn idle_neighbours_give_way_first() {
        let neighbours = [process(100_000.0, 10_000.0, 1.0), process(100_000.0, 100.0, 0.1)];
        let found = balance(&neighbours, 150_000.0, SwapDevice::LOCAL_SSD);
        assert!(found.shares[0].swapped_pages < 0.2 * found.shares[1].swapped_pages, "{found:?}");
        let sum: f64 = found.shares.iter().map(|share| share.resident_pages).sum();
        assert!((sum - 150_000.0).abs() < 1.0, "{sum}");
    }

    #[test]
    fn the_turns_suffice_on_any_device() {
        let neighbours = [
            process(400_000.0, 50_000.0, 2.0),
            process(200_000.0, 10_000.0, 1.0),
            process(80_000.0, 50.0, 0.1),
        ];
        for device in [SwapDevice::LOCAL_SSD, SwapDevice::NETWORK, SwapDevice::SPINNING] {
            let found = balance(&neighbours, 450_000.0, device);
            for share in &found.shares {
                assert!(share.slowdown >= 1.0 && share.slowdown.is_finite(), "{found:?}");
            }
        }
    }
}
