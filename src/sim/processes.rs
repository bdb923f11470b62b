//! From planned processes to simulated ones: hosts with processors, executors with the regions and pages that Spark's own
//! start-up would give them.

use crate::cluster::ClusterPlan;
use crate::conf::{Collector, Settings, SparkVersion};
use crate::host::swap::SwapDevice;
use crate::host::tenant::Tenant;
use crate::memory::layout::{
    LayoutInput, LayoutRules, RESERVED_MEMORY_BYTES, StaticInput, SystemMemory, page_size,
};
use crate::memory::{LayoutError, MemoryLayout, MemoryMode, StaticRegions, UnifiedRegions};

/// A machine with executors on it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSpec {
    /// Name.
    pub name: String,
    /// Processors.
    pub cores: u32,
}

/// The memory of a machine and who else is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostMemory {
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// What the kernel takes of it, bytes.
    pub kernel_bytes: u64,
    /// Processors that the hypervisor withholds from it on average.
    pub stolen_cores: f64,
    /// Swap space, bytes.
    pub swap_bytes: u64,
    /// Where it lies.
    pub swap_device: SwapDevice,
    /// Bandwidth of the disk of Spark's local files, bytes a second.
    pub disk_bytes_per_s: f64,
    /// Bandwidth of its network, bytes a second.
    pub network_bytes_per_s: f64,
    /// Room for them, bytes; `None`: unlimited.
    pub disk_bytes: Option<u64>,
    /// They lie in memory (tmpfs) and count as such.
    pub local_dir_in_memory: bool,
    /// Memory of the program that drives this application beside its JVM (a Python driver), bytes.
    pub beside_bytes: u64,
    /// `oom_score_adj` of the executors.
    pub executor_oom_score_adj: i32,
    /// Applications like this one that start here at the same moment, itself among them.
    pub copies: u32,
    /// The neighbours.
    pub tenants: Vec<Tenant>,
}

/// The memory regions of an executor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Regions {
    /// Unified memory.
    Unified(UnifiedRegions),
    /// Separate pools, under `spark.memory.useLegacyMode` up to 2.4.
    Static(StaticRegions),
}

/// An executor to be simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorSetup {
    /// Spark's id.
    pub id: String,
    /// Position of its host.
    pub host: usize,
    /// Cores, of which each task takes `spark.task.cpus`.
    pub cores: u32,
    /// `-Xmx`, bytes.
    pub heap: u64,
    /// Its regions.
    pub regions: Regions,
    /// Where Tungsten's pages lie.
    pub tungsten_mode: MemoryMode,
    /// Bytes of a page.
    pub page_size: u64,
    /// Its collector.
    pub collector: Collector,
    /// Bytes above which its process tree is killed.
    pub container_limit: Option<u64>,
}

impl ExecutorSetup {
    /// On-heap memory that its block manager registers, bytes (LOG-6).
    pub fn max_on_heap(&self) -> u64 {
        match self.regions {
            Regions::Unified(regions) => regions.on_heap,
            Regions::Static(regions) => regions.storage,
        }
    }

    /// Execution memory when nothing is cached, in the mode that Tungsten uses, bytes.
    pub fn execution_bytes(&self) -> u64 {
        match (self.regions, self.tungsten_mode) {
            (Regions::Unified(regions), MemoryMode::OnHeap) => regions.on_heap,
            (Regions::Unified(regions), MemoryMode::OffHeap) => regions.off_heap,
            (Regions::Static(regions), _) => regions.execution,
        }
    }
}

/// Where the application runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Processes {
    /// The machines.
    pub hosts: Vec<HostSpec>,
    /// Their memory, by host; hosts beyond these have enough for everybody.
    pub memory: Vec<HostMemory>,
    /// The executors at the start.
    pub executors: Vec<ExecutorSetup>,
    /// Heap of the driver, bytes.
    pub driver_heap: u64,
    /// Driver and executor are one process.
    pub local: bool,
    /// Default parallelism: Spark's, or all cores.
    pub default_parallelism: u32,
    /// The pace of tasks differs by the seed as it does between runs of one application on one machine (`sim::pace`).
    pub pace_varies: bool,
}

impl Processes {
    /// Lays out the memory of every planned executor. Hosts that `hosts` does not name get as many processors as their
    /// executors have cores.
    ///
    /// # Errors
    /// Fails where an executor's JVM would refuse to start (HEAP-4, HEAP-5, LEG-2), in Spark's words.
    pub fn new(plan: &ClusterPlan, settings: &Settings, hosts: &[HostSpec]) -> Result<Self, LayoutError> {
        let mut all: Vec<HostSpec> = hosts.to_vec();
        let mut cores = vec![0; plan.executors.iter().map(|e| e.host + 1).max().unwrap_or(1)];
        for executor in &plan.executors {
            cores[executor.host] += executor.cores;
        }
        for (index, &cores) in cores.iter().enumerate().skip(hosts.len()) {
            all.push(HostSpec { name: format!("host-{}", index + 1), cores });
        }
        let executors = plan
            .executors
            .iter()
            .map(|executor| {
                let (regions, tungsten_mode, page_size) =
                    regions(settings, executor.heap, executor.memory_manager_cores, executor.collector)?;
                Ok(ExecutorSetup {
                    id: executor.id.clone(),
                    host: executor.host,
                    cores: executor.cores,
                    heap: executor.heap,
                    regions,
                    tungsten_mode,
                    page_size,
                    collector: executor.collector,
                    container_limit: executor.container_limit,
                })
            })
            .collect::<Result<Vec<_>, LayoutError>>()?;
        Ok(Self {
            hosts: all,
            memory: Vec::new(),
            executors,
            driver_heap: plan.driver.heap,
            local: plan.driver.is_executor,
            default_parallelism: plan.default_parallelism(settings),
            pace_varies: false,
        })
    }
}

/// Regions, Tungsten's mode and the page size of a JVM with `heap` bytes of `-Xmx`.
///
/// # Errors
/// Fails as Spark's start does.
pub fn regions(
    settings: &Settings,
    heap: u64,
    cores: u32,
    collector: Collector,
) -> Result<(Regions, MemoryMode, u64), LayoutError> {
    let system_memory = SystemMemory::of(collector, heap).bytes;
    let memory = &settings.memory;
    let input = LayoutInput {
        rules: rules(settings.spark_version),
        system_memory,
        reserved_memory: RESERVED_MEMORY_BYTES,
        executor_memory: None,
        memory_fraction: memory.fraction,
        storage_fraction: memory.storage_fraction,
        off_heap_enabled: memory.off_heap_enabled,
        off_heap_size: i64::try_from(memory.off_heap_size).unwrap_or(i64::MAX),
        cores,
        page_size: memory.page_size,
        collector,
    };
    if let Some(legacy) = &memory.legacy {
        let layout = StaticRegions::of(&StaticInput {
            system_memory,
            executor_memory: None,
            storage_fraction: legacy.storage,
            storage_safety: legacy.storage_safety,
            unroll_fraction: legacy.unroll,
            shuffle_fraction: legacy.shuffle,
            shuffle_safety: legacy.shuffle_safety,
            off_heap_size: memory.off_heap_size,
        })?;
        // The page is decided before the off-heap storage pool is given to execution (LEG-5).
        let (mode, execution) = if memory.off_heap_enabled {
            let storage = (memory.off_heap_size as f64 * memory.storage_fraction) as u64;
            (MemoryMode::OffHeap, memory.off_heap_size - storage)
        } else {
            (MemoryMode::OnHeap, layout.execution)
        };
        return Ok((Regions::Static(layout), mode, page_size(&input, mode, execution)));
    }
    let layout = MemoryLayout::unified(&input)?;
    Ok((Regions::Unified(layout.regions), layout.tungsten_mode, layout.page_size))
}

/// The collector as the physics knows it.
pub fn host_collector(collector: Collector) -> crate::host::collector::Collector {
    use crate::host::collector::Collector as Physical;
    match collector {
        Collector::G1 => Physical::G1,
        Collector::Parallel => Physical::Parallel,
        Collector::Serial => Physical::Serial,
    }
}

fn rules(version: SparkVersion) -> LayoutRules {
    match (version.major, version.minor) {
        (..=2, _) => LayoutRules::V2,
        (3, ..=2) => LayoutRules::V3_0,
        (3, _) => LayoutRules::V3_3,
        _ => LayoutRules::V4,
    }
}
