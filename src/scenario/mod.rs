//! Scenario files: text to [`Scenario`] with every fault reported, and back.
//!
//! One format, two ways to say what runs. The **short form** is for people: `[[table]]`, `[[cached]]` and `[[query]]`
//! with steps in Spark's words, lowered to a [`Workload`] by `lower` at the costs of `costs`. The **full form** mirrors
//! the types of [`crate::workload`] one to one under `[workload]`; an import writes it ([`render`]) and nothing is lost
//! on the way.
//!
//! Spark properties are kept as written; whether they are valid is the configuration's matter. Reading order:
//! `grammar` (the table of keys), `check`, `short`, `lower`; `full` and `render` for the other form.

mod check;
mod cluster;
mod costs;
mod diagnostic;
mod distribution;
mod full;
mod grammar;
mod grammar_cluster;
mod level;
mod lower;
mod plans;
mod quantity;
mod render;
mod schema;
mod short;
mod stage;
mod view;

use toml::de::DeTable;

use crate::units::{GIB, MIB};
use crate::workload::Workload;
use cluster::cluster;
pub use diagnostic::{CODES, Diagnostic, Severity, explain};
use diagnostic::{DUPLICATE, IMPOSSIBLE, MISSING_KEY, OUT_OF_RANGE, Sink};
pub use render::render;
pub use schema::schema;
use view::View;

/// What a scenario file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Name in reports.
    pub name: String,
    /// Seed of every random draw.
    pub seed: u64,
    /// The Spark version whose defaults hold, as written; `None`: the newest known.
    pub spark_version: Option<String>,
    /// Spark properties in the order of the file, not yet validated.
    pub conf: Vec<ConfEntry>,
    /// Machines and what else runs on them.
    pub cluster: ClusterSpec,
    /// The application.
    pub workload: Workload,
    /// Other configurations to compare with.
    pub variants: Vec<Variant>,
}

/// A Spark property as written.
#[derive(Clone, Debug, Default)]
pub struct ConfEntry {
    /// Name, as `spark.executor.memory`.
    pub key: String,
    /// Value, unparsed.
    pub value: String,
    /// Line of the file, from 1. Not part of what the entry says: two entries are equal whatever their lines.
    pub line: usize,
}

impl PartialEq for ConfEntry {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.value) == (&other.key, &other.value)
    }
}

/// Machines and their other residents. Empty: the machine at hand is not a limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSpec {
    /// Kinds of machines.
    pub hosts: Vec<HostSpec>,
    /// Other processes on them.
    pub tenants: Vec<TenantSpec>,
}

/// Memory of a machine of which a log says nothing: so large that it limits nothing.
pub const UNKNOWN_HOST_MEMORY: u64 = 1024 * GIB;

/// Where swap space lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwapKind {
    /// A local solid-state disk; the one that was measured.
    #[default]
    Ssd,
    /// A cloud's network disk.
    Network,
    /// A spinning disk.
    Spinning,
}

impl SwapKind {
    /// Its word in a scenario.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssd => "ssd",
            Self::Network => "network",
            Self::Spinning => "spinning",
        }
    }
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSpec {
    /// Name in reports.
    pub name: String,
    /// So many of them.
    pub count: u32,
    /// Processors.
    pub cores: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// What the kernel takes of the memory, bytes; `None`: [`HostSpec::kernel_or_usual`].
    pub kernel_bytes: Option<u64>,
    /// Processors that the hypervisor withholds on average.
    pub stolen_cores: f64,
    /// Swap space, bytes.
    pub swap_bytes: u64,
    /// Where the swap space lies.
    pub swap_device: SwapKind,
    /// Time until a swapped page's first byte, ns, where it is not the device's usual one.
    pub swap_latency_ns: Option<u64>,
    /// Bandwidth of the swap device, bytes a second, where it is not the usual one.
    pub swap_bytes_per_s: Option<f64>,
    /// Spark's local files lie in memory (tmpfs).
    pub local_dir_in_memory: bool,
    /// Room for Spark's local files, bytes; `None`: unlimited.
    pub disk_bytes: Option<u64>,
    /// Bandwidth of the local disk, bytes a second.
    pub disk_bytes_per_s: f64,
    /// Bandwidth of the network, bytes a second.
    pub network_bytes_per_s: f64,
}

impl HostSpec {
    /// What the kernel takes of the memory, bytes: as said, or 64 bytes a page to describe it (`struct page`) and 96 MiB of
    /// code, slabs and stacks (assumed; an idle server has 60 to 150).
    pub fn kernel_or_usual(&self) -> u64 {
        self.kernel_bytes.unwrap_or(self.memory_bytes / 64 + 96 * MIB)
    }
}

/// Another process on a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantSpec {
    /// Name in reports.
    pub name: String,
    /// Name of the host it runs on; `None`: one on every host.
    pub host: Option<String>,
    /// Memory that it holds, bytes.
    pub resident_bytes: u64,
    /// Part of it that it keeps touching, bytes; the rest can be swapped out unnoticed.
    pub active_bytes: u64,
    /// Time in which it touches each page of that part once, ns.
    pub period_ns: u64,
    /// Garbage that it makes in the rest of its memory, bytes a second; a Java heap. 0: the rest is idle.
    pub churn_bytes_per_s: f64,
    /// Time that a request takes on a quiet host, ns; `None`: no latency is told.
    pub request_ns: Option<u64>,
    /// Memory that a request touches, bytes.
    pub request_bytes: u64,
    /// Size of the pieces of it that lie together, bytes.
    pub request_block_bytes: u64,
    /// Time between two requests, ns; `None`: so far apart that none waits for another.
    pub request_every_ns: Option<u64>,
    /// Processors that it keeps busy.
    pub cpu_cores: f64,
    /// As in `/proc/PID/oom_score_adj`, -1000 (never killed) to 1000.
    pub oom_score_adj: i32,
}

/// An alternative configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    /// Name in reports.
    pub name: String,
    /// Properties that override the scenario's.
    pub conf: Vec<ConfEntry>,
}

/// Reads a scenario. Every fault of the text is in the diagnostics, in the order of the text; there is a scenario
/// unless one of them is an error. `file` names the text in diagnostics and gives the scenario its default name.
pub fn parse(text: &str, file: &str) -> (Option<Scenario>, Vec<Diagnostic>) {
    let mut sink = Sink::new(text, file);
    let (document, faults) = DeTable::parse_recoverable(text);
    for fault in &faults {
        sink.syntax(fault.span().unwrap_or(0..0), fault.message());
    }
    let root = View::new(document.get_ref(), 0..0);
    check::table(&root, &grammar::SCENARIO, &mut sink);
    let scenario = decode(&root, file, &mut sink);
    let scenario = (!sink.has_errors()).then_some(scenario);
    (scenario, sink.into_diagnostics())
}

/// The workload of a scenario in the short form with every size and key drawn from `seed` instead of the file's own
/// seed. `None` where nothing is drawn: a workload in the full form holds what was observed.
pub fn drawn_with(text: &str, file: &str, seed: u64) -> Option<Workload> {
    let mut sink = Sink::new(text, file);
    let (document, _) = DeTable::parse_recoverable(text);
    let root = View::new(document.get_ref(), 0..0);
    if root.has("workload") {
        return None;
    }
    let conf = entries(&root, &sink);
    let declared = short::decode(&root, &conf, &mut sink);
    let name = root.text("name").map_or_else(|| stem(file), str::to_owned);
    (!sink.has_errors()).then(|| lower::lower(&name, seed, &conf, &declared))
}

/// Reads everything but the application: what can be checked of a scenario in which something else is wrong. Faults are
/// not reported, [`parse`] does that; what cannot be read has its default.
pub fn outline(text: &str, file: &str) -> Scenario {
    let mut sink = Sink::new(text, file);
    let (document, _) = DeTable::parse_recoverable(text);
    let root = View::new(document.get_ref(), 0..0);
    Scenario {
        name: root.text("name").map_or_else(|| stem(file), str::to_owned),
        seed: root.whole("seed").unwrap_or(1),
        spark_version: root.text("spark_version").map(str::to_owned),
        conf: entries(&root, &sink),
        cluster: cluster(&root, &mut sink),
        workload: Workload::default(),
        variants: variants(&root, &mut sink),
    }
}

fn decode(root: &View, file: &str, sink: &mut Sink) -> Scenario {
    let name = root.text("name").map_or_else(|| stem(file), str::to_owned);
    let seed = root.whole("seed").unwrap_or(1);
    let conf = entries(root, sink);
    let cluster = cluster(root, sink);
    check_version(root, sink);
    let short = ["table", "cached", "query", "rates"].into_iter().find(|key| root.has(key));
    let workload = match (root.table("workload"), short) {
        (Some(table), None) => full::decode(&table, sink),
        (Some(_), Some(key)) => {
            let span = root.get(key).map_or(0..0, first_span);
            let message = format!("`{key}` and `workload` exclude each other");
            let help = Some("an imported workload says everything under [workload]".to_owned());
            sink.error(IMPOSSIBLE, span, message, "the file has a [workload]", help);
            Workload::default()
        }
        (None, _) => {
            let declared = short::decode(root, &conf, sink);
            if sink.has_errors() { Workload::default() } else { lower::lower(&name, seed, &conf, &declared) }
        }
    };
    if !root.has("query") && !root.has("workload") {
        let help = Some("add a [[query]] with `from`, or import an event log".to_owned());
        sink.error(MISSING_KEY, 0..0, "the scenario runs nothing", "no `query`, no `workload`", help);
    }
    Scenario {
        name,
        seed,
        spark_version: root.text("spark_version").map(str::to_owned),
        conf,
        cluster,
        workload,
        variants: variants(root, sink),
    }
}

/// The span of a value, or of the first table of a list of tables.
fn first_span(value: &toml::Spanned<toml::de::DeValue>) -> std::ops::Range<usize> {
    let first = value.get_ref().as_array().and_then(|items| items.first());
    first.map_or_else(|| value.span(), toml::Spanned::span)
}

/// A file's name without folder and suffix.
fn stem(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".toml").unwrap_or(name).to_owned()
}

fn entries(table: &View, sink: &Sink) -> Vec<ConfEntry> {
    let properties = table.raw_table("conf").map_or_else(Vec::new, |conf| check::flatten(conf, sink));
    properties
        .into_iter()
        .map(|property| ConfEntry {
            line: sink.line(property.span.start),
            key: property.key,
            value: property.value,
        })
        .collect()
}

fn variants(root: &View, sink: &mut Sink) -> Vec<Variant> {
    let tables = root.tables("variant");
    unique(&tables, "variant", sink);
    tables
        .iter()
        .map(|table| Variant {
            name: table.text("name").unwrap_or_default().to_owned(),
            conf: entries(table, sink),
        })
        .collect()
}

/// Reports a version that is none; which versions are known is the configuration's matter.
fn check_version(root: &View, sink: &mut Sink) {
    let Some(version) = root.text("spark_version").filter(|version| !version.trim().is_empty()) else {
        return;
    };
    let parts: Vec<&str> = version.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !numbers || !(2..=3).contains(&parts.len()) {
        let message = format!("`{version}` is no Spark version");
        let help = Some("write it as \"4.1\" or \"3.5.9\"".to_owned());
        sink.error(OUT_OF_RANGE, root.span_of("spark_version"), message, "not a version", help);
    }
}

/// Reports names that two of `tables` share. `what` they are is for the message; a host has a default name.
fn unique(tables: &[View], what: &str, sink: &mut Sink) {
    let mut seen = std::collections::BTreeMap::new();
    for table in tables {
        let Some(name) = table.text("name").or_else(|| (what == "host").then_some("host")) else { continue };
        let span = table.span_of("name");
        if let Some(first) = seen.insert(name, span.start) {
            let help = Some(format!("the first is on line {}", sink.line(first)));
            sink.error(
                DUPLICATE,
                span,
                format!("two {what} entries are named `{name}`"),
                "named again",
                help,
            );
        }
    }
}
