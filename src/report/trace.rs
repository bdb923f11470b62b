//! The ledger of one task as text: what it asked of execution memory and got, where it waited, what it spilled, and the
//! bounds of its share at each moment.

use std::fmt::Write as _;

use super::table::Style;
use super::text::{Page, count, duration};
use crate::record::{RunRecord, TraceKind, TraceRecord};
use crate::units::HumanBytes;

/// Lines of one attempt that are shown; of more, the first and the last ones.
const LINES_MAX: usize = 60;

/// Lines that differ only in their amounts, as one.
struct Line<'a> {
    first: &'a TraceRecord,
    last: &'a TraceRecord,
    times: u64,
    wanted: u64,
    got: u64,
}

/// The ledger of each attempt that the run followed; empty where it followed none.
pub fn text(run: &RunRecord, style: Style) -> String {
    let mut page = Page { text: String::new(), style: Style { width: style.width.max(40), ..style } };
    let mut rest = run.trace.as_slice();
    while let Some(first) = rest.first() {
        let same = |line: &&TraceRecord| line.task_id == first.task_id;
        let attempt: Vec<&TraceRecord> = rest.iter().take_while(same).collect();
        rest = &rest[attempt.len()..];
        one(&mut page, run, &attempt);
    }
    page.text
}

fn one(page: &mut Page, run: &RunRecord, attempt: &[&TraceRecord]) {
    let Some(first) = attempt.first() else { return };
    let executor = run.executors.get(first.executor as usize).map_or("", |executor| executor.id.as_str());
    page.heading(&format!(
        "Task {}: partition {} of stage {}, attempt {}, executor {executor}",
        first.task_id, first.index, first.stage_id, first.attempt
    ));
    page.entry(
        "Execution memory. A task gets at most 1/N of what the pool could grow to (N: tasks that ask for memory), and \
         waits where it would stay under 1/2N; the rest of a request comes from spilling or not at all.",
    );
    let lines = merged(attempt);
    let skipped = lines.len().saturating_sub(LINES_MAX);
    for (at, line) in lines.iter().enumerate() {
        if skipped > 0 && at == LINES_MAX / 2 {
            page.entry(&format!("          ... {skipped} lines ... (--json has all)"));
        }
        if skipped == 0 || at < LINES_MAX / 2 || at >= LINES_MAX / 2 + skipped {
            page.entry(&told(line));
        }
    }
    let sum = |kind: TraceKind| attempt.iter().filter(|line| line.kind == kind).count() as u64;
    let spilled: u64 = attempt.iter().filter(|line| line.kind == TraceKind::Spill).map(|line| line.got).sum();
    page.entry(&format!(
        "In all: {}, {} short or refused, {}, {} of {}.",
        count(sum(TraceKind::Grant), "whole grant"),
        sum(TraceKind::GrantShort) + sum(TraceKind::Refuse),
        count(sum(TraceKind::Wait), "wait"),
        count(sum(TraceKind::Spill), "spill"),
        HumanBytes(spilled)
    ));
}

/// Whole grants of one operator in a row, at one size of the pool, as one line.
fn merged<'a>(attempt: &[&'a TraceRecord]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for &record in attempt {
        let joins = |line: &&mut Line<'a>| {
            let key = |r: &'a TraceRecord| (r.kind, &r.operator, r.active_tasks, r.pool_bytes);
            record.kind == TraceKind::Grant && key(line.first) == key(record)
        };
        if let Some(line) = lines.last_mut().filter(joins) {
            line.last = record;
            line.times += 1;
            line.wanted += record.wanted;
            line.got += record.got;
        } else {
            let (wanted, got) = (record.wanted, record.got);
            lines.push(Line { first: record, last: record, times: 1, wanted, got });
        }
    }
    lines
}

fn told(line: &Line<'_>) -> String {
    let Line { first, last, times, wanted, got } = line;
    let bytes = |bytes: u64| HumanBytes(bytes).to_string();
    let mut text = format!("{:>9}  ", duration(first.time_ns).to_string());
    let _ = match first.kind {
        TraceKind::Start => write!(text, "starts"),
        TraceKind::End if first.detail.is_empty() => write!(text, "ends well"),
        TraceKind::End => write!(text, "fails: {}", first.detail),
        TraceKind::Grant if *times > 1 => {
            write!(text, "{} asks {times} times for {} in all: granted", first.operator, bytes(*wanted))
        }
        TraceKind::Grant => write!(text, "{} asks for {}: granted", first.operator, bytes(*wanted)),
        TraceKind::GrantShort => {
            write!(text, "{} asks for {}: gets {}", first.operator, bytes(*wanted), bytes(*got))
        }
        TraceKind::Wait => write!(text, "{} asks for {}: waits", first.operator, bytes(*wanted)),
        TraceKind::Refuse => write!(
            text,
            "{} asks for {}: could get {} only, refused",
            first.operator,
            bytes(*wanted),
            bytes(*got)
        ),
        TraceKind::Spill if first.detail.is_empty() => {
            write!(text, "{} spills {}", first.operator, bytes(*got))
        }
        TraceKind::Spill => {
            write!(text, "{} spills {} for {}", first.operator, bytes(*got), first.detail)
        }
    };
    if !matches!(first.kind, TraceKind::Start | TraceKind::End) {
        let tasks = u64::from(last.active_tasks.max(1));
        let _ = write!(
            text,
            "; holds {} (share {} to {}, N={tasks}), {} free",
            bytes(last.held),
            bytes(last.pool_bytes / tasks / 2),
            bytes(last.pool_bytes / tasks),
            bytes(last.pool_free)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: TraceKind, wanted: u64, got: u64) -> TraceRecord {
        TraceRecord {
            time_ns: 1_000_000,
            task_id: 7,
            stage_id: 2,
            index: 3,
            attempt: 0,
            executor: 0,
            operator: "Sort".to_owned(),
            detail: String::new(),
            kind,
            wanted,
            got,
            held: got,
            pool_bytes: 400 << 20,
            pool_free: 10 << 20,
            active_tasks: 4,
        }
    }

    #[test]
    fn grants_in_a_row_are_one_line_and_what_is_short_stands_alone() {
        let mib = 1 << 20;
        let trace = vec![
            line(TraceKind::Start, 0, 0),
            line(TraceKind::Grant, mib, mib),
            line(TraceKind::Grant, 2 * mib, 2 * mib),
            line(TraceKind::GrantShort, 4 * mib, 0),
            line(TraceKind::Spill, 0, 3 * mib),
            line(TraceKind::Wait, 4 * mib, 0),
        ];
        let text = text(&RunRecord { trace, ..RunRecord::default() }, Style { width: 200, color: false });
        for part in [
            "Task 7: partition 3 of stage 2, attempt 0",
            "Sort asks 2 times for 3.0 MiB in all: granted; holds 2.0 MiB (share 50.0 MiB to 100.0 MiB, N=4), 10.0 MiB free",
            "Sort asks for 4.0 MiB: gets 0 B;",
            "Sort spills 3.0 MiB;",
            "Sort asks for 4.0 MiB: waits;",
            "In all: 2 whole grants, 1 short or refused, 1 wait, 1 spill of 3.0 MiB.",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }

    #[test]
    fn a_run_that_follows_nobody_prints_nothing() {
        assert_eq!(super::text(&RunRecord::default(), Style::default()), "");
    }
}
