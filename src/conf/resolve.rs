//! Which property each field of [`Settings`] reads, and what its special values mean (0 or -1 for no limit). Ranges are the
//! property table's, and checks across properties are `start_checks`'.

use super::master::Master;
use super::property;
use super::reader::Reader;
use super::settings::{
    AdaptiveSettings, BroadcastSettings, Collector, CollectorOption, ContainerSettings, DeployMode,
    DriverSettings, EvictionPolicy, ExecutorSettings, IoCodec, Knobs, LegacyFractions, MemorySettings,
    PythonSettings, RowBufferSettings, SchedulingSettings, Settings, ShuffleSettings, Speculation,
    SqlSettings, StorageSettings, TaskSettings,
};
use super::start_checks;
use crate::units::MIB;

/// The settings of a conf, faults aside.
pub(super) fn read(r: &Reader<'_>, master: Master) -> Settings {
    let version = r.version();
    let knobs = knobs(r, &master);
    let cluster_mode = r.text("spark.submit.deployMode").as_deref() == Some("cluster");
    Settings {
        spark_version: version,
        deploy_mode: if cluster_mode { DeployMode::Cluster } else { DeployMode::Client },
        driver: DriverSettings {
            memory: start_checks::driver_memory(r, &master, cluster_mode),
            cores: r.opt_count("spark.driver.cores").unwrap_or(1),
            // Spark takes 0 and less as no limit.
            max_result_size: r.opt_bytes("spark.driver.maxResultSize").filter(|bytes| *bytes > 0),
            collector: knobs.collector.or_else(|| collector_option(r, "driver")),
        },
        executor: ExecutorSettings {
            memory: r.bytes("spark.executor.memory"),
            cores: r.explicit("spark.executor.cores", Reader::opt_count),
            instances: r.opt_count("spark.executor.instances"),
            cores_max: r.opt_count("spark.cores.max"),
            collector: knobs.collector.or_else(|| collector_option(r, "executor")),
        },
        container: container(r),
        memory: memory(r),
        storage: StorageSettings {
            unroll_threshold: r.count("spark.storage.unrollMemoryThreshold"),
            unroll_check_period: r.count("spark.storage.unrollMemoryCheckPeriod"),
            unroll_growth_factor: r.real("spark.storage.unrollMemoryGrowthFactor"),
            memory_map_threshold: r.bytes("spark.storage.memoryMapThreshold"),
            rdd_compress: r.flag("spark.rdd.compress"),
        },
        shuffle: shuffle(r),
        broadcast: BroadcastSettings {
            block_size: r.bytes("spark.broadcast.blockSize"),
            compress: r.flag("spark.broadcast.compress"),
        },
        task: TaskSettings {
            cpus: r.opt_count("spark.task.cpus").unwrap_or(1),
            max_failures: match master {
                Master::Local { max_failures, .. } => max_failures,
                _ => r.opt_count("spark.task.maxFailures").unwrap_or(4),
            },
            max_direct_result_size: r.bytes("spark.task.maxDirectResultSize"),
            rpc_message_max: r.count("spark.rpc.message.maxSize") * MIB,
            stage_max_consecutive_attempts: r.opt_count("spark.stage.maxConsecutiveAttempts").unwrap_or(4),
            stage_max_attempts: r.opt_count("spark.stage.maxAttempts").unwrap_or(i32::MAX as u32),
        },
        scheduling: scheduling(r),
        sql: sql(r),
        python: PythonSettings {
            executor_memory: r.opt_bytes("spark.executor.pyspark.memory").filter(|bytes| *bytes > 0),
            worker_memory: r.bytes("spark.python.worker.memory"),
            worker_reuse: r.flag("spark.python.worker.reuse"),
            arrow_batch_rows: positive(r.count("spark.sql.execution.arrow.maxRecordsPerBatch")),
            // Batches had no limit in bytes before 4.0 (PY-7).
            arrow_batch_bytes: positive(r.bytes("spark.sql.execution.arrow.maxBytesPerBatch"))
                .filter(|_| version.at_least(4, 0)),
            udf_batch_rows: r.count("spark.sql.execution.python.udf.maxRecordsPerBatch"),
        },
        master,
        knobs,
    }
}

fn positive(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}

fn container(r: &Reader<'_>) -> ContainerSettings {
    ContainerSettings {
        executor_overhead_mib: r.opt_whole("spark.executor.memoryOverhead"),
        executor_factor: r.explicit("spark.executor.memoryOverheadFactor", Reader::opt_real),
        executor_min_overhead_mib: r.opt_whole("spark.executor.minMemoryOverhead").unwrap_or(0),
        driver_overhead_mib: r.opt_whole("spark.driver.memoryOverhead"),
        driver_factor: r.explicit("spark.driver.memoryOverheadFactor", Reader::opt_real),
        driver_min_overhead_mib: r.opt_whole("spark.driver.minMemoryOverhead").unwrap_or(0),
        kubernetes_factor: r.explicit("spark.kubernetes.memoryOverheadFactor", Reader::opt_real),
        am_memory_mib: r.opt_whole("spark.yarn.am.memory").unwrap_or(0),
        am_overhead_mib: r.opt_whole("spark.yarn.am.memoryOverhead"),
        tmpfs_local_dirs: r.flag("spark.kubernetes.local.dirs.tmpfs"),
    }
}

fn memory(r: &Reader<'_>) -> MemorySettings {
    let legacy = !r.version().at_least(3, 0) && r.flag("spark.memory.useLegacyMode");
    MemorySettings {
        fraction: r.real("spark.memory.fraction"),
        storage_fraction: r.real("spark.memory.storageFraction"),
        off_heap_enabled: r.flag("spark.memory.offHeap.enabled"),
        off_heap_size: r.bytes("spark.memory.offHeap.size"),
        unmanaged_polling: r.opt_time("spark.memory.unmanagedMemoryPollingInterval"),
        legacy: legacy.then(|| LegacyFractions {
            storage: r.real("spark.storage.memoryFraction"),
            storage_safety: r.real("spark.storage.safetyFraction"),
            shuffle: r.real("spark.shuffle.memoryFraction"),
            shuffle_safety: r.real("spark.shuffle.safetyFraction"),
            unroll: r.real("spark.storage.unrollFraction"),
        }),
        page_size: r.opt_bytes("spark.buffer.pageSize"),
    }
}

fn shuffle(r: &Reader<'_>) -> ShuffleSettings {
    let codec = r.text("spark.io.compression.codec").unwrap_or_default();
    ShuffleSettings {
        spill_initial_threshold: r.bytes("spark.shuffle.spill.initialMemoryThreshold"),
        num_elements_force_spill: r.count("spark.shuffle.spill.numElementsForceSpillThreshold"),
        max_size_force_spill: r
            .opt_bytes("spark.shuffle.spill.maxSizeInBytesForSpillThreshold")
            .filter(|bytes| *bytes < i64::MAX as u64 && r.version().at_least(4, 1)),
        spill_compress: r.flag("spark.shuffle.spill.compress"),
        compress: r.flag("spark.shuffle.compress"),
        file_buffer: r.bytes("spark.shuffle.file.buffer"),
        bypass_merge_threshold: r.count("spark.shuffle.sort.bypassMergeThreshold"),
        sort_initial_records: r.bytes("spark.shuffle.sort.initialBufferSize"),
        use_radix_sort: r.flag("spark.shuffle.sort.useRadixSort"),
        max_size_in_flight: r.bytes("spark.reducer.maxSizeInFlight"),
        max_remote_block_to_mem: r.bytes("spark.network.maxRemoteBlockSizeFetchToMem"),
        spill_reader_buffer: r.bytes("spark.unsafe.sorter.spill.reader.buffer.size"),
        spill_read_ahead: r.flag("spark.unsafe.sorter.spill.read.ahead.enabled"),
        service_enabled: r.flag("spark.shuffle.service.enabled"),
        io_codec: start_checks::codec(&codec).unwrap_or(IoCodec::Lz4),
    }
}

fn scheduling(r: &Reader<'_>) -> SchedulingSettings {
    SchedulingSettings {
        locality_wait_process: r.time("spark.locality.wait.process"),
        locality_wait_node: r.time("spark.locality.wait.node"),
        locality_wait_rack: r.time("spark.locality.wait.rack"),
        speculation: r.flag("spark.speculation").then(|| Speculation {
            quantile: r.real("spark.speculation.quantile"),
            multiplier: r.real("spark.speculation.multiplier"),
        }),
        fair: r.text("spark.scheduler.mode").as_deref() == Some("FAIR"),
        network_timeout: r.time("spark.network.timeout"),
        executor_timeout: r.time("spark.storage.blockManagerHeartbeatTimeoutMs"),
        executor_timeout_is_own: r.conf.contains("spark.storage.blockManagerHeartbeatTimeoutMs"),
        network_timeout_interval: r.time("spark.network.timeoutInterval"),
        heartbeat_interval: r.time("spark.executor.heartbeatInterval"),
        default_parallelism: r.opt_count("spark.default.parallelism"),
    }
}

fn sql(r: &Reader<'_>) -> SqlSettings {
    let shuffle_partitions = r.opt_count("spark.sql.shuffle.partitions").unwrap_or(200);
    let buffer = |operator: &str| RowBufferSettings {
        in_memory_rows: r.count(&format!("spark.sql.{operator}.buffer.in.memory.threshold")),
        spill_rows: r.count(&format!("spark.sql.{operator}.buffer.spill.threshold")),
    };
    SqlSettings {
        shuffle_partitions,
        adaptive: AdaptiveSettings {
            enabled: r.flag("spark.sql.adaptive.enabled"),
            advisory_partition_size: r.bytes("spark.sql.adaptive.advisoryPartitionSizeInBytes"),
            coalesce_enabled: r.flag("spark.sql.adaptive.coalescePartitions.enabled"),
            parallelism_first: r.flag("spark.sql.adaptive.coalescePartitions.parallelismFirst"),
            min_partition_size: r.bytes("spark.sql.adaptive.coalescePartitions.minPartitionSize"),
            min_partition_num: r.opt_count("spark.sql.adaptive.coalescePartitions.minPartitionNum"),
            initial_partition_num: r
                .opt_count("spark.sql.adaptive.coalescePartitions.initialPartitionNum")
                .unwrap_or(shuffle_partitions),
            skew_join_enabled: r.flag("spark.sql.adaptive.skewJoin.enabled"),
            skewed_partition_factor: r.real("spark.sql.adaptive.skewJoin.skewedPartitionFactor"),
            skewed_partition_threshold: r
                .bytes("spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes"),
            local_shuffle_reader: r.flag("spark.sql.adaptive.localShuffleReader.enabled"),
            auto_broadcast_join_threshold: r.opt_bytes("spark.sql.adaptive.autoBroadcastJoinThreshold"),
            max_hashed_partition_size: r.bytes("spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold"),
        },
        auto_broadcast_join_threshold: r.opt_bytes("spark.sql.autoBroadcastJoinThreshold"),
        max_broadcast_table_size: r.bytes("spark.sql.maxBroadcastTableSize"),
        prefer_sort_merge_join: r.flag("spark.sql.join.preferSortMergeJoin"),
        object_hash_fallback_threshold: r.count("spark.sql.objectHashAggregate.sortBased.fallbackThreshold"),
        use_radix_sort: r.flag("spark.sql.sort.enableRadixSort"),
        sort_merge_join_buffer: buffer("sortMergeJoinExec"),
        window_buffer: buffer("windowExec"),
        columnar_batch_rows: r.count("spark.sql.inMemoryColumnarStorage.batchSize"),
        files_max_partition_bytes: r.bytes("spark.sql.files.maxPartitionBytes"),
        files_open_cost: r.bytes("spark.sql.files.openCostInBytes"),
        files_min_partition_num: r.opt_count("spark.sql.files.minPartitionNum"),
    }
}

fn knobs(r: &Reader<'_>, master: &Master) -> Knobs {
    let level = |text: &str| {
        let text = text.trim();
        property::STORAGE_LEVELS.iter().copied().find(|level| level.eq_ignore_ascii_case(text))
    };
    let storage_levels = r.conf.iter().filter_map(|(key, value, _)| {
        let dataset = key.strip_prefix(property::STORAGE_LEVEL_PREFIX)?;
        Some((dataset.to_owned(), level(value)?))
    });
    Knobs {
        storage_level: r.text("spillcast.storageLevel").and_then(|text| level(&text)),
        storage_levels: storage_levels.collect(),
        eviction_policy: match r.text("spillcast.evictionPolicy").as_deref() {
            Some("fifo") => EvictionPolicy::Fifo,
            Some("lfu") => EvictionPolicy::Lfu,
            Some("lrc") => EvictionPolicy::Lrc,
            Some("mrd") => EvictionPolicy::Mrd,
            Some("cost") => EvictionPolicy::Cost,
            Some("belady") => EvictionPolicy::Belady,
            _ => EvictionPolicy::Lru,
        },
        data_scale: r.real("spillcast.dataScale"),
        // Elsewhere the cluster manager sets the limit.
        container_limit: r.opt_bytes("spillcast.containerLimit").filter(|_| !master.has_containers()),
        container_swap: r.opt_bytes("spillcast.containerSwap").unwrap_or(0),
        container_high: r.opt_bytes("spillcast.containerHigh"),
        host_memory: r.opt_bytes("spillcast.host.memory"),
        host_disk: r.opt_bytes("spillcast.host.disk"),
        host_swap: r.opt_bytes("spillcast.host.swap"),
        tenants: match r.text("spillcast.tenants").as_deref().map(str::trim) {
            None | Some("all") => None,
            Some("none" | "") => Some(Vec::new()),
            Some(names) => Some(names.split([',', '+']).map(|name| name.trim().to_owned()).collect()),
        },
        copies: r.opt_count("spillcast.copies").unwrap_or(1),
        collector: match r.text("spillcast.collector").as_deref() {
            Some("G1") => Some(Collector::G1),
            Some("Parallel") => Some(Collector::Parallel),
            Some("Serial") => Some(Collector::Serial),
            _ => None,
        },
    }
}

/// The collector that the JVM options of `process` (driver or executor) switch on; the last one named.
fn collector_option(r: &Reader<'_>, process: &str) -> Option<Collector> {
    let options = ["defaultJavaOptions", "extraJavaOptions"]
        .map(|name| r.text(&format!("spark.{process}.{name}")).unwrap_or_default());
    let words = options.iter().flat_map(|text| text.split_whitespace());
    words
        .filter_map(|word| match CollectorOption::of(word)? {
            CollectorOption::Known(collector) => Some(collector),
            CollectorOption::NotModelled | CollectorOption::Unknown => None,
        })
        .next_back()
}
