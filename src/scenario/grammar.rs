//! The table of keys: which keys a scenario file may have, where, of which type. It is the only place that declares
//! them: the check that a file passes before it is decoded, the help on a misspelt key and the JSON Schema all read it.

use super::plans::PLAN;

use super::grammar_cluster::{HOST, TENANT};

/// What a value may be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Any text that is not empty.
    Text,
    /// Any text.
    FreeText,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number, not negative.
    Whole(u64, u64),
    /// A whole number that may be negative.
    Signed(i64, i64),
    /// A finite number.
    Number(f64, f64),
    /// A size: text with a unit, or bytes.
    Size,
    /// Bytes a second: a size, or a number.
    Rate,
    /// A time with its unit.
    Time,
    /// A total, or a list with one value a task.
    Amount,
    /// A list of whole numbers.
    Wholes,
    /// A list of numbers that are not negative.
    Numbers,
    /// A name, or a list of names.
    Names,
    /// A storage level, by name or by its flags.
    Level,
    /// `uniform`, or a table with a distribution.
    Distribution,
    /// `conf`, or a number of partitions.
    Partitions,
    /// Spark properties: any key, any plain value.
    Properties,
    /// A table.
    Table(&'static Table),
    /// A list of tables.
    Tables(&'static Table),
}

/// A key of a table.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) doc: &'static str,
}

/// A table of keys.
pub(super) struct Table {
    /// What it is, for messages.
    pub(super) title: &'static str,
    /// The keys that it may always have.
    pub(super) keys: &'static [Key],
    /// The key whose word decides which further keys it may have.
    pub(super) tag: Option<&'static str>,
    /// The further keys, by that word.
    pub(super) variants: &'static [(&'static str, &'static [Key])],
}

impl Table {
    pub(super) const fn new(title: &'static str, keys: &'static [Key]) -> Self {
        Self { title, keys, tag: None, variants: &[] }
    }

    /// The keys of the table when its tag says `word`.
    pub(super) fn keys_for(&self, word: Option<&str>) -> impl Iterator<Item = &'static Key> {
        let further = word.and_then(|word| self.variants.iter().find(|(name, _)| *name == word));
        self.keys.iter().chain(further.map_or(&[][..], |(_, keys)| keys))
    }
}

pub(super) const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: false, doc }
}

pub(super) const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: true, doc }
}

pub(super) const MANY: Kind = Kind::Whole(0, u64::MAX);
/// Rows and keys of the short form: more than any table has, and no sum of them overflows.
const ROWS: Kind = Kind::Whole(0, 1_000_000_000_000_000);
const SOME_ROWS: Kind = Kind::Whole(1, 1_000_000_000_000_000);
/// Partitions and files of the short form; each costs the simulation memory of its own.
const PARTS: Kind = Kind::Whole(1, 1_000_000);
pub(super) const COUNT: Kind = Kind::Whole(1, u32::MAX as u64);
pub(super) const ID: Kind = Kind::Whole(0, u32::MAX as u64);
const SHARE: Kind = Kind::Number(0.0, 1.0);
const POSITIVE: Kind = Kind::Number(0.0, f64::MAX);

pub(super) static SCENARIO: Table = Table::new(
    "a scenario",
    &[
        key("name", Kind::Text, "Name in reports; the file's name by default."),
        key("seed", MANY, "Seed of every random draw; 1 by default."),
        key(
            "spark_version",
            Kind::Text,
            "Version whose defaults hold, as \"4.1\"; the newest known by default.",
        ),
        key("conf", Kind::Properties, "Spark properties under their own names, in quotes."),
        key("host", Kind::Tables(&HOST), "A kind of machine."),
        key("tenant", Kind::Tables(&TENANT), "Another process on a machine."),
        key("rates", Kind::Table(&RATES), "What work costs, where it differs from the defaults."),
        key("table", Kind::Tables(&TABLE), "An input: files, or generated rows."),
        key("cached", Kind::Tables(&CACHED), "A table that is persisted."),
        key("query", Kind::Tables(&QUERY), "An action with the steps that lead to it."),
        key("workload", Kind::Table(&WORKLOAD), "The whole application in full, as an import writes it."),
        key("variant", Kind::Tables(&VARIANT), "Another configuration to compare with."),
    ],
);

pub(super) static VARIANT: Table = Table::new(
    "a variant",
    &[
        required("name", Kind::Text, "Name in reports."),
        required("conf", Kind::Properties, "Spark properties that differ from the scenario's."),
    ],
);

pub(super) static RATES: Table = Table::new(
    "the rates",
    &[
        key("spill_write_ns_per_byte", POSITIVE, "Sorting and writing spilled rows, for a byte in memory."),
        key("spill_read_ns_per_byte", POSITIVE, "Reading and merging spilled rows, for a byte in memory."),
        key("spill_compression", POSITIVE, "Bytes in a spill file for one serialized byte."),
        key("disk_bytes_per_s", POSITIVE, "Bandwidth of the local disk."),
        key("network_bytes_per_s", POSITIVE, "Bandwidth of a host's network."),
        key("cached_read_ns_per_byte", POSITIVE, "Reading a cached block as objects."),
        key("serialize_ns_per_byte", POSITIVE, "Serializing a cached block or reading it back."),
        key("scheduler_delay_ns", MANY, "Between the end of a task and the start of the next in its slot."),
        key("task_fixed_ns", MANY, "Processor time of a task however little it does."),
        key("shuffle_file_ns", MANY, "Processor time of each file that the bypass shuffle writer opens."),
        key(
            "executor_warm_up_ns",
            MANY,
            "Processor time that a new executor's JVM spends on Spark's classes.",
        ),
        key("executor_compile_ns", MANY, "Compiler threads' work for Spark's code in a new executor."),
        key("executor_launch_ns", MANY, "Deserializing the first tasks in a new executor."),
        key("stage_launch_ns", MANY, "Fetching a stage's task binary into an executor."),
        key("page_ns_per_byte", POSITIVE, "Zeroing a byte of execution memory."),
        key(
            "task_launch_ns",
            MANY,
            "Deserializing a task and sending its result, where a stage does not say.",
        ),
        key("heap_base_bytes", Kind::Size, "Heap that Spark and the JVM hold at rest."),
        key("non_heap_bytes", Kind::Size, "Memory of the process beside the heap at rest."),
        key("executor_start_ns", MANY, "Start of a replacement executor."),
    ],
);

pub(super) static DISTRIBUTION: Table = Table::new(
    "a distribution",
    &[
        key("distinct", SOME_ROWS, "Number of distinct keys."),
        key("zipf", Kind::Number(0.0, 20.0), "The i-th most frequent has weight 1 / i^s."),
        key("hot", Kind::Numbers, "Shares of the most frequent, as [0.3, 0.1]; the others are even."),
        key("log_normal", Kind::Number(0.0, 20.0), "Weights e^(sigma Z); 1 is moderate, 2 heavy."),
        key(
            "pareto",
            Kind::Number(0.05, 100.0),
            "Weights of a Pareto law; the smaller, the heavier the tail.",
        ),
        key(
            "quantiles",
            Kind::Numbers,
            "Weights at even steps from least to greatest, as [min, 25 %, median, 75 %, max] of the web UI.",
        ),
    ],
);

pub(super) static TABLE: Table = Table::new(
    "a table",
    &[
        required("name", Kind::Text, "Name for `from` and `with`."),
        key("rows", ROWS, "Number of rows; by default what `size` holds at half the size of `row_bytes`."),
        key(
            "row_bytes",
            Kind::Size,
            "Bytes of a row in Spark's binary format: 8 and 8 a column, and the texts.",
        ),
        key("size", Kind::Size, "Bytes in storage; half of what the rows take in memory by default."),
        key("files", PARTS, "Number of files; one for each 128 MiB by default."),
        key("splittable", Kind::Flag, "Whether Spark may split a file (not so for gzip); true by default."),
        key("partitions", PARTS, "Fixed number of partitions, as for `spark.range` or a JDBC source."),
        key("sizes", Kind::Distribution, "Sizes of the partitions, or of files that cannot be split."),
    ],
);

pub(super) static CACHED: Table = Table::new(
    "a cached dataset",
    &[
        required("name", Kind::Text, "Name for `from` and `with`, and for `spillcast.storageLevel.NAME`."),
        required("from", Kind::Text, "The table that it is computed from."),
        key("level", Kind::Level, "Storage level; MEMORY_AND_DISK by default, as DataFrame.persist()."),
        key("rows", SOME_ROWS, "Number of rows; the table's by default."),
        key("row_bytes", Kind::Size, "Bytes of a row; the table's by default."),
        key("memory", Kind::Size, "Bytes in memory as objects; 8 bytes a row less than the rows by default."),
        key("serialized", Kind::Size, "Bytes in memory when serialized; as many by default."),
        key("disk", Kind::Size, "Bytes on disk; as many as serialized by default."),
        key("partitions", PARTS, "Number of blocks; the table's number of tasks by default."),
        key("sizes", Kind::Distribution, "Sizes of the blocks; even by default."),
        key("compute_ns_per_row", POSITIVE, "Time to compute a row anew; from the table's size by default."),
        key("unpersist_after", Kind::Text, "The query after which the application unpersists it."),
    ],
);

pub(super) static QUERY: Table = Table::new(
    "a query",
    &[
        key("name", Kind::Text, "Name in reports."),
        required(
            "from",
            Kind::Names,
            "The table or cached dataset; several: one job for each, in this order.",
        ),
        key("steps", Kind::Tables(&STEP), "What happens to the rows, in order; nothing: they are read."),
        key("repeat", Kind::Whole(1, 10_000), "Rounds; 1 by default."),
        key("after", Kind::Names, "Queries that must end first; the one before by default, [] for none."),
        key("gap", Kind::Time, "Time that the driver takes before each job; none by default."),
    ],
);

const KEYS: Key = key("keys", Kind::Distribution, "Popularity of the keys; \"uniform\" by default.");
const GROUPS: Key = key("groups", SOME_ROWS, "Number of distinct keys.");
const COMPRESSION: Key =
    key("compression", SHARE, "Compressed bytes for one serialized byte; 0.5 by default.");
const NS_PER_ROW: Key = key("ns_per_row", POSITIVE, "Time for one row that comes in.");

pub(super) static STEP: Table = Table {
    title: "a step",
    keys: &[],
    tag: Some("op"),
    variants: &[
        ("filter", &[required("keep", SHARE, "Share of the rows that stay."), NS_PER_ROW]),
        (
            "map",
            &[
                key("row_bytes", Kind::Size, "Bytes of a row that comes out; unchanged by default."),
                key("rows_per_row", POSITIVE, "Rows that come out for one; 1 by default, more for explode."),
                key("heap", Kind::Size, "Memory that the code of a task holds while it works."),
                NS_PER_ROW,
            ],
        ),
        (
            "aggregate",
            &[
                GROUPS,
                KEYS,
                key("entry_bytes", Kind::Size, "Bytes of a group in the hash map: 16, key row, buffer row."),
                key("collect_list", Kind::Flag, "Keeps all rows of a group (object aggregation)."),
                key(
                    "value_bytes",
                    Kind::Size,
                    "Bytes that a row adds to such a group; of the plain heap, up to 128 groups.",
                ),
                key("exchange", Kind::Flag, "False: the rows are partitioned by the key already."),
                COMPRESSION,
                NS_PER_ROW,
            ],
        ),
        (
            "sort",
            &[
                KEYS,
                key("local", Kind::Flag, "Within partitions: no exchange."),
                key("radix", Kind::Flag, "The key is one number or date; true by default."),
                COMPRESSION,
                NS_PER_ROW,
            ],
        ),
        ("window", &[KEYS, GROUPS, COMPRESSION, NS_PER_ROW]),
        (
            "repartition",
            &[
                key("partitions", PARTS, "Number of partitions; spark.sql.shuffle.partitions by default."),
                key("keys", Kind::Distribution, "By a column with these keys; round robin by default."),
                COMPRESSION,
            ],
        ),
        (
            "join",
            &[
                required("with", Kind::Text, "The other table or cached dataset."),
                key(
                    "kind",
                    Kind::Word(&["broadcast", "sort_merge", "shuffled_hash"]),
                    "By default broadcast up to spark.sql.autoBroadcastJoinThreshold, else sort_merge.",
                ),
                KEYS,
                key(
                    "with_keys",
                    Kind::Distribution,
                    "Popularity on the other side; by default each key once.",
                ),
                key("rows", ROWS, "Rows that come out; as many as come in by default."),
                key(
                    "row_bytes",
                    Kind::Size,
                    "Bytes of a row that comes out; those of both sides by default.",
                ),
                key("relation", Kind::Size, "Bytes of the broadcast relation; from the rows by default."),
                key("long_key", Kind::Flag, "The key is one whole number; true by default."),
                COMPRESSION,
                NS_PER_ROW,
            ],
        ),
        (
            "reduce_by_key",
            &[
                required("groups", SOME_ROWS, "Number of distinct keys."),
                required("partitions", PARTS, "Number of partitions."),
                KEYS,
                key("entry_bytes", Kind::Size, "Heap bytes of a key with its value; 100 by default."),
                COMPRESSION,
                NS_PER_ROW,
            ],
        ),
        (
            "python",
            &[required("worker_memory", Kind::Size, "Memory of a Python worker at its largest."), NS_PER_ROW],
        ),
        (
            "cache",
            &[
                required("name", Kind::Text, "Name for `from` and `with` of later queries."),
                key("level", Kind::Level, "Storage level; MEMORY_AND_DISK by default."),
                key("memory", Kind::Size, "Bytes in memory as objects; 8 bytes a row less by default."),
                key("serialized", Kind::Size, "Bytes in memory when serialized; as many by default."),
                key("disk", Kind::Size, "Bytes on disk; as many as serialized by default."),
                key("unpersist_after", Kind::Text, "The query after which the application unpersists it."),
            ],
        ),
        ("count", &[]),
        ("collect", &[COMPRESSION]),
        ("write", &[COMPRESSION]),
    ],
};

pub(super) static WORKLOAD: Table = Table::new(
    "a workload",
    &[
        key("name", Kind::FreeText, "Application name."),
        key("python", Kind::Flag, "Python workers run beside the executors."),
        key("observed", Kind::Table(&OBSERVED), "The settings under which values a task were observed."),
        key("rates", Kind::Table(&RATES), "What work costs."),
        key("job", Kind::Tables(&JOB), "A job."),
        key("stage", Kind::Tables(&STAGE), "A stage."),
        key("shuffle", Kind::Tables(&SHUFFLE), "A shuffle."),
        key("dataset", Kind::Tables(&DATASET), "A cached dataset."),
        key("broadcast", Kind::Tables(&BROADCAST), "A broadcast table."),
        key("plan", Kind::Tables(&PLAN), "A query's plan, where the configuration may change it."),
    ],
);

pub(super) static OBSERVED: Table = Table::new(
    "the observed settings",
    &[
        key("shuffle_partitions", ID, "spark.sql.shuffle.partitions."),
        key("adaptive", Kind::FreeText, "Adaptive settings; equal texts partition alike."),
        key("skew_join", Kind::FreeText, "Settings that split partitions of joins; equal texts split alike."),
        key("local_reader", Kind::Flag, "Adaptive execution may read shuffles where they were written."),
        key("max_partition_bytes", Kind::Size, "spark.sql.files.maxPartitionBytes."),
        key("open_cost_bytes", Kind::Size, "spark.sql.files.openCostInBytes."),
        key("default_parallelism", ID, "Task slots of all executors."),
        key("data_scale", POSITIVE, "Scale of the data: 1 as observed."),
    ],
);

pub(super) static JOB: Table = Table::new(
    "a job",
    &[
        required("id", ID, "Spark's job id."),
        key("name", Kind::FreeText, "Call site."),
        key("stages", Kind::Wholes, "Its stages, by position."),
        key("after", Kind::Wholes, "Jobs that end before, by position."),
        key("gap_ns", MANY, "Driver time before it."),
    ],
);

pub(super) static STAGE: Table = Table::new(
    "a stage",
    &[
        required("id", ID, "Spark's stage id."),
        key("name", Kind::FreeText, "Call site."),
        key("parents", Kind::Wholes, "Stages whose output it reads, by position."),
        required("partitioning", Kind::Table(&PARTITIONING), "What decides the number of tasks."),
        key("result_bytes", Kind::Amount, "Serialized results."),
        key("launch_ns", Kind::Amount, "Time before the tasks run."),
        key("allocated_bytes", Kind::Amount, "Bytes that the tasks allocate on the heap."),
        key("background_threads", POSITIVE, "Threads of each JVM that want a processor beside the tasks."),
        key(
            "warm_up_ns",
            MANY,
            "Processor time that each new executor spends until the stage's code is compiled.",
        ),
        key("compile_ns", MANY, "Compiler threads' work for the stage's code in each new executor."),
        key("operator", Kind::Tables(&OPERATOR), "An operator, after its inputs."),
    ],
);

pub(super) static PARTITIONING: Table = Table {
    title: "a partitioning",
    keys: &[],
    tag: Some("kind"),
    variants: &[
        ("fixed", &[required("tasks", COUNT, "Number of tasks.")]),
        (
            "files",
            &[
                required("bytes", Kind::Size, "Bytes of all files."),
                required("files", ID, "Number of files."),
                key("tasks", ID, "Tasks observed, 0 for none."),
            ],
        ),
        (
            "shuffle",
            &[
                required("shuffles", Kind::Wholes, "The shuffles read, by position."),
                key("tasks", ID, "Tasks observed, 0 for none."),
                key("may_split", Kind::Wholes, "Those whose huge partitions adaptive execution may split."),
                key("local", Kind::Flag, "The tasks observed read map outputs, whatever the partition."),
            ],
        ),
        ("dataset", &[required("dataset", MANY, "The cached dataset, by position.")]),
    ],
};

const BYTES: Key = key("bytes", Kind::Amount, "Bytes read or written, compressed.");
const WHICH_SHUFFLE: Key = required("shuffle", MANY, "The shuffle, by position.");
const WHICH_BROADCAST: Key = required("broadcast", MANY, "The broadcast table, by position.");
const WHICH_DATASET: Key = required("dataset", MANY, "The cached dataset, by position.");
const ENTRY: Key = required("entry_bytes", Kind::Size, "Bytes of an entry.");

pub(super) static OPERATOR: Table = Table {
    title: "an operator",
    keys: &[
        key("name", Kind::FreeText, "Name as in Spark's plan."),
        key("inputs", Kind::Wholes, "The operators that feed it, by position."),
        key("rows", Kind::Amount, "Rows that come out."),
        key("row_bytes", Kind::Size, "Bytes of a row that comes out."),
        key("cpu_ns", Kind::Amount, "Time of its own work."),
        key(
            "heap_bytes",
            Kind::Amount,
            "Plain heap that it holds while it works; of an object aggregation, that of the lists of all groups.",
        ),
    ],
    tag: Some("kind"),
    variants: &[
        ("scan", &[BYTES]),
        ("shuffle_read", &[WHICH_SHUFFLE, BYTES]),
        (
            "cached_scan",
            &[
                WHICH_DATASET,
                key("lineage", MANY, "The operator that computes a partition, by position, in a log."),
            ],
        ),
        ("pipelined", &[]),
        (
            "hash_aggregate",
            &[
                required("key_value_bytes", Kind::Size, "Bytes of the key row and the buffer row."),
                key("fast_map", Kind::Flag, "A fast map of one page stands in front."),
                key("dense_keys", Kind::Flag, "The key is one whole number, without gaps between them."),
                key("variable_rows", Kind::Flag, "Keys or buffers have values of variable length."),
            ],
        ),
        (
            "object_hash_aggregate",
            &[
                required("group_bytes", Kind::Size, "Bytes of a group when it goes to the sorter."),
                required("sorter_row_bytes", Kind::Size, "Bytes of a row when it sorts."),
                key("radix", Kind::Flag, "The key is one radix-sortable prefix."),
            ],
        ),
        ("sort", &[key("radix", Kind::Flag, "The key is one radix-sortable prefix.")]),
        ("broadcast_hash_join", &[WHICH_BROADCAST]),
        (
            "shuffled_hash_join",
            &[
                key("long_key", Kind::Flag, "The key is a single long."),
                key("keys", Kind::Amount, "Distinct keys of the build side."),
                key("key_range", MANY, "Largest key less smallest key; unknown by default."),
            ],
        ),
        ("window", &[]),
        ("external_aggregation", &[ENTRY]),
        ("python", &[required("worker_bytes", Kind::Size, "Memory of a worker.")]),
        ("shuffle_write", &[WHICH_SHUFFLE, BYTES]),
        ("broadcast", &[WHICH_BROADCAST]),
        ("output", &[BYTES]),
    ],
};

pub(super) static SHUFFLE: Table = Table::new(
    "a shuffle",
    &[
        key("name", Kind::FreeText, "Name in reports."),
        required("partitions", Kind::Partitions, "\"conf\", or their number."),
        key("distribution", Kind::Word(&["hash", "range", "round_robin", "single"]), "Where a row goes."),
        key("keys", Kind::Table(&SHUFFLE_KEYS), "Popularity of the keys."),
        required("record_bytes", Kind::Size, "Bytes of a record in the writer's pages."),
        required("compression", POSITIVE, "Compressed bytes for one serialized byte."),
        key("map_side_combine", Kind::Flag, "Combines on the map side, as RDDs do."),
        key("blocks", MANY, "Blocks with rows in the run that the compression was observed in; 0: none."),
        key("relocatable", Kind::Flag, "The serializer can relocate records."),
    ],
);

pub(super) static SHUFFLE_KEYS: Table = Table::new(
    "keys",
    &[
        key("hot", Kind::Numbers, "Share of each hot key, falling."),
        key("distinct", MANY, "Number of distinct keys, 0 when unknown."),
        key("salt", MANY, "Decides where a key falls; joined datasets share it."),
        key("observed", Kind::Numbers, "Shares of the partitions as observed."),
    ],
);

pub(super) static DATASET: Table = Table::new(
    "a dataset",
    &[
        required("id", ID, "RDD id."),
        required("name", Kind::FreeText, "Name in reports."),
        required("level", Kind::Level, "Storage level."),
        key("memory_bytes", Kind::Wholes, "Bytes of each partition as objects."),
        key("serialized_bytes", Kind::Wholes, "Bytes of each partition serialized."),
        key("disk_bytes", Kind::Wholes, "Bytes of each partition on disk."),
        key("compute_ns_per_byte", POSITIVE, "Time to compute a byte anew."),
        key("elements", MANY, "Elements of a partition's iterator."),
        key("unpersist_after", MANY, "The job after which it is unpersisted, by position."),
    ],
);

pub(super) static BROADCAST: Table = Table::new(
    "a broadcast table",
    &[
        key("name", Kind::FreeText, "Name in reports."),
        key("rows", MANY, "Rows of the table."),
        key("relation_bytes", Kind::Size, "Bytes of the built relation."),
        key("pieces_bytes", Kind::Size, "Bytes of its pieces."),
        key("build_ns", MANY, "Driver time to build it."),
    ],
);
