//! One run as text for a terminal: the verdict first, then what each stage did with memory, what stayed cached, where time
//! went, how sure the answer is, and where to look next.
//!
//! Sizes are binary units as in Spark's web UI. Colour is an addition only: every line says the same without it. What does
//! not fit the width is left out by name, never cut in the middle of a number.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use crate::record::columns::{self, Unit, Value};
use crate::record::{Confidence, DatasetRecord, Outcome, Range, RunRecord, StageRecord};
use crate::units::{HumanBytes, HumanDuration, SimDuration};

use super::table_hosts::hosts;
use super::text::{GREEN, Page, RED, count, duration, percent, shorten, widest};

/// How the terminal wants its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; fewer than 40 count as 40.
    pub width: usize,
    /// Whether ANSI colour codes may appear.
    pub color: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 80, color: false }
    }
}

/// Stages that the table shows before it leaves out the shortest.
const STAGES_MAX: usize = 24;
/// Datasets, assumptions and causes that are shown.
const DATASETS_MAX: usize = 8;
const ASSUMPTIONS_MAX: usize = 6;
const CAUSES_MAX: usize = 3;
/// A cause is worth a line from this share of the task time on: one part in so many.
const CAUSE_PARTS: u64 = 200;
/// What each grade of fidelity holds for, in every run.
const GRADES: [(&str, &str); 3] = [
    ("Exact (Spark's arithmetic)", "sizes of the heap's regions, of pools, pages and shares"),
    (
        "Mechanistic (Spark's algorithms on sums of rows)",
        "spills, evictions, failed allocations; close to a limit they may fall either way",
    ),
    (
        "Calibrated (fitted to measured runs)",
        "times, collector work, heap that Spark does not count, and so a full heap",
    ),
];
/// Narrowest name of a stage that is still worth reading.
const NAME_MIN: usize = 16;

/// The summary of `run` as lines of text. `input` is what the user calls the scenario or log, for the hints at the end.
pub fn summary(run: &RunRecord, input: &str, style: Style) -> String {
    let mut page = Page { text: String::new(), style: Style { width: style.width.max(40), ..style } };
    verdict(&mut page, run);
    memory(&mut page, run);
    stages(&mut page, run);
    datasets(&mut page, run);
    hosts(&mut page, run);
    spilled(&mut page, run);
    causes(&mut page, run);
    sureness(&mut page, run);
    next(&mut page, run, input);
    page.text
}

fn verdict(page: &mut Page, run: &RunRecord) {
    let (word, color) = match run.outcome {
        Outcome::Ok => ("OK", GREEN),
        Outcome::Refused => ("REFUSED", RED),
        _ => ("DIES", RED),
    };
    let mut effort = format!(
        "{} of jobs, {} on {}",
        duration(run.wall_ns),
        count(run.totals.tasks, "task"),
        count(run.executors.len() as u64, "executor")
    );
    let lost = run.executors.iter().filter(|executor| executor.removed_ns.is_some()).count();
    let troubles = [(run.totals.failed_tasks, "failed task"), (lost as u64, "lost executor")];
    for (number, what) in troubles.into_iter().filter(|trouble| trouble.0 > 0) {
        let _ = write!(effort, ", {}", count(number, what));
    }
    if run.outcome == Outcome::Ok {
        page.verdict(word, color, &effort);
    } else {
        page.verdict(word, color, &format!("{}: {}", run.outcome.as_str(), run.reason));
        page.paragraph(&format!("It got through {effort}."));
    }
}

/// The run as a whole: spill, garbage collection and the peaks against their limits.
fn memory(page: &mut Page, run: &RunRecord) {
    let totals = &run.totals;
    let mut line = if totals.memory_bytes_spilled == 0 {
        "Nothing spilled".to_string()
    } else {
        format!(
            "Spilled {} of memory as {} on disk",
            HumanBytes(totals.memory_bytes_spilled),
            HumanBytes(totals.disk_bytes_spilled)
        )
    };
    if let Some(gc) = totals.jvm_gc_time_ns {
        let _ = write!(line, "; garbage collection {}", duration(gc));
        if totals.executor_run_time_ns > 0 {
            let _ = write!(line, " ({} of task time)", percent(gc, totals.executor_run_time_ns));
        }
    }
    page.paragraph(&format!("{line}."));

    let unified = run.executors.iter().map(|executor| executor.max_on_heap_memory).max().unwrap_or(0);
    let heap = run.executors.iter().map(|executor| executor.heap_bytes).max().unwrap_or(0);
    let of = |used: u64, limit: u64| format!("{} of {}", HumanBytes(used), HumanBytes(limit));
    let mut peaks = format!(
        "Peaks of an executor: execution {} and storage {}, which share {}",
        HumanBytes(totals.peak_on_heap_execution),
        HumanBytes(totals.peak_on_heap_storage),
        HumanBytes(unified)
    );
    if totals.peak_off_heap_execution + totals.peak_off_heap_storage > 0 {
        let _ = write!(
            peaks,
            "; off heap {} and {}",
            HumanBytes(totals.peak_off_heap_execution),
            HumanBytes(totals.peak_off_heap_storage)
        );
    }
    if let Some(used) = totals.peak_heap_used {
        let _ = write!(peaks, "; live heap {}", of(used, heap));
    }
    if let Some(rss) = totals.peak_rss {
        let _ = write!(peaks, "; process {}", HumanBytes(rss));
        if let Some(limit) = run.executors.iter().filter_map(|executor| executor.container_bytes).max() {
            let _ = write!(peaks, " of a container of {}", HumanBytes(limit));
        }
    }
    if !run.executors.is_empty() {
        page.paragraph(&format!("{peaks}."));
    }
}

/// A column of the stages' table: its header, the declared column that it shows, and when a narrow terminal does without
/// it (0: never; 1: first).
struct StageColumn {
    header: &'static str,
    column: &'static str,
    leaves: u8,
}

const STAGE_COLUMNS: [StageColumn; 8] = [
    StageColumn { header: "\nTasks", column: "tasks", leaves: 0 },
    StageColumn { header: "Spill\nmemory", column: "memoryBytesSpilled", leaves: 0 },
    StageColumn { header: "Spill\ndisk", column: "diskBytesSpilled", leaves: 3 },
    StageColumn { header: "Peak\nexecution", column: "peakExecutionMemoryMax", leaves: 3 },
    StageColumn { header: "\nGC", column: "jvmGcTime", leaves: 2 },
    StageColumn { header: "Shuffle\nread", column: "shuffleReadBytes", leaves: 1 },
    StageColumn { header: "Shuffle\nwrite", column: "shuffleWriteBytes", leaves: 1 },
    StageColumn { header: "\nWall", column: "wallMs", leaves: 0 },
];

/// Blanks between two columns: one of padding, one where a table with lines would have its line.
const GAP: usize = 2;

fn stages(page: &mut Page, run: &RunRecord) {
    if run.stages.is_empty() {
        return;
    }
    let shown = worth_showing(&run.stages);
    let ids: Vec<String> = shown.iter().map(|stage| stage_id(stage)).collect();
    let columns: Vec<(&StageColumn, Vec<String>, usize)> = STAGE_COLUMNS
        .iter()
        .map(|column| {
            let cells: Vec<String> =
                shown.iter().map(|stage| stage_cell(run, stage, column.column)).collect();
            let width = widest(column.header.lines().chain(cells.iter().map(String::as_str)));
            (column, cells, width)
        })
        .collect();
    let id_width = widest(ids.iter().map(String::as_str).chain(["Stage"]));
    let stays = |column: &StageColumn, level: u8| column.leaves == 0 || column.leaves > level;
    let name_room = |level: u8| {
        let kept = columns.iter().filter(|column| stays(column.0, level));
        page.style.width.saturating_sub(id_width + GAP + kept.map(|column| GAP + column.2).sum::<usize>())
    };
    let level = (0..3).find(|level| name_room(*level) >= NAME_MIN).unwrap_or(3);
    let name_width = name_room(level).max(NAME_MIN);

    let (kept, left): (Vec<_>, Vec<_>) = columns.iter().partition(|column| stays(column.0, level));
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Disabled);
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut header = vec![right("\nStage"), Cell::new("\nName")];
    header.extend(kept.iter().map(|column| right(column.0.header)));
    table.set_header(header);
    for (row, stage) in shown.iter().enumerate() {
        let mut cells = vec![right(&ids[row]), Cell::new(shorten(&stage_name(stage), name_width))];
        cells.extend(kept.iter().map(|column| right(&column.1[row])));
        table.add_row(cells);
    }
    let last = kept.len() + 1;
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { GAP as u16 - 1 }));
    }
    page.text.push('\n');
    for line in table.trim_fmt().lines() {
        page.text.push_str(line.trim_end());
        page.text.push('\n');
    }
    if !left.is_empty() {
        let names: Vec<String> =
            left.iter().map(|column| column.0.header.trim().replace('\n', " ")).collect();
        page.paragraph(&format!(
            "Left out at this width: {}; stages.csv has every column.",
            names.join(", ")
        ));
    }
    if shown.len() < run.stages.len() {
        let rest = count((run.stages.len() - shown.len()) as u64, "shorter stage");
        page.paragraph(&format!("Not shown: {rest}; stages.csv has all."));
    }
}

/// The stages worth showing, in their order: those that failed, then the longest.
fn worth_showing(stages: &[StageRecord]) -> Vec<&StageRecord> {
    let wall = |stage: &StageRecord| stage.completed_ns.saturating_sub(stage.submitted_ns);
    let mut order: Vec<usize> = (0..stages.len()).collect();
    order.sort_by_key(|at| (stages[*at].failure.is_empty(), std::cmp::Reverse(wall(&stages[*at])), *at));
    order.truncate(STAGES_MAX);
    order.sort_unstable();
    order.into_iter().map(|at| &stages[at]).collect()
}

fn stage_id(stage: &StageRecord) -> String {
    let attempt = if stage.attempt > 0 { format!(".{}", stage.attempt) } else { String::new() };
    format!("{}{attempt}", stage.stage_id)
}

fn stage_name(stage: &StageRecord) -> String {
    let label = stage.label();
    if stage.failure.is_empty() { label } else { format!("FAILED {label}") }
}

fn stage_cell(run: &RunRecord, stage: &StageRecord, name: &str) -> String {
    let unit = columns::STAGES.unit(name).unwrap_or(Unit::None);
    match columns::STAGES.cell(name, run, stage).unwrap_or(Value::Absent) {
        Value::Int(0) if unit == Unit::Bytes => "0".to_string(),
        Value::Int(bytes) if unit == Unit::Bytes => HumanBytes(bytes).to_string(),
        Value::Int(ms) if unit == Unit::Ms => HumanDuration(SimDuration::from_ms(ms)).to_string(),
        Value::Float(ms) if unit == Unit::Ms => {
            HumanDuration(SimDuration::from_secs_f64(ms / 1e3)).to_string()
        }
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:.1}"),
        Value::Text(text) => text.into_owned(),
        Value::Absent => "-".to_string(),
    }
}

fn datasets(page: &mut Page, run: &RunRecord) {
    if run.datasets.is_empty() {
        return;
    }
    page.heading("Cached");
    for dataset in run.datasets.iter().take(DATASETS_MAX) {
        page.entry(&dataset_line(dataset));
    }
    page.rest(run.datasets.len(), DATASETS_MAX, "datasets.csv");
}

fn dataset_line(dataset: &DatasetRecord) -> String {
    let mut line = format!(
        "{}: {} of {} partitions in memory ({}), {} on disk",
        dataset.name,
        dataset.in_memory,
        dataset.partitions,
        percent(u64::from(dataset.in_memory), u64::from(dataset.partitions)),
        dataset.on_disk
    );
    let notes = [(dataset.dropped, "dropped"), (dataset.recomputed, "computed again")];
    for (index, (number, what)) in notes.into_iter().filter(|note| note.0 > 0).enumerate() {
        let _ = write!(line, "{} {number} {what}", if index == 0 { ";" } else { "," });
    }
    if !dataset.storage_level.is_empty() {
        let _ = write!(line, " ({})", dataset.storage_level);
    }
    line
}

/// Both spills of each stage that spilled most, their ratio, how many there were and what they cost.
fn spilled(page: &mut Page, run: &RunRecord) {
    let mut stages: Vec<&StageRecord> =
        run.stages.iter().filter(|stage| stage.metrics.memory_bytes_spilled > 0).collect();
    if stages.is_empty() {
        return;
    }
    page.heading("Spilled");
    let all = stages.len();
    stages.sort_by_key(|stage| std::cmp::Reverse(stage.metrics.memory_bytes_spilled));
    stages.truncate(DATASETS_MAX);
    stages.sort_by_key(|stage| (stage.submitted_ns, stage.stage_id, stage.attempt));
    for stage in stages {
        page.entry(&format!("stage {}: {}", stage_id(stage), spill_line(stage)));
    }
    page.rest(all, DATASETS_MAX, "stages.csv");
}

/// What a stage spilled, in memory and on disk, how often, and what that cost its tasks.
pub(super) fn spill_line(stage: &StageRecord) -> String {
    let metrics = &stage.metrics;
    format!(
        "{} of memory as {} on disk ({:.1} to 1) in {}, {} of task time",
        HumanBytes(metrics.memory_bytes_spilled),
        HumanBytes(metrics.disk_bytes_spilled),
        metrics.memory_bytes_spilled as f64 / metrics.disk_bytes_spilled.max(1) as f64,
        count(metrics.spills, "spill"),
        duration(metrics.spill_time_ns),
    )
}

fn causes(page: &mut Page, run: &RunRecord) {
    if run.causes.is_empty() {
        return;
    }
    page.heading("Where time went");
    let least = run.totals.executor_run_time_ns / CAUSE_PARTS;
    let mut dearest: Vec<_> = run.causes.iter().filter(|cause| cause.lost_ns > least).collect();
    if dearest.is_empty() {
        page.entry("Nothing stands out: no cause takes 0.5 % of task time.");
    }
    dearest.sort_by_key(|cause| std::cmp::Reverse(cause.lost_ns));
    for (index, cause) in dearest.into_iter().take(CAUSES_MAX).enumerate() {
        page.entry(&format!("{}. {}", index + 1, cause.text));
    }
}

fn sureness(page: &mut Page, run: &RunRecord) {
    let confidence = &run.confidence;
    if *confidence == Confidence::default() {
        return;
    }
    page.heading("How sure");
    if !confidence.grade.is_empty() {
        for (grade, what) in GRADES {
            page.entry(&format!("{grade}: {what}"));
        }
    }
    for line in ranges(run) {
        page.entry(&line);
    }
    for (outcome, because) in &confidence.other_endings {
        page.entry(&format!("May also end {}: {because} could bring that about", outcome.as_str()));
    }
    for line in &confidence.replay {
        page.entry(&format!("Replay of the log: {line}"));
    }
    for line in confidence.assumed.iter().take(ASSUMPTIONS_MAX) {
        page.entry(&format!("Assumed: {line}"));
    }
    page.rest(confidence.assumed.len(), ASSUMPTIONS_MAX, "--json");
}

/// Quantities whose ranges the page shows; --json has all.
const RANGES_SHOWN: [&str; 5] =
    ["memoryBytesSpilled", "diskBytesSpilled", "peakExecutionMemoryMax", "executorRunTime", "wallMs"];

/// The ranges that real runs are expected in.
fn ranges(run: &RunRecord) -> Vec<String> {
    let line = |range: &Range| {
        let show = |value: f64| match columns::SUMMARY.unit(range.column) {
            Some(Unit::Bytes) => HumanBytes(value as u64).to_string(),
            Some(Unit::Ms) => HumanDuration(SimDuration::from_secs_f64(value / 1e3)).to_string(),
            _ => format!("{value:.0}"),
        };
        // Nothing that could be somewhat more or less is not worth a line.
        let high = match range.high {
            Some(high) if high <= 0.0 => return None,
            Some(high) if show(high) == show(range.low) => {
                return Some(format!("{} {} ({})", range.column, show(high), range.grade));
            }
            Some(high) => format!("to {}", show(high)),
            None => "or more".to_owned(),
        };
        let because =
            if range.because.is_empty() { String::new() } else { format!(": {}", range.because.join(", ")) };
        Some(format!("{} {} {high} ({}{because})", range.column, show(range.low), range.grade))
    };
    let shown = |range: &&Range| RANGES_SHOWN.contains(&range.column);
    let lines = run.confidence.ranges.iter().filter(shown).filter_map(line);
    lines.map(|line| format!("Expected: {line}")).collect()
}

fn next(page: &mut Page, run: &RunRecord, input: &str) {
    page.heading("Next");
    let change = match run.outcome {
        Outcome::Ok => "the same under another configuration",
        _ => "whether another configuration gets through",
    };
    page.entry(&format!("spillcast run {input} --conf KEY=VALUE: {change}"));
    page.entry("--out DIR: every stage, task, event and memory region as CSV; --json: this page for scripts");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn fits(text: &str, width: usize) {
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{} characters: {line}", line.chars().count());
        }
    }

    #[test]
    fn golden() {
        for (name, run) in [("spilling", fixture::spilling()), ("failing", fixture::failing())] {
            for width in [80, 140] {
                let text = summary(&run, "app.zstd", Style { width, color: false });
                fits(&text, width);
                fixture::check_golden(&format!("{name}-{width}.txt"), &text);
            }
        }
    }

    #[test]
    fn the_verdict_comes_first() {
        let text = summary(&fixture::tiny(), "x.toml", Style::default());
        assert!(text.starts_with("OK  45 ms of jobs, 1 task on 1 executor\n"), "{text}");
        let text = summary(&fixture::failing(), "x.toml", Style::default());
        assert!(text.starts_with("DIES  heap_oom: java.lang.OutOfMemoryError: Java heap space in"), "{text}");
    }

    #[test]
    fn causes_of_no_weight_are_not_told() {
        let mut run = fixture::spilling();
        assert!(summary(&run, "x", Style::default()).contains("  1. "));
        run.causes.iter_mut().for_each(|cause| cause.lost_ns = 1);
        let text = summary(&run, "x", Style::default());
        assert!(text.contains("Where time went\n  Nothing stands out") && !text.contains("  1. "), "{text}");
    }

    #[test]
    fn a_container_is_shown_with_what_fills_it() {
        let mut run = fixture::tiny();
        run.totals.peak_rss = Some(900 << 20);
        let style = Style { width: 200, color: false };
        assert!(summary(&run, "x", style).contains("process 900.0 MiB."));
        run.executors[0].container_bytes = Some(2 << 30);
        assert!(summary(&run, "x", style).contains("process 900.0 MiB of a container of 2.0 GiB."));
    }

    #[test]
    fn each_part_of_an_answer_has_its_grade() {
        let text = summary(&fixture::tiny(), "x", Style { width: 120, color: false });
        for part in ["  Exact (", "  Mechanistic (", "  Calibrated ("] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn colour_only_adds() {
        let run = fixture::failing();
        let plain = summary(&run, "x", Style { width: 100, color: false });
        let colored = summary(&run, "x", Style { width: 100, color: true });
        assert!(!plain.contains('\u{1b}'));
        assert_ne!(colored, plain);
        let codes = ["\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m"];
        assert_eq!(codes.iter().fold(colored, |text, code| text.replace(code, "")), plain);
    }

    #[test]
    fn many_stages_show_the_longest() {
        let text = summary(&fixture::iterative(), "x", Style { width: 120, color: false });
        assert!(text.contains("Not shown: 99 shorter stages; stages.csv has all."), "{text}");
        assert!(text.lines().count() < 60, "{text}");
    }

    #[test]
    fn an_empty_record_is_still_a_verdict() {
        let text = summary(&RunRecord::default(), "x", Style { width: 0, color: false });
        assert!(text.starts_with("OK  0 ms of jobs, 0 tasks on 0 executors\n"), "{text}");
    }

    #[test]
    fn narrow_terminals_do_without_columns_and_say_so() {
        let text = summary(&fixture::spilling(), "x", Style { width: 56, color: false });
        fits(&text, 56);
        assert!(text.contains("Left out at this width: Spill disk, Peak execution, GC,"), "{text}");
    }

    #[test]
    fn what_is_not_modelled_shows_as_a_dash() {
        let mut run = fixture::tiny();
        run.stages[0].metrics.jvm_gc_time_ns = None;
        run.totals.jvm_gc_time_ns = None;
        let text = summary(&run, "x", Style { width: 120, color: false });
        assert!(text.contains("  -  "), "{text}");
        assert!(!text.contains("garbage collection "), "{text}");
    }
}
