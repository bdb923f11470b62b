//! What happened to a host's memory: who held it at the worst moment and over time, what was swapped, who was killed, and
//! how the neighbours fared.

/// A machine whose memory is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostRecord {
    /// Name.
    pub name: String,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Swap space, bytes.
    pub swap_bytes: u64,
    /// When most memory and swap was wanted, ns since the start.
    pub peak_ns: u64,
    /// Room for Spark's local files, bytes; `None`: unlimited.
    pub disk_bytes: Option<u64>,
    /// Most of Spark's local files that were there at once, bytes.
    pub peak_files_bytes: u64,
    /// They lie in memory (tmpfs).
    pub files_in_memory: bool,
    /// Bytes read back from swap.
    pub swap_in_bytes: u64,
    /// Bytes written to swap.
    pub swap_out_bytes: u64,
    /// Largest slow-down of an executor by missing pages; 1 is none.
    pub worst_slowdown: f64,
    /// When the kernel killed other applications like this one on the host, ns since the start.
    pub copies_killed_ns: Vec<u64>,
    /// The application's own executors that the kernel killed here, by position in the run's executors.
    pub executors_killed: Vec<u32>,
}

/// [`LedgerEntry::process`] of what the page cache holds of Spark's files; it gives way to processes.
pub const CACHED_FILES: &str = "page cache of Spark's files";
/// [`LedgerEntry::process`] of what no process and no file of Spark takes.
pub const FREE_MEMORY: &str = "free or other page cache";

/// Whether a line of a ledger gives way by itself to whoever needs memory.
pub fn gives_way(process: &str) -> bool {
    [CACHED_FILES, FREE_MEMORY].contains(&process)
}

/// A line of a host's ledger at the moment when most was wanted: the kernel, executors, neighbours, files in memory, page
/// cache.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerEntry {
    /// Host.
    pub host: String,
    /// Who: an executor's id, a neighbour's name, `kernel`, `files in memory`, [`CACHED_FILES`], [`FREE_MEMORY`].
    pub process: String,
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Bytes in swap.
    pub swapped_bytes: u64,
}

/// A neighbour on a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantRecord {
    /// Name.
    pub name: String,
    /// Host.
    pub host: String,
    /// Memory that it wants, bytes.
    pub resident_bytes: u64,
    /// Most of it that was in swap, bytes.
    pub peak_swapped_bytes: u64,
    /// When the kernel killed it, ns since the start.
    pub killed_ns: Option<u64>,
    /// Half of its requests take no longer on the quiet host, ms; `None` where nothing is asked of it.
    pub quiet_p50_ms: Option<f64>,
    /// 99 % of them take no longer on the quiet host, ms.
    pub quiet_p99_ms: Option<f64>,
    /// So long it was asked during the run, ms. A request that would take longer is not served in it; then the following are
    /// this time.
    pub asked_ms: Option<f64>,
    /// Half of them took no longer during the run, ms.
    pub p50_ms: Option<f64>,
    /// 99 % of them took no longer during the run, ms.
    pub p99_ms: Option<f64>,
    /// The slowest request of a quarter of a second took no longer in 99 % of those quarters, ms; `None` where the time between
    /// two requests is not known.
    pub worst_of_quarter_p99_ms: Option<f64>,
}

/// Memory of one process on a host at one moment; holds until its next point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostPoint {
    /// When, ns since the start.
    pub time_ns: u64,
    /// Host, by position in the run's hosts.
    pub host: u32,
    /// Who, as in [`LedgerEntry::process`].
    pub process: String,
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Bytes in swap.
    pub swapped_bytes: u64,
    /// Spark's local files on the host, bytes; only on the line of its kernel.
    pub files_bytes: Option<u64>,
    /// Half of its requests take no longer at this moment, ms; only for neighbours of which something is asked.
    pub p50_ms: Option<f64>,
    /// 99 % of them take no longer at this moment, ms.
    pub p99_ms: Option<f64>,
}
