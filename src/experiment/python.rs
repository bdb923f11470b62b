//! What Python workers need beside an executor's heap, before anything runs: workers, batches on their way, and what is left
//! of the container for them.
//!
//! A worker a task slot (PY-1), each at rest as measured; a batch of rows lies in several copies on both sides of the socket
//! (PY-9, PY-10), which are assumed. Left out: groups of grouped-map functions, which come whole and may be of any size
//! (PY-7); what the user's own code keeps.

use crate::cluster::container::executor_container;
use crate::conf::Settings;
use crate::host::PYTHON_WORKER_BYTES;
use crate::units::MIB;
use crate::workload::Rates;

/// Copies of a batch in the worker: as it came, as a frame (up to twice as large, strings more), and the result. Assumed
/// (PY-10: 1 to 2 times for frames); within a factor of 2.
const COPIES_IN_PYTHON: u64 = 4;
/// Copies in the JVM's direct memory: batches under way in both directions. Assumed (PY-9: 2 to 3).
const COPIES_IN_JVM: u64 = 3;

/// Memory of an executor with Python workers, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonNeed {
    /// Workers at once.
    pub workers: u64,
    /// Of each at rest.
    pub worker_bytes: u64,
    /// The largest batch; `None` where nothing bounds it.
    pub batch_bytes: Option<u64>,
    /// Copies of a batch that each worker and its task hold.
    pub copies: u64,
    /// The JVM beside its heap.
    pub jvm_bytes: u64,
    /// What the container has beside heap and off-heap pools: overhead, `spark.executor.pyspark.memory`, rounding.
    pub room_bytes: u64,
    /// `spark.executor.pyspark.memory` within that, MiB.
    pub pyspark_mib: u64,
}

impl PythonNeed {
    /// What executors that run `workers` tasks at once need, for rows of `row_bytes` if that is known, in containers of
    /// `limit` bytes (`None`: as large as they ask for).
    pub fn of(settings: &Settings, workers: u32, limit: Option<u64>, row_bytes: Option<u64>) -> Self {
        let container = executor_container(settings, true);
        let python = &settings.python;
        let by_rows = row_bytes.zip(python.arrow_batch_rows).map(|(bytes, rows)| bytes.saturating_mul(rows));
        let batch_bytes = match (by_rows, python.arrow_batch_bytes) {
            (Some(rows), Some(bytes)) => Some(rows.min(bytes)),
            (rows, bytes) => rows.or(bytes),
        };
        let heap = (container.heap_mib + container.off_heap_mib).max(0) as u64 * MIB;
        Self {
            workers: u64::from(workers.max(1)),
            worker_bytes: PYTHON_WORKER_BYTES,
            batch_bytes,
            copies: COPIES_IN_PYTHON + COPIES_IN_JVM,
            jvm_bytes: Rates::default().non_heap_bytes,
            room_bytes: limit.unwrap_or(container.total_bytes()).saturating_sub(heap),
            pyspark_mib: container.pyspark_mib.max(0) as u64,
        }
    }

    fn at_rest(&self) -> u64 {
        self.jvm_bytes + self.workers * self.worker_bytes
    }

    /// Everything together, with batches of `batch` bytes.
    pub fn needed(&self, batch: u64) -> u64 {
        self.at_rest().saturating_add(batch.saturating_mul(self.workers * self.copies))
    }

    /// The least `spark.executor.memoryOverhead` that holds it, MiB, with what Python has of its own left as it is.
    pub fn fitting_overhead_mib(&self, batch: u64) -> u64 {
        self.needed(batch).div_ceil(MIB).saturating_sub(self.pyspark_mib)
    }

    /// The largest batch that fits the room that there is.
    pub fn fitting_batch(&self) -> u64 {
        self.room_bytes.saturating_sub(self.at_rest()) / (self.workers * self.copies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Origin, SparkConf, SparkVersion};

    fn need(version: &str, pairs: &[(&str, &str)], row: Option<u64>) -> PythonNeed {
        let mut conf = SparkConf::new(SparkVersion::parse(version).expect(version));
        conf.set("spark.master", "yarn", Origin::Default);
        for (key, value) in pairs {
            conf.set(key, value, Origin::CommandLine("--conf".to_owned()));
        }
        PythonNeed::of(&Settings::resolve(&conf).expect("valid"), 4, None, row)
    }

    #[test]
    fn the_batch_is_bounded_by_rows_and_since_4_0_by_bytes() {
        assert_eq!(need("4.1", &[], Some(100)).batch_bytes, Some(1_000_000));
        assert_eq!(need("4.1", &[], Some(100_000)).batch_bytes, Some(64 << 20));
        assert_eq!(need("4.1", &[], None).batch_bytes, Some(64 << 20));
        assert_eq!(need("3.5", &[], Some(100_000)).batch_bytes, Some(1_000_000_000));
        assert_eq!(need("3.5", &[], None).batch_bytes, None);
    }

    #[test]
    fn what_fits_fits_and_a_byte_more_does_not() {
        let need = need("4.1", &[("spark.executor.memoryOverhead", "1g")], Some(4096));
        let batch = need.fitting_batch();
        assert!(need.needed(batch) <= need.room_bytes && need.needed(batch + 1) > need.room_bytes);
        let overhead = need.fitting_overhead_mib(64 << 20);
        assert!(overhead * MIB >= need.needed(64 << 20) && (overhead - 1) * MIB < need.needed(64 << 20));
    }

    #[test]
    fn memory_of_its_own_leaves_less_to_the_overhead() {
        let own = [("spark.executor.pyspark.memory", "1g"), ("spark.executor.memoryOverhead", "512m")];
        let (with, without) = (need("4.1", &own, None), need("4.1", &own[1..], None));
        assert_eq!(with.room_bytes, without.room_bytes + (1 << 30));
        assert_eq!(with.fitting_overhead_mib(100 << 20) + 1024, without.fitting_overhead_mib(100 << 20));
    }
}
