//! The processes of an application: the driver and the executors, each with its cores, slots, heap, off-heap pools,
//! collector and container limit, by deploy mode (MODE-1..7, SCHED-1, PAGE-3).
//!
//! On hosts that are given, containers are placed where most memory is left, and what fits nowhere is counted as not
//! placed; without hosts each executor has a host of its own. Standalone workers are filled as `deploy.master.Master`
//! does when it spreads out. Left out: dynamic allocation, node labels, vcores, queues and admission over time.

use crate::conf::{Collector, DeployMode, Master, Settings};
use crate::units::{GIB, MIB};

use super::container::{
    ContainerSize, YarnLimits, application_master_container, driver_container, executor_container,
};

/// Executors on YARN and Kubernetes when nothing is said (`SchedulerBackendUtils.DEFAULT_NUMBER_EXECUTORS`).
const DEFAULT_EXECUTORS: u32 = 2;

/// Least memory of a host on which JDK 17 picks G1 by itself (HEAP-3).
const SERVER_CLASS_MEMORY: u64 = 1792 * MIB;

/// What a standalone worker leaves to the system (`WorkerArguments.inferDefaultMemory`).
const WORKER_RESERVE: u64 = GIB;

/// What placement needs to know of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostShape {
    /// Processors that the JVM sees.
    pub cores: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Memory in bytes that containers may use together, where it is less (`yarn.nodemanager.resource.memory-mb`, a
    /// node's allocatable memory, a worker's `SPARK_WORKER_MEMORY`).
    pub container_memory: Option<u64>,
}

/// Everything that decides the processes.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// The hosts; in local modes the first one is used. May be empty.
    pub hosts: &'a [HostShape],
    /// YARN's bounds; with `None` the maximum is no limit and the rest Hadoop's defaults.
    pub yarn: Option<YarnLimits>,
    /// Whether the application is a Python one.
    pub python: bool,
}

/// One executor.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorSpec {
    /// Spark's id: `driver` in local mode, else a number from 0 (from 1 on YARN and Kubernetes).
    pub id: String,
    /// Host, as an index into the hosts given.
    pub host: usize,
    /// Cores.
    pub cores: u32,
    /// Tasks at once (SCHED-1).
    pub slots: u32,
    /// Cores that the memory manager divides its page size by (PAGE-3).
    pub memory_manager_cores: u32,
    /// `-Xmx` in bytes.
    pub heap: u64,
    /// Off-heap pools in bytes.
    pub off_heap: u64,
    /// Garbage collector.
    pub collector: Collector,
    /// What was asked of a cluster manager, where there is one.
    pub container: Option<ContainerSize>,
    /// Bytes above which the process tree is killed, if anything limits it.
    pub container_limit: Option<u64>,
}

/// The driver.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverSpec {
    /// Host, when it runs in the cluster or is the executor.
    pub host: Option<usize>,
    /// Cores that its memory manager divides its page size by (PAGE-3).
    pub memory_manager_cores: u32,
    /// `-Xmx` in bytes.
    pub heap: u64,
    /// Off-heap pools in bytes.
    pub off_heap: u64,
    /// Garbage collector.
    pub collector: Collector,
    /// What was asked of a cluster manager, in cluster mode.
    pub container: Option<ContainerSize>,
    /// Bytes above which it is killed, if anything limits it.
    pub container_limit: Option<u64>,
    /// Whether the same JVM is the executor (MODE-1).
    pub is_executor: bool,
}

/// The processes of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterPlan {
    /// The driver.
    pub driver: DriverSpec,
    /// YARN's application master beside the driver, in client mode (PROC-7).
    pub application_master: Option<ContainerSize>,
    /// The executors, by id.
    pub executors: Vec<ExecutorSpec>,
    /// Executors asked for that fit on no host.
    pub not_placed: u32,
    /// Why the cluster manager's client refuses to submit, if it does (YARN-2).
    pub refusal: Option<String>,
}

impl ClusterPlan {
    /// Tasks that run at once.
    pub fn slots(&self) -> u32 {
        self.executors.iter().map(|executor| executor.slots).sum()
    }

    /// All executors' cores: what Spark takes as default parallelism of RDD shuffles, at least 2 with executors apart.
    pub fn default_parallelism(&self, settings: &Settings) -> u32 {
        let cores: u32 = self.executors.iter().map(|executor| executor.cores).sum();
        let least = if settings.master.is_local() { 1 } else { 2 };
        settings.scheduling.default_parallelism.unwrap_or(cores.max(least))
    }
}

/// Lays the processes out.
pub fn plan(input: &PlanInput<'_>) -> ClusterPlan {
    match input.settings.master {
        Master::Local { cores, .. } => local(input, cores),
        Master::LocalCluster { executors, cores, memory_mib } => {
            let workers = vec![Worker::new(0, cores, i64::from(memory_mib)); executors as usize];
            standalone(input, &workers)
        }
        Master::Standalone => standalone(input, &standalone_workers(input)),
        Master::Yarn | Master::Kubernetes => containers(input),
    }
}

/// MODE-1: one JVM is everything, and `spark.driver.memory` is its heap.
fn local(input: &PlanInput<'_>, cores: Option<u32>) -> ClusterPlan {
    let settings = input.settings;
    let host = host(input, 0);
    let cores = cores.unwrap_or(host.cores);
    let collector = settings.driver.collector.unwrap_or_else(|| default_collector(host.cores, host.memory));
    let container_limit = settings.knobs.container_limit;
    let driver = DriverSpec {
        host: Some(0),
        memory_manager_cores: cores,
        heap: settings.driver.memory,
        off_heap: settings.memory.off_heap_size,
        collector,
        container: None,
        container_limit,
        is_executor: true,
    };
    let executor = ExecutorSpec {
        id: "driver".to_owned(),
        host: 0,
        cores,
        slots: slots(cores, settings),
        memory_manager_cores: cores,
        heap: driver.heap,
        off_heap: driver.off_heap,
        collector,
        container: None,
        container_limit,
    };
    ClusterPlan { driver, application_master: None, executors: vec![executor], not_placed: 0, refusal: None }
}

/// A standalone worker's free resources.
#[derive(Clone, Debug)]
struct Worker {
    host: usize,
    cores: u32,
    memory_mib: i64,
    /// Cores of the executors assigned to it.
    executors: Vec<u32>,
}

impl Worker {
    fn new(host: usize, cores: u32, memory_mib: i64) -> Self {
        Self { host, cores, memory_mib, executors: Vec::new() }
    }

    fn assigned_cores(&self) -> u32 {
        self.executors.iter().sum()
    }
}

/// One worker a host, with all its cores and its memory less one GiB (PROC-8); without hosts, one that holds an executor.
fn standalone_workers(input: &PlanInput<'_>) -> Vec<Worker> {
    if input.hosts.is_empty() {
        let memory_mib = (input.settings.executor.memory / MIB) as i64;
        return vec![Worker::new(
            0,
            input.settings.executor.cores.unwrap_or(host(input, 0).cores),
            memory_mib,
        )];
    }
    let worker = |(index, host): (usize, &HostShape)| {
        let memory = host.container_memory.unwrap_or(host.memory.saturating_sub(WORKER_RESERVE));
        Worker::new(index, host.cores, (memory / MIB) as i64)
    };
    input.hosts.iter().enumerate().map(worker).collect()
}

/// Fills workers as `Master.scheduleExecutorsOnWorkers` does when it spreads out: one core step at a time, round robin.
fn standalone(input: &PlanInput<'_>, workers: &[Worker]) -> ClusterPlan {
    let settings = input.settings;
    let memory_mib = (settings.executor.memory / MIB) as i64;
    let step = settings.executor.cores.unwrap_or(1);
    let one_each = settings.executor.cores.is_none();
    let mut workers: Vec<Worker> = workers
        .iter()
        .filter(|worker| worker.memory_mib >= memory_mib && worker.cores >= step)
        .cloned()
        .collect();
    workers.sort_by_key(|worker| std::cmp::Reverse(worker.cores));
    let offered: u32 = workers.iter().map(|worker| worker.cores).sum();
    let mut left = settings.executor.cores_max.unwrap_or(u32::MAX).min(offered);
    loop {
        let before = left;
        for worker in &mut workers {
            let starts_new = !one_each || worker.executors.is_empty();
            let reserved = worker.executors.len() as i64 * memory_mib;
            let fits = left >= step
                && worker.cores - worker.assigned_cores() >= step
                && (!starts_new || worker.memory_mib - reserved >= memory_mib);
            if !fits {
                continue;
            }
            left -= step;
            match worker.executors.first_mut() {
                Some(cores) if one_each => *cores += step,
                _ => worker.executors.push(step),
            }
        }
        if left == before {
            break;
        }
    }
    let assigned = workers.iter().flat_map(|w| w.executors.iter().map(|cores| (w.host, *cores)));
    let executors: Vec<ExecutorSpec> = assigned
        .enumerate()
        .map(|(id, (at, cores))| {
            let on = host(input, at);
            executor(
                input,
                id.to_string(),
                at,
                cores,
                None,
                settings.knobs.container_limit,
                on.cores,
                on.memory,
            )
        })
        .collect();
    let not_placed = u32::from(executors.is_empty());
    let cluster = settings.deploy_mode == DeployMode::Cluster
        && !matches!(settings.master, Master::LocalCluster { .. });
    let driver = driver(input, cluster.then_some(0), None, None);
    ClusterPlan { driver, application_master: None, executors, not_placed, refusal: None }
}

/// YARN and Kubernetes: containers of one size each.
fn containers(input: &PlanInput<'_>) -> ClusterPlan {
    let settings = input.settings;
    let yarn = (settings.master == Master::Yarn).then(|| {
        input
            .yarn
            .unwrap_or(YarnLimits { max_allocation_mib: i64::MAX as u64 / MIB, ..YarnLimits::default() })
    });
    let limit = |size: &ContainerSize| match &yarn {
        Some(limits) => limits.granted_mib(size.total_mib()) * MIB,
        None => size.total_bytes(),
    };
    let size = executor_container(settings, input.python);
    let cluster = settings.deploy_mode == DeployMode::Cluster;
    let driver_size = cluster.then(|| driver_container(settings, input.python));
    let application_master = (yarn.is_some() && !cluster).then(|| application_master_container(settings));
    let master_size = driver_size.or(application_master);
    let refusal = yarn.as_ref().and_then(|limits| {
        let master = master_size.as_ref().and_then(|size| limits.refuse_application_master(size));
        // The client looks at the executors first.
        limits.refuse_executor(&size).or(master)
    });

    let mut free: Vec<u64> =
        input.hosts.iter().map(|host| host.container_memory.unwrap_or(host.memory)).collect();
    let driver_limit = driver_size.as_ref().map(limit);
    // The driver or application master comes first.
    let master_host = master_size.as_ref().and_then(|size| place(&mut free, limit(size)));
    let driver_host = if driver_size.is_some() { master_host } else { None };

    let wanted = if refusal.is_some() { 0 } else { settings.executor.instances.unwrap_or(DEFAULT_EXECUTORS) };
    let cores = settings.executor.cores.unwrap_or(1);
    let container_limit = limit(&size);
    let mut executors = Vec::new();
    for number in 0..wanted {
        let at =
            if input.hosts.is_empty() { Some(number as usize) } else { place(&mut free, container_limit) };
        let Some(at) = at else { break };
        let id = (number + 1).to_string();
        // A pod sees its own limits; a YARN container sees the host.
        let memory = if yarn.is_some() { host(input, at).memory } else { container_limit };
        let sees = host(input, at).cores;
        executors.push(executor(input, id, at, cores, Some(size), Some(container_limit), sees, memory));
    }
    let not_placed = wanted - executors.len() as u32;
    let driver = driver(input, driver_host, driver_size, driver_limit);
    ClusterPlan { driver, application_master, executors, not_placed, refusal }
}

/// Takes `bytes` from the host with most left, the first of equals.
fn place(free: &mut [u64], bytes: u64) -> Option<usize> {
    let best = (0..free.len())
        .filter(|index| free[*index] >= bytes)
        .max_by_key(|index| (free[*index], usize::MAX - index))?;
    free[best] -= bytes;
    Some(best)
}

#[expect(clippy::too_many_arguments, reason = "fills one struct, from three callers")]
fn executor(
    input: &PlanInput<'_>,
    id: String,
    host: usize,
    cores: u32,
    container: Option<ContainerSize>,
    container_limit: Option<u64>,
    visible_cores: u32,
    visible_memory: u64,
) -> ExecutorSpec {
    let settings = input.settings;
    ExecutorSpec {
        id,
        host,
        cores,
        slots: slots(cores, settings),
        memory_manager_cores: cores,
        heap: settings.executor.memory,
        off_heap: settings.memory.off_heap_size,
        collector: settings
            .executor
            .collector
            .unwrap_or_else(|| default_collector(visible_cores, visible_memory)),
        container,
        container_limit,
    }
}

/// The driver apart from the executors (MODE-3, MODE-4).
fn driver(
    input: &PlanInput<'_>,
    at: Option<usize>,
    container: Option<ContainerSize>,
    container_limit: Option<u64>,
) -> DriverSpec {
    let settings = input.settings;
    let shape = host(input, at.unwrap_or(0));
    let cluster = settings.deploy_mode == DeployMode::Cluster;
    DriverSpec {
        host: at,
        memory_manager_cores: if cluster { settings.driver.cores } else { shape.cores },
        heap: settings.driver.memory,
        off_heap: settings.memory.off_heap_size,
        collector: settings.driver.collector.unwrap_or_else(|| default_collector(shape.cores, shape.memory)),
        container,
        container_limit,
        is_executor: false,
    }
}

/// SCHED-1.
fn slots(cores: u32, settings: &Settings) -> u32 {
    cores / settings.task.cpus
}

/// What JDK 17 picks by itself (HEAP-3).
fn default_collector(cores: u32, memory: u64) -> Collector {
    if cores >= 2 && memory >= SERVER_CLASS_MEMORY { Collector::G1 } else { Collector::Serial }
}

/// The host of this index, or one that is large enough to change nothing.
fn host(input: &PlanInput<'_>, index: usize) -> HostShape {
    let unknown = HostShape { cores: 4, memory: 64 * GIB, container_memory: None };
    input.hosts.get(index).copied().unwrap_or(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Origin, SparkConf};

    const HOST: HostShape = HostShape { cores: 8, memory: 16 * GIB, container_memory: None };

    fn settings(properties: &[(&str, &str)]) -> Settings {
        let mut conf = SparkConf::default();
        for (key, value) in properties {
            conf.set(key, value, Origin::Scenario(1));
        }
        Settings::resolve(&conf).expect("valid settings")
    }

    fn plan_on(hosts: &[HostShape], properties: &[(&str, &str)]) -> ClusterPlan {
        plan(&PlanInput { settings: &settings(properties), hosts, yarn: None, python: false })
    }

    fn shapes(plan: &ClusterPlan) -> Vec<(&str, usize, u32)> {
        plan.executors.iter().map(|e| (e.id.as_str(), e.host, e.cores)).collect()
    }

    #[test]
    fn mode_1_driver_memory_sizes_the_only_heap() {
        let properties = [
            ("spark.master", "local[2]"),
            ("spark.driver.memory", "3g"),
            ("spark.executor.memory", "8g"),
            ("spark.executor.cores", "7"),
            ("spillcast.containerLimit", "939524096"),
        ];
        let plan = plan_on(&[HOST], &properties);
        let executor = &plan.executors[0];
        assert_eq!(shapes(&plan), [("driver", 0, 2)]);
        assert_eq!((executor.slots, executor.memory_manager_cores, executor.heap), (2, 2, 3 * GIB));
        assert_eq!(executor.container_limit, Some(939_524_096));
        assert!(plan.driver.is_executor && plan.driver.heap == 3 * GIB);
        assert_eq!(plan_on(&[HOST], &[("spark.master", "local[*]")]).slots(), 8);
    }

    #[test]
    fn mode_2_local_cluster_has_one_executor_a_worker() {
        let properties = [("spark.master", "local-cluster[2,1,512]"), ("spark.executor.memory", "512m")];
        let plan = plan_on(&[HOST], &properties);
        assert_eq!(shapes(&plan), [("0", 0, 1), ("1", 0, 1)]);
        assert_eq!(plan.executors[0].heap, 512 * MIB);
        assert!(!plan.driver.is_executor && plan.driver.host.is_none());
        // Divided by the conf, bounded by the memory of a worker.
        let divided = [
            ("spark.master", "local-cluster[1,4,1200]"),
            ("spark.executor.memory", "500m"),
            ("spark.executor.cores", "1"),
        ];
        assert_eq!(shapes(&plan_on(&[HOST], &divided)), [("0", 0, 1), ("1", 0, 1)]);
    }

    #[test]
    fn sched_1_slots_are_cores_by_cpus() {
        let properties = [("spark.master", "yarn"), ("spark.executor.cores", "5"), ("spark.task.cpus", "2")];
        let plan = plan_on(&[], &properties);
        assert_eq!(plan.executors.iter().map(|e| e.slots).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(plan.executors[0].memory_manager_cores, 5);
    }

    #[test]
    fn standalone_takes_all_cores_or_divides_them() {
        let hosts = [HOST, HOST];
        let all = plan_on(&hosts, &[("spark.master", "spark://m:7077")]);
        assert_eq!(shapes(&all), [("0", 0, 8), ("1", 1, 8)]);
        let capped = plan_on(&hosts, &[("spark.master", "spark://m:7077"), ("spark.cores.max", "5")]);
        assert_eq!(shapes(&capped), [("0", 0, 3), ("1", 1, 2)]);
        // 15 GiB of a worker hold three executors of 5 GiB, though four have cores.
        let divided = [
            ("spark.master", "spark://m:7077"),
            ("spark.executor.cores", "2"),
            ("spark.executor.memory", "5g"),
        ];
        let plan = plan_on(&[HOST], &divided);
        assert_eq!(shapes(&plan), [("0", 0, 2), ("1", 0, 2), ("2", 0, 2)]);
        // PROC-8: nothing limits them but the knob.
        assert_eq!((plan.executors[0].container, plan.executors[0].container_limit), (None, None));
        let huge = plan_on(&[HOST], &[("spark.master", "spark://m:7077"), ("spark.executor.memory", "20g")]);
        assert_eq!((huge.executors.len(), huge.not_placed), (0, 1));
    }

    #[test]
    fn yarn_containers_are_rounded_and_placed_where_most_is_left() {
        let properties = [
            ("spark.master", "yarn"),
            ("spark.submit.deployMode", "cluster"),
            ("spark.executor.memory", "4g"),
            ("spark.executor.instances", "6"),
        ];
        let plan = plan_on(&[HOST, HOST], &properties);
        // The driver (1408 -> 2048 MiB) goes to host 0; then 14 and 16 GiB hold five executors of 5 GiB.
        assert_eq!(plan.driver.host, Some(0));
        assert_eq!(plan.driver.container_limit, Some(2 * GIB));
        assert_eq!(plan.executors.iter().map(|e| e.host).collect::<Vec<_>>(), [1, 0, 1, 0, 1]);
        assert_eq!(plan.not_placed, 1);
        assert_eq!(plan.executors[0].container_limit, Some(5 * GIB));
        assert_eq!(plan.executors[0].container.map(|c| c.total_mib()), Some(4505));
        assert_eq!((plan.executors[0].id.as_str(), plan.application_master), ("1", None));
    }

    #[test]
    fn mode_3_client_drivers_have_no_container() {
        let plan = plan_on(&[HOST], &[("spark.master", "yarn")]);
        assert_eq!(
            (plan.driver.container, plan.driver.container_limit, plan.driver.host),
            (None, None, None)
        );
        assert_eq!(plan.application_master.map(|size| size.total_mib()), Some(896));
        assert_eq!(plan.executors.len(), 2);
        let pods = plan_on(
            &[],
            &[
                ("spark.master", "k8s://x"),
                ("spark.submit.deployMode", "cluster"),
                ("spark.driver.cores", "3"),
            ],
        );
        assert_eq!(pods.driver.container_limit, Some(1408 * MIB));
        assert_eq!(pods.driver.memory_manager_cores, 3);
        assert_eq!(pods.executors[0].container_limit, Some(1408 * MIB));
    }

    #[test]
    fn yarn_2_refuses_before_anything_runs() {
        let settings = settings(&[("spark.master", "yarn"), ("spark.executor.memory", "8g")]);
        let yarn = Some(YarnLimits::default());
        let plan = plan(&PlanInput { settings: &settings, hosts: &[], yarn, python: false });
        assert!(plan.executors.is_empty());
        let words = plan.refusal.expect("refused");
        assert!(words.contains("(8192 MB), offHeap memory (0) MB, overhead (819 MB)"), "{words}");
    }

    #[test]
    fn heap_3_small_machines_get_the_serial_collector() {
        let local = |cores, memory, extra: &[(&str, &str)]| {
            let mut properties = vec![("spark.master", "local[2]")];
            properties.extend_from_slice(extra);
            plan_on(&[HostShape { cores, memory, container_memory: None }], &properties).executors[0]
                .collector
        };
        assert_eq!(local(2, 4 * GIB, &[]), Collector::G1);
        assert_eq!(local(1, 4 * GIB, &[]), Collector::Serial);
        assert_eq!(local(4, GIB, &[]), Collector::Serial);
        let option = [("spark.driver.extraJavaOptions", "-Dx=1 -XX:+UseParallelGC")];
        assert_eq!(local(2, 4 * GIB, &option), Collector::Parallel);
        assert_eq!(local(2, 4 * GIB, &[("spillcast.collector", "serial")]), Collector::Serial);
    }
}
