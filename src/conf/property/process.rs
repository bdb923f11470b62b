//! Rows: processes, containers, and this program's own knobs.

use super::prelude::*;

const FACTOR: super::Refusal = Entry("Ensure that memory overhead is a double greater than 0");

/// Storage levels as `StorageLevel.fromString` and `PySpark` name them.
pub(in super::super) const STORAGE_LEVELS: &[&str] = &[
    "NONE",
    "DISK_ONLY",
    "DISK_ONLY_2",
    "DISK_ONLY_3",
    "MEMORY_ONLY",
    "MEMORY_ONLY_2",
    "MEMORY_ONLY_SER",
    "MEMORY_ONLY_SER_2",
    "MEMORY_AND_DISK",
    "MEMORY_AND_DISK_2",
    "MEMORY_AND_DISK_SER",
    "MEMORY_AND_DISK_SER_2",
    "MEMORY_AND_DISK_DESER",
    "OFF_HEAP",
];

#[rustfmt::skip]
pub(super) static ROWS: &[Property] = &[
    p("spark.master", Text, Value("local[*]"), Modelled, "Where the application runs: a master URL."),
    p("spark.submit.deployMode", Choice(&["client", "cluster"]), Value("client"), Modelled, "Whether the driver runs where the application was submitted or in the cluster."),
    p("spark.driver.memory", Size(Mib), Value("1g"), Modelled, "Heap of the driver's JVM; in local mode the only heap.").positive(Start("Driver memory must be a positive number")),
    p("spark.driver.cores", Int, Value("1"), Modelled, "Cores of the driver in cluster mode.").positive(Start("Driver cores must be a positive number")),
    p("spark.driver.memoryOverhead", Size(Mib), Unset, Modelled, "Memory beyond the heap in the driver's container, in cluster mode."),
    p("spark.driver.memoryOverheadFactor", Double, Value("0.1"), Modelled, "Share of the driver's heap that is added to its container.").since(3, 3).real(|x| x > 0.0, FACTOR),
    p("spark.driver.minMemoryOverhead", Size(Mib), Value("384m"), Modelled, "Least memory beyond the heap in the driver's container.").since(4, 0),
    p("spark.driver.maxResultSize", Size(Byte), Value("1g"), Modelled, "Most bytes of serialized results of one action; 0 or less for no limit."),
    p("spark.driver.extraJavaOptions", Text, Unset, Modelled, "JVM options of the driver; read for the garbage collector."),
    p("spark.driver.defaultJavaOptions", Text, Unset, Modelled, "JVM options put before the driver's own; read for the garbage collector.").since(3, 0),
    p("spark.executor.memory", Size(Mib), Value("1g"), Modelled, "Heap of each executor's JVM.").positive(Start("Executor memory must be a positive number")),
    p("spark.executor.cores", Int, Value("1"), Modelled, "Cores of each executor; unset on a standalone cluster, all cores of the worker.").positive(Start("Executor cores must be a positive number")),
    p("spark.executor.instances", Int, Unset, Modelled, "Number of executors on YARN and Kubernetes; 2 when unset.").positive(Start("Number of executors must be a positive number")),
    p("spark.cores.max", Int, Unset, Modelled, "Most cores the application takes on a standalone cluster.").positive(Start("Total executor cores must be a positive number")),
    p("spark.executor.memoryOverhead", Size(Mib), Unset, Modelled, "Memory beyond the heap in each executor's container; wins over factor and minimum."),
    p("spark.executor.memoryOverheadFactor", Double, Value("0.1"), Modelled, "Share of the executor's heap that is added to its container.").since(3, 3).real(|x| x > 0.0, FACTOR),
    p("spark.executor.minMemoryOverhead", Size(Mib), Value("384m"), Modelled, "Least memory beyond the heap in an executor's container.").since(4, 0),
    p("spark.executor.pyspark.memory", Size(Mib), Unset, Modelled, "Memory of an executor's Python workers together; adds to the container and limits each worker's address space."),
    p("spark.executor.extraJavaOptions", Text, Unset, Modelled, "JVM options of executors; read for the garbage collector."),
    p("spark.executor.defaultJavaOptions", Text, Unset, Modelled, "JVM options put before the executors' own; read for the garbage collector.").since(3, 0),
    p("spark.executor.resource.gpu.amount", Int, Unset, NotModelled, "Graphics processors of each executor."),
    p("spark.dynamicAllocation.enabled", Bool, Value("false"), NotModelled, "Whether executors come and go with the load."),
    p("spark.dynamicAllocation.minExecutors", Int, Value("0"), NotModelled, "Fewest executors under dynamic allocation."),
    p("spark.dynamicAllocation.maxExecutors", Int, Unset, NotModelled, "Most executors under dynamic allocation."),
    p("spark.dynamicAllocation.initialExecutors", Int, Key("spark.dynamicAllocation.minExecutors"), NotModelled, "Executors at the start under dynamic allocation."),
    p("spark.yarn.am.memory", Size(Mib), Value("512m"), Modelled, "Heap of the application master in client mode.").positive(Ours("the application master needs a heap")),
    p("spark.yarn.am.memoryOverhead", Size(Mib), Unset, Modelled, "Memory beyond the heap in the application master's container in client mode."),
    p("spark.yarn.am.cores", Int, Value("1"), Modelled, "Cores of the application master in client mode."),
    p("spark.yarn.am.nodeLabelExpression", Text, Unset, NotModelled, "Which nodes may run the application master."),
    p("spark.yarn.executor.nodeLabelExpression", Text, Unset, NotModelled, "Which nodes may run executors."),
    p("spark.kubernetes.memoryOverheadFactor", Double, Value("0.1"), Modelled, "Older factor of driver and executor pods; 0.4 when unset and the application is not a JVM one.").real(|x| (0.0..1.0).contains(&x), Entry("Ensure that memory overhead is a double between 0 --> 1.0")),
    p("spark.kubernetes.driver.request.cores", Text, Key("spark.driver.cores"), NotModelled, "CPU that the driver's pod asks for.").since(3, 0),
    p("spark.kubernetes.driver.limit.cores", Text, Unset, NotModelled, "CPU that the driver's pod may use."),
    p("spark.kubernetes.executor.request.cores", Text, Key("spark.executor.cores"), NotModelled, "CPU that an executor's pod asks for; the number of slots does not change."),
    p("spark.kubernetes.executor.limit.cores", Text, Unset, NotModelled, "CPU that an executor's pod may use."),
    p("spark.kubernetes.local.dirs.tmpfs", Bool, Value("false"), NotModelled, "Whether spill and shuffle files are in memory and count in the pod.").since(3, 0),
    p("spillcast.storageLevel", Choice(STORAGE_LEVELS), Unset, Modelled, "Storage level of every cached dataset, instead of the application's own."),
    p("spillcast.evictionPolicy", Choice(&["lru", "fifo", "lfu", "lrc", "mrd", "cost", "belady"]), Value("lru"), Modelled, "Which cached block is dropped first; Spark has only lru."),
    p("spillcast.dataScale", Double, Value("1"), Modelled, "Factor on the size of all input data.").real(|x| x > 0.0 && x.is_finite(), Ours("a factor above 0")),
    p("spillcast.containerLimit", Size(Byte), Unset, Modelled, "Bytes that an executor's process tree may use where no cluster manager sets a limit.").positive(Ours("a limit above 0")),
    p("spillcast.collector", Choice(&["G1", "Parallel", "Serial"]), Unset, Modelled, "Garbage collector of every JVM; unset, what its JVM options say or what JDK 17 picks."),
];
