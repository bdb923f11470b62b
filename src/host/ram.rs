//! The memory of a host among its processes, as it goes: who is in memory, who is in swap, and how much that slows each down.
//!
//! Every process is a few sets of pages with the touches that it would make at full speed. A page that is missing comes back
//! when it is touched; pages leave as the kernel's two lists have it. The hand goes round all pages in a time, the *window*,
//! that is the same for everybody, and takes a page unless it was touched during the last part of the round, on the inactive
//! list. While memory is short by little the window is long, and only what nobody uses goes. While a process grows fast the
//! window is short, and much that is in use goes too and has to come back, which it does at the pace of its use. Faults slow a
//! process down, so it touches less, so it keeps less. A fault waits for the device while other processes' faults are there.
//!
//! The first round is another. When memory gets short every page has been touched at some time, which is all that the kernel
//! knows, so it looks at all of them once before it takes any. Then the hand goes through them in the order of their birth and
//! takes what was not touched since that look, however short ago it was: a shortage that comes fast drives out pages in use.
//! Pages that come back or are new are behind the hand.
//!
//! Left out: NUMA, huge pages, readahead of mapped files, which page of a set it is.

use super::oom_killer::{GIVE_UP_S, swap_out_bytes_per_s};
use super::residency::{PageSet, Pattern, longest_window, round_share};
use super::swap::{PAGE_BYTES, READAHEAD_PAGES, SwapDevice};

/// A process with its pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Who it is, from one look to the next.
    pub id: u64,
    /// Its pages by use, with the touches it makes while nothing is missing.
    pub sets: Vec<PageSet>,
    /// Threads that touch them at the same time.
    pub threads: f64,
    /// It was there before the others: the first round begins with its pages.
    pub elder: bool,
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
    /// How long missing pages take.
    pub page_in: PageIn,
}

/// What missing pages take, us.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PageIn {
    /// For each fault, which may bring pages beside the one that it is for.
    fault_us: f64,
    /// For each page that it brings.
    page_us: f64,
}

impl PageIn {
    /// Time until a page is there of so many neighbours that are touched together, us: as far as the kernel reads ahead, one
    /// fault brings them.
    pub fn each_us(self, together: f64) -> f64 {
        self.fault_us / together.clamp(1.0, READAHEAD_PAGES) + self.page_us
    }
}

/// Share of pages that must be written before their place is free. Measured between 0.5 (walks that write every second page)
/// and 1 (random touches, a heap): the upper end, since heaps are most of what is swapped here.
const DIRTY_SHARE: f64 = 1.0;

/// Share of pages that are changed while they are back, so that they are written again when they go. Assumed; without any
/// other use of it than the count of pages written.
const CHANGED_SHARE: f64 = 0.5;

/// Turns after which slow-downs do not move any more (tested).
const TURNS: usize = 8;

/// Time that a fault takes beyond its usual one while others grow as fast as memory can be made free, us, and falls with the
/// square of how fast they do: a fault finds memory full and has to make room itself. Measured with a process of 1.1 GB whose
/// pages in use come back beside two that grow by 50, 100, 200 and 600 MiB/s together (Linux 6.18, 2 processors, the disk
/// of [`SwapDevice::LOCAL_SSD`]): 20, 60, 190 and 170 us more than the 100 afterwards; error 30 %.
const CROWDED_US: f64 = 190.0;

/// Time over which it is seen whether others grow, s: about that between two looks.
const BEHIND_SEEN_S: f64 = 0.5;

/// The longest window that is told from for ever, s.
const WINDOW_MAX_S: f64 = 1e7;

/// The pages of a host's processes, from look to look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ram {
    held: Vec<Held>,
    /// Time since the first round began, s; `None` before.
    short_s: Option<f64>,
    /// Time that it still takes to make room for what has grown, s.
    behind_s: f64,
}

/// A process at the last look.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    id: u64,
    slow: f64,
    sets: Vec<HeldSet>,
}

/// A set at the last look, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct HeldSet {
    pages: f64,
    /// In memory.
    resident: f64,
    /// Of those, still before the hand in its first round.
    ahead: f64,
}

/// One set on its way through a look.
#[derive(Clone, Copy, Debug)]
struct Moving {
    set: PageSet,
    resident: f64,
    ahead: f64,
    elder: bool,
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
        let mut grown = 0.0;
        for process in processes {
            let known = before.iter().find(|held| held.id == process.id);
            slow.push(known.map_or(1.0, |held| held.slow));
            let pages: f64 = process.sets.iter().map(|set| set.pages).sum();
            let held_pages = known.map_or(0.0, |held| held.sets.iter().map(|set| set.pages).sum());
            grown += (pages - held_pages).max(0.0);
            for (at, set) in process.sets.iter().enumerate() {
                let held = known.and_then(|held| held.sets.get(at)).copied().unwrap_or_default();
                let grown = set.pages - held.pages;
                let kept = (set.pages / held.pages.max(1e-9)).min(1.0);
                let resident = held.resident * kept + grown.max(0.0);
                let ahead = match (self.short_s, known) {
                    (None, None) => resident,
                    (None, Some(_)) => held.resident * kept,
                    (Some(_), _) => held.ahead * kept,
                };
                let slowed = PageSet { touches_per_s: set.touches_per_s / slow[slow.len() - 1], ..*set };
                moving.push(Moving { set: slowed, resident, ahead, elder: process.elder });
            }
        }
        let held: f64 = moving.iter().map(|moving| moving.resident).sum();
        let reclaim = swap_out_bytes_per_s(device.write_us()) / PAGE_BYTES as f64;
        let room_s = (held - memory_pages).max(0.0) / reclaim;
        self.behind_s = (self.behind_s - seconds).max(0.0) + room_s.min(grown / reclaim);
        let seconds = seconds.max(room_s);
        let (mut page_ins, mut page_outs) = (0.0, 0.0);
        if held > memory_pages {
            self.short_s.get_or_insert(GIVE_UP_S);
        }
        if seconds > 0.0 {
            let hand = self.hand(&moving, memory_pages, seconds);
            for moving in &mut moving {
                let (resident, ins) = moving.after(&hand, seconds);
                page_ins += ins;
                page_outs += ins + moving.resident - resident;
                moving.ahead = moving.ahead_after(&hand).min(resident);
                moving.resident = resident;
            }
            self.short_s = self.short_s.map(|before| before + seconds);
        }
        let mut found = moving.iter();
        let shares: Vec<Vec<Moving>> = processes
            .iter()
            .map(|process| found.by_ref().take(process.sets.len()).copied().collect())
            .collect();
        let page_in = slow_downs(processes, &shares, device, self.crowded_us(), &mut slow);
        for ((process, found), &slow) in processes.iter().zip(&shares).zip(&slow) {
            let set = |moving: &Moving| HeldSet {
                pages: moving.set.pages,
                resident: moving.resident,
                ahead: moving.ahead,
            };
            let sets = found.iter().map(set).collect();
            self.held.push(Held { id: process.id, slow, sets });
        }
        let shares = shares.iter().zip(&slow).map(|(found, &slow)| share(found, slow)).collect();
        let again = page_outs.min(page_ins).max(0.0);
        let page_outs = (page_outs - again * (1.0 - CHANGED_SHARE)).max(0.0);
        Balance { shares, page_ins, page_outs, page_in }
    }

    /// Time that a fault takes while others grow beyond what it takes otherwise, us.
    fn crowded_us(&self) -> f64 {
        CROWDED_US * (self.behind_s / BEHIND_SEEN_S).min(1.0).powi(2)
    }

    /// How the hand must go so that everybody's pages after `seconds` are what fits.
    fn hand(&self, moving: &[Moving], memory_pages: f64, seconds: f64) -> Hand {
        let sum = |hand: &Hand| moving.iter().map(|moving| moving.after(hand, seconds).0).sum::<f64>();
        let ahead = |elder: bool| {
            moving.iter().filter(|moving| moving.elder == elder).map(|moving| moving.ahead).sum::<f64>()
        };
        let ahead = [ahead(true), ahead(false)];
        // Touched until the middle of the time.
        let since_s = self.short_s.unwrap_or(0.0) + seconds / 2.0;
        let first = |passed: f64| {
            let elders = passed.min(ahead[0]);
            let share = |passed: f64, of: f64| if of > 0.0 { (passed / of).min(1.0) } else { 0.0 };
            Hand::First { since_s, passed: [share(elders, ahead[0]), share(passed - elders, ahead[1])] }
        };
        let all = ahead[0] + ahead[1];
        if all >= 1.0 && sum(&first(all)) <= memory_pages {
            let (mut low, mut high) = (0.0, all);
            if sum(&first(low)) <= memory_pages {
                return first(low);
            }
            for _ in 0..40 {
                let middle = f64::midpoint(low, high);
                if sum(&first(middle)) <= memory_pages { high = middle } else { low = middle }
            }
            return first(high);
        }
        let inactive = inactive_share(memory_pages);
        let round = |window_s: f64| Hand::Round { window_s, inactive };
        if sum(&round(WINDOW_MAX_S)) <= memory_pages {
            return round(WINDOW_MAX_S);
        }
        round(longest_window((1e-6, WINDOW_MAX_S), 40, |window| sum(&round(window)) <= memory_pages))
    }
}

/// How the hand goes during a look.
#[derive(Clone, Copy, Debug)]
enum Hand {
    /// For the first time, by shares of the pages that are ahead of it: of those who were there first, and of the others.
    First {
        /// Time in which a touch saves a page, s.
        since_s: f64,
        passed: [f64; 2],
    },
    /// Round and round, one round in so long, s, of which the last part is the inactive list.
    Round { window_s: f64, inactive: f64 },
}

/// Part of the anonymous pages that the kernel keeps on the inactive list, where a touch saves them: one in `1 + sqrt(10 * GiB)`,
/// one in two below a GiB (`inactive_is_low` in `mm/vmscan.c`, Linux 6.x).
fn inactive_share(memory_pages: f64) -> f64 {
    let gib = (memory_pages * PAGE_BYTES as f64 / f64::from(1 << 30)).floor();
    let ratio = if gib < 1.0 { 1.0 } else { (10.0 * gib).sqrt().floor() };
    1.0 / (1.0 + ratio)
}

impl Moving {
    /// Share of the pages in memory that leave in a second, and pages that do so beside them, whatever is in memory.
    fn leaves_per_s(self, hand: &Hand, seconds: f64) -> (f64, f64) {
        let touches = self.set.touches_per_s;
        let walk = self.set.pattern == Pattern::Sequential && touches > 0.0;
        match *hand {
            Hand::First { since_s, .. } => {
                let untouched =
                    if walk { (1.0 - touches * since_s).max(0.0) } else { (-touches * since_s).exp() };
                (0.0, (self.ahead - self.ahead_after(hand)) * untouched / seconds)
            }
            // Everything fits.
            Hand::Round { window_s, .. } if window_s >= WINDOW_MAX_S => (0.0, 0.0),
            // A walk finds every page that it left less than a window ago.
            Hand::Round { window_s, .. } if walk => ((1.0 - round_share(touches * window_s)) / window_s, 0.0),
            Hand::Round { window_s, inactive } => ((-touches * inactive * window_s).exp() / window_s, 0.0),
        }
    }

    /// Pages that the hand in its first round has yet to come to.
    fn ahead_after(self, hand: &Hand) -> f64 {
        match hand {
            Hand::First { passed, .. } => self.ahead * (1.0 - passed[usize::from(!self.elder)]),
            Hand::Round { .. } => 0.0,
        }
    }

    /// Pages in memory after `seconds`, and how many came back meanwhile.
    fn after(self, hand: &Hand, seconds: f64) -> (f64, f64) {
        let PageSet { pages, touches_per_s, pattern } = self.set;
        if pages <= 0.0 {
            return (0.0, 0.0);
        }
        let (leaves, taken) = self.leaves_per_s(hand, seconds);
        // Pages that come back a second: `gain` of those missing, or a fixed number where a walk misses them in turn.
        let (gain, fixed) = match pattern {
            Pattern::Sequential => (0.0, pages * touches_per_s * (1.0 - round_share(self.resident / pages))),
            Pattern::Random | Pattern::Mixed => (touches_per_s, 0.0),
        };
        let fixed = fixed - taken;
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
        (kept, (kept - self.resident + left + taken * seconds).max(0.0))
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

/// Finds how much everybody is slowed down where a fault takes `crowded_us` more because others grow; returns how long missing
/// pages take.
fn slow_downs(
    processes: &[Process],
    found: &[Vec<Moving>],
    device: SwapDevice,
    crowded_us: f64,
    slow: &mut Vec<f64>,
) -> PageIn {
    let transfer_us = device.read_us(1.0) - device.access_us;
    let beside_us = device.page_in_us(Pattern::Random, DIRTY_SHARE) - device.read_us(1.0);
    let page_in = |others: f64| PageIn {
        fault_us: device.access_us * (1.0 + others) + crowded_us,
        page_us: transfer_us * (1.0 + others) + beside_us,
    };
    let mut others = 0.0;
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
                    let together = if set.pattern == Pattern::Sequential { READAHEAD_PAGES } else { 1.0 };
                    let wait = page_in(others).each_us(together);
                    set.pages * set.touches_per_s * found.miss_share() * wait / 1e6
                })
                .sum();
            // Half a turn at a time, or the two would chase each other.
            next[at] = f64::sqrt(slow[at] * (1.0 + stall / process.threads.max(1e-3)));
        }
        *slow = next;
        others = (waiting - 1.0).max(0.0);
    }
    page_in(others)
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
        Process { id, sets: vec![set], threads, elder: false }
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
    fn a_shortage_that_comes_fast_takes_pages_in_use_of_those_who_were_there_first() {
        // A page in use is touched every 9 s, as a broker's in a measured run.
        let used = Process { elder: true, ..process(1, 100_000.0, 11_000.0, 1.0) };
        let idle = Process { elder: true, ..process(2, 400_000.0, 0.0, 0.1) };
        let short = |seconds: f64| {
            let mut ram = Ram::default();
            let mut look = |grower: f64| {
                let all = [used.clone(), idle.clone(), process(3, grower, grower, 1.0)];
                ram.settle(&all, 600_000.0, SwapDevice::LOCAL_SSD, seconds / 10.0).shares
            };
            look(100_000.0);
            let peak = (1..=10).map(|step| look(100_000.0 + 20_000.0 * f64::from(step)));
            peak.map(|shares| [shares[0].miss_shares[0], shares[2].swapped_pages])
                .fold([0.0, 0.0], |most, now| [f64::max(most[0], now[0]), f64::max(most[1], now[1])])
        };
        let (fast, slow) = (short(4.0), short(60.0));
        assert!(fast[0] > 0.25 && slow[0] < 0.4 * fast[0], "{fast:?} {slow:?}");
        // The hand has not come to who came last.
        assert!(fast[1] < 1.0 && slow[1] < 1.0, "{fast:?} {slow:?}");
    }

    #[test]
    fn pages_come_back_more_slowly_while_others_grow_and_several_at_a_time_where_they_are_neighbours() {
        let mut ram = Ram::default();
        let mut look = |grower: f64| {
            let all = [process(1, 100_000.0, 10_000.0, 1.0), process(2, grower, 0.0, 1.0)];
            ram.settle(&all, 150_000.0, SwapDevice::LOCAL_SSD, 1.0).page_in
        };
        look(50_000.0);
        let growing = look(100_000.0);
        let after = (0..4).map(|_| look(100_000.0)).last().unwrap();
        // Measured: 295 us at 200 MiB/s, about 100 afterwards.
        assert!((240.0..320.0).contains(&growing.each_us(1.0)), "{growing:?}");
        assert!((75.0..120.0).contains(&after.each_us(1.0)), "{after:?}");
        let shares = [1.0, 4.0, 8.0, 100.0].map(|together| after.each_us(together) / after.each_us(1.0));
        assert!(shares[1] < 0.5 && shares[2] < shares[1] && shares[2] == shares[3], "{shares:?}");
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
