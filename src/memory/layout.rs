//! How large the regions, pools and pages of a configuration are. Follows `UnifiedMemoryManager.apply` and the
//! constructor of `MemoryManager` of Spark 2.4, 3.5 and 4.1, and `StaticMemoryManager` of 2.4. Reading properties is
//! left to `conf`, sizes of containers to `cluster`.

use std::fmt;

use super::{MemoryMode, StaticRegions, UnifiedRegions};
use crate::conf::Collector;
use crate::units::MIB;

/// Heap set aside before the fractions apply (`UnifiedMemoryManager.RESERVED_SYSTEM_MEMORY_BYTES`).
pub const RESERVED_MEMORY_BYTES: u64 = 300 * MIB;

/// Smallest heap of the static manager (`StaticMemoryManager.MIN_MEMORY_BYTES`, LEG-2).
pub const MIN_STATIC_MEMORY_BYTES: u64 = 32 * MIB;

/// Bounds of the default page size (`MemoryManager.pageSizeBytes`, PAGE-1).
const MIN_PAGE_BYTES: u64 = MIB;
const MAX_DEFAULT_PAGE_BYTES: u64 = 64 * MIB;
/// A page is this part of a core's execution memory, so that every task has some (PAGE-1).
const PAGE_SAFETY_FACTOR: u64 = 16;
/// Header of a Java long array; with it a page still fills whole G1 regions (PAGE-2).
const LONG_ARRAY_HEADER_BYTES: u64 = 16;

/// Maximum heap that a JVM reports, and whether the figure was measured or estimated by a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemMemory {
    /// Bytes of `Runtime.maxMemory`.
    pub bytes: u64,
    /// False when the figure is within a per cent or so rather than exact.
    pub exact: bool,
}

/// Measured `Runtime.maxMemory` on JDK 17 (HEAP-2): heap in MiB, then bytes under Parallel and Serial.
const MEASURED: [(u64, u64, u64); 7] = [
    (512, 477_626_368, 518_979_584),
    (1 << 10, 954_728_448, 1_037_959_168),
    (2 << 10, 1_908_932_608, 2_075_918_336),
    (4 << 10, 3_817_865_216, 4_151_836_672),
    (8 << 10, 7_635_730_432, 8_303_607_808),
    (30 << 10, 28_633_464_832, 31_138_512_896),
    (32 << 10, 30_542_397_440, 33_214_431_232),
];

impl SystemMemory {
    /// The maximum heap that a JVM with a collector and `-Xmx` reports (HEAP-1, HEAP-2). Its initial heap is smaller, as
    /// Spark leaves it: a fixed heap would lose less under Parallel.
    pub fn of(collector: Collector, heap_bytes: u64) -> Self {
        let measured = MEASURED.iter().find(|row| row.0 * MIB == heap_bytes);
        // One survivor space is missing: a third of a third of the heap under Parallel, which may resize it, a tenth of
        // a third under Serial.
        let (known, part) = match collector {
            Collector::G1 => return Self { bytes: heap_bytes, exact: true },
            Collector::Parallel => (measured.map(|row| row.1), 9),
            Collector::Serial => (measured.map(|row| row.2), 30),
        };
        match known {
            Some(bytes) => Self { bytes, exact: true },
            None => Self { bytes: heap_bytes - heap_bytes / part, exact: false },
        }
    }
}

/// Which Spark's rules a layout follows, as far as releases differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayoutRules {
    /// 2.x: few checks.
    V2,
    /// 3.0 to 3.2.
    V3_0,
    /// 3.3 to 3.5: pages are adjusted to G1.
    V3_3,
    /// 4.x: failures of properties have conditions.
    V4,
}

/// What a layout depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayoutInput {
    /// The release.
    pub rules: LayoutRules,
    /// Maximum heap the JVM reports in bytes (HEAP-1).
    pub system_memory: u64,
    /// Bytes set aside; [`RESERVED_MEMORY_BYTES`] outside Spark's own tests.
    pub reserved_memory: u64,
    /// `spark.executor.memory` read as bytes, if it is set (HEAP-5).
    pub executor_memory: Option<u64>,
    /// `spark.memory.fraction`.
    pub memory_fraction: f64,
    /// `spark.memory.storageFraction`.
    pub storage_fraction: f64,
    /// `spark.memory.offHeap.enabled`.
    pub off_heap_enabled: bool,
    /// `spark.memory.offHeap.size` in bytes.
    pub off_heap_size: i64,
    /// Cores the JVM's memory manager is told, or the processors the JVM sees when it is told none (PAGE-3).
    pub cores: u32,
    /// `spark.buffer.pageSize` in bytes, if it is set (PAGE-4).
    pub page_size: Option<u64>,
    /// The JVM's collector.
    pub collector: Collector,
}

impl LayoutInput {
    /// Spark 4's defaults for a heap of so many bytes as the JVM reports it, one core and G1.
    pub fn with_system_memory(system_memory: u64) -> Self {
        Self {
            rules: LayoutRules::V4,
            system_memory,
            reserved_memory: RESERVED_MEMORY_BYTES,
            executor_memory: None,
            memory_fraction: 0.6,
            storage_fraction: 0.5,
            off_heap_enabled: false,
            off_heap_size: 0,
            cores: 1,
            page_size: None,
            collector: Collector::G1,
        }
    }
}

/// Regions of a JVM in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLayout {
    /// Maximum heap the JVM reports.
    pub system_memory: u64,
    /// Bytes set aside.
    pub reserved_memory: u64,
    /// The regions of the unified manager.
    pub regions: UnifiedRegions,
    /// The mode of Tungsten's memory.
    pub tungsten_mode: MemoryMode,
    /// Size of a page.
    pub page_size: u64,
}

impl MemoryLayout {
    /// Computes the regions of the unified manager (HEAP-4 .. HEAP-9, UMM-11, PAGE-1 .. PAGE-4).
    ///
    /// # Errors
    /// Fails where Spark does, in Spark's order and words.
    pub fn unified(input: &LayoutInput) -> Result<Self, LayoutError> {
        let error = |kind| LayoutError { kind, rules: input.rules };
        // ceil(reserved x 1.5)
        let min_memory = input.reserved_memory + input.reserved_memory.div_ceil(2);
        check_minimum(input, min_memory)?;
        let usable = input.system_memory - input.reserved_memory;
        let on_heap = (usable as f64 * input.memory_fraction) as i64;

        let fraction = input.storage_fraction;
        if input.rules > LayoutRules::V2 && !(0.0..1.0).contains(&fraction) {
            return Err(error(LayoutErrorKind::StorageFraction(fraction)));
        }
        if input.rules > LayoutRules::V2 && on_heap <= (on_heap as f64 * fraction) as i64 {
            return Err(error(LayoutErrorKind::NoExecutionMemory));
        }
        // Before 3.0 no property is checked, but a pool refuses a negative size.
        let split = |total: i64| {
            let storage = (total as f64 * fraction) as i64;
            let valid = (0..=total).contains(&storage);
            if valid { Ok((total as u64, storage as u64)) } else { Err(error(LayoutErrorKind::NegativePool)) }
        };
        let (on_heap, on_heap_storage) = split(on_heap)?;
        if input.off_heap_size < 0 {
            return Err(error(LayoutErrorKind::OffHeapSize(input.off_heap_size)));
        }
        let (off_heap, off_heap_storage) = split(input.off_heap_size)?;
        if input.off_heap_enabled && off_heap == 0 {
            return Err(error(LayoutErrorKind::NoOffHeapMemory));
        }
        let regions = UnifiedRegions { on_heap, on_heap_storage, off_heap, off_heap_storage };
        let (tungsten_mode, execution) = if input.off_heap_enabled {
            (MemoryMode::OffHeap, off_heap - off_heap_storage)
        } else {
            (MemoryMode::OnHeap, on_heap - on_heap_storage)
        };
        Ok(Self {
            system_memory: input.system_memory,
            reserved_memory: input.reserved_memory,
            regions,
            tungsten_mode,
            page_size: page_size(input, tungsten_mode, execution),
        })
    }

    /// Heap that no pool accounts for: what is neither reserved nor in the unified region (HEAP-10). None is left by a
    /// `spark.memory.fraction` above 1, which the memory manager itself does not refuse.
    pub fn user_memory(&self) -> u64 {
        (self.system_memory - self.reserved_memory).saturating_sub(self.regions.on_heap)
    }
}

/// What the regions of the static manager depend on (LEG-1); the fractions' defaults are Spark's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaticInput {
    /// Maximum heap the JVM reports in bytes.
    pub system_memory: u64,
    /// `spark.executor.memory` read as bytes, if it is set.
    pub executor_memory: Option<u64>,
    /// `spark.storage.memoryFraction`.
    pub storage_fraction: f64,
    /// `spark.storage.safetyFraction`.
    pub storage_safety: f64,
    /// `spark.storage.unrollFraction`.
    pub unroll_fraction: f64,
    /// `spark.shuffle.memoryFraction`.
    pub shuffle_fraction: f64,
    /// `spark.shuffle.safetyFraction`.
    pub shuffle_safety: f64,
    /// `spark.memory.offHeap.size` in bytes.
    pub off_heap_size: u64,
}

impl StaticInput {
    /// The defaults for a heap of so many bytes as the JVM reports it.
    pub fn with_system_memory(system_memory: u64) -> Self {
        Self {
            system_memory,
            executor_memory: None,
            storage_fraction: 0.6,
            storage_safety: 0.9,
            unroll_fraction: 0.2,
            shuffle_fraction: 0.2,
            shuffle_safety: 0.8,
            off_heap_size: 0,
        }
    }
}

impl StaticRegions {
    /// Computes the regions of the static manager (LEG-1, LEG-2, LEG-4, LEG-5).
    ///
    /// # Errors
    /// Fails when the heap or `spark.executor.memory` is below 32 MiB.
    pub fn of(input: &StaticInput) -> Result<Self, LayoutError> {
        let memory = input.system_memory as f64;
        let error = |kind| LayoutError { kind, rules: LayoutRules::V2 };
        let minimum = MIN_STATIC_MEMORY_BYTES;
        if input.system_memory < minimum {
            return Err(error(LayoutErrorKind::SystemMemory { found: input.system_memory, minimum }));
        }
        if let Some(found) = input.executor_memory.filter(|&found| found < minimum) {
            return Err(error(LayoutErrorKind::ExecutorMemory { found, minimum }));
        }
        // Products are taken from left to right in doubles, then truncated.
        let storage = (memory * input.storage_fraction * input.storage_safety) as u64;
        let execution = (memory * input.shuffle_fraction * input.shuffle_safety) as u64;
        Ok(Self::with_pools(execution, storage, input.unroll_fraction, input.off_heap_size))
    }

    /// Regions with pools of given sizes and `spark.storage.unrollFraction`.
    pub fn with_pools(execution: u64, storage: u64, unroll_fraction: f64, off_heap: u64) -> Self {
        Self { execution, storage, max_unroll: (storage as f64 * unroll_fraction) as u64, off_heap }
    }
}

/// A configuration that Spark refuses to start with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayoutError {
    /// What is wrong.
    pub kind: LayoutErrorKind,
    /// The release, on which Spark's words depend.
    pub rules: LayoutRules,
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayoutErrorKind {
    /// The heap is too small (HEAP-4).
    SystemMemory {
        /// Its bytes.
        found: u64,
        /// Bytes needed.
        minimum: u64,
    },
    /// `spark.executor.memory`, read as bytes, is too small (HEAP-5, CONF-12).
    ExecutorMemory {
        /// Its bytes.
        found: u64,
        /// Bytes needed.
        minimum: u64,
    },
    /// `spark.memory.storageFraction` is outside [0, 1) (CONF-10).
    StorageFraction(f64),
    /// The execution pool would have no bytes (CONF-9).
    NoExecutionMemory,
    /// `spark.memory.offHeap.size` is negative.
    OffHeapSize(i64),
    /// `spark.memory.offHeap.enabled` without a size.
    NoOffHeapMemory,
    /// A pool would have a negative size; only before 3.0, which does not check the fraction.
    NegativePool,
}

impl LayoutError {
    /// The error condition of Spark 3.4 and later; `None` where a plain Java exception is thrown.
    pub fn condition(&self) -> Option<&'static str> {
        match (self.kind, self.rules) {
            (_, LayoutRules::V2) => None,
            (LayoutErrorKind::SystemMemory { .. }, _) => Some("INVALID_DRIVER_MEMORY"),
            (LayoutErrorKind::ExecutorMemory { .. }, _) => Some("INVALID_EXECUTOR_MEMORY"),
            (LayoutErrorKind::StorageFraction(_) | LayoutErrorKind::OffHeapSize(_), LayoutRules::V4) => {
                Some("INVALID_CONF_VALUE.REQUIREMENT")
            }
            _ => None,
        }
    }

    /// The class of the exception.
    pub fn java_class(&self) -> &'static str {
        match self.condition() {
            Some(_) => "org.apache.spark.SparkIllegalArgumentException",
            None => "java.lang.IllegalArgumentException",
        }
    }

    fn sql_state(&self) -> Option<&'static str> {
        match self.condition() {
            Some("INVALID_CONF_VALUE.REQUIREMENT") => Some("22022"),
            Some(_) if self.rules >= LayoutRules::V4 => Some("F0000"),
            _ => None,
        }
    }

    /// Writes a size check's failure; before 3.4 the property's name is not quoted.
    fn write_minimum(&self, f: &mut fmt::Formatter<'_>, check: &MinimumCheck) -> fmt::Result {
        let quote = if self.condition().is_some() { "\"" } else { "" };
        let MinimumCheck { what, found, minimum, increase, option, property } = check;
        write!(
            f,
            "{what} memory {found} must be at least {minimum}. Please increase {increase} using the {option} option or \
             {quote}{property}{quote} in Spark configuration."
        )
    }

    /// Writes a property's failure.
    fn write_property(
        &self,
        f: &mut fmt::Formatter<'_>,
        value: &dyn fmt::Display,
        property: &str,
        requirement: &str,
    ) -> fmt::Result {
        if self.condition().is_some() {
            write!(f, "The value '{value}' in the config \"{property}\" is invalid. {requirement}")
        } else {
            write!(f, "'{value}' in {property} is invalid. {requirement}")
        }
    }
}

struct MinimumCheck {
    what: &'static str,
    found: u64,
    minimum: u64,
    increase: &'static str,
    option: &'static str,
    property: &'static str,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(condition) = self.condition() {
            write!(f, "[{condition}] ")?;
        }
        match self.kind {
            LayoutErrorKind::SystemMemory { found, minimum } => self.write_minimum(
                f,
                &MinimumCheck {
                    what: "System",
                    found,
                    minimum,
                    increase: "heap size",
                    option: "--driver-memory",
                    property: "spark.driver.memory",
                },
            )?,
            LayoutErrorKind::ExecutorMemory { found, minimum } => self.write_minimum(
                f,
                &MinimumCheck {
                    what: "Executor",
                    found,
                    minimum,
                    increase: "executor memory",
                    option: "--executor-memory",
                    property: "spark.executor.memory",
                },
            )?,
            LayoutErrorKind::StorageFraction(fraction) => self.write_property(
                f,
                // As Java shows a double: with a fraction even if it is whole.
                &format_args!("{fraction:?}"),
                "spark.memory.storageFraction",
                "Storage fraction must be in [0,1)",
            )?,
            LayoutErrorKind::OffHeapSize(size) => {
                const REQUIREMENT: &str = "The off-heap memory size must not be negative";
                match self.rules {
                    LayoutRules::V2 => f.write_str(REQUIREMENT)?,
                    // The value is echoed in its unit since 4.0 (CONF-6).
                    LayoutRules::V4 => {
                        self.write_property(f, &format_args!("{size}b"), "spark.memory.offHeap.size", REQUIREMENT)?;
                    }
                    _ => self.write_property(f, &size, "spark.memory.offHeap.size", REQUIREMENT)?,
                }
            }
            LayoutErrorKind::NoExecutionMemory => {
                f.write_str("requirement failed: onHeapExecutionMemory must be > 0")?;
            }
            LayoutErrorKind::NoOffHeapMemory => f.write_str(
                "requirement failed: spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled == true",
            )?,
            LayoutErrorKind::NegativePool => f.write_str("requirement failed")?,
        }
        match self.sql_state() {
            Some(state) => write!(f, " SQLSTATE: {state}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LayoutError {}

fn check_minimum(input: &LayoutInput, minimum: u64) -> Result<(), LayoutError> {
    let found = input.system_memory;
    let kind = if found < minimum {
        Some(LayoutErrorKind::SystemMemory { found, minimum })
    } else {
        let too_small = input.executor_memory.filter(|&found| found < minimum);
        too_small.map(|found| LayoutErrorKind::ExecutorMemory { found, minimum })
    };
    kind.map_or(Ok(()), |kind| Err(LayoutError { kind, rules: input.rules }))
}

/// Size of a page where Tungsten's mode has so much execution memory at the start: `spark.buffer.pageSize`, or by the
/// rules of PAGE-1 to PAGE-3.
pub fn page_size(input: &LayoutInput, mode: MemoryMode, execution: u64) -> u64 {
    input.page_size.unwrap_or_else(|| default_page_size(input, mode, execution))
}

fn default_page_size(input: &LayoutInput, mode: MemoryMode, execution: u64) -> u64 {
    let share = execution / u64::from(input.cores.max(1)) / PAGE_SAFETY_FACTOR;
    let size = share.next_power_of_two().clamp(MIN_PAGE_BYTES, MAX_DEFAULT_PAGE_BYTES);
    let adjusted =
        input.rules >= LayoutRules::V3_3 && input.collector == Collector::G1 && mode == MemoryMode::OnHeap;
    if adjusted { size - LONG_ARRAY_HEADER_BYTES } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GIB;

    fn layout(heap: u64) -> MemoryLayout {
        MemoryLayout::unified(&LayoutInput::with_system_memory(heap)).unwrap()
    }

    #[test]
    fn regions_are_those_of_spark_for_common_heaps() {
        // Worked examples of spark-memory 2.2: heap, M, G, user memory.
        for (heap, unified, storage, user) in [
            (512 * MIB, 133378867, 66689433, 88919245),
            (GIB, 455501414, 227750707, 303667610),
            (2 * GIB, 1099746508, 549873254, 733164340),
            (4 * GIB, 2388236697, 1194118348, 1592157799),
            (8 * GIB, 4965217075, 2482608537, 3310144717),
            (30 * GIB, 19138609152, 9569304576, 12759072768),
        ] {
            let found = layout(heap);
            assert_eq!((found.regions.on_heap, found.regions.on_heap_storage), (unified, storage));
            assert_eq!(found.user_memory(), user);
        }
    }

    #[test]
    fn the_smallest_heap_is_one_and_a_half_times_the_reserve() {
        let smallest = layout(471_859_200).regions;
        assert_eq!((smallest.on_heap, smallest.on_heap_storage), (94_371_840, 47_185_920));
        let error = MemoryLayout::unified(&LayoutInput::with_system_memory(471_859_199)).unwrap_err();
        assert_eq!(error.condition(), Some("INVALID_DRIVER_MEMORY"));
        assert_eq!(
            error.to_string(),
            "[INVALID_DRIVER_MEMORY] System memory 471859199 must be at least 471859200. Please increase heap size \
             using the --driver-memory option or \"spark.driver.memory\" in Spark configuration. SQLSTATE: F0000"
        );
    }

    #[test]
    fn pages_shrink_with_cores_and_grow_with_the_heap() {
        // spark-memory 6.1, under G1.
        for (cores, pages) in [
            (1, [16777200, 67108848, 67108848]),
            (2, [8388592, 67108848, 67108848]),
            (4, [4194288, 33554416, 67108848]),
            (8, [2097136, 16777200, 67108848]),
            (16, [1048560, 8388592, 67108848]),
        ] {
            for (heap, page) in [GIB, 4 * GIB, 30 * GIB].into_iter().zip(pages) {
                let input = LayoutInput { cores, ..LayoutInput::with_system_memory(heap) };
                let size = |input: LayoutInput| MemoryLayout::unified(&input).unwrap().page_size;
                assert_eq!(size(input), page, "{cores} cores, {heap} bytes");
                assert_eq!(size(LayoutInput { collector: Collector::Serial, ..input }), page + 16);
                assert_eq!(size(LayoutInput { rules: LayoutRules::V3_0, ..input }), page + 16);
                assert_eq!(size(LayoutInput { page_size: Some(12345), ..input }), 12345);
            }
        }
    }

    #[test]
    fn collectors_report_less_than_the_heap() {
        let exact = |bytes| SystemMemory { bytes, exact: true };
        assert_eq!(SystemMemory::of(Collector::G1, 3 * GIB), exact(3 * GIB));
        assert_eq!(SystemMemory::of(Collector::Serial, GIB), exact(1_037_959_168));
        assert_eq!(SystemMemory::of(Collector::Parallel, 4 * GIB), exact(3_817_865_216));
        for (collector, share) in [(Collector::Serial, 0.96667), (Collector::Parallel, 0.88889)] {
            let estimate = SystemMemory::of(collector, 3 * GIB);
            assert!(!estimate.exact);
            assert!((estimate.bytes as f64 / (3 * GIB) as f64 - share).abs() < 1e-4, "{collector:?}");
        }
    }

    #[test]
    fn the_static_manager_splits_the_whole_heap() {
        let regions = StaticRegions::of(&StaticInput::with_system_memory(GIB)).unwrap();
        assert_eq!((regions.storage, regions.execution), (579_820_584, 171_798_691));
        assert_eq!(regions.max_unroll, 115_964_116);
        let error =
            StaticRegions::of(&StaticInput::with_system_memory(MIN_STATIC_MEMORY_BYTES - 1)).unwrap_err();
        assert!(
            error.to_string().starts_with("System memory 33554431 must be at least 33554432. "),
            "{error}"
        );
    }
}
