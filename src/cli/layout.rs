//! `spillcast layout`: the memory of a configuration before anything runs. The regions of each JVM in bytes, what the web
//! UI makes of them, and what the containers around them add up to.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::args::LayoutArgs;
use super::configure::{self, Stop};
use super::console::{Console, print, tell_error};
use super::input::{self, Application};
use super::{Answer, Told, layout_python};
use crate::cluster::{self, ClusterPlan, ContainerSize, HostShape, PlanInput};
use crate::conf::{Collector, DeployMode, Master, Origin, Settings, SparkConf};
use crate::experiment::{self, PythonNeed};
use crate::memory::MemoryMode;
use crate::memory::layout::SystemMemory;
use crate::sim::{Regions, regions};
use crate::units::{HumanBytes, MIB};

/// Columns of a region's name.
const NAME_WIDTH: usize = 44;

/// Runs the command.
pub(super) fn run(args: &LayoutArgs, console: Console) -> anyhow::Result<Answer> {
    configure::check_pairs(&args.conf)?;
    let application = args.input.as_deref().map(|path| input::open(path, console)).transpose()?;
    let mut conf = configure::conf(application.as_ref(), &args.conf, console)?;
    configure::tell(&conf, &args.conf, application.as_ref(), console);
    // Without a master nothing says which JVM is meant; a cluster has both kinds.
    let assumed_master = !conf.contains("spark.master");
    if assumed_master {
        conf.set("spark.master", "yarn", Origin::Default);
    }
    let Ok(settings) = configure::settings(&conf, application.as_ref(), console) else {
        return Err(Told.into());
    };
    for text in configure::without_effect(&conf, &settings) {
        console.warn(&text);
    }
    let (hosts, _) =
        experiment::machines(&application.as_ref().map(|a| a.scenario.cluster.clone()).unwrap_or_default());
    let python = args.python || application.as_ref().is_some_and(|found| found.scenario.workload.python);

    let plan = cluster::plan(&PlanInput { settings: &settings, hosts: &hosts, yarn: None, python });
    let jvms = match jvms(&plan, &settings) {
        Ok(jvms) => jvms,
        Err(Stop::Refused(words)) => {
            tell_error(&words);
            return Err(Told.into());
        }
        Err(Stop::Faulty) => return Err(Told.into()),
    };
    let managers = if assumed_master { vec!["yarn", "k8s://cluster"] } else { vec![""] };
    let containers: Vec<Container> =
        managers.into_iter().flat_map(|master| containers(&conf, master, &hosts, python)).collect();
    // In local mode nothing limits a process; elsewhere an executor's container does.
    let need = (python && !plan.driver.is_executor).then(|| {
        let executor = plan.executors.first();
        let slots = executor.map_or(1, |executor| executor.slots);
        let limit = executor.and_then(|executor| executor.container_limit);
        PythonNeed::of(&settings, slots, limit, args.row_bytes)
    });
    if args.json {
        let mut document = document(&settings, &jvms, &containers, application.as_ref());
        if let Some(need) = &need {
            document["python"] = layout_python::document(need);
        }
        let mut text = serde_json::to_string_pretty(&document)?;
        text.push('\n');
        print(text.as_bytes())?;
    } else {
        let mut text = page(&conf, &settings, &jvms, &containers);
        if let Some(need) = &need {
            layout_python::section(&mut text, need, args.row_bytes);
        }
        print(text.as_bytes())?;
    }
    Ok(Answer::Done)
}

/// The memory of one JVM.
struct Jvm {
    process: &'static str,
    property: &'static str,
    heap: u64,
    cores: u32,
    collector: Collector,
    regions: Regions,
    tungsten: MemoryMode,
    page_size: u64,
}

fn jvms(plan: &ClusterPlan, settings: &Settings) -> Result<Vec<Jvm>, Stop> {
    let jvm = |process, property, heap, cores, collector| -> Result<Jvm, Stop> {
        let (regions, tungsten, page_size) =
            regions(settings, heap, cores, collector).map_err(|error| Stop::Refused(error.to_string()))?;
        Ok(Jvm { process, property, heap, cores, collector, regions, tungsten, page_size })
    };
    let driver = &plan.driver;
    let of_driver = |process| {
        jvm(process, "spark.driver.memory", driver.heap, driver.memory_manager_cores, driver.collector)
    };
    if driver.is_executor {
        return Ok(vec![of_driver("driver, which is the executor")?]);
    }
    let executor = plan.executors.first().map(|executor| {
        jvm(
            "executor",
            "spark.executor.memory",
            executor.heap,
            executor.memory_manager_cores,
            executor.collector,
        )
    });
    executor.into_iter().chain([of_driver("driver")]).collect()
}

/// A region: JSON key, depth, name, bytes.
type Row = (&'static str, usize, String, u64);

impl Jvm {
    fn rows(&self, settings: &Settings) -> Vec<Row> {
        let reported = SystemMemory::of(self.collector, self.heap);
        let how = if reported.exact { "" } else { ", about" };
        let mut rows: Vec<Row> = vec![
            ("heap", 0, "-Xmx".to_owned(), self.heap),
            ("systemMemory", 0, format!("maximum heap that the JVM reports{how}"), reported.bytes),
        ];
        let memory = &settings.memory;
        match self.regions {
            Regions::Unified(unified) => {
                let reserved = crate::memory::layout::RESERVED_MEMORY_BYTES;
                let user = reported.bytes - reserved - unified.on_heap;
                rows.extend([
                    ("reservedMemory", 1, "reserved by Spark".to_owned(), reserved),
                    ("userMemory", 1, "user memory: no pool, never counted".to_owned(), user),
                    (
                        "unifiedMemory",
                        1,
                        format!("unified region (spark.memory.fraction {})", memory.fraction),
                        unified.on_heap,
                    ),
                    (
                        "storageRegion",
                        2,
                        format!("storage region (storageFraction {})", memory.storage_fraction),
                        unified.on_heap_storage,
                    ),
                    (
                        "executionMemory",
                        2,
                        "execution, at start".to_owned(),
                        unified.on_heap - unified.on_heap_storage,
                    ),
                ]);
                if unified.off_heap > 0 {
                    rows.extend([
                        ("offHeapMemory", 0, "off-heap pools, beside the heap".to_owned(), unified.off_heap),
                        (
                            "offHeapStorageRegion",
                            1,
                            format!("storage region (storageFraction {})", memory.storage_fraction),
                            unified.off_heap_storage,
                        ),
                        (
                            "offHeapExecutionMemory",
                            1,
                            "execution, at start".to_owned(),
                            unified.off_heap - unified.off_heap_storage,
                        ),
                    ]);
                }
            }
            Regions::Static(fixed) => rows.extend([
                ("storageRegion", 1, "storage, fixed (legacy mode)".to_owned(), fixed.storage),
                ("maxUnrollMemory", 2, "of it for unrolling, at most".to_owned(), fixed.max_unroll),
                ("executionMemory", 1, "execution, fixed (legacy mode)".to_owned(), fixed.execution),
            ]),
        }
        let place = match self.tungsten {
            MemoryMode::OnHeap => "on heap",
            MemoryMode::OffHeap => "off heap",
        };
        rows.push(("pageSize", 0, format!("a page of an operator, {place}"), self.page_size));
        rows
    }

    /// What the Executors page shows as the whole of "Storage Memory".
    fn storage_memory(&self) -> u64 {
        storage_memory(&self.regions)
    }
}

fn storage_memory(regions: &Regions) -> u64 {
    match regions {
        Regions::Unified(unified) => unified.on_heap + unified.off_heap,
        Regions::Static(fixed) => fixed.storage,
    }
}

/// A container around a process.
struct Container {
    manager: &'static str,
    process: &'static str,
    size: ContainerSize,
    limit: u64,
}

/// The containers under `master`, or under the configuration's own where it is empty.
fn containers(conf: &SparkConf, master: &str, hosts: &[HostShape], python: bool) -> Vec<Container> {
    let mut conf = conf.clone();
    if !master.is_empty() {
        conf.set("spark.master", master, Origin::CommandLine(format!("--master {master}")));
    }
    // What one manager refuses, another may not; its own refusal shows when it is asked for.
    let Ok(settings) = Settings::resolve(&conf) else { return Vec::new() };
    let manager = match settings.master {
        Master::Yarn => "YARN",
        Master::Kubernetes => "Kubernetes",
        Master::Local { .. } | Master::LocalCluster { .. } | Master::Standalone => return Vec::new(),
    };
    let plan = cluster::plan(&PlanInput { settings: &settings, hosts, yarn: None, python });
    let mut all = Vec::new();
    let mut add = |process, size: Option<ContainerSize>, limit: Option<u64>| {
        if let Some(size) = size {
            all.push(Container { manager, process, size, limit: limit.unwrap_or(size.total_bytes()) });
        }
    };
    if let Some(executor) = plan.executors.first() {
        add("executor", executor.container, executor.container_limit);
    }
    add("driver", plan.driver.container, plan.driver.container_limit);
    let master_limit = plan.application_master.map(|size| {
        cluster::YarnLimits { max_allocation_mib: u64::MAX, ..cluster::YarnLimits::default() }
            .granted_mib(size.total_mib())
            * MIB
    });
    add("application master", plan.application_master, master_limit);
    all
}

fn page(conf: &SparkConf, settings: &Settings, jvms: &[Jvm], containers: &[Container]) -> String {
    let mut text = format!("Spark {}", settings.spark_version);
    let master = conf.entry("spark.master");
    match master {
        Some(entry) if entry.origin != Origin::Default => {
            let _ = write!(text, ", master {}", entry.value);
        }
        _ => text.push_str(", no master given (a cluster is assumed)"),
    }
    let mode = match settings.deploy_mode {
        DeployMode::Client => "client",
        DeployMode::Cluster => "cluster",
    };
    let _ = writeln!(text, ", {mode} mode");
    for jvm in jvms {
        jvm_section(&mut text, conf, settings, jvm);
    }
    if let Some(jvm) = jvms.first() {
        web_ui_section(&mut text, settings, jvm);
    }
    if !containers.is_empty() {
        container_section(&mut text, containers);
    }
    text
}

fn jvm_section(text: &mut String, conf: &SparkConf, settings: &Settings, jvm: &Jvm) {
    let set = conf
        .effective(jvm.property)
        .map_or_else(String::new, |entry| format!("{} = {} ({})", jvm.property, entry.value, entry.origin));
    let cores = if jvm.cores == 1 { "1 core".to_owned() } else { format!("{} cores", jvm.cores) };
    let _ = writeln!(text, "\nJVM of the {}: {}, {cores}", jvm.process, jvm.collector.as_str());
    let _ = writeln!(text, "  {set}");
    let _ = writeln!(text, "  {:<NAME_WIDTH$}{:>13}{:>11}{:>10}", "", "bytes", "binary", "decimal");
    for (_, depth, name, bytes) in jvm.rows(settings) {
        let name = format!("{}{name}", "  ".repeat(depth));
        let _ =
            writeln!(text, "  {name:<NAME_WIDTH$}{bytes:>13}{:>11}{:>10}", HumanBytes(bytes), decimal(bytes));
    }
}

/// The figure that users compare with `-Xmx`, under each collector: most of the puzzle is what the JVM reports.
fn web_ui_section(text: &mut String, settings: &Settings, jvm: &Jvm) {
    let _ = writeln!(
        text,
        "\nWeb UI, page Executors, Storage Memory of the {}: {}",
        if jvm.process.starts_with("driver") { "driver" } else { jvm.process },
        web_ui(jvm.storage_memory(), settings)
    );
    let unit = if settings.spark_version.at_least(3, 0) {
        "It counts in units of 1024 (before Spark 3.0: of 1000) and includes execution."
    } else {
        "It counts in units of 1000 (since Spark 3.0: of 1024) and includes execution."
    };
    let _ = writeln!(text, "  {unit}");
    let _ = writeln!(text, "  Under each garbage collector, since each reports another part of -Xmx:");
    for (collector, whose) in [
        (Collector::G1, "default since Java 9"),
        (Collector::Parallel, "default of Java 8"),
        (Collector::Serial, "default with 1 processor or under 1792 MiB"),
    ] {
        let mark = if collector == jvm.collector { "*" } else { " " };
        let shown = match regions(settings, jvm.heap, jvm.cores, collector) {
            Ok((regions, ..)) => web_ui(storage_memory(&regions), settings),
            Err(_) => "refused".to_owned(),
        };
        let _ = writeln!(text, "  {mark} {:<10}{shown:>12}  {whose}", collector.as_str());
    }
}

fn container_section(text: &mut String, containers: &[Container]) {
    let _ = writeln!(text, "\nContainers, MiB");
    let _ = writeln!(
        text,
        "  {:<31}{:>7}{:>10}{:>10}{:>9}{:>9}",
        "", "heap", "overhead", "off-heap", "pyspark", "limit"
    );
    for Container { manager, process, size, limit } in containers {
        let _ = writeln!(
            text,
            "  {:<31}{:>7}{:>10}{:>10}{:>9}{:>9}",
            format!("{manager}, {process}"),
            size.heap_mib,
            size.overhead_mib,
            size.off_heap_mib,
            size.pyspark_mib,
            limit / MIB
        );
    }
    if containers.iter().any(|container| container.manager == "YARN") {
        let _ = writeln!(text, "  YARN rounds up to steps of its minimum allocation, taken as 1024 MiB.");
    }
}

fn document(
    settings: &Settings,
    jvms: &[Jvm],
    containers: &[Container],
    application: Option<&Application>,
) -> Value {
    let jvm = |jvm: &Jvm| {
        let mut object = Map::new();
        object.insert("process".to_owned(), json!(jvm.process.split(',').next()));
        object.insert("cores".to_owned(), json!(jvm.cores));
        object.insert("collector".to_owned(), json!(jvm.collector.as_str()));
        object
            .extend(jvm.rows(settings).into_iter().map(|(key, _, _, bytes)| (key.to_owned(), json!(bytes))));
        object.insert("storageMemoryOfWebUi".to_owned(), json!(jvm.storage_memory()));
        Value::Object(object)
    };
    let container = |container: &Container| {
        json!({
            "manager": container.manager,
            "process": container.process,
            "heapMib": container.size.heap_mib,
            "overheadMib": container.size.overhead_mib,
            "offHeapMib": container.size.off_heap_mib,
            "pysparkMib": container.size.pyspark_mib,
            "requestedMib": container.size.total_mib(),
            "limitBytes": container.limit,
        })
    };
    json!({
        "spillcast": env!("CARGO_PKG_VERSION"),
        "input": application.map(|found| &found.input),
        "sparkVersion": settings.spark_version.to_string(),
        "jvms": jvms.iter().map(jvm).collect::<Vec<_>>(),
        "containers": containers.iter().map(container).collect::<Vec<_>>(),
    })
}

/// Bytes in units of 1000.
fn decimal(bytes: u64) -> String {
    scaled(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB"], |value| format!("{value:.1}"))
}

/// Bytes as the web UI's `formatBytes` writes them: one decimal, none where it is 0; units of 1000 before 3.0.
fn web_ui(bytes: u64, settings: &Settings) -> String {
    let short = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
    };
    if settings.spark_version.at_least(3, 0) {
        scaled(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB"], short)
    } else {
        scaled(bytes, 1000.0, ["B", "KB", "MB", "GB", "TB"], short)
    }
}

fn scaled(bytes: u64, step: f64, units: [&str; 5], number: impl Fn(f64) -> String) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{} {}", number(value), units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(version: &str) -> Settings {
        let mut conf = SparkConf::new(crate::conf::SparkVersion::parse(version).expect(version));
        conf.set("spark.master", "yarn", Origin::Default);
        Settings::resolve(&conf).expect("defaults are valid")
    }

    /// 2 GiB under the Parallel collector is the 956.6 MB that users of Java 8 ask about.
    #[test]
    fn the_web_ui_counts_by_version() {
        let bytes = ((1_908_932_608_u64 - 314_572_800) as f64 * 0.6) as u64;
        assert_eq!(web_ui(bytes, &settings("2.4")), "956.6 MB");
        assert_eq!(web_ui(bytes, &settings("3.5")), "912.3 MiB");
        assert_eq!(web_ui(1 << 30, &settings("4.1")), "1 GiB");
        assert_eq!(decimal(1 << 30), "1.1 GB");
    }
}
