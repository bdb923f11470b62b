//! Plans of queries in the full form: `[[workload.plan]]`, as an import writes them. Their keys, their decoding and their
//! rendering.

use super::diagnostic::{IMPOSSIBLE, Sink};
use super::full::{Counts, position, positions, text, which};
use super::grammar::{ID, Key, Kind, MANY, Table, key, required};
use super::render::{Text, quote};
use super::view::View;
use crate::workload::{Join, JoinKind, JoinSettings, Place, Query, Stage, Step, StepKind, Strategy};

pub(super) static PLAN: Table = Table::new(
    "a query's plan",
    &[
        key("jobs", Kind::Wholes, "The jobs that ran it, by position."),
        key("unknown", Kind::FreeText, "Why it cannot be made anew under other settings."),
        key("chosen", Kind::Table(&CHOSEN), "The settings under which its joins were chosen."),
        key("step", Kind::Tables(&STEP), "An operator, after its inputs."),
    ],
);

static CHOSEN: Table = Table::new(
    "the settings of joins",
    &[
        key("adaptive", Kind::Flag, "spark.sql.adaptive.enabled."),
        key("broadcast_threshold", Kind::Size, "spark.sql.autoBroadcastJoinThreshold; never by default."),
        key(
            "adaptive_broadcast_threshold",
            Kind::Size,
            "spark.sql.adaptive.autoBroadcastJoinThreshold; never by default.",
        ),
        key("prefer_sort_merge", Kind::Flag, "spark.sql.join.preferSortMergeJoin."),
        key(
            "local_map_threshold",
            Kind::Size,
            "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold, where it does something; never by default.",
        ),
    ],
);

const KEYS: Key = key("keys", Kind::Names, "Columns, as name#id.");

static STEP: Table = Table {
    title: "a step of a plan",
    keys: &[
        key("inputs", Kind::Wholes, "The steps that feed it, by position, left before right."),
        required("stages", Kind::Wholes, "The stages that ran it, by position."),
        required("operators", Kind::Wholes, "What it is in each of those stages, by position."),
        key(
            "order",
            Kind::Names,
            "Columns by which it needs or gives rows sorted for an aggregation, as name#id.",
        ),
        key("row_bytes", Kind::Size, "Bytes of a row that comes out."),
        key("estimated_row_bytes", Kind::Size, "The same by Spark's estimate."),
    ],
    tag: Some("kind"),
    variants: &[
        ("rows", &[]),
        ("leaf", &[key("estimated_bytes", MANY, "Bytes that Spark takes it to have, at most.")]),
        ("clustered", &[KEYS]),
        ("sort", &[KEYS]),
        (
            "exchange",
            &[
                required("shuffle", MANY, "The shuffle, by position."),
                KEYS,
                key("required", Kind::Flag, "Only the step above needs it."),
            ],
        ),
        (
            "join",
            &[
                required("rows", Kind::Word(&JOIN_KINDS), "Which rows come out."),
                required("left_keys", Kind::Names, "Columns of the left side, as name#id."),
                required("right_keys", Kind::Names, "Columns of the right side."),
                required("planned", Kind::Word(&STRATEGIES), "How it was planned before anything ran."),
                required("ran", Kind::Word(&STRATEGIES), "How it ran."),
                key("hint", Kind::Flag, "A hint decided, not sizes."),
                key("radix", Kind::Flag, "The key is one radix-sortable prefix."),
                key("long_key", Kind::Flag, "The key is one whole number."),
                key("broadcast", ID, "The table that was broadcast for it, by position."),
            ],
        ),
    ],
};

const JOIN_KINDS: [&str; 5] = words(JoinKind::ALL);
const STRATEGIES: [&str; 5] = words(Strategy::ALL);

const fn words<T: Copy, const N: usize>(all: [(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = all[at].0;
        at += 1;
    }
    words
}

/// The value of a word, which the check has let pass.
fn of_word<T: Copy>(table: &View, name: &str, all: &[(&str, T)]) -> T {
    let word = table.text(name).unwrap_or_default();
    all.iter().find(|(known, _)| *known == word).unwrap_or(&all[0]).1
}

fn word_of<T: Copy + PartialEq>(value: T, all: &[(&'static str, T)]) -> &'static str {
    all.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Decodes a plan.
pub(super) fn decode(table: &View, counts: &Counts, stages: &[Stage], sink: &mut Sink) -> Query {
    let steps = table.tables("step");
    let chosen = table.table("chosen");
    let chosen = chosen.map_or_else(JoinSettings::default, |chosen| JoinSettings {
        adaptive: chosen.flag("adaptive").unwrap_or(false),
        broadcast_threshold: chosen.size("broadcast_threshold"),
        adaptive_broadcast_threshold: chosen.size("adaptive_broadcast_threshold"),
        prefer_sort_merge: chosen.flag("prefer_sort_merge").unwrap_or(false),
        local_map_threshold: chosen.size("local_map_threshold"),
    });
    Query {
        jobs: positions(table, "jobs", counts.jobs, "job", sink),
        steps: steps
            .iter()
            .enumerate()
            .map(|(at, step)| decode_step(at, step, counts, stages, sink))
            .collect(),
        chosen,
        unknown: text(table, "unknown"),
    }
}

fn names(table: &View, key: &str) -> Vec<String> {
    table.names(key).into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn decode_step(at: usize, table: &View, counts: &Counts, stages: &[Stage], sink: &mut Sink) -> Step {
    let step = Step {
        kind: decode_kind(table, counts, sink),
        inputs: positions(table, "inputs", at, "step before this one", sink),
        at: places(table, stages, sink),
        order: names(table, "order"),
        row_bytes: table.size("row_bytes").unwrap_or(0),
        estimated_row_bytes: table.size("estimated_row_bytes").unwrap_or(0),
    };
    let wanted = match step.kind {
        StepKind::Join(_) => 2,
        StepKind::Clustered { .. } | StepKind::Sort { .. } | StepKind::Exchange { .. } => 1,
        StepKind::Leaf { .. } => 0,
        StepKind::Rows => step.inputs.len(),
    };
    if step.inputs.len() != wanted {
        let message = format!("this kind of step has {wanted} inputs, not {}", step.inputs.len());
        sink.error(IMPOSSIBLE, table.span_of("inputs"), message, "wrong number", None);
    }
    step
}

/// The operators that a step was, from two lists side by side.
fn places(table: &View, stages: &[Stage], sink: &mut Sink) -> Vec<Place> {
    let listed = table.wholes("stages");
    let operators = table.wholes("operators");
    if listed.len() != operators.len() || listed.is_empty() {
        let message = format!(
            "a step ran in at least one stage, with one operator each: {} stages, {} operators",
            listed.len(),
            operators.len()
        );
        sink.error(IMPOSSIBLE, table.span_of("operators"), message, "of another length", None);
    }
    let mut found = Vec::new();
    for ((stage, span), (operator, of)) in listed.into_iter().zip(operators) {
        let Some(stage) = position(stage, stages.len(), "stage", span, sink) else { continue };
        let operator = position(operator, stages[stage].operators.len(), "operator", of, sink);
        found.extend(operator.map(|operator| Place { stage, operator }));
    }
    found
}

fn decode_kind(table: &View, counts: &Counts, sink: &mut Sink) -> StepKind {
    let names = |key| names(table, key);
    let flag = |key| table.flag(key).unwrap_or(false);
    match table.text("kind").unwrap_or_default() {
        "leaf" => StepKind::Leaf { estimated_bytes: table.whole("estimated_bytes") },
        "clustered" => StepKind::Clustered { keys: names("keys") },
        "sort" => StepKind::Sort { keys: names("keys") },
        "exchange" => StepKind::Exchange {
            shuffle: which(table, "shuffle", counts.shuffles, sink),
            keys: names("keys"),
            required: flag("required"),
        },
        "join" => StepKind::Join(Join {
            kind: of_word(table, "rows", &JoinKind::ALL),
            left_keys: names("left_keys"),
            right_keys: names("right_keys"),
            planned: of_word(table, "planned", &Strategy::ALL),
            ran: of_word(table, "ran", &Strategy::ALL),
            hint: flag("hint"),
            radix: flag("radix"),
            long_key: flag("long_key"),
            broadcast: table.has("broadcast").then(|| which(table, "broadcast", counts.broadcasts, sink)),
        }),
        // Either "rows" or a word that the check has refused.
        _ => StepKind::Rows,
    }
}

/// Writes a plan.
pub(super) fn render(text: &mut Text, query: &Query) {
    text.header("[[workload.plan]]");
    text.list("jobs", &query.jobs);
    if !query.unknown.is_empty() {
        text.pair("unknown", &quote(&query.unknown));
    }
    if query.chosen != JoinSettings::default() {
        text.header("[workload.plan.chosen]");
        text.flag("adaptive", query.chosen.adaptive);
        for (key, bytes) in [
            ("broadcast_threshold", query.chosen.broadcast_threshold),
            ("adaptive_broadcast_threshold", query.chosen.adaptive_broadcast_threshold),
            ("local_map_threshold", query.chosen.local_map_threshold),
        ] {
            if let Some(bytes) = bytes {
                text.pair(key, &bytes);
            }
        }
        text.flag("prefer_sort_merge", query.chosen.prefer_sort_merge);
    }
    for step in &query.steps {
        render_step(text, step);
    }
}

fn render_step(text: &mut Text, step: &Step) {
    text.header("[[workload.plan.step]]");
    let word = match &step.kind {
        StepKind::Rows => "rows",
        StepKind::Leaf { .. } => "leaf",
        StepKind::Clustered { .. } => "clustered",
        StepKind::Sort { .. } => "sort",
        StepKind::Exchange { .. } => "exchange",
        StepKind::Join(_) => "join",
    };
    text.pair("kind", &quote(word));
    text.list("inputs", &step.inputs);
    text.list("stages", &step.at.iter().map(|place| place.stage).collect::<Vec<_>>());
    text.list("operators", &step.at.iter().map(|place| place.operator).collect::<Vec<_>>());
    text.some("row_bytes", step.row_bytes);
    text.some("estimated_row_bytes", step.estimated_row_bytes);
    let names = |text: &mut Text, key: &str, names: &[String]| {
        text.list(key, &names.iter().map(|name| quote(name)).collect::<Vec<_>>());
    };
    names(text, "order", &step.order);
    match &step.kind {
        StepKind::Rows | StepKind::Leaf { estimated_bytes: None } => {}
        StepKind::Leaf { estimated_bytes: Some(bytes) } => text.pair("estimated_bytes", bytes),
        StepKind::Clustered { keys } | StepKind::Sort { keys } => names(text, "keys", keys),
        StepKind::Exchange { shuffle, keys, required } => {
            text.pair("shuffle", shuffle);
            names(text, "keys", keys);
            text.flag("required", *required);
        }
        StepKind::Join(join) => {
            text.pair("rows", &quote(word_of(join.kind, &JoinKind::ALL)));
            // An empty list is a key too: without it the file would lack one that it must have.
            let list = |keys: &[String]| {
                format!("[{}]", keys.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", "))
            };
            text.pair("left_keys", &list(&join.left_keys));
            text.pair("right_keys", &list(&join.right_keys));
            text.pair("planned", &quote(word_of(join.planned, &Strategy::ALL)));
            text.pair("ran", &quote(word_of(join.ran, &Strategy::ALL)));
            text.flag("hint", join.hint);
            text.flag("radix", join.radix);
            text.flag("long_key", join.long_key);
            if let Some(broadcast) = join.broadcast {
                text.pair("broadcast", &broadcast);
            }
        }
    }
}
