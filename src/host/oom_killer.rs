//! Whom the kernel kills when memory and swap are used up, and how long that takes.
//!
//! The rule is the kernel's own (`oom_badness` in `mm/oom_kill.c`, Linux 6.x; the same since 2.6.36 but for page tables): the
//! process with the most points dies, and its points are its pages in memory and in swap, the pages of its page tables, and
//! a thousandth of all pages for each point of `oom_score_adj`. It named the victim in all of 30 measured kills. Left out:
//! users' own killers (`systemd-oomd`, `earlyoom`), `memory.oom.group`, `cpuset` and NUMA constraints, and the race by which the
//! kernel kills twice in a cgroup where one victim would do (docs/host.md: 1 in 30 tries with Spark).

use super::swap::PAGE_BYTES;

/// `oom_score_adj` of a process that is never killed (`OOM_SCORE_ADJ_MIN`).
pub const NEVER_KILLED: i32 = -1000;

/// What the kernel knows of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Pages in memory: anonymous, of files, shared.
    pub rss_pages: u64,
    /// Pages in swap.
    pub swap_pages: u64,
    /// Bytes of its page tables.
    pub page_table_bytes: u64,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: i32,
}

impl Candidate {
    /// A process of so many bytes in memory and in swap, with the page tables that they need: eight bytes a page, and what is
    /// around them (measured: 2.2 per thousand of a process of 100 MB).
    pub fn of_bytes(resident: u64, swapped: u64, oom_score_adj: i32) -> Self {
        Self {
            rss_pages: resident / PAGE_BYTES,
            swap_pages: swapped / PAGE_BYTES,
            page_table_bytes: (resident + swapped) * 22 / 10_000,
            oom_score_adj,
        }
    }

    /// Its points, of a host or group with `total_pages` of memory and swap; `None` when it is never killed.
    pub fn points(&self, total_pages: u64) -> Option<i64> {
        if self.oom_score_adj <= NEVER_KILLED {
            return None;
        }
        let held = self.rss_pages + self.swap_pages + self.page_table_bytes / PAGE_BYTES;
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        let step = i64::try_from(total_pages / 1000).unwrap_or(i64::MAX);
        Some(held.saturating_add(step.saturating_mul(i64::from(self.oom_score_adj))))
    }
}

/// The position of the process that dies: the one with the most points, the later of two equal ones. `total_pages`: memory
/// and swap of the host, or limits of the group whose limit was reached (then the candidates are the group's).
pub fn victim(candidates: &[Candidate], total_pages: u64) -> Option<usize> {
    let points = candidates.iter().enumerate().filter_map(|(at, c)| Some((c.points(total_pages)?, at)));
    points.max().map(|(_, at)| at)
}

/// The quality-of-service class of a Kubernetes container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    /// Requests equal limits.
    Guaranteed,
    /// Some requests.
    Burstable {
        /// Memory requested, bytes.
        request: u64,
    },
    /// No requests.
    BestEffort,
}

impl QosClass {
    /// The `oom_score_adj` that the kubelet gives a container of this class on a node of `node_bytes`
    /// (`pkg/kubelet/qos/policy.go`, `GetContainerOOMScoreAdjust`).
    pub fn oom_score_adj(self, node_bytes: u64) -> i32 {
        match self {
            Self::Guaranteed => -997,
            Self::BestEffort => 1000,
            Self::Burstable { request } => {
                let share = u128::from(request) * 1000 / u128::from(node_bytes.max(1));
                let adj = 1000 - i32::try_from(share.min(1000)).unwrap_or(1000);
                // Never as safe as guaranteed, never as exposed as best effort.
                adj.clamp(3, 999)
            }
        }
    }
}

/// The kernel tries to free pages before it gives up, s: measured 0.25 at 100 MB/s and more.
pub const GIVE_UP_S: f64 = 0.23;
/// Bytes that it still finds by then, so that a slow process reaches the end later: measured 0.41 s at 25 MB/s and 0.46 s at
/// 20 MB/s.
const LAST_BYTES: f64 = 4.3 * 1_048_576.0;
/// Time to reclaim a page to swap for a process that grows as fast as it can, us, beside the device's own where that is
/// longer: 205 MiB/s measured, with neighbours that fault some pages back; error 10 %.
const GROW_PAGE_US: f64 = 19.0;

/// Seconds from the moment when memory is full to the kill, for one process that grows by `bytes_per_s` (infinite: as fast
/// as it can) and fills `swap_bytes` of swap, a page of which takes `write_us` to write. Reclaim is work of a processor, of
/// which it has the share `processor`.
pub fn time_to_kill_s(bytes_per_s: f64, swap_bytes: u64, write_us: f64, processor: f64) -> f64 {
    let most = swap_out_bytes_per_s(write_us).min(swap_out_bytes_per_s(0.0) * processor.min(1.0));
    let rate = bytes_per_s.min(most).max(1.0);
    GIVE_UP_S + (LAST_BYTES + swap_bytes as f64) / rate
}

/// Bytes a second that can be swapped out to make room for a process that grows, when a page takes `write_us` to write.
pub fn swap_out_bytes_per_s(write_us: f64) -> f64 {
    PAGE_BYTES as f64 / GROW_PAGE_US.max(write_us) * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{GIB, MIB};

    #[test]
    fn adj_outweighs_size() {
        // Measured kills: case tiny_adj_900 and a near tie.
        let tiny = Candidate {
            rss_pages: 1_630,
            page_table_bytes: 49_152,
            oom_score_adj: 900,
            ..Candidate::default()
        };
        let big = Candidate { rss_pages: 64_354, page_table_bytes: 561_152, ..Candidate::default() };
        assert_eq!((tiny.points(102_400), big.points(102_400)), (Some(93_442), Some(64_491)));
        assert_eq!(victim(&[big, tiny], 102_400), Some(1));
    }

    #[test]
    fn swapped_pages_count_in_full() {
        let spark =
            Candidate { rss_pages: 15_425, swap_pages: 51_488, page_table_bytes: 577_536, oom_score_adj: 0 };
        let kafka =
            Candidate { rss_pages: 2_711, swap_pages: 48_896, page_table_bytes: 454_656, oom_score_adj: 0 };
        assert_eq!((spark.points(196_608), kafka.points(196_608)), (Some(67_054), Some(51_718)));
        assert_eq!(victim(&[kafka, spark], 196_608), Some(1));
    }

    #[test]
    fn some_are_never_killed() {
        let safe = Candidate { rss_pages: 1 << 20, oom_score_adj: -1000, ..Candidate::default() };
        assert_eq!(victim(&[safe], 1 << 20), None);
        assert_eq!(victim(&[safe, Candidate::default()], 1 << 20), Some(1));
        assert_eq!(victim(&[], 1), None);
    }

    #[test]
    fn page_tables_follow_from_bytes() {
        // Measured: 352,256 to 356,352 bytes for a process of 151 MiB, 561,152 for one of 251 MiB.
        let bytes = Candidate::of_bytes(151 * MIB, 0, 0).page_table_bytes;
        assert!((330_000..370_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn kubernetes_classes_are_ordered() {
        let adj = |class: QosClass| class.oom_score_adj(16 * GIB);
        assert_eq!(adj(QosClass::Guaranteed), -997);
        assert_eq!(adj(QosClass::BestEffort), 1000);
        assert_eq!(adj(QosClass::Burstable { request: 4 * GIB }), 750);
        assert_eq!(adj(QosClass::Burstable { request: 16 * GIB }), 3);
        assert_eq!(adj(QosClass::Burstable { request: 1 }), 999);
    }

    #[test]
    fn the_time_to_the_kill_is_the_time_to_fill_the_swap() {
        let write = 8.5;
        let at = |rate: f64, swap: u64| time_to_kill_s(rate * MIB as f64, swap * MIB, write, 1.0);
        // Measured: 0.31, 2.71, 10.31 and 20.85 s.
        for (found, measured) in [
            (at(f64::INFINITY, 0), 0.306),
            (at(f64::INFINITY, 512), 2.71),
            (at(100.0, 1_024), 10.31),
            (at(25.0, 512), 20.85),
        ] {
            assert!((found / measured - 1.0).abs() < 0.2, "{found} against {measured}");
        }
        // A disk that writes 40 MB/s takes longer.
        assert!(time_to_kill_s(f64::INFINITY, 512 * MIB, 100.0, 1.0) > 12.0);
    }
}
