//! Container sizes: what driver, executors and YARN's application master ask the cluster manager for (PROC-1..8), and what
//! the manager makes of it (YARN-1..3, K8S-1, K8S-2), per version (LEG-8). All in MiB, as Spark counts here.

use crate::conf::{DeployMode, Master, Settings};
use crate::units::MIB;

/// Share of the heap added to a container when nothing else is said (`MEMORY_OVERHEAD_FACTOR`).
const DEFAULT_FACTOR: f64 = 0.10;

/// The same for pods of applications that are not JVM ones (`NON_JVM_MEMORY_OVERHEAD_FACTOR`).
const NON_JVM_FACTOR: f64 = 0.40;

/// Least overhead before it could be configured in 4.0 (`MEMORY_OVERHEAD_MIN_MIB`).
const MIN_OVERHEAD_MIB: i64 = 384;

/// What a container asks for, by part, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerSize {
    /// Heap of the JVM.
    pub heap_mib: i64,
    /// Beyond the heap.
    pub overhead_mib: i64,
    /// Off-heap pools; 0 before 3.0, where they must fit in the overhead.
    pub off_heap_mib: i64,
    /// Python workers; 0 unless they have their own setting.
    pub pyspark_mib: i64,
}

impl ContainerSize {
    /// The whole container (PROC-5).
    pub fn total_mib(&self) -> i64 {
        // Sizes of exabytes are valid properties; no manager grants them.
        [self.overhead_mib, self.off_heap_mib, self.pyspark_mib]
            .into_iter()
            .fold(self.heap_mib, i64::saturating_add)
    }

    /// The whole container in bytes; a negative sum, which an overhead below zero can make, is 0.
    pub fn total_bytes(&self) -> u64 {
        (self.total_mib().max(0) as u64).saturating_mul(MIB)
    }
}

/// How an executor's container is sized under `settings`; `python` when the application is a Python one.
pub fn executor_container(settings: &Settings, python: bool) -> ContainerSize {
    let heap_mib = (settings.executor.memory / MIB) as i64;
    let container = &settings.container;
    let factor = container.executor_factor.unwrap_or_else(|| inherited_factor(settings, python));
    // Off-heap is in the request since 3.0, and only when operators use it (PROC-4).
    let off_heap = settings.memory.off_heap_enabled && settings.spark_version.at_least(3, 0);
    ContainerSize {
        heap_mib,
        overhead_mib: container.executor_overhead_mib.unwrap_or_else(|| {
            overhead(heap_mib, factor, minimum(settings, container.executor_min_overhead_mib))
        }),
        off_heap_mib: if off_heap { (settings.memory.off_heap_size / MIB) as i64 } else { 0 },
        pyspark_mib: settings
            .python
            .executor_memory
            .filter(|_| python)
            .map_or(0, |bytes| (bytes / MIB) as i64),
    }
}

/// How the driver's container is sized in cluster mode (PROC-6): off-heap and Python memory are not added.
pub fn driver_container(settings: &Settings, python: bool) -> ContainerSize {
    let heap_mib = (settings.driver.memory / MIB) as i64;
    let container = &settings.container;
    let factor = container.driver_factor.unwrap_or_else(|| inherited_factor(settings, python));
    ContainerSize {
        heap_mib,
        overhead_mib: container.driver_overhead_mib.unwrap_or_else(|| {
            overhead(heap_mib, factor, minimum(settings, container.driver_min_overhead_mib))
        }),
        ..ContainerSize::default()
    }
}

/// How the container of YARN's application master is sized in client mode (PROC-7).
pub fn application_master_container(settings: &Settings) -> ContainerSize {
    let container = &settings.container;
    let heap_mib = container.am_memory_mib;
    let least = minimum(settings, container.driver_min_overhead_mib);
    ContainerSize {
        heap_mib,
        overhead_mib: container.am_overhead_mib.unwrap_or_else(|| overhead(heap_mib, DEFAULT_FACTOR, least)),
        ..ContainerSize::default()
    }
}

/// The factor where the process's own key says nothing (PROC-2, K8S-2).
fn inherited_factor(settings: &Settings, python: bool) -> f64 {
    if settings.master != Master::Kubernetes {
        return DEFAULT_FACTOR;
    }
    // In client mode nothing looks at what the application is written in.
    let non_jvm = python && settings.deploy_mode == DeployMode::Cluster;
    settings.container.kubernetes_factor.unwrap_or(if non_jvm { NON_JVM_FACTOR } else { DEFAULT_FACTOR })
}

fn minimum(settings: &Settings, configured: i64) -> i64 {
    if settings.spark_version.at_least(4, 0) { configured } else { MIN_OVERHEAD_MIB }
}

/// PROC-1: the product truncated to whole MiB, at least `least`; an `Int`, as in `ResourceProfile.calculateOverHeadMemory`.
fn overhead(heap_mib: i64, factor: f64, least: i64) -> i64 {
    i64::from((factor * heap_mib as f64) as i32).max(least)
}

/// How YARN's `ResourceManager` rounds and bounds requests, in MiB (YARN-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YarnLimits {
    /// `yarn.scheduler.minimum-allocation-mb`.
    pub min_allocation_mib: u64,
    /// Rounding step: the minimum with the capacity scheduler, the increment with the fair scheduler.
    pub step_mib: u64,
    /// `yarn.scheduler.maximum-allocation-mb`.
    pub max_allocation_mib: u64,
}

impl Default for YarnLimits {
    /// Hadoop's own defaults with the capacity scheduler (`yarn-default.xml`).
    fn default() -> Self {
        Self { min_allocation_mib: 1024, step_mib: 1024, max_allocation_mib: 8192 }
    }
}

impl YarnLimits {
    /// The size of the container that a request of `mib` becomes; it is also the limit that is enforced.
    pub fn granted_mib(&self, mib: i64) -> u64 {
        let wanted = (mib.max(0) as u64).max(self.min_allocation_mib);
        wanted.next_multiple_of(self.step_mib.max(1)).min(self.max_allocation_mib)
    }

    /// YARN-2 for an executor: why the client refuses to submit, if it does. It compares what is asked for, unrounded.
    pub fn refuse_executor(&self, size: &ContainerSize) -> Option<String> {
        self.is_above(size).then(|| {
            format!(
                "Required executor memory ({} MB), offHeap memory ({}) MB, overhead ({} MB), and PySpark memory ({} MB) \
                 is above the max threshold ({} MB) of this cluster! Please check the values of \
                 'yarn.scheduler.maximum-allocation-mb' and/or 'yarn.nodemanager.resource.memory-mb'.",
                size.heap_mib, size.off_heap_mib, size.overhead_mib, size.pyspark_mib, self.max_allocation_mib
            )
        })
    }

    /// YARN-2 for the application master, which in cluster mode is the driver.
    pub fn refuse_application_master(&self, size: &ContainerSize) -> Option<String> {
        self.is_above(size).then(|| {
            format!(
                "Required AM memory ({}+{} MB) is above the max threshold ({} MB) of this cluster! Please check the \
                 values of 'yarn.scheduler.maximum-allocation-mb' and/or 'yarn.nodemanager.resource.memory-mb'.",
                size.heap_mib, size.overhead_mib, self.max_allocation_mib
            )
        })
    }

    fn is_above(&self, size: &ContainerSize) -> bool {
        size.total_mib() > self.max_allocation_mib as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Origin, SparkConf, SparkVersion};

    fn settings(version: &str, properties: &[(&str, &str)]) -> Settings {
        let mut conf = SparkConf::new(SparkVersion::parse(version).expect(version));
        conf.set("spark.master", "yarn", Origin::Default);
        for (key, value) in properties {
            conf.set(key, value, Origin::Scenario(1));
        }
        Settings::resolve(&conf).expect("valid settings")
    }

    fn executor_mib(version: &str, properties: &[(&str, &str)], python: bool) -> i64 {
        executor_container(&settings(version, properties), python).total_mib()
    }

    #[test]
    fn proc_1_examples_of_the_factor_and_the_minimum() {
        for version in ["2.4", "3.5", "4.1"] {
            for (heap, total) in [("1g", 1408), ("4g", 4505), ("8g", 9011), ("30g", 33792)] {
                assert_eq!(
                    executor_mib(version, &[("spark.executor.memory", heap)], false),
                    total,
                    "{version} {heap}"
                );
            }
        }
    }

    #[test]
    fn proc_1_an_explicit_overhead_wins_unbounded() {
        for (overhead, total) in [("100", 1124), ("2g", 3072), ("-1", 1023)] {
            let properties =
                [("spark.executor.memoryOverhead", overhead), ("spark.executor.minMemoryOverhead", "1g")];
            assert_eq!(executor_mib("4.1", &properties, false), total, "{overhead}");
        }
        assert_eq!(executor_mib("4.1", &[("spark.yarn.executor.memoryOverhead", "700")], false), 1724);
    }

    #[test]
    fn proc_1_the_minimum_is_configurable_since_4_0() {
        let properties = [("spark.executor.minMemoryOverhead", "512m")];
        assert_eq!(executor_mib("4.1", &properties, false), 1536);
        assert_eq!(executor_mib("3.5", &properties, false), 1408);
    }

    #[test]
    fn proc_2_the_factor_is_configurable_since_3_3() {
        let properties = [("spark.executor.memory", "10g"), ("spark.executor.memoryOverheadFactor", "0.5")];
        assert_eq!(executor_mib("4.1", &properties, false), 15360);
        assert_eq!(executor_mib("3.2", &properties, false), 11264);
    }

    #[test]
    fn proc_3_and_4_parts_beyond_the_heap() {
        let properties = [
            ("spark.memory.offHeap.enabled", "true"),
            ("spark.memory.offHeap.size", "1073741825"),
            ("spark.executor.pyspark.memory", "512m"),
        ];
        let size = executor_container(&settings("4.1", &properties), true);
        assert_eq!((size.off_heap_mib, size.pyspark_mib, size.total_mib()), (1024, 512, 2944));
        // The same for an application that is no Python one, and before 3.0.
        assert_eq!(executor_mib("4.1", &properties, false), 2432);
        assert_eq!(executor_mib("2.4", &properties, true), 1920);
        let disabled = [("spark.memory.offHeap.size", "1g")];
        assert_eq!(executor_mib("4.1", &disabled, false), 1408);
    }

    #[test]
    fn proc_6_and_7_driver_and_application_master() {
        let properties = [
            ("spark.driver.memory", "20g"),
            ("spark.memory.offHeap.enabled", "true"),
            ("spark.memory.offHeap.size", "8g"),
        ];
        let driver = driver_container(&settings("4.1", &properties), true);
        assert_eq!((driver.total_mib(), driver.overhead_mib), (22528, 2048));
        assert_eq!(application_master_container(&settings("4.1", &[])).total_mib(), 896);
        let own = [("spark.yarn.am.memory", "8g"), ("spark.yarn.am.memoryOverhead", "1g")];
        assert_eq!(application_master_container(&settings("4.1", &own)).total_mib(), 9216);
    }

    #[test]
    fn k8s_2_python_drivers_in_cluster_mode_get_four_tenths() {
        let total = |heap: &str, mode: &str, python: bool| {
            let properties = [
                ("spark.master", "k8s://x"),
                ("spark.executor.memory", heap),
                ("spark.submit.deployMode", mode),
            ];
            executor_mib("4.1", &properties, python)
        };
        assert_eq!(total("1g", "cluster", true), 1433);
        assert_eq!(total("4g", "cluster", true), 5734);
        assert_eq!(total("4g", "client", true), 4505);
        assert_eq!(total("4g", "cluster", false), 4505);
        let explicit = [
            ("spark.master", "k8s://x"),
            ("spark.submit.deployMode", "cluster"),
            ("spark.kubernetes.memoryOverheadFactor", "0.2"),
            ("spark.executor.memory", "4g"),
        ];
        assert_eq!(executor_mib("4.1", &explicit, true), 4096 + 819);
    }

    #[test]
    fn yarn_1_and_3_rounding() {
        let limits = YarnLimits { max_allocation_mib: 65536, ..YarnLimits::default() };
        for (asked, granted) in [(4505, 5120), (22528, 22528), (1, 1024), (100_000, 65536)] {
            assert_eq!(limits.granted_mib(asked), granted, "{asked}");
        }
        let fair = YarnLimits { step_mib: 512, ..limits };
        assert_eq!(fair.granted_mib(4505), 4608);
    }

    #[test]
    fn yarn_2_compares_what_is_asked_for() {
        let limits = YarnLimits { min_allocation_mib: 1024, step_mib: 1024, max_allocation_mib: 9011 };
        let size = |heap| executor_container(&settings("4.1", &[("spark.executor.memory", heap)]), false);
        assert_eq!(limits.refuse_executor(&size("8g")), None);
        let words = limits.refuse_executor(&size("8193m")).expect("refused");
        assert!(words.contains("Required executor memory (8193 MB)"), "{words}");
        assert!(words.contains("is above the max threshold (9011 MB)"), "{words}");
        let am = limits.refuse_application_master(&size("8193m")).expect("refused");
        assert!(am.contains("Required AM memory (8193+819 MB)"), "{am}");
    }
}
