//! The short form as its author wrote it: tables, cached datasets, queries and their steps, with references resolved,
//! defaults filled in and what cannot be reported. `lower` turns it into a workload.

use std::collections::BTreeMap;
use std::ops::Range;

use super::costs;
use super::diagnostic::{
    BAD_DISTRIBUTION, DUPLICATE, IMPOSSIBLE, LEFT_OUT, OUT_OF_RANGE, Sink, UNKNOWN_REFERENCE, did_you_mean,
};
use super::distribution::{self, Distribution, Shape};
use super::view::{View, level_of};
use super::{ConfEntry, full, unique};
use crate::memory::StorageLevel;
use crate::units::MIB;
use crate::workload::Rates;

/// A table of more bytes is a slip of the pen, and its splits alone would fill the memory.
const LARGEST: u64 = 1 << 50;

/// Everything the short form declares.
#[derive(Default)]
pub(super) struct Short {
    pub(super) tables: Vec<Input>,
    pub(super) cached: Vec<Cached>,
    pub(super) queries: Vec<Query>,
    pub(super) rates: Rates,
}

/// `[[table]]`.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) row_bytes: u64,
    /// Bytes in storage; 0 for generated rows.
    pub(super) bytes: u64,
    pub(super) files: u32,
    /// Fixed number of tasks, one for each file where they cannot be split; `None`: Spark splits the files.
    pub(super) partitions: Option<u32>,
    pub(super) sizes: Distribution,
}

/// `[[cached]]`.
pub(super) struct Cached {
    pub(super) name: String,
    /// Position of the table in [`Short::tables`].
    pub(super) from: usize,
    pub(super) rows: Option<u64>,
    pub(super) row_bytes: Option<u64>,
    pub(super) blocks: Blocks,
    pub(super) partitions: Option<u32>,
    pub(super) sizes: Distribution,
    pub(super) compute_ns_per_row: Option<f64>,
}

/// How a dataset is kept; sizes where they are said.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub(super) level: StorageLevel,
    pub(super) memory: Option<u64>,
    pub(super) serialized: Option<u64>,
    pub(super) disk: Option<u64>,
    /// Position of the query in [`Short::queries`].
    pub(super) unpersist_after: Option<usize>,
}

/// Where rows come from.
#[derive(Clone, PartialEq)]
pub(super) enum Source {
    /// Position in [`Short::tables`].
    Table(usize),
    /// Position in [`Short::cached`].
    Cached(usize),
    /// The dataset that a `cache` step of an earlier query keeps under this name.
    Step(String),
}

/// `[[query]]`.
pub(super) struct Query {
    pub(super) name: String,
    pub(super) from: Vec<Source>,
    pub(super) steps: Vec<Step>,
    pub(super) repeat: u64,
    /// Positions of the queries that end first; `None`: the one before.
    pub(super) after: Option<Vec<usize>>,
    pub(super) gap_ns: u64,
}

/// An exchange's compression and a step's time for a row, where they are said.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    pub(super) compression: f64,
    pub(super) ns_per_row: Option<f64>,
}

/// One of `steps`.
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) cost: Cost,
}

pub(super) enum Op {
    Filter { keep: f64 },
    Map { row_bytes: Option<u64>, rows_per_row: f64, heap: u64 },
    Aggregate(Aggregate),
    Sort { keys: Distribution, local: bool, radix: bool },
    Window { keys: Distribution, groups: u64 },
    Repartition { partitions: Option<u32>, keys: Option<Distribution> },
    Join(Join),
    ReduceByKey { groups: u64, partitions: u32, keys: Distribution, entry_bytes: u64 },
    Python { worker_bytes: u64 },
    Cache { name: String, blocks: Blocks },
    Count,
    Collect,
    Write,
}

pub(super) struct Aggregate {
    pub(super) groups: u64,
    pub(super) keys: Distribution,
    pub(super) entry_bytes: u64,
    /// Bytes a row adds to its group (`collect_list`); `None`: a fixed buffer a group.
    pub(super) value_bytes: Option<u64>,
    pub(super) exchange: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum JoinKind {
    Broadcast,
    SortMerge,
    ShuffledHash,
}

pub(super) struct Join {
    pub(super) with: Source,
    /// `None`: by the size of the other side.
    pub(super) kind: Option<JoinKind>,
    pub(super) keys: Distribution,
    pub(super) with_keys: Distribution,
    pub(super) rows: Option<u64>,
    pub(super) row_bytes: Option<u64>,
    pub(super) relation: Option<u64>,
    pub(super) long_key: bool,
}

/// Names that `from` and `with` may use, filled as the file declares them.
struct Names {
    sources: BTreeMap<String, Source>,
    /// Names of `cache` steps anywhere in the file, to tell a late one from an unknown one.
    steps: Vec<String>,
    queries: Vec<String>,
    /// A single block manager: nowhere to put a replica.
    local: bool,
}

/// Decodes the short form.
pub(super) fn decode(root: &View, conf: &[ConfEntry], sink: &mut Sink) -> Short {
    let (tables, cached, queries) = (root.tables("table"), root.tables("cached"), root.tables("query"));
    let datasets: Vec<View> = tables.iter().chain(&cached).cloned().collect();
    unique(&datasets, "table and cached", sink);
    unique(&queries, "query", sink);
    let mut names = Names {
        sources: BTreeMap::new(),
        steps: queries
            .iter()
            .flat_map(|query| query.tables("steps"))
            .filter(|step| step.text("op") == Some("cache"))
            .filter_map(|step| step.text("name").map(str::to_owned))
            .collect(),
        queries: queries.iter().enumerate().map(query_name).collect(),
        local: conf.iter().rfind(|entry| entry.key == "spark.master").is_some_and(|entry| {
            entry.value.starts_with("local") && !entry.value.starts_with("local-cluster")
        }),
    };
    for (at, table) in tables.iter().enumerate() {
        names.sources.insert(table.text("name").unwrap_or_default().to_owned(), Source::Table(at));
    }
    let tables: Vec<Input> = tables.iter().map(|table| input(table, sink)).collect();
    let declared: Vec<Cached> = cached.iter().map(|table| cached_dataset(table, &names, sink)).collect();
    for (at, dataset) in declared.iter().enumerate() {
        names.sources.insert(dataset.name.clone(), Source::Cached(at));
    }
    let queries = queries.iter().enumerate().map(|(at, table)| query(at, table, &mut names, sink)).collect();
    let rates = root.table("rates").map_or_else(Rates::default, |table| full::rates(&table));
    Short { tables, cached: declared, queries, rates }
}

fn query_name((at, query): (usize, &View)) -> String {
    query.text("name").map_or_else(|| format!("query {}", at + 1), str::to_owned)
}

fn input(table: &View, sink: &mut Sink) -> Input {
    let (size, partitions) = (table.size("size"), table.count("partitions"));
    if !table.has("rows") && !table.has("size") {
        let message = "a table needs `rows` or `size`";
        sink.error(IMPOSSIBLE, table.span.clone(), message, "how much data is there?", None);
    }
    let row_bytes = table.size("row_bytes").filter(|bytes| *bytes > 0);
    if table.has("row_bytes") && table.size("row_bytes") == Some(0) {
        let span = table.span_of("row_bytes");
        sink.error(OUT_OF_RANGE, span, "`row_bytes` is 0", "must be 8 or more", None);
    }
    let in_memory = |bytes: u64| (bytes as f64 / costs::STORED_SHARE) as u64;
    let rows = table
        .whole("rows")
        .unwrap_or_else(|| size.map_or(0, |bytes| in_memory(bytes) / row_bytes.unwrap_or(costs::ROW_BYTES)));
    let row_bytes = row_bytes.unwrap_or_else(|| match size {
        // Rows are whole words, at least a null word and a column.
        Some(bytes) if rows > 0 => in_memory(bytes).div_ceil(rows).next_multiple_of(8).max(16),
        _ => costs::ROW_BYTES,
    });
    let splittable = table.flag("splittable").unwrap_or(true);
    let generated = size.is_none() && partitions.is_some() && !table.has("files");
    let stored = (rows as f64 * row_bytes as f64 * costs::STORED_SHARE) as u64;
    let bytes = if generated { 0 } else { size.unwrap_or(stored) };
    if rows.saturating_mul(row_bytes).max(bytes) > LARGEST {
        let message = format!("{rows} rows of {row_bytes} bytes, {bytes} bytes in storage: over 1 PiB");
        sink.error(OUT_OF_RANGE, table.span.clone(), message, "more than can be simulated", None);
    }
    let files = table
        .count("files")
        .unwrap_or_else(|| bytes.div_ceil(128 * MIB).clamp(1, u64::from(u32::MAX)) as u32);
    if !splittable && partitions.is_some() {
        let message = "`partitions` and `splittable = false` exclude each other";
        sink.error(IMPOSSIBLE, table.span_of("splittable"), message, "one task a file already", None);
    }
    let partitions = partitions.or_else(|| (!splittable).then_some(files));
    let sizes = distribution::decode(table, "sizes", sink);
    if sizes.is_some() && partitions.is_none() {
        let help = Some("add `splittable = false`, or a number of `partitions`".to_owned());
        let message = "Spark splits these files evenly, whatever their sizes";
        sink.error(IMPOSSIBLE, table.span_of("sizes"), message, "has no effect", help);
    }
    let name = table.text("name").unwrap_or_default().to_owned();
    Input { name, rows, row_bytes, bytes, files, partitions, sizes: sizes.unwrap_or_default() }
}

fn cached_dataset(table: &View, names: &Names, sink: &mut Sink) -> Cached {
    let from = match table.text("from").and_then(|from| names.sources.get(from)) {
        Some(Source::Table(at)) => *at,
        _ => {
            if let Some(from) = table.text("from") {
                let tables: Vec<&str> = names.sources.keys().map(String::as_str).collect();
                let help = Some(did_you_mean(from, &tables));
                let message = format!("there is no table `{from}`");
                sink.error(UNKNOWN_REFERENCE, table.span_of("from"), message, "not declared", help);
            }
            0
        }
    };
    let sizes = distribution::decode(table, "sizes", sink).unwrap_or_default();
    Cached {
        name: table.text("name").unwrap_or_default().to_owned(),
        from,
        rows: table.whole("rows"),
        row_bytes: table.size("row_bytes"),
        blocks: blocks(table, names, sink),
        partitions: table.count("partitions"),
        sizes,
        compute_ns_per_row: table.number("compute_ns_per_row"),
    }
}

fn blocks(table: &View, names: &Names, sink: &mut Sink) -> Blocks {
    let level = table.level("level").or_else(|| level_of("MEMORY_AND_DISK")).unwrap_or_default();
    if !level.use_memory && !level.use_disk && table.has("level") {
        let message = "this level keeps the dataset nowhere";
        let help = Some("leave the dataset out, or take MEMORY_AND_DISK".to_owned());
        sink.error(IMPOSSIBLE, table.span_of("level"), message, "neither memory nor disk", help);
    }
    if level.replication > 1 && names.local {
        let message = format!("{} replicas, but local mode has a single block manager", level.replication);
        let help = Some("take the level without _2, or set \"spark.master\" to a cluster".to_owned());
        sink.error(IMPOSSIBLE, table.span_of("level"), message, "no executor to hold the second copy", help);
    }
    Blocks {
        level,
        memory: table.size("memory"),
        serialized: table.size("serialized"),
        disk: table.size("disk"),
        unpersist_after: table
            .text("unpersist_after")
            .and_then(|name| query_at(name, &table.span_of("unpersist_after"), &names.queries, sink)),
    }
}

fn query_at(name: &str, span: &Range<usize>, queries: &[String], sink: &mut Sink) -> Option<usize> {
    let found = queries.iter().position(|query| query == name);
    if found.is_none() {
        let known: Vec<&str> = queries.iter().map(String::as_str).collect();
        let help = Some(did_you_mean(name, &known));
        sink.error(
            UNKNOWN_REFERENCE,
            span.clone(),
            format!("there is no query `{name}`"),
            "not declared",
            help,
        );
    }
    found
}

fn query(at: usize, table: &View, names: &mut Names, sink: &mut Sink) -> Query {
    let from: Vec<Source> =
        table.names("from").into_iter().filter_map(|(name, span)| source(name, span, names, sink)).collect();
    if table.has("from") && table.names("from").is_empty() {
        sink.error(OUT_OF_RANGE, table.span_of("from"), "`from` is empty", "reads nothing", None);
    }
    let after = table.has("after").then(|| {
        let mut found = Vec::new();
        for (name, span) in table.names("after") {
            match query_at(name, &span, &names.queries, sink) {
                Some(other) if other >= at => {
                    let message = format!("`{name}` does not come before this query");
                    sink.error(IMPOSSIBLE, span, message, "would wait for itself", None);
                }
                other => found.extend(other),
            }
        }
        found
    });
    let tables = table.tables("steps");
    let mut steps = Vec::new();
    for (place, step_table) in tables.iter().enumerate() {
        let is_last = place + 1 == tables.len();
        if let Some(op @ ("count" | "collect" | "write")) = step_table.text("op")
            && !is_last
        {
            let message = format!("`{op}` ends a query, but steps follow");
            let help = Some("put the steps after it into a [[query]] of their own".to_owned());
            sink.error(IMPOSSIBLE, step_table.span_of("op"), message, "must be the last step", help);
        }
        steps.extend(step(step_table, &steps, &from, names, sink));
    }
    Query {
        name: query_name((at, table)),
        from,
        steps,
        repeat: table.whole("repeat").unwrap_or(1),
        after,
        gap_ns: table.time("gap").unwrap_or(0),
    }
}

fn source(name: &str, span: Range<usize>, names: &Names, sink: &mut Sink) -> Option<Source> {
    let found = names.sources.get(name).cloned();
    if found.is_none() {
        let (message, label) = if names.steps.iter().any(|step| step == name) {
            (format!("`{name}` is cached by a later step"), "not there yet")
        } else {
            (format!("there is no table or cached dataset `{name}`"), "not declared")
        };
        let known: Vec<&str> = names.sources.keys().map(String::as_str).collect();
        sink.error(UNKNOWN_REFERENCE, span, message, label, Some(did_you_mean(name, &known)));
    }
    found
}

fn step(table: &View, before: &[Step], from: &[Source], names: &mut Names, sink: &mut Sink) -> Option<Step> {
    let keys_of = |key: &str, sink: &mut Sink| distribution::decode(table, key, sink).unwrap_or_default();
    let groups = table.whole("groups");
    let op = match table.text("op")? {
        "filter" => Op::Filter { keep: table.number("keep").unwrap_or(1.0) },
        "map" => Op::Map {
            row_bytes: table.size("row_bytes"),
            rows_per_row: table.number("rows_per_row").unwrap_or(1.0),
            heap: table.size("heap").unwrap_or(0),
        },
        "aggregate" => aggregate(table, sink),
        "sort" => Op::Sort {
            keys: {
                let keys = keys_of("keys", sink);
                check_keys(table, "keys", &keys, keys.distinct.unwrap_or(0), sink);
                keys
            },
            local: table.flag("local").unwrap_or(false),
            radix: table.flag("radix").unwrap_or(true),
        },
        "window" => {
            let keys = keys_of("keys", sink);
            let groups = groups.or(keys.distinct).unwrap_or(0);
            check_keys(table, "keys", &keys, groups, sink);
            Op::Window { keys, groups }
        }
        "repartition" => {
            let keys = distribution::decode(table, "keys", sink);
            if let Some(keys) = &keys {
                check_keys(table, "keys", keys, keys.distinct.unwrap_or(0), sink);
            }
            Op::Repartition { partitions: table.count("partitions"), keys }
        }
        "join" => {
            let with = source(table.text("with")?, table.span_of("with"), names, sink)?;
            let kind = table.text("kind").and_then(|kind| match kind {
                "broadcast" => Some(JoinKind::Broadcast),
                "sort_merge" => Some(JoinKind::SortMerge),
                "shuffled_hash" => Some(JoinKind::ShuffledHash),
                _ => None,
            });
            if table.has("relation") && kind.is_some_and(|kind| kind != JoinKind::Broadcast) {
                let message = "`relation` is the size of a broadcast, but this join has none";
                sink.error(IMPOSSIBLE, table.span_of("relation"), message, "has no effect", None);
            }
            let (keys, with_keys) = (keys_of("keys", sink), keys_of("with_keys", sink));
            for (key, keys) in [("keys", &keys), ("with_keys", &with_keys)] {
                // A Zipf law takes as many keys as the other side has rows; what is drawn must say how many.
                if !matches!(keys.shape, Shape::Zipf(_)) {
                    check_keys(table, key, keys, keys.distinct.unwrap_or(0), sink);
                }
            }
            Op::Join(Join {
                with,
                kind,
                keys,
                with_keys,
                rows: table.whole("rows"),
                row_bytes: table.size("row_bytes"),
                relation: table.size("relation"),
                long_key: table.flag("long_key").unwrap_or(true),
            })
        }
        "reduce_by_key" => {
            let keys = keys_of("keys", sink);
            check_keys(table, "keys", &keys, groups.unwrap_or(0), sink);
            Op::ReduceByKey {
                groups: groups.unwrap_or(1),
                partitions: table.count("partitions").unwrap_or(1),
                keys,
                entry_bytes: table.size("entry_bytes").unwrap_or(costs::RDD_ENTRY_BYTES),
            }
        }
        "python" => Op::Python { worker_bytes: table.size("worker_memory").unwrap_or(0) },
        "cache" => cache(table, before, from, names, sink)?,
        "count" => Op::Count,
        "collect" => Op::Collect,
        "write" => Op::Write,
        _ => return None,
    };
    let compression = table.number("compression").unwrap_or(costs::COMPRESSION);
    Some(Step { op, cost: Cost { compression, ns_per_row: table.number("ns_per_row") } })
}

fn aggregate(table: &View, sink: &mut Sink) -> Op {
    let keys = distribution::decode(table, "keys", sink).unwrap_or_default();
    let groups = table.whole("groups").or(keys.distinct).unwrap_or(1);
    check_keys(table, "keys", &keys, groups, sink);
    let collect_list = table.flag("collect_list").unwrap_or(false);
    if table.has("value_bytes") && !collect_list {
        let message = "`value_bytes` has no effect: groups keep a fixed buffer";
        let help = Some("add `collect_list = true`".to_owned());
        sink.error(IMPOSSIBLE, table.span_of("value_bytes"), message, "without `collect_list`", help);
    }
    // Null word and one column for the key; null word and two columns for the buffer.
    let entry_bytes = table.size("entry_bytes").unwrap_or(16 + 16 + 24);
    if entry_bytes < 32 {
        let message = format!("`entry_bytes` is {entry_bytes}, but no entry is smaller than 32");
        let help = Some("16 of its own, a key row and a buffer row of 8 or more".to_owned());
        sink.error(OUT_OF_RANGE, table.span_of("entry_bytes"), message, "too small", help);
    }
    Op::Aggregate(Aggregate {
        groups,
        keys,
        entry_bytes,
        value_bytes: collect_list.then(|| table.size("value_bytes").unwrap_or(costs::ROW_BYTES)),
        exchange: table.flag("exchange").unwrap_or(true),
    })
}

/// Reports keys whose shape needs a number of keys that it does not have, or has too many to draw.
fn check_keys(table: &View, key: &str, keys: &Distribution, groups: u64, sink: &mut Sink) {
    let distinct = keys.distinct.unwrap_or(groups);
    if keys.draws_too_many(distinct) {
        let message =
            format!("`{key}` draws a weight for each of {distinct} keys; at most 1000000 are possible");
        let help = Some("take zipf or hot, which draw nothing".to_owned());
        sink.error(BAD_DISTRIBUTION, table.span_of(key), message, "too many keys", help);
    }
    if let Shape::Hot(shares) = &keys.shape
        && keys.distinct.is_none()
        && (1..shares.len() as u64).contains(&groups)
    {
        let message = format!("{} hot keys, but only {groups} groups", shares.len());
        sink.error(BAD_DISTRIBUTION, table.span_of(key), message, "more shares than keys", None);
    }
    let needs = !matches!(keys.shape, Shape::Uniform | Shape::Hot(_));
    if needs && distinct == 0 && !table.has("groups") {
        let help = Some(format!("as {key} = {{ zipf = 1.1, distinct = 1_000_000 }}"));
        let message = format!("the shape of `{key}` needs the number of distinct keys");
        sink.error(BAD_DISTRIBUTION, table.span_of(key), message, "no `distinct`", help);
    }
}

fn cache(table: &View, before: &[Step], from: &[Source], names: &mut Names, sink: &mut Sink) -> Option<Op> {
    let name = table.text("name")?.to_owned();
    let row_wise = |op: &Op| matches!(op, Op::Filter { .. } | Op::Map { .. } | Op::Python { .. });
    let last = before.iter().rev().find(|step| !row_wise(&step.op));
    if last.is_some_and(|step| !matches!(step.op, Op::Repartition { .. } | Op::Cache { .. })) {
        let message = format!(
            "the time of the steps before `{name}` is modelled when it is computed, the memory of the last one is not"
        );
        sink.warning(LEFT_OUT, table.span.clone(), message, "computed without execution memory");
    }
    if from.len() > 1 {
        let message = format!("`{name}` would be cached once for each of {} inputs", from.len());
        let help = Some("write one [[query]] for each".to_owned());
        sink.error(IMPOSSIBLE, table.span.clone(), message, "several inputs", help);
    }
    let blocks = blocks(table, names, sink);
    if names.sources.contains_key(&name) {
        let help = Some("take another name".to_owned());
        sink.error(
            DUPLICATE,
            table.span_of("name"),
            format!("`{name}` is declared already"),
            "named again",
            help,
        );
    }
    names.sources.insert(name.clone(), Source::Step(name.clone()));
    Some(Op::Cache { name, blocks })
}
