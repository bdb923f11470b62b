//! Rows: the unified region, cached blocks, and the fractions of the legacy memory manager.

use super::prelude::*;

#[rustfmt::skip]
pub(super) static ROWS: &[Property] = &[
    p("spark.memory.fraction", Double, Value("0.6"), Modelled, "Share of the heap less 300 MiB that execution and storage may use."),
    p("spark.memory.storageFraction", Double, Value("0.5"), Modelled, "Share of that region in which cached blocks are safe from execution."),
    p("spark.memory.offHeap.enabled", Bool, Value("false"), Modelled, "Whether operators use off-heap memory instead of the heap."),
    p("spark.memory.offHeap.size", Size(Byte), Value("0"), Modelled, "Off-heap bytes for execution and storage of each executor.").whole(0, i64::MAX, Entry("The off-heap memory size must not be negative")),
    p("spark.memory.unmanagedMemoryPollingInterval", Time(Ms), Value("0s"), NotModelled, "How often memory outside the pools is asked for and charged; 0 or less for never.").since(4, 1),
    p("spark.memory.useLegacyMode", Bool, Value("false"), Modelled, "Whether the memory manager of Spark 1.5 with its fixed regions is used.").removed(3, 0),
    p("spark.storage.memoryFraction", Double, Value("0.6"), Modelled, "Legacy mode: share of the heap for cached blocks.").removed(3, 0),
    p("spark.storage.safetyFraction", Double, Value("0.9"), Modelled, "Legacy mode: how much of that share is used.").removed(3, 0),
    p("spark.shuffle.memoryFraction", Double, Value("0.2"), Modelled, "Legacy mode: share of the heap for execution.").removed(3, 0),
    p("spark.shuffle.safetyFraction", Double, Value("0.8"), Modelled, "Legacy mode: how much of that share is used.").removed(3, 0),
    p("spark.storage.unrollFraction", Double, Value("0.2"), Modelled, "Legacy mode: share of the storage region for blocks being unrolled.").removed(3, 0),
    p("spark.storage.unrollMemoryThreshold", Long, Value("1048576"), Modelled, "Bytes asked for before a block is unrolled.").whole(0, i64::MAX, Ours("a number of bytes, 0 or more")),
    p("spark.storage.unrollMemoryCheckPeriod", Long, Value("16"), Modelled, "Elements between two looks at the size of a block being unrolled.").positive(Ours("a number of elements, 1 or more")),
    p("spark.storage.unrollMemoryGrowthFactor", Double, Value("1.5"), Modelled, "How far ahead of its size a block being unrolled asks for memory.").real(|x| x >= 1.0 && x.is_finite(), Ours("a factor of 1 or more")),
    p("spark.storage.memoryMapThreshold", Size(Byte), Value("2m"), NotModelled, "Files at least this long are memory-mapped when read."),
    p("spark.storage.replication.proactive", Bool, Value("true"), NotModelled, "Whether lost replicas of cached blocks are made again.").earlier(&[(SparkVersion::new(3, 0), Value("false"))]),
    p("spark.storage.replication.policy", Text, Unset, NotModelled, "Which executors get replicas of a cached block."),
    p("spark.storage.maxReplicationFailures", Int, Value("1"), NotModelled, "Failures after which replication of a block is given up."),
    p("spark.storage.cachedPeersTtl", Int, Value("60000"), NotModelled, "Milliseconds for which an executor remembers its peers."),
    p("spark.storage.blockManagerHeartbeatTimeoutMs", Time(Ms), Key("spark.network.timeout"), Modelled, "Time without heartbeat after which a block manager is lost."),
    p("spark.rdd.compress", Bool, Value("false"), NotModelled, "Whether serialized cached RDD blocks are compressed."),
    p("spark.rdd.cache.visibilityTracking.enabled", Bool, Value("false"), NotModelled, "Whether blocks count as cached only after their task succeeded.").since(3, 5),
    p("spark.cleaner.referenceTracking", Bool, Value("true"), NotModelled, "Whether unreachable datasets, shuffles and broadcasts are cleaned after a driver collection."),
    p("spark.cleaner.referenceTracking.blocking", Bool, Value("true"), NotModelled, "Whether that cleaning waits for its end."),
    p("spark.cleaner.referenceTracking.blocking.shuffle", Bool, Value("false"), NotModelled, "Whether cleaning of shuffles waits for its end."),
    p("spark.cleaner.periodicGC.interval", Time(Sec), Value("30min"), NotModelled, "How often the driver collects garbage so that cleaning happens."),
];
