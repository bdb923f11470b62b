//! Whole configurations: what they resolve to, and in which words a bad one is refused.

use spillcast::conf::settings::IoCodec;
use spillcast::conf::{
    Collector, ConfError, DeployMode, ErrorKind, EvictionPolicy, Master, Origin, Settings, SparkConf,
    SparkVersion, property,
};
use spillcast::units::{GIB, KIB, MIB, SimDuration};

fn conf(version: &str, properties: &[(&str, &str)]) -> SparkConf {
    let mut conf = SparkConf::new(SparkVersion::parse(version).expect(version));
    for (line, (key, value)) in properties.iter().enumerate() {
        conf.set(key, value, Origin::Scenario(line as u32 + 1));
    }
    conf
}

fn resolve(properties: &[(&str, &str)]) -> Settings {
    resolve_in("4.1", properties)
}

fn resolve_in(version: &str, properties: &[(&str, &str)]) -> Settings {
    Settings::resolve(&conf(version, properties))
        .unwrap_or_else(|errors| panic!("{properties:?}: {errors:?}"))
}

fn errors_in(version: &str, properties: &[(&str, &str)]) -> Vec<ConfError> {
    match Settings::resolve(&conf(version, properties)) {
        Ok(_) => panic!("{properties:?} is accepted by {version}"),
        Err(errors) => errors,
    }
}

/// The one fault of a configuration must have this message and condition.
#[track_caller]
fn refused(version: &str, properties: &[(&str, &str)], condition: Option<&str>, message: &str) {
    let errors = errors_in(version, properties);
    let found: Vec<_> = errors.iter().map(|e| (e.condition, e.message.as_str())).collect();
    assert_eq!(found, [(condition, message)], "{properties:?}");
    assert!(!errors[0].valid.is_empty() && errors[0].by_spark, "{:?}", errors[0]);
}

#[test]
fn defaults_of_4_1() {
    let s = resolve(&[]);
    assert_eq!(s.master, Master::Local { cores: None, max_failures: 1 });
    assert_eq!((s.driver.memory, s.executor.memory, s.executor.cores), (GIB, GIB, None));
    assert_eq!((s.memory.fraction, s.memory.storage_fraction), (0.6, 0.5));
    assert_eq!((s.memory.off_heap_enabled, s.memory.off_heap_size, s.memory.page_size), (false, 0, None));
    assert_eq!((s.memory.unmanaged_polling, s.memory.legacy), (None, None));
    assert_eq!((s.storage.unroll_threshold, s.storage.unroll_check_period), (MIB, 16));
    assert_eq!((s.shuffle.spill_initial_threshold, s.shuffle.file_buffer), (5 * MIB, 32 * KIB));
    assert_eq!((s.shuffle.max_size_force_spill, s.shuffle.num_elements_force_spill), (None, i32::MAX as u64));
    assert_eq!((s.shuffle.max_size_in_flight, s.shuffle.io_codec), (48 * MIB, IoCodec::Lz4));
    assert_eq!((s.broadcast.block_size, s.task.rpc_message_max), (4 * MIB, 128 * MIB));
    assert_eq!((s.driver.max_result_size, s.task.max_direct_result_size), (Some(GIB), MIB));
    assert_eq!((s.task.max_failures, s.task.cpus), (1, 1));
    assert_eq!(s.scheduling.locality_wait_rack, SimDuration::from_ms(3_000));
    assert_eq!(s.scheduling.network_timeout, SimDuration::from_ms(120_000));
    assert_eq!((s.sql.shuffle_partitions, s.sql.adaptive.initial_partition_num), (200, 200));
    assert_eq!(
        (s.sql.auto_broadcast_join_threshold, s.sql.max_broadcast_table_size),
        (Some(10 * MIB), 8 * GIB)
    );
    assert_eq!(s.sql.adaptive.auto_broadcast_join_threshold, Some(10 * MIB));
    assert_eq!((s.sql.files_max_partition_bytes, s.sql.files_open_cost), (128 * MIB, 4 * MIB));
    assert_eq!(
        (s.sql.window_buffer.in_memory_rows, s.sql.sort_merge_join_buffer.in_memory_rows),
        (4096, 2_147_483_632)
    );
    assert_eq!((s.python.arrow_batch_rows, s.python.arrow_batch_bytes), (Some(10_000), Some(64 * MIB)));
    assert_eq!(
        (s.knobs.eviction_policy, s.knobs.data_scale, s.knobs.container_limit),
        (EvictionPolicy::Lru, 1.0, None)
    );
    assert!(s.sql.adaptive.enabled && s.sql.adaptive.coalesce_enabled && s.sql.adaptive.skew_join_enabled);
    assert!(!s.storage.rdd_compress && s.shuffle.compress && s.shuffle.spill_compress);
}

#[test]
fn defaults_resolve_in_every_version_and_every_default_parses() {
    for version in ["2.4", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5.9", "4.0", "4.1.4"] {
        let implicit = resolve_in(version, &[]);
        // Spelling a default out changes nothing, except for the keys whose mere presence counts.
        let mut explicit = conf(version, &[]);
        for property in property::all() {
            let presence = ["spark.executor.cores", "Factor", "HeartbeatTimeoutMs"]
                .iter()
                .any(|part| property.name.contains(part));
            if let Some(entry) = explicit.effective(property.name).filter(|_| !presence) {
                explicit.set(property.name, &entry.value, Origin::Scenario(1));
            }
        }
        assert!(explicit.iter().count() > 100, "{version}");
        assert_eq!(Settings::resolve(&explicit), Ok(implicit), "{version}");
    }
}

#[test]
fn properties_reach_their_field() {
    let s = resolve(&[
        ("spark.master", "yarn"),
        ("spark.submit.deployMode", "CLUSTER"),
        ("spark.driver.memory", "2g"),
        ("spark.executor.memory", "4g"),
        ("spark.executor.cores", "3"),
        ("spark.executor.instances", "5"),
        ("spark.unsafe.offHeap", "true"),
        ("spark.memory.offHeap.size", "512m"),
        ("spark.memory.unmanagedMemoryPollingInterval", "2s"),
        ("spark.buffer.pageSize", "2m"),
        ("spark.shuffle.spill.maxSizeInBytesForSpillThreshold", "1g"),
        ("spark.io.compression.codec", "org.apache.spark.io.ZStdCompressionCodec"),
        ("spark.driver.maxResultSize", "0"),
        ("spark.sql.autoBroadcastJoinThreshold", "-1"),
        ("spark.sql.execution.arrow.maxRecordsPerBatch", "-1"),
        ("spark.speculation", "TRUE"),
        ("spark.locality.wait", "0"),
        ("spark.locality.wait.rack", "1min"),
        ("spark.rdd.compress", "True"),
        ("spark.executor.extraJavaOptions", "-XX:+UseParallelGC"),
        ("spillcast.storageLevel", "memory_only"),
        ("spillcast.storageLevel.orders", "DISK_ONLY"),
        ("spillcast.evictionPolicy", "LRC"),
        ("spillcast.dataScale", "2.5"),
        ("spillcast.containerLimit", "939524096"),
    ]);
    assert_eq!((s.master, s.deploy_mode), (Master::Yarn, DeployMode::Cluster));
    assert_eq!((s.driver.memory, s.executor.memory), (2 * GIB, 4 * GIB));
    assert_eq!((s.executor.cores, s.executor.instances), (Some(3), Some(5)));
    assert_eq!((s.memory.off_heap_enabled, s.memory.off_heap_size), (true, 512 * MIB));
    assert_eq!(s.memory.unmanaged_polling, Some(SimDuration::from_ms(2_000)));
    assert_eq!((s.memory.page_size, s.shuffle.max_size_force_spill), (Some(2 * MIB), Some(GIB)));
    assert_eq!((s.shuffle.io_codec, s.driver.max_result_size), (IoCodec::Zstd, None));
    assert_eq!(
        (s.sql.auto_broadcast_join_threshold, s.sql.adaptive.auto_broadcast_join_threshold),
        (None, None)
    );
    assert_eq!((s.python.arrow_batch_rows, s.task.max_failures), (None, 4));
    assert_eq!(s.scheduling.speculation.map(|s| (s.quantile, s.multiplier)), Some((0.9, 3.0)));
    assert_eq!(s.scheduling.locality_wait_node, SimDuration::ZERO);
    assert_eq!(s.scheduling.locality_wait_rack, SimDuration::from_ms(60_000));
    assert!(s.storage.rdd_compress);
    assert_eq!((s.executor.collector, s.driver.collector), (Some(Collector::Parallel), None));
    assert_eq!(s.knobs.storage_level_of("orders"), Some("DISK_ONLY"));
    assert_eq!(s.knobs.storage_level_of("people"), Some("MEMORY_ONLY"));
    assert_eq!((s.knobs.eviction_policy, s.knobs.data_scale), (EvictionPolicy::Lrc, 2.5));
    assert_eq!(s.knobs.container_limit, None, "YARN's container has YARN's limit");
    let standalone =
        resolve(&[("spark.master", "spark://h:7077"), ("spillcast.containerLimit", "939524096")]);
    assert_eq!(standalone.knobs.container_limit, Some(939_524_096));
}

#[test]
fn fail_1_local_masters_set_the_failures() {
    let failures =
        |master| resolve(&[("spark.master", master), ("spark.task.maxFailures", "7")]).task.max_failures;
    assert_eq!((failures("local[4]"), failures("local[4,3]"), failures("yarn")), (1, 3, 7));
}

#[test]
fn conf_5_values_of_the_wrong_kind() {
    for (key, value, kind) in [
        ("spark.memory.offHeap.size", "1.5g", "bytes in BYTE"),
        ("spark.executor.memory", "lots", "bytes in MiB"),
        ("spark.shuffle.file.buffer", "", "bytes in KiB"),
        ("spark.storage.unrollMemoryThreshold", "1m", "long"),
        ("spark.sql.shuffle.partitions", "2e2", "int"),
        ("spark.memory.fraction", "half", "double"),
        ("spark.rdd.compress", "yes", "boolean"),
        ("spark.locality.wait", "3 s", "time in MILLISECONDS"),
    ] {
        let words = format!(
            "[INVALID_CONF_VALUE.TYPE_MISMATCH] The value '{value}' in the config \"{key}\" is invalid. It should be \
             a/an '{kind}' value. SQLSTATE: 22022"
        );
        refused("4.1", &[(key, value)], Some("INVALID_CONF_VALUE.TYPE_MISMATCH"), &words);
        assert_eq!(errors_in("4.1", &[(key, value)])[0].kind, ErrorKind::Malformed);
    }
    let plain = "spark.sql.shuffle.partitions should be int, but was x";
    refused("3.5", &[("spark.sql.shuffle.partitions", "x")], None, plain);
}

#[test]
fn conf_6_values_out_of_range() {
    refused(
        "4.1",
        &[("spark.memory.offHeap.size", "-5")],
        Some("INVALID_CONF_VALUE.REQUIREMENT"),
        "[INVALID_CONF_VALUE.REQUIREMENT] The value '-5b' in the config \"spark.memory.offHeap.size\" is invalid. The \
         off-heap memory size must not be negative SQLSTATE: 22022",
    );
    let words_3_5 =
        "'-5' in spark.memory.offHeap.size is invalid. The off-heap memory size must not be negative";
    refused("3.5.9", &[("spark.memory.offHeap.size", "-5")], None, words_3_5);
    refused(
        "2.4.8",
        &[("spark.memory.offHeap.size", "-5")],
        None,
        "The off-heap memory size must not be negative",
    );
    for value in ["0", "-1"] {
        let words = format!(
            "[INVALID_CONF_VALUE.REQUIREMENT] The value '{value}' in the config \"spark.sql.shuffle.partitions\" is \
             invalid. The value of spark.sql.shuffle.partitions must be positive SQLSTATE: 22022"
        );
        refused(
            "4.1",
            &[("spark.sql.shuffle.partitions", value)],
            Some("INVALID_CONF_VALUE.REQUIREMENT"),
            &words,
        );
    }
    let negative = [("spark.executor.memory", "-1g")];
    refused("4.1", &negative, None, "Executor memory must be a positive number");
}

#[test]
fn conf_9_and_10_fractions() {
    let fraction = "spark.memory.fraction";
    let storage = "spark.memory.storageFraction";
    refused(
        "4.1",
        &[(fraction, "1.5")],
        None,
        "spark.memory.fraction should be between 0 and 1 (was '1.5').",
    );
    refused(
        "4.1",
        &[(storage, "-1")],
        None,
        "spark.memory.storageFraction should be between 0 and 1 (was '-1.0').",
    );
    refused("4.1", &[(fraction, "0")], None, "requirement failed: onHeapExecutionMemory must be > 0");
    refused(
        "4.1",
        &[(storage, "1.0")],
        Some("INVALID_CONF_VALUE.REQUIREMENT"),
        "[INVALID_CONF_VALUE.REQUIREMENT] The value '1.0' in the config \"spark.memory.storageFraction\" is invalid. \
         Storage fraction must be in [0,1) SQLSTATE: 22022",
    );
    let words_3_5 = "'1.0' in spark.memory.storageFraction is invalid. Storage fraction must be in [0,1)";
    refused("3.5.9", &[(storage, "1")], None, words_3_5);
    assert_eq!(resolve_in("2.4.8", &[(storage, "1")]).memory.storage_fraction, 1.0);
    assert_eq!(resolve(&[(storage, "0"), (fraction, "1")]).memory.storage_fraction, 0.0);
}

#[test]
fn conf_11_heartbeats_within_the_time_out() {
    refused(
        "4.1",
        &[("spark.executor.heartbeatInterval", "120s")],
        Some("INVALID_SPARK_CONFIG.INVALID_EXECUTOR_HEARTBEAT_INTERVAL"),
        "[INVALID_SPARK_CONFIG.INVALID_EXECUTOR_HEARTBEAT_INTERVAL] Invalid Spark config: The value of \
         spark.network.timeout=120000ms must be greater than the value of \
         spark.executor.heartbeatInterval=120000ms. SQLSTATE: 42616",
    );
    assert_eq!(errors_in("3.5", &[("spark.network.timeout", "5s")])[0].key, "spark.network.timeout");
    // The words of Spark 4.1.4 started with spark.network.timeout=30s.
    let errors = errors_in("4.1", &[("spark.network.timeout", "30s")]);
    assert_eq!(
        errors[0].message,
        "requirement failed: spark.network.timeoutInterval should be less than or equal to spark.network.timeout."
    );
    let shorter = [("spark.network.timeout", "30s"), ("spark.network.timeoutInterval", "5s")];
    assert!(Settings::resolve(&conf("4.1", &shorter)).is_ok());
}

#[test]
fn heap_4_and_5_too_little_memory_is_refused_in_sparks_words() {
    refused(
        "4.1",
        &[("spark.driver.memory", "256m")],
        Some("INVALID_DRIVER_MEMORY"),
        "[INVALID_DRIVER_MEMORY] System memory 268435456 must be at least 471859200. Please increase heap size using \
         the --driver-memory option or \"spark.driver.memory\" in Spark configuration. SQLSTATE: F0000",
    );
    refused(
        "4.1",
        &[("spark.executor.memory", "449m")],
        Some("INVALID_EXECUTOR_MEMORY"),
        "[INVALID_EXECUTOR_MEMORY] Executor memory 470810624 must be at least 471859200. Please increase executor \
         memory using the --executor-memory option or \"spark.executor.memory\" in Spark configuration. SQLSTATE: F0000",
    );
    refused(
        "3.5.9",
        &[("spark.driver.memory", "256m")],
        Some("INVALID_DRIVER_MEMORY"),
        "[INVALID_DRIVER_MEMORY] System memory 268435456 must be at least 471859200. Please increase heap size using \
         the --driver-memory option or \"spark.driver.memory\" in Spark configuration.",
    );
    refused(
        "2.4.8",
        &[("spark.driver.memory", "256m")],
        None,
        "System memory 268435456 must be at least 471859200. Please increase heap size using the --driver-memory \
         option or spark.driver.memory in Spark configuration.",
    );
    assert_eq!(resolve(&[("spark.driver.memory", "450m")]).driver.memory, 450 * MIB);
}

#[test]
fn conf_12_bare_executor_memory_is_read_as_bytes() {
    let errors = errors_in("4.1", &[("spark.master", "yarn"), ("spark.executor.memory", "1024")]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("Executor memory 1024 must be at least 471859200"), "{}", errors[0]);
    assert!(errors[0].valid.starts_with("1024m"), "{}", errors[0]);
}

#[test]
fn conf_14_bare_driver_memory_goes_to_the_jvm() {
    let errors = errors_in("4.1", &[("spark.driver.memory", "1024")]);
    assert!(errors[0].message.starts_with("Too small maximum heap: -Xmx1024"), "{}", errors[0]);
    let letters = errors_in("4.1", &[("spark.driver.memory", "1gb")]);
    assert_eq!(letters[0].message, "Invalid maximum heap size: -Xmx1gb");
    assert_eq!(resolve(&[("spark.driver.memory", "1073741824")]).driver.memory, GIB);
    // In cluster mode Spark itself reads the text, in MiB.
    let cluster =
        [("spark.master", "yarn"), ("spark.submit.deployMode", "cluster"), ("spark.driver.memory", "2048")];
    assert_eq!(resolve(&cluster).driver.memory, 2 * GIB);
    // A log's driver did start, so its text never reached a JVM that way.
    let mut logged = conf("4.1", &[]);
    logged.set("spark.driver.memory", "2048", Origin::EventLog);
    assert_eq!(Settings::resolve(&logged).map(|s| s.driver.memory), Ok(2 * GIB));
}

#[test]
fn leg_2_the_legacy_manager_needs_32_mib() {
    let legacy = ("spark.memory.useLegacyMode", "true");
    let settings =
        resolve_in("2.4", &[legacy, ("spark.driver.memory", "64m"), ("spark.storage.memoryFraction", "0.3")]);
    let fractions = settings.memory.legacy.expect("legacy mode");
    assert_eq!((fractions.storage, fractions.storage_safety, fractions.shuffle), (0.3, 0.9, 0.2));
    let errors = errors_in("2.4", &[legacy, ("spark.driver.memory", "31m")]);
    assert!(
        errors[0].message.starts_with("System memory 32505856 must be at least 33554432."),
        "{}",
        errors[0]
    );
    assert_eq!(resolve_in("3.0", &[legacy]).memory.legacy, None);
}

#[test]
fn local_cluster_workers_must_hold_an_executor() {
    let words = "Asked to launch cluster with 512 MiB/worker but requested 1024 MiB/executor";
    refused("4.1", &[("spark.master", "local-cluster[2,1,512]")], None, words);
    let words = "Asked to launch cluster with 512 MB RAM / worker but requested 1024 MB/worker";
    refused("2.4", &[("spark.master", "local-cluster[2,1,512]")], None, words);
    let words = "The number of cores per executor (=1) has to be >= the number of cpus per task = 2.";
    refused("4.1", &[("spark.master", "local-cluster[2,1,1024]"), ("spark.task.cpus", "2")], None, words);
    let fits = [("spark.master", "local-cluster[2,1,512]"), ("spark.executor.memory", "512m")];
    assert_eq!(resolve(&fits).executor.memory, 512 * MIB);
}

#[test]
fn other_refusals_at_the_start() {
    refused(
        "4.1",
        &[("spark.memory.offHeap.enabled", "true")],
        None,
        "requirement failed: spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled == true",
    );
    refused(
        "4.1",
        &[("spark.master", "yarn"), ("spark.task.cpus", "2")],
        None,
        "The number of cores per executor (=1) has to be >= the number of cpus per task = 2.",
    );
    refused("4.1", &[("spark.master", "local[x]")], None, "Could not parse Master URL: 'local[x]'");
    refused("4.1", &[("spark.io.compression.codec", "gzip")], None, "Codec [gzip] is not available.");
    refused(
        "4.1",
        &[("spark.executor.extraJavaOptions", "-Xmx4g")],
        None,
        "spark.executor.extraJavaOptions is not allowed to specify max heap memory settings (was '-Xmx4g'). Use \
         spark.executor.memory instead.",
    );
}

#[test]
fn all_faults_are_reported_at_once_with_their_origin() {
    let errors = errors_in(
        "4.1",
        &[
            ("spark.executor.memory", "1.5g"),
            ("spark.memory.fraction", "2"),
            ("spark.sql.shuffle.partitions", "0"),
            ("spillcast.evictionPolicy", "random"),
            ("spillcast.containerlimit", "1g"),
            ("spillcast.storageLevel.orders", "RAM"),
            ("spark.my.own", "kept"),
        ],
    );
    let mut found: Vec<_> = errors.iter().map(|e| (e.origin.clone(), e.key.as_str(), e.by_spark)).collect();
    found.sort_by_key(|(_, key, _)| *key);
    let line = Origin::Scenario;
    assert_eq!(
        found,
        [
            (line(1), "spark.executor.memory", true),
            (line(2), "spark.memory.fraction", true),
            (line(3), "spark.sql.shuffle.partitions", true),
            (line(5), "spillcast.containerlimit", false),
            (line(4), "spillcast.evictionPolicy", false),
            (line(6), "spillcast.storageLevel.orders", false),
        ]
    );
    let near = errors.iter().find(|e| e.key == "spillcast.containerlimit").expect("found");
    assert_eq!(near.valid, "spillcast.containerLimit");
}
