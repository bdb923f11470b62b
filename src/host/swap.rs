//! What a touch of memory costs when the page may be swapped out: the page's way in, another page's way out to make room,
//! and the queue before the device. Which touches miss is `residency`'s matter.
//!
//! Measured on one virtual solid-state disk under Linux 6.18 (`vm.page-cluster` 3, classic lists). For other devices only
//! the device's own times change; that was not measured.

use super::residency::{PageSet, Pattern, residency, zipf_sets};

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;

/// Pages that one fault reads when pages are touched in order: `vm.page-cluster` 3, the kernel's default.
pub(super) const READAHEAD_PAGES: f64 = 8.0;

/// Processor time of the kernel for a page that comes in, us: fault, page, mapping. Fitted to the read-only rows of the
/// measured working sets; error 2.
const PAGE_IN_KERNEL_US: f64 = 5.0;

/// Time for a dirty page that must be written before its place is free, us; of a clean one nothing. Fitted to the
/// difference of written and read-only working sets, of which half and all evicted pages were dirty; error 3.
const PAGE_OUT_US: f64 = 8.5;

/// A device with swap space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwapDevice {
    /// From asking for a page to its first byte, us.
    pub access_us: f64,
    /// Bytes a second after that.
    pub read_bytes_per_s: f64,
    /// Bytes a second that can be written in large pieces.
    pub write_bytes_per_s: f64,
}

impl SwapDevice {
    /// The measured virtual solid-state disk: random reads of 4 KiB take 71 us and of 32 KiB 115 us, which is 65 us and
    /// 0.67 GB/s; writes 1.3 to 2.5 GiB/s. Error 5 %.
    pub const LOCAL_SSD: Self = Self { access_us: 64.7, read_bytes_per_s: 0.652e9, write_bytes_per_s: 1.4e9 };
    /// A cloud's network disk (0.5 to 2 ms a read, from the makers' data sheets): not measured.
    pub const NETWORK: Self = Self { access_us: 1_000.0, read_bytes_per_s: 125e6, write_bytes_per_s: 125e6 };
    /// A spinning disk (5 to 10 ms a read): not measured.
    pub const SPINNING: Self = Self { access_us: 8_000.0, read_bytes_per_s: 150e6, write_bytes_per_s: 150e6 };

    /// Time of a read of so many pages that lie together, us.
    pub fn read_us(self, pages: f64) -> f64 {
        self.access_us + pages * PAGE_BYTES as f64 / self.read_bytes_per_s * 1e6
    }

    /// Time to write a dirty page among many, us: the measured time, or the device's where that is longer.
    pub fn write_us(self) -> f64 {
        PAGE_OUT_US.max(PAGE_BYTES as f64 / self.write_bytes_per_s * 1e6)
    }

    /// Time until a touched page that was swapped out is there, us, when nobody else uses the device; `dirty_share` of the
    /// pages that give way must be written.
    pub fn page_in_us(self, pattern: Pattern, dirty_share: f64) -> f64 {
        let read = match pattern {
            Pattern::Random | Pattern::Mixed => self.read_us(1.0),
            Pattern::Sequential => self.read_us(READAHEAD_PAGES) / READAHEAD_PAGES,
        };
        read + PAGE_IN_KERNEL_US + dirty_share * self.write_us()
    }

    /// Part of [`SwapDevice::page_in_us`] that one fault must wait for another, us: the read. Two threads of random faults
    /// took 1.5 times as long each as one alone.
    pub fn serial_us(self, pattern: Pattern) -> f64 {
        self.page_in_us(pattern, 0.0) - PAGE_IN_KERNEL_US
    }
}

/// How a program touches the pages of its working set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    /// Round and round.
    Sequential,
    /// Any page, all alike.
    Random,
    /// By Zipf's law with exponent 0.99, popular pages anywhere.
    Zipf,
}

/// A program that touches pages of its working set one by one, within a limit of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkingSet {
    /// How it touches them.
    pub touches: Touches,
    /// Size, bytes.
    pub bytes: u64,
    /// Memory there is, bytes.
    pub limit: u64,
    /// Work between two touches, ns.
    pub work_ns: f64,
    /// Share of touches that write.
    pub write_share: f64,
    /// Threads at it, each with a processor of its own.
    pub threads: u32,
}

/// What a touch costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TouchCost {
    /// With the page in memory, work included, ns.
    pub resident_ns: f64,
    /// Share of touches that find the page swapped out.
    pub miss_share: f64,
    /// Major faults a touch: fewer than misses where a fault reads ahead.
    pub faults_per_touch: f64,
    /// Such a touch waits so long, ns.
    pub page_in_ns: f64,
}

impl TouchCost {
    /// Mean time of a touch, ns.
    pub fn mean_ns(&self) -> f64 {
        self.resident_ns + self.miss_share * self.page_in_ns
    }
}

/// Touching a page in memory, ns: in order and anywhere (eight words; caches and address translation miss). Measured.
const TOUCH_IN_ORDER_NS: f64 = 112.0;
const TOUCH_ANYWHERE_NS: f64 = 363.0;

/// What the program holds beside its working set: code, stacks, page tables, bytes. Measured: 1.3 to 2.0 MiB less than
/// the limit stayed for the set.
const BESIDE_BYTES: f64 = 1.7 * 1_048_576.0;

impl WorkingSet {
    /// What a touch costs on average once memory has settled.
    pub fn touch(&self, device: SwapDevice) -> TouchCost {
        let pages = self.bytes as f64 / PAGE_BYTES as f64;
        let memory = ((self.limit as f64 - BESIDE_BYTES) / PAGE_BYTES as f64).max(0.0);
        let pattern = match self.touches {
            Touches::Sequential => Pattern::Sequential,
            Touches::Random | Touches::Zipf => Pattern::Random,
        };
        let sets = match self.touches {
            Touches::Zipf => zipf_sets(pages, 0.99, 1.0),
            _ => vec![PageSet { pages, touches_per_s: 1.0 / pages.max(1.0), pattern }],
        };
        let found = residency(&sets, memory);
        let miss_share: f64 = sets
            .iter()
            .zip(&found)
            .map(|(set, found)| set.pages * set.touches_per_s * found.miss_share)
            .sum();
        let touch = if pattern == Pattern::Sequential { TOUCH_IN_ORDER_NS } else { TOUCH_ANYWHERE_NS };
        let resident_ns = self.work_ns + touch;
        // A page is touched once on a walk, else as often as it takes until the next miss, before it has to go.
        let stays = if pattern == Pattern::Sequential { 1.0 } else { 1.0 / miss_share.max(1e-9) };
        let dirty = 1.0 - (1.0 - self.write_share).powf(stays);
        let alone = device.page_in_us(pattern, dirty) * 1e3;
        let queue = Queue { serial_ns: device.serial_us(pattern) * 1e3, alone_ns: alone };
        let between = if miss_share > 0.0 { resident_ns / miss_share } else { f64::INFINITY };
        let ahead = if pattern == Pattern::Sequential { READAHEAD_PAGES } else { 1.0 };
        let faults_per_touch = miss_share / ahead;
        TouchCost {
            resident_ns,
            miss_share,
            faults_per_touch,
            page_in_ns: queue.wait_ns(self.threads, between),
        }
    }
}

/// Faults that queue before one device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// Part of a fault that one has to wait for another, ns.
    pub serial_ns: f64,
    /// All of a fault that meets no other, ns.
    pub alone_ns: f64,
}

impl Queue {
    /// Mean time of a fault when so many threads take turns between faults and `between_ns` of other work (mean value
    /// analysis of a closed queue, Reiser and Lavenberg 1980).
    pub fn wait_ns(self, threads: u32, between_ns: f64) -> f64 {
        let mut waiting = 0.0;
        let mut wait = self.alone_ns;
        for thread in 1..=threads.max(1) {
            let serial = self.serial_ns * (1.0 + waiting);
            wait = serial + (self.alone_ns - self.serial_ns);
            waiting = f64::from(thread) * serial / (wait + between_ns);
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    fn cost(touches: Touches, overcommit: f64, threads: u32) -> TouchCost {
        let limit = 512 * MIB;
        let bytes = (limit as f64 * overcommit) as u64;
        WorkingSet { touches, bytes, limit, work_ns: 10_000.0, write_share: 0.5, threads }
            .touch(SwapDevice::LOCAL_SSD)
    }

    #[test]
    fn nothing_is_slower_below_the_knee() {
        for touches in [Touches::Sequential, Touches::Random, Touches::Zipf] {
            let cost = cost(touches, 0.95, 1);
            assert_eq!((cost.miss_share, cost.mean_ns() < 10_400.0), (0.0, true), "{touches:?}");
        }
    }

    #[test]
    fn a_walk_misses_every_page_but_reads_ahead() {
        let cost = cost(Touches::Sequential, 1.4, 1);
        // Measured: 35.4 us a touch, an eighth of a fault each.
        assert_eq!(cost.miss_share, 1.0);
        assert!((33e3..37e3).contains(&cost.mean_ns()), "{cost:?}");
    }

    #[test]
    fn two_threads_wait_for_each_other() {
        let (one, two) = (cost(Touches::Random, 1.8, 1), cost(Touches::Random, 1.8, 2));
        assert!((80e3..90e3).contains(&one.page_in_ns), "{one:?}");
        // Measured: 121 us a fault.
        assert!((115e3..135e3).contains(&two.page_in_ns), "{two:?}");
    }

    #[test]
    fn a_slower_device_is_slower_in_proportion() {
        let set = WorkingSet {
            touches: Touches::Random,
            bytes: 1_800 * MIB,
            limit: 1_000 * MIB,
            work_ns: 10_000.0,
            write_share: 0.5,
            threads: 1,
        };
        let on = |device| set.touch(device).page_in_ns;
        assert!(on(SwapDevice::NETWORK) > 10.0 * on(SwapDevice::LOCAL_SSD));
        assert!(on(SwapDevice::SPINNING) > 7.0 * on(SwapDevice::NETWORK));
    }
}
