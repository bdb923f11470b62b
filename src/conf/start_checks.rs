//! Checks that Spark makes when it starts, on values that are fine by themselves: what would stop a real application
//! before its first task, in the words of the version. One check is ours: [`limit_under_heap`].

use super::error::{ConfError, ErrorKind};
use super::master::{MASTER_FORMS, Master};
use super::reader::Reader;
use super::settings::{CollectorOption, DeployMode, IoCodec, Settings};
use super::size::{byte_string_as_bytes, memory_string_to_mb};
use super::spark_conf::{Entry, Origin, SparkConf};
use crate::units::{HumanBytes, MIB};

/// Least memory of a JVM: 1.5 times the 300 MiB that `UnifiedMemoryManager` reserves (HEAP-4).
pub(super) const MIN_SYSTEM_MEMORY: u64 = 450 * MIB;

/// Least memory under the legacy manager (LEG-2).
pub(super) const MIN_SYSTEM_MEMORY_LEGACY: u64 = 32 * MIB;

/// The master, or `local[*]` with a fault recorded.
pub(super) fn master(r: &mut Reader<'_>) -> Master {
    let text = r.text("spark.master").unwrap_or_default();
    Master::parse(&text).unwrap_or_else(|error| {
        r.refuse("spark.master", None, error.message, MASTER_FORMS);
        Master::Local { cores: None, max_failures: 1 }
    })
}

/// The codec of this short or class name.
pub(super) fn codec(text: &str) -> Option<IoCodec> {
    let lower = text.trim().to_lowercase();
    let name =
        lower.strip_prefix("org.apache.spark.io.").and_then(|rest| rest.strip_suffix("compressioncodec"));
    match name.unwrap_or(&lower) {
        "lz4" => Some(IoCodec::Lz4),
        "lzf" => Some(IoCodec::Lzf),
        "snappy" => Some(IoCodec::Snappy),
        "zstd" | "zstandard" => Some(IoCodec::Zstd),
        _ => None,
    }
}

/// Heap of the driver in bytes. Where the launcher starts it, the text goes to the JVM as it is and a bare number means
/// bytes (CONF-14); a log comes from a driver that did start, so there the text was never used like that (MODE-5).
pub(super) fn driver_memory(r: &Reader<'_>, master: &Master, cluster_mode: bool) -> u64 {
    let bare = r.conf.entry("spark.driver.memory").and_then(|entry| entry.value.trim().parse::<u64>().ok());
    match bare {
        Some(bytes) if launcher_starts_driver(r, master, cluster_mode) => bytes,
        _ => r.bytes("spark.driver.memory"),
    }
}

fn launcher_starts_driver(r: &Reader<'_>, master: &Master, cluster_mode: bool) -> bool {
    let from_log = r.conf.entry("spark.driver.memory").is_some_and(|entry| entry.origin == Origin::EventLog);
    !from_log && (master.is_local() || !cluster_mode)
}

/// Records everything with which Spark would not start.
pub(super) fn refuse_bad_starts(r: &mut Reader<'_>, settings: &Settings) {
    check_deploy_mode(r, settings);
    check_fractions(r);
    check_off_heap(r, settings);
    check_driver_memory(r, settings);
    check_executor_memory(r, settings);
    check_local_cluster(r, settings);
    check_cores(r, settings);
    check_heartbeat(r, settings);
    check_search_for_lost(r, settings);
    check_heap_options(r);
    check_collectors(r);
    if let Some(text) = r.text("spark.io.compression.codec").filter(|text| codec(text).is_none()) {
        let message = format!("Codec [{text}] is not available.");
        r.refuse("spark.io.compression.codec", None, message, "one of lz4, lzf, snappy, zstd");
    }
}

fn check_deploy_mode(r: &mut Reader<'_>, settings: &Settings) {
    let local = matches!(settings.master, Master::Local { .. } | Master::LocalCluster { .. });
    if local && settings.deploy_mode == DeployMode::Cluster {
        let message = "Cluster deploy mode is not compatible with master \"local\"".to_owned();
        r.refuse("spark.submit.deployMode", None, message, "client");
    }
}

/// CONF-9, CONF-10, and the execution pool that a fraction of 0 leaves empty.
fn check_fractions(r: &mut Reader<'_>) {
    let legacy = !r.version().at_least(3, 0) && r.flag("spark.memory.useLegacyMode");
    let mut keys = vec!["spark.memory.fraction", "spark.memory.storageFraction"];
    if legacy {
        keys.extend([
            "spark.storage.memoryFraction",
            "spark.shuffle.memoryFraction",
            "spark.storage.unrollFraction",
        ]);
    }
    for key in keys {
        let value = r.real(key);
        if !(0.0..=1.0).contains(&value) {
            let message = format!("{key} should be between 0 and 1 (was '{value:?}').");
            r.refuse(key, None, message, "a number from 0 to 1");
        }
    }
    if !legacy && r.real("spark.memory.fraction") == 0.0 {
        let message = "requirement failed: onHeapExecutionMemory must be > 0".to_owned();
        r.refuse("spark.memory.fraction", None, message, "a number above 0, up to 1");
    }
    // 2.4 accepts 1.
    if r.real("spark.memory.storageFraction") == 1.0 && r.version().at_least(3, 0) {
        let key = "spark.memory.storageFraction";
        let condition = r.version().at_least(4, 0).then_some("INVALID_CONF_VALUE.REQUIREMENT");
        let message = match condition {
            Some(condition) => format!(
                "[{condition}] The value '1.0' in the config \"{key}\" is invalid. Storage fraction must be in [0,1) \
                 SQLSTATE: 22022"
            ),
            None => format!("'1.0' in {key} is invalid. Storage fraction must be in [0,1)"),
        };
        r.refuse(key, condition, message, "a number from 0 to less than 1");
    }
}

fn check_off_heap(r: &mut Reader<'_>, settings: &Settings) {
    let key = "spark.memory.offHeap.size";
    if settings.memory.off_heap_enabled && settings.memory.off_heap_size == 0 && !r.is_faulty(key) {
        let message = "requirement failed: spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled == true";
        r.refuse(key, None, message.to_owned(), "a size above 0, or spark.memory.offHeap.enabled=false");
    } else if settings.memory.off_heap_enabled && settings.memory.off_heap_size < MIB && !r.is_faulty(key) {
        // PROC-4: the container's share is whole MiB, and may not be 0.
        if settings.master.has_containers() && r.version().at_least(3, 0) {
            let message = format!(
                "requirement failed: spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled == true \
                 ({} bytes are 0 MiB)",
                settings.memory.off_heap_size
            );
            r.refuse(key, None, message, "1m or more");
        }
    }
}

/// Bytes of the smallest heap with which Spark starts a JVM (HEAP-4).
pub fn least_memory(settings: &Settings) -> u64 {
    if settings.memory.legacy.is_some() { MIN_SYSTEM_MEMORY_LEGACY } else { MIN_SYSTEM_MEMORY }
}

/// CONF-14 and HEAP-4, the latter on the heap as asked for; collectors that report less are the memory layout's.
fn check_driver_memory(r: &mut Reader<'_>, settings: &Settings) {
    let key = "spark.driver.memory";
    if r.is_faulty(key) {
        return;
    }
    let text = r.conf.get(key).unwrap_or_default().trim().to_owned();
    if launcher_starts_driver(r, &settings.master, settings.deploy_mode == DeployMode::Cluster) {
        if text.len() > 2
            && text.to_lowercase().ends_with('b')
            && !text.ends_with(|c: char| c.is_ascii_digit())
        {
            // The JVM knows k, m, g and t alone.
            let message = format!("Invalid maximum heap size: -Xmx{text}");
            r.refuse(
                key,
                None,
                message,
                format!("{} (the text goes to the JVM as it is)", &text[..text.len() - 1]),
            );
            return;
        }
        // The smallest heap a 64-bit JVM accepts is 2 MiB.
        if text.bytes().all(|b| b.is_ascii_digit()) && settings.driver.memory < 2 * MIB && !text.is_empty() {
            let message = format!("Too small maximum heap: -Xmx{text} (a bare number is bytes to the JVM)");
            r.refuse(key, None, message, format!("{text}m or {text}g"));
            return;
        }
    }
    let least = least_memory(settings);
    if settings.driver.memory < least {
        let (message, condition) =
            too_small(r, "System", "heap size", "driver", settings.driver.memory, least);
        r.refuse(key, condition, message, format!("{}m or more", least / MIB));
    }
}

/// HEAP-5: a set `spark.executor.memory` is read as bytes (CONF-12), in every JVM and in local mode too.
fn check_executor_memory(r: &mut Reader<'_>, settings: &Settings) {
    let key = "spark.executor.memory";
    let Some(text) = r.conf.get(key).map(str::to_owned) else { return };
    if r.is_faulty(key) {
        return;
    }
    let least = least_memory(settings);
    let Ok(bytes) = byte_string_as_bytes(&text) else { return };
    if (bytes as u64) < least {
        let bare = text.trim().bytes().all(|b| b.is_ascii_digit());
        let (message, condition) =
            too_small(r, "Executor", "executor memory", "executor", bytes as u64, least);
        let valid = if bare {
            format!("{}m (this check reads a bare number as bytes)", text.trim())
        } else {
            format!("{}m or more", least / MIB)
        };
        r.refuse(key, condition, message, valid);
    }
}

/// Spark's words for too little memory, with quotes since there are error conditions (3.4).
fn too_small(
    r: &Reader<'_>,
    which: &str,
    what: &str,
    process: &str,
    bytes: u64,
    least: u64,
) -> (String, Option<&'static str>) {
    let condition = r.version().at_least(3, 4).then_some(match process {
        "driver" => "INVALID_DRIVER_MEMORY",
        _ => "INVALID_EXECUTOR_MEMORY",
    });
    let quote = if condition.is_some() { "\"" } else { "" };
    let prefix = condition.map_or_else(String::new, |name| format!("[{name}] "));
    let state = if r.version().at_least(4, 0) { " SQLSTATE: F0000" } else { "" };
    let message = format!(
        "{prefix}{which} memory {bytes} must be at least {least}. Please increase {what} using the --{process}-memory \
         option or {quote}spark.{process}.memory{quote} in Spark configuration.{state}"
    );
    (message, condition)
}

/// A worker of `local-cluster` must hold an executor; the text is read as bytes there (CONF-13).
fn check_local_cluster(r: &mut Reader<'_>, settings: &Settings) {
    let Master::LocalCluster { memory_mib, .. } = settings.master else { return };
    if r.is_faulty("spark.executor.memory") {
        return;
    }
    let asked = r.conf.get("spark.executor.memory").map_or(Ok(1024), memory_string_to_mb).unwrap_or(0);
    if i64::from(asked) > i64::from(memory_mib) {
        // The words as in SparkContext of each line of releases.
        let (worker, executor) = if r.version().at_least(3, 2) {
            ("MiB/worker", "MiB/executor")
        } else if r.version().at_least(3, 0) {
            ("MiB RAM / worker", "MiB/worker")
        } else {
            ("MB RAM / worker", "MB/worker")
        };
        let message =
            format!("Asked to launch cluster with {memory_mib} {worker} but requested {asked} {executor}");
        r.refuse("spark.executor.memory", None, message, format!("{memory_mib}m or less"));
    }
}

/// Each executor must have the cores of a task.
fn check_cores(r: &mut Reader<'_>, settings: &Settings) {
    let cores = match settings.master {
        Master::Local { cores, .. } => cores,
        Master::Yarn | Master::Kubernetes => Some(settings.executor.cores.unwrap_or(1)),
        Master::LocalCluster { cores, .. } => Some(settings.executor.cores.unwrap_or(cores)),
        Master::Standalone => settings.executor.cores,
    };
    let cpus = settings.task.cpus;
    if let Some(cores) = cores.filter(|cores| *cores < cpus) {
        let message = format!(
            "The number of cores per executor (={cores}) has to be >= the number of cpus per task = {cpus}."
        );
        r.refuse("spark.task.cpus", None, message, format!("{cores} or less"));
    }
}

/// CONF-11.
fn check_heartbeat(r: &mut Reader<'_>, settings: &Settings) {
    let timeout = settings.scheduling.network_timeout.0 / 1_000_000;
    let interval = settings.scheduling.heartbeat_interval.0 / 1_000_000;
    if timeout > interval || r.is_faulty("spark.executor.heartbeatInterval") {
        return;
    }
    let words = format!(
        "The value of spark.network.timeout={timeout}ms must be greater than the value of \
         spark.executor.heartbeatInterval={interval}ms."
    );
    let condition =
        r.version().at_least(4, 0).then_some("INVALID_SPARK_CONFIG.INVALID_EXECUTOR_HEARTBEAT_INTERVAL");
    let message = match condition {
        Some(condition) => format!("[{condition}] Invalid Spark config: {words} SQLSTATE: 42616"),
        None => format!("requirement failed: {words}"),
    };
    let key = if r.conf.contains("spark.executor.heartbeatInterval") {
        "spark.executor.heartbeatInterval"
    } else {
        "spark.network.timeout"
    };
    r.refuse(key, condition, message, "a heartbeat interval below spark.network.timeout");
}

/// `HeartbeatReceiver` asks as much of its settings.
fn check_search_for_lost(r: &mut Reader<'_>, settings: &Settings) {
    const SEARCH: &str = "spark.network.timeoutInterval";
    const OWN: &str = "spark.storage.blockManagerHeartbeatTimeoutMs";
    let scheduling = &settings.scheduling;
    if !r.version().at_least(3, 1)
        || scheduling.network_timeout_interval <= scheduling.executor_timeout
        || r.is_faulty(SEARCH)
    {
        return;
    }
    let timeout = if scheduling.executor_timeout_is_own { OWN } else { "spark.network.timeout" };
    let key = if r.conf.contains(SEARCH) { SEARCH } else { timeout };
    let message = format!("requirement failed: {SEARCH} should be less than or equal to {timeout}.");
    let interval = scheduling.network_timeout_interval.0 / 1_000_000;
    let expected = format!("{SEARCH} (now {interval} ms) not above {timeout}");
    r.refuse(key, None, message, expected);
}

/// The JVM does not start with a collector that it does not have. What a log says did start, on whatever JVM.
fn check_collectors(r: &mut Reader<'_>) {
    for process in ["driver", "executor"] {
        for name in ["defaultJavaOptions", "extraJavaOptions"] {
            let key = format!("spark.{process}.{name}");
            if r.conf.entry(&key).is_none_or(|entry| entry.origin == Origin::EventLog) {
                continue;
            }
            let Some(text) = r.text(&key) else { continue };
            let unknown = |word: &&str| CollectorOption::of(word) == Some(CollectorOption::Unknown);
            let Some(word) = text.split_whitespace().find(unknown) else { continue };
            let option = word.trim_start_matches("-XX:+");
            let message = format!("Unrecognized VM option '{option}'");
            r.refuse(&key, None, message, "-XX:+UseG1GC, -XX:+UseParallelGC or -XX:+UseSerialGC");
        }
    }
}

/// The fault of a container whose limit the heap alone passes. Such a JVM starts, and is killed once it has touched what it
/// was given, so a study may try it; who asks for one run has mistaken one for the other. Where pages of the container may
/// be swapped out, they may be more than its memory.
pub fn limit_under_heap(conf: &SparkConf, settings: &Settings) -> Option<ConfError> {
    const KEY: &str = "spillcast.containerLimit";
    let limit = settings.knobs.container_limit.filter(|_| settings.knobs.container_swap == 0)?;
    let (name, heap) = match settings.master {
        Master::Local { .. } => ("spark.driver.memory", settings.driver.memory),
        _ => ("spark.executor.memory", settings.executor.memory),
    };
    let Entry { value, origin } = conf.entry(KEY)?;
    let message = format!(
        "{} is no more than the heap that is to lie in it ({name} of {})",
        HumanBytes(limit),
        HumanBytes(heap)
    );
    let valid = format!(
        "more than {}m, with room for what a JVM has beside its heap, or a smaller {name}",
        heap / MIB
    );
    let (key, kind) = (KEY.to_owned(), ErrorKind::OutOfRange);
    let fault = ConfError { key, value, origin, kind, message, valid, condition: None, by_spark: false };
    (limit <= heap).then_some(fault)
}

/// MODE-6.
fn check_heap_options(r: &mut Reader<'_>) {
    for name in ["extraJavaOptions", "defaultJavaOptions"] {
        let key = format!("spark.executor.{name}");
        let Some(text) = r.text(&key).filter(|text| text.contains("-Xmx")) else { continue };
        let message = format!(
            "{key} is not allowed to specify max heap memory settings (was '{text}'). Use spark.executor.memory \
             instead."
        );
        r.refuse(&key, None, message, "options without -Xmx");
    }
}
