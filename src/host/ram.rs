//! The memory of a host among its processes, as it goes: who is in memory, who is in swap, and how much that slows each down.
//!
//! Every process is a few sets of pages with the touches that it would make at full speed. A page that is missing comes back
//! when it is touched; pages leave as the kernel's two lists have it. The hand goes round all pages in a time, the *window*,
//! that is the same for everybody, and takes a page unless it was touched during the last part of the round, on the inactive
//! list. While memory is short by little the window is long, and only what nobody uses goes. While a process grows fast the
//! window is short, and much that is in use goes too and has to come back, which it does at the pace of its use. Faults slow a
//! process down, so it touches less, so it keeps less. A fault waits for the device while other processes' faults are there.
//!
//! Left out: NUMA, huge pages, readahead of mapped files, which page of a set it is.

use super::oom_killer::swap_out_bytes_per_s;
use super::residency::{PageSet, Pattern, longest_window, round_share};
use super::swap::{PAGE_BYTES, SwapDevice};

/// A process with its pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Who it is, from one look to the next.
    pub id: u64,
    /// Its pages by use, with the touches it makes while nothing is missing.
    pub sets: Vec<PageSet>,
    /// Threads that touch them at the same time.
    pub threads: f64,
}

/// How a process fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Pages in swap.
    pub swapped_pages: f64,
    /// Time that it takes for work that takes 1 while nothing is missing.
    pub slowdown: f64,
    /// Share of the touches of each set that miss, in the order of the sets.
    pub miss_shares: Vec<f64>,
}

/// Everybody's share, what moved since the last look, and what a fault costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balance {
    /// By process.
    pub shares: Vec<Share>,
    /// Pages read back.
    pub page_ins: f64,
    /// Pages written out.
    pub page_outs: f64,
    /// A random fault waits so long, us.
    pub page_in_us: f64,
}

/// Share of pages that must be written before their place is free. Measured between 0.5 (walks that write every second page)
/// and 1 (random touches, a heap): the upper end, since heaps are most of what is swapped here.
const DIRTY_SHARE: f64 = 1.0;

/// Share of pages that are changed while they are back, so that they are written again when they go. Assumed; without any
/// other use of it than the count of pages written.
const CHANGED_SHARE: f64 = 0.5;

/// Turns after which slow-downs do not move any more (tested).
const TURNS: usize = 8;

/// The longest window that is told from for ever, s.
const WINDOW_MAX_S: f64 = 1e7;

/// The pages of a host's processes, from look to look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ram {
    held: Vec<Held>,
}

/// A process at the last look.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    id: u64,
    slow: f64,
    /// Pages of each set, and how many of them are in memory.
    sets: Vec<(f64, f64)>,
}

/// One set on its way through a look.
#[derive(Clone, Copy, Debug)]
struct Moving {
    set: PageSet,
    resident: f64,
}

impl Ram {
    /// Lets `seconds` go by, with `processes` as they are now and `memory_pages` for them. What a process has grown by since the
    /// last look is in memory, and the others have made room for it; that takes its time too.
    pub fn settle(
        &mut self,
        processes: &[Process],
        memory_pages: f64,
        device: SwapDevice,
        seconds: f64,
    ) -> Balance {
        let before = std::mem::take(&mut self.held);
        let mut slow: Vec<f64> = Vec::with_capacity(processes.len());
        let mut moving: Vec<Moving> = Vec::new();
        for process in processes {
            let known = before.iter().find(|held| held.id == process.id);
            slow.push(known.map_or(1.0, |held| held.slow));
            for (at, set) in process.sets.iter().enumerate() {
                let (pages, resident) =
                    known.and_then(|held| held.sets.get(at)).copied().unwrap_or((0.0, 0.0));
                let grown = set.pages - pages;
                let resident =
                    if grown >= 0.0 { resident + grown } else { resident * set.pages / pages.max(1e-9) };
                let slowed = PageSet { touches_per_s: set.touches_per_s / slow[slow.len() - 1], ..*set };
                moving.push(Moving { set: slowed, resident });
            }
        }
        let held: f64 = moving.iter().map(|moving| moving.resident).sum();
        let reclaim = swap_out_bytes_per_s(device.write_us()) / PAGE_BYTES as f64;
        let seconds = seconds.max((held - memory_pages) / reclaim);
        let (mut page_ins, mut page_outs) = (0.0, 0.0);
        if seconds > 0.0 {
            let window = window(&moving, memory_pages, seconds);
            let inactive = inactive_share(memory_pages);
            for moving in &mut moving {
                let (resident, ins) = moving.after(window, inactive, seconds);
                page_ins += ins;
                page_outs += ins + moving.resident - resident;
                moving.resident = resident;
            }
        }
        let mut found = moving.iter();
        let shares: Vec<Vec<Moving>> = processes
            .iter()
            .map(|process| found.by_ref().take(process.sets.len()).copied().collect())
            .collect();
        let page_in_us = slow_downs(processes, &shares, device, &mut slow);
        for ((process, found), &slow) in processes.iter().zip(&shares).zip(&slow) {
            let sets = found.iter().map(|moving| (moving.set.pages, moving.resident)).collect();
            self.held.push(Held { id: process.id, slow, sets });
        }
        let shares = shares.iter().zip(&slow).map(|(found, &slow)| share(found, slow)).collect();
        let again = page_outs.min(page_ins).max(0.0);
        let page_outs = (page_outs - again * (1.0 - CHANGED_SHARE)).max(0.0);
        Balance { shares, page_ins, page_outs, page_in_us }
    }
}

/// Part of the anonymous pages that the kernel keeps on the inactive list, where a touch saves them: one in `1 + sqrt(10 * GiB)`,
/// one in two below a GiB (`inactive_is_low` in `mm/vmscan.c`, Linux 6.x).
fn inactive_share(memory_pages: f64) -> f64 {
    let gib = (memory_pages * PAGE_BYTES as f64 / f64::from(1 << 30)).floor();
    let ratio = if gib < 1.0 { 1.0 } else { (10.0 * gib).sqrt().floor() };
    1.0 / (1.0 + ratio)
}

impl Moving {
    /// Rate at which a page of it that is in memory leaves, per second.
    fn leaves_per_s(self, window: f64, inactive: f64) -> f64 {
        let touches = self.set.touches_per_s;
        // Everything fits.
        if window >= WINDOW_MAX_S {
            return 0.0;
        }
        match self.set.pattern {
            // A walk finds every page that it left less than a window ago.
            Pattern::Sequential if touches > 0.0 => (1.0 - round_share(touches * window)) / window,
            _ => (-touches * inactive * window).exp() / window,
        }
    }

    /// Pages in memory after `seconds`, and how many came back meanwhile.
    fn after(self, window: f64, inactive: f64, seconds: f64) -> (f64, f64) {
        let PageSet { pages, touches_per_s, pattern } = self.set;
        if pages <= 0.0 {
            return (0.0, 0.0);
        }
        let leaves = self.leaves_per_s(window, inactive);
        // Pages that come back a second: `gain` of those missing, or a fixed number where a walk misses them in turn.
        let (gain, fixed) = match pattern {
            Pattern::Sequential => (0.0, pages * touches_per_s * (1.0 - round_share(self.resident / pages))),
            Pattern::Random | Pattern::Mixed => (touches_per_s, 0.0),
        };
        let rate = gain + leaves;
        let (resident, left) = if rate * seconds < 1e-9 {
            (self.resident + fixed * seconds, 0.0)
        } else {
            let rest = (gain * pages + fixed) / rate;
            let fading = -(-rate * seconds).exp_m1();
            let resident = rest + (self.resident - rest) * (1.0 - fading);
            (resident, leaves * (rest * seconds + (self.resident - rest) * fading / rate))
        };
        let kept = resident.clamp(0.0, pages);
        (kept, (kept - self.resident + left).max(0.0))
    }

    /// Share of its touches that miss.
    fn miss_share(self) -> f64 {
        if self.set.pages <= 0.0 {
            return 0.0;
        }
        let share = (self.resident / self.set.pages).min(1.0);
        match self.set.pattern {
            Pattern::Sequential => 1.0 - round_share(share),
            Pattern::Random | Pattern::Mixed => 1.0 - share,
        }
    }
}

/// The window with which everybody's pages after `seconds` are what fits.
fn window(moving: &[Moving], memory_pages: f64, seconds: f64) -> f64 {
    let inactive = inactive_share(memory_pages);
    let sum =
        |window: f64| moving.iter().map(|moving| moving.after(window, inactive, seconds).0).sum::<f64>();
    if sum(WINDOW_MAX_S) <= memory_pages {
        return WINDOW_MAX_S;
    }
    longest_window((1e-6, WINDOW_MAX_S), 40, |window| sum(window) <= memory_pages)
}

/// Finds how much everybody is slowed down; returns how long a random fault waits, us.
fn slow_downs(processes: &[Process], found: &[Vec<Moving>], device: SwapDevice, slow: &mut Vec<f64>) -> f64 {
    let alone_us = device.page_in_us(Pattern::Random, DIRTY_SHARE);
    let mut random_us = alone_us;
    for _ in 0..TURNS {
        // Threads that stand before the device at a time.
        let waiting: f64 =
            processes.iter().zip(slow.iter()).map(|(p, slow)| p.threads * (1.0 - 1.0 / slow)).sum();
        let mut next = slow.clone();
        for (at, process) in processes.iter().enumerate() {
            let others = (waiting - (1.0 - 1.0 / slow[at])).max(0.0);
            let stall: f64 = process
                .sets
                .iter()
                .zip(&found[at])
                .map(|(set, found)| {
                    let wait =
                        device.page_in_us(set.pattern, DIRTY_SHARE) + device.serial_us(set.pattern) * others;
                    set.pages * set.touches_per_s * found.miss_share() * wait / 1e6
                })
                .sum();
            // Half a turn at a time, or the two would chase each other.
            next[at] = f64::sqrt(slow[at] * (1.0 + stall / process.threads.max(1e-3)));
        }
        *slow = next;
        random_us = alone_us + device.serial_us(Pattern::Random) * (waiting - 1.0).max(0.0);
    }
    random_us
}

fn share(found: &[Moving], slowdown: f64) -> Share {
    let resident: f64 = found.iter().map(|moving| moving.resident).sum();
    let pages: f64 = found.iter().map(|moving| moving.set.pages).sum();
    Share {
        swapped_pages: (pages - resident).max(0.0),
        slowdown,
        miss_shares: found.iter().map(|moving| moving.miss_share()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u64, pages: f64, touches: f64, threads: f64) -> Process {
        let set = PageSet { pages, touches_per_s: touches / pages, pattern: Pattern::Random };
        Process { id, sets: vec![set], threads }
    }

    /// Everybody's share after ten minutes.
    fn settled(processes: &[Process], memory_pages: f64, device: SwapDevice) -> Vec<Share> {
        let mut ram = Ram::default();
        for _ in 0..1_199 {
            ram.settle(processes, memory_pages, device, 0.5);
        }
        ram.settle(processes, memory_pages, device, 0.5).shares
    }

    #[test]
    fn who_fits_is_not_slowed() {
        let found = &settled(&[process(1, 1_000.0, 1e5, 1.0)], 1_000.0, SwapDevice::LOCAL_SSD)[0];
        assert_eq!((found.slowdown, found.swapped_pages), (1.0, 0.0));
    }

    #[test]
    fn where_everything_fits_nothing_goes_to_swap_however_rarely_it_is_touched() {
        let mut ram = Ram::default();
        let out = |pages: f64| {
            ram.settle(&[process(1, pages, 0.0, 0.0)], 1_000_000.0, SwapDevice::LOCAL_SSD, 30.0).page_outs
        };
        assert_eq!([500_000.0, 900_000.0, 900_000.0].map(out), [0.0; 3]);
    }

    #[test]
    fn alone_the_slowdown_is_that_of_a_working_set() {
        // Measured: 10 us of work between touches at overcommit 1.4: 3.5 times.
        let found = &settled(&[process(1, 183_500.0, 1e5, 1.0)], 131_072.0, SwapDevice::LOCAL_SSD)[0];
        assert!((3.2..3.8).contains(&found.slowdown), "{found:?}");
    }

    #[test]
    fn idle_neighbours_give_way_first() {
        let neighbours = [process(1, 100_000.0, 10_000.0, 1.0), process(2, 100_000.0, 100.0, 0.1)];
        let found = settled(&neighbours, 150_000.0, SwapDevice::LOCAL_SSD);
        assert!(found[0].swapped_pages < 0.2 * found[1].swapped_pages, "{found:?}");
        let away: f64 = found.iter().map(|share| share.swapped_pages).sum();
        assert!((away - 50_000.0).abs() < 1.0, "{away}");
    }

    #[test]
    fn who_grows_fast_drives_out_pages_in_use_and_they_come_back() {
        let (used, idle) = (process(1, 100_000.0, 13_000.0, 1.0), process(2, 400_000.0, 0.0, 0.1));
        let mut ram = Ram::default();
        let mut look = |grower: f64, seconds: f64| {
            let all = [used.clone(), idle.clone(), process(3, grower, 50.0 * grower, 1.0)];
            ram.settle(&all, 600_000.0, SwapDevice::LOCAL_SSD, seconds).shares[0].miss_shares[0]
        };
        assert_eq!(look(100_000.0, 1.0), 0.0);
        let burst = look(300_000.0, 1.0);
        let later = (0..60).map(|_| look(300_000.0, 1.0)).last().unwrap();
        assert!(burst > 0.1 && later < 0.3 * burst, "{burst} {later}");
    }

    #[test]
    fn what_moves_does_not_depend_on_the_number_of_looks_at_one_moment() {
        let all = [process(1, 100_000.0, 10_000.0, 1.0), process(2, 100_000.0, 100.0, 0.1)];
        let moved = |looks: usize| {
            let mut ram = Ram::default();
            ram.settle(&all, 150_000.0, SwapDevice::LOCAL_SSD, 1.0);
            let looks = (0..looks).map(|_| ram.settle(&all, 150_000.0, SwapDevice::LOCAL_SSD, 0.0));
            let moved: f64 = looks.map(|found| found.page_ins + found.page_outs).sum();
            let last = ram.settle(&all, 150_000.0, SwapDevice::LOCAL_SSD, 1.0);
            (moved, last.page_ins)
        };
        // The window is found to a part in a billion, and what is over by as much still has to go.
        let (once, often) = (moved(1), moved(1_000));
        assert!(once.0 < 0.1 && often.0 < 0.1, "{once:?} {often:?}");
        assert!((often.1 / once.1 - 1.0).abs() < 1e-3, "{once:?} {often:?}");
    }

    #[test]
    fn pages_that_nobody_touches_stay_away_when_there_is_room_again() {
        let mut ram = Ram::default();
        let mut look = |grower: f64| {
            let all = [process(1, 100_000.0, 0.0, 1.0), process(2, grower, 50.0 * grower, 1.0)];
            let found = ram.settle(&all, 100_000.0, SwapDevice::LOCAL_SSD, 10.0);
            (found.shares[0].swapped_pages, found.page_outs)
        };
        let (away, written) = look(50_000.0);
        assert!(away > 40_000.0 && written >= away, "{away} {written}");
        let (still, more) = look(1.0);
        assert!((still - away).abs() < 1.0 && more < 1.0, "{away} {still} {more}");
    }

    #[test]
    fn any_device_gives_finite_numbers() {
        let neighbours = [
            process(1, 400_000.0, 50_000.0, 2.0),
            process(2, 200_000.0, 10_000.0, 1.0),
            process(3, 80_000.0, 50.0, 0.1),
        ];
        for device in [SwapDevice::LOCAL_SSD, SwapDevice::NETWORK, SwapDevice::SPINNING] {
            for share in settled(&neighbours, 450_000.0, device) {
                assert!(share.slowdown >= 1.0 && share.slowdown.is_finite(), "{share:?}");
            }
        }
    }
}
